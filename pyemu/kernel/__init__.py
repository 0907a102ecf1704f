"""The memory management of 32-bit ARM Linux as a model: layout, zones, address spaces, windows, gup."""

from pyemu.kernel.config import KernelConfig, Rule
from pyemu.kernel.kernel import Kernel, OutOfPages
from pyemu.kernel.layout import Layout, Range
from pyemu.kernel.memory import Gfp, MigrateType, PageInfo, ZoneInfo

__all__ = [
    "Gfp",
    "Kernel",
    "KernelConfig",
    "Layout",
    "MigrateType",
    "OutOfPages",
    "PageInfo",
    "Range",
    "Rule",
    "ZoneInfo",
]
