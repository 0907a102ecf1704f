"""What DFSR and IFSR say: the inverse of :func:`pyemu.mmu.fault_status` (ARM DDI 0406C B3.13.3, B4.1.52)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pyemu.mmu.regime import Regime
from pyemu.mmu.translate import Access, Fault, Flag, Prot, Translation, fault_status

__all__ = ["FaultStatus", "decode_fault_status"]

_LPAE = 1 << 9
_WNR = 1 << 11
_CM = 1 << 13
_LONG_CODE, _SHORT_CODE = 0x3F, 0x40F
_LONG = Regime(ttbcr=1 << 31)


@dataclass(frozen=True)
class FaultStatus:
    """A decoded fault status register.

    ``fault``  None where the code is none that the core reports.
    ``level``  of the table at which it happened; None where the kind of fault has none.
    ``write``  what WnR says, of a DFSR.  ``cache_maintenance``: CM, of a DFSR.
    ``domain`` of a DFSR in the short format; None in the long format.
    """

    value: int
    long_format: bool
    fault: Fault | None
    level: int | None
    write: bool
    cache_maintenance: bool
    domain: int | None

    @property
    def text(self) -> str:
        """In words: ``"level 2 translation fault"``."""
        if self.fault is None:
            return "unknown fault"
        name = self.fault.text if self.fault.text.startswith("external") else f"{self.fault.text} fault"
        return name if self.level is None else f"level {self.level} {name}"


def decode_fault_status(value: int) -> FaultStatus:
    """Decode a DFSR or IFSR as the core writes it; WnR, CM and the domain mean nothing in an IFSR."""
    long_format = bool(value & _LPAE)
    code = value & (_LONG_CODE if long_format else _SHORT_CODE)
    fault, level = _codes(long_format).get(code, (None, None))
    return FaultStatus(
        value,
        long_format,
        fault,
        level,
        bool(value & _WNR),
        bool(value & _CM),
        None if long_format else value >> 4 & 15,
    )


@cache
def _codes(long_format: bool) -> dict[int, tuple[Fault, int | None]]:
    """Fault and level by status code, from the core's own encoding."""
    regime = _LONG if long_format else Regime()
    found: dict[int, tuple[Fault, int | None]] = {}
    for fault in Fault:
        levels = [fault_status(regime, _faulting(fault, level), Access.FETCH) & ~_LPAE for level in (1, 2, 3)]
        if fault is Fault.NONE or not levels[0]:  # no domain faults in the long format
            continue
        if len(set(levels)) == 1:
            found[levels[0]] = (fault, None)
        else:
            found.update({code: (fault, level) for level, code in reversed([*enumerate(levels, 1)])})
    return found


def _faulting(fault: Fault, level: int) -> Translation:
    return Translation(0, fault, level, Prot.NONE, Prot.NONE, 0, 0, 0, 0, Flag.NONE, 0, 0)
