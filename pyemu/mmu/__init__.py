"""Stage-1 translation of 32-bit ARM in both formats, as pure functions of memory and registers.

Managed tables and modelled TLBs are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pyemu.mmu.batch import NO_ADDRESS, translate_many
from pyemu.mmu.ranges import MappedRange, mapped_ranges
from pyemu.mmu.regime import Regime
from pyemu.mmu.status import FaultStatus, decode_fault_status
from pyemu.mmu.translate import (
    Access,
    DescriptorKind,
    Fault,
    Flag,
    Prot,
    Step,
    Translation,
    Walk,
    ats,
    fault_status,
    translate,
    walk,
)
from pyemu.mmu.virtual import TranslationFault, read_virtual, write_virtual

if TYPE_CHECKING:
    from pyemu.mmu.tables import Attributes, Mapping, PageTables
    from pyemu.mmu.tlb import (
        StaleHit,
        Tlb,
        TlbArray,
        TlbEntry,
        TlbInvalidate,
        TlbLevel,
        TlbResult,
        TlbStats,
    )

__all__ = [
    "NO_ADDRESS",
    "Access",
    "Attributes",
    "DescriptorKind",
    "Fault",
    "FaultStatus",
    "Flag",
    "MappedRange",
    "Mapping",
    "PageTables",
    "Prot",
    "Regime",
    "StaleHit",
    "Step",
    "Tlb",
    "TlbArray",
    "TlbEntry",
    "TlbInvalidate",
    "TlbLevel",
    "TlbResult",
    "TlbStats",
    "Translation",
    "TranslationFault",
    "Walk",
    "ats",
    "decode_fault_status",
    "fault_status",
    "mapped_ranges",
    "read_virtual",
    "translate",
    "translate_many",
    "walk",
    "write_virtual",
]

_HOMES = {
    "Attributes": "tables",
    "Mapping": "tables",
    "PageTables": "tables",
    "StaleHit": "tlb",
    "Tlb": "tlb",
    "TlbArray": "tlb",
    "TlbEntry": "tlb",
    "TlbInvalidate": "tlb",
    "TlbLevel": "tlb",
    "TlbResult": "tlb",
    "TlbStats": "tlb",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pyemu.mmu.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pyemu.mmu' has no attribute {name!r}")
