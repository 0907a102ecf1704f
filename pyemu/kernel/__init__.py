"""The memory management of 32-bit ARM Linux as a model: layout, zones, address spaces, windows, gup."""

from pyemu.kernel.config import KernelConfig, Rule
from pyemu.kernel.kernel import Kernel, OutOfPages
from pyemu.kernel.layout import Layout, Range
from pyemu.kernel.memory import Gfp, MigrateType, PageInfo, ZoneInfo
from pyemu.kernel.process import Advice, Area, Map, Process, Prot, Signal, TaskInfo, Thp, Touch

__all__ = [
    "Advice",
    "Area",
    "Gfp",
    "Kernel",
    "KernelConfig",
    "Layout",
    "Map",
    "MigrateType",
    "OutOfPages",
    "PageInfo",
    "Process",
    "Prot",
    "Range",
    "Rule",
    "Signal",
    "TaskInfo",
    "Thp",
    "Touch",
    "ZoneInfo",
]
