"""Single translations: the answer, the steps of the walk, and what registers show after it.

All functions are pure: they depend on memory, regime, address and access, and cache nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from pyemu.mem import Memory
from pyemu.mmu.regime import Regime, native_regime
from pyemu.native import ffi, lib

__all__ = [
    "Access",
    "DescriptorKind",
    "Fault",
    "Flag",
    "Prot",
    "Step",
    "Translation",
    "Walk",
    "ats",
    "fault_status",
    "from_native",
    "translate",
    "walk",
]

_DESCRIPTION_SIZE = 320


class Access(IntEnum):
    """What is done with the address."""

    READ = lib.PE_READ
    WRITE = lib.PE_WRITE
    FETCH = lib.PE_FETCH


class Fault(IntEnum):
    """Why an access does not translate, in the order of the architecture's checks (ARM DDI 0406C B3.13)."""

    NONE = lib.PE_FAULT_NONE
    ALIGNMENT = lib.PE_FAULT_ALIGNMENT
    EXTERNAL_WALK = lib.PE_FAULT_EXTERNAL_WALK
    TRANSLATION = lib.PE_FAULT_TRANSLATION
    ACCESS_FLAG = lib.PE_FAULT_ACCESS_FLAG
    DOMAIN = lib.PE_FAULT_DOMAIN
    PERMISSION = lib.PE_FAULT_PERMISSION
    EXTERNAL = lib.PE_FAULT_EXTERNAL
    DEBUG = lib.PE_FAULT_DEBUG

    @property
    def text(self) -> str:
        """The name in words: ``"access flag"``."""
        return str(ffi.string(lib.pe_fault_name(int(self))).decode())


class Prot(IntFlag):
    """What a privilege may do with a page."""

    NONE = 0
    READ = lib.PE_PROT_READ
    WRITE = lib.PE_PROT_WRITE
    EXEC = lib.PE_PROT_EXEC


class Flag(IntFlag):
    """Further properties of a translation."""

    NONE = 0
    NG = lib.PE_TF_NG
    NS = lib.PE_TF_NS
    CONTIGUOUS = lib.PE_TF_CONTIGUOUS
    SUPERSECTION = lib.PE_TF_SUPERSECTION
    LARGE = lib.PE_TF_LARGE
    TTBR1 = lib.PE_TF_TTBR1
    MMU_OFF = lib.PE_TF_MMU_OFF
    DOMAIN_MANAGER = lib.PE_TF_DOMAIN_MANAGER


class DescriptorKind(IntEnum):
    """What a descriptor is at its level."""

    INVALID = lib.PE_DESC_INVALID
    TABLE = lib.PE_DESC_TABLE
    BLOCK = lib.PE_DESC_BLOCK
    PAGE = lib.PE_DESC_PAGE
    UNREADABLE = lib.PE_DESC_UNREADABLE
    RESERVED = lib.PE_DESC_RESERVED


@dataclass(frozen=True)
class Translation:
    """The answer for one address, access and privilege.

    Where a leaf was found (also when it does not permit the access) ``pa`` is the output address, ``size``
    the bytes that the leaf maps, ``prot`` what it grants to the privilege asked and ``prot_other`` to the
    other one, ``attr`` the memory type as a MAIR byte (for both formats) and ``shareability`` 0 none, 2
    outer, 3 inner; otherwise all are 0. ``level`` is that of the leaf or the fault, 0 with the MMU off.
    """

    pa: int
    fault: Fault
    level: int
    prot: Prot
    prot_other: Prot
    attr: int
    shareability: int
    domain: int
    size: int
    flags: Flag
    descriptor: int
    descriptor_pa: int

    @property
    def ok(self) -> bool:
        return self.fault is Fault.NONE


@dataclass(frozen=True)
class Step:
    """One descriptor read; ``descriptor`` is 0 where ``kind`` is UNREADABLE."""

    level: int
    ttbr: int
    table_pa: int
    index: int
    descriptor_pa: int
    descriptor: int
    kind: DescriptorKind


@dataclass(frozen=True)
class Walk:
    """A translation with every descriptor that was read, and one sentence that says what happened."""

    va: int
    result: Translation
    steps: tuple[Step, ...]
    text: str


def translate(
    memory: Memory, regime: Regime, va: int, access: Access = Access.READ, *, privileged: bool = True
) -> Translation:
    """Translate one 32-bit address.  A fault is an answer, not an exception."""
    out = ffi.new("pe_translation *")
    lib.pe_translate(memory.handle, native_regime(regime), _va(va), int(access), privileged, out)
    return from_native(out)


def walk(
    memory: Memory, regime: Regime, va: int, access: Access = Access.READ, *, privileged: bool = True
) -> Walk:
    """As :func:`translate`, with the steps."""
    out = ffi.new("pe_walk *")
    native = native_regime(regime)
    lib.pe_translate_steps(memory.handle, native, _va(va), int(access), privileged, out)
    text = ffi.new("char[]", _DESCRIPTION_SIZE)
    lib.pe_walk_describe(native, va, out, text, _DESCRIPTION_SIZE)
    steps = tuple(
        Step(s.level, s.ttbr, s.table_pa, s.index, s.descriptor_pa, s.descriptor, DescriptorKind(s.kind))
        for s in out.steps[0 : out.nsteps]
    )
    return Walk(va, from_native(out.result), steps, ffi.string(text).decode())


def ats(
    memory: Memory, regime: Regime, va: int, access: Access = Access.READ, *, privileged: bool = True
) -> int:
    """PAR after ATS1CPR, CPW, CUR or CUW (ARM DDI 0406C B4.1.112): 64 bits wide with TTBCR.EAE, else 32."""
    return int(lib.pe_ats(memory.handle, native_regime(regime), _va(va), int(access), privileged))


def fault_status(
    regime: Regime, translation: Translation, access: Access, *, cache_maintenance: bool = False
) -> int:
    """DFSR, or IFSR for a fetch, after a translation that faults; 0 after one that does not (B3.13.3)."""
    fields = {
        "fault": int(translation.fault),
        "level": translation.level,
        "domain": translation.domain,
    }
    native = ffi.new("pe_translation *", fields)
    return int(lib.pe_fault_status(native_regime(regime), native, int(access), cache_maintenance))


# Calling an enumeration takes longer than the walk itself.
_FAULTS = tuple(Fault)
_PROTS = tuple(Prot(bits) for bits in range(8))
_FLAGS = tuple(Flag(bits) for bits in range(256))


def from_native(t: Any) -> Translation:
    """The Python form of a ``pe_translation``."""
    return Translation(
        pa=t.pa,
        fault=_FAULTS[t.fault],
        level=t.level,
        prot=_PROTS[t.prot],
        prot_other=_PROTS[t.prot_other],
        attr=t.attr,
        shareability=t.shareability,
        domain=t.domain,
        size=1 << t.size_log2 if t.size_log2 else 0,
        flags=_FLAGS[t.flags],
        descriptor=t.descriptor,
        descriptor_pa=t.descriptor_pa,
    )


def _va(va: int) -> int:
    if not 0 <= va < 1 << 32:
        raise ValueError(f"virtual address {va:#x} does not fit 32 bits")
    return va
