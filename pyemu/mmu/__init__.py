"""Stage-1 translation of 32-bit ARM in both formats, as pure functions of memory and registers."""

from pyemu.mmu.batch import NO_ADDRESS, translate_many
from pyemu.mmu.regime import Regime
from pyemu.mmu.status import FaultStatus, decode_fault_status
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

__all__ = [
    "NO_ADDRESS",
    "Access",
    "Attributes",
    "DescriptorKind",
    "Fault",
    "FaultStatus",
    "Flag",
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
    "read_virtual",
    "translate",
    "translate_many",
    "walk",
    "write_virtual",
]
