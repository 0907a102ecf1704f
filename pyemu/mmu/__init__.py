"""Stage-1 translation of 32-bit ARM in both formats, as pure functions of memory and registers."""

from pyemu.mmu.batch import NO_ADDRESS, translate_many
from pyemu.mmu.regime import Regime
from pyemu.mmu.tables import Attributes, Mapping, PageTables
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

__all__ = [
    "NO_ADDRESS",
    "Access",
    "Attributes",
    "DescriptorKind",
    "Fault",
    "Flag",
    "Mapping",
    "PageTables",
    "Prot",
    "Regime",
    "Step",
    "Translation",
    "Walk",
    "ats",
    "fault_status",
    "translate",
    "translate_many",
    "walk",
]
