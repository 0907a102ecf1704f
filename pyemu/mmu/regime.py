"""The CP15 registers that decide a stage-1 translation of PL1&0, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from pyemu.native import ffi

__all__ = ["Regime", "native_regime"]

_SCTLR_M = 1 << 0
_TTBCR_EAE = 1 << 31

# Field: other names that dumps and debuggers use for the register.
_ALIASES: dict[str, tuple[str, ...]] = {
    "sctlr": (),
    "ttbcr": (),
    "ttbr0": (),
    "ttbr1": (),
    "dacr": (),
    "mair0": ("prrr",),
    "mair1": ("nmrr",),
    "contextidr": ("contextidr_el1",),
}
_REQUIRED = ("sctlr", "ttbcr", "ttbr0")
_WIDE = ("ttbr0", "ttbr1")


@dataclass(frozen=True)
class Regime:
    """One translation regime (ARM DDI 0406C B3.1).

    ``ttbr0`` and ``ttbr1`` are 64 bits wide, of which the short format uses 32; the others have 32 bits.
    ``mair0`` and ``mair1`` are PRRR and NMRR when TTBCR.EAE is 0.
    """

    sctlr: int = 0
    ttbcr: int = 0
    ttbr0: int = 0
    ttbr1: int = 0
    dacr: int = 0
    mair0: int = 0
    mair1: int = 0
    contextidr: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            width = 64 if field.name in _WIDE else 32
            value = getattr(self, field.name)
            if not 0 <= value < 1 << width:
                raise ValueError(f"register {field.name.upper()} = {value:#x} does not fit its {width} bits")

    @classmethod
    def from_registers(cls, registers: Mapping[str, str | int]) -> Regime:
        """A regime from a dictionary of registers: ints or hexadecimal text by name, in any case.

        SCTLR, TTBCR and TTBR0 must be there, others default to 0, unknown names are ignored.  PRRR and NMRR
        count as MAIR0 and MAIR1.
        """
        found = {name.lower(): value for name, value in registers.items()}
        values: dict[str, int] = {}
        for name, aliases in _ALIASES.items():
            for spelling in (name, *aliases):
                if spelling in found:
                    values[name] = _number(spelling, found[spelling])
                    break
            else:
                if name in _REQUIRED:
                    raise ValueError(f"register {name.upper()} is missing; SCTLR, TTBCR and TTBR0 are needed")
        return cls(**values)

    @classmethod
    def from_native(cls, native: Any) -> Regime:
        """The Python form of a ``pe_regime``."""
        return cls(**{field.name: getattr(native, field.name) for field in fields(cls)})

    @property
    def mmu_on(self) -> bool:
        """SCTLR.M"""
        return bool(self.sctlr & _SCTLR_M)

    @property
    def long_format(self) -> bool:
        """TTBCR.EAE: long descriptors (LPAE)."""
        return bool(self.ttbcr & _TTBCR_EAE)


def _number(name: str, value: str | int) -> int:
    if isinstance(value, int):
        return value
    try:
        return int(value, 16)
    except ValueError:
        raise ValueError(f"register {name.upper()} = {value!r} is not a hexadecimal number") from None


@lru_cache(maxsize=64)
def native_regime(regime: Regime) -> Any:
    """``const pe_regime *`` for a call into the C core."""
    return ffi.new("pe_regime *", {field.name: getattr(regime, field.name) for field in fields(regime)})
