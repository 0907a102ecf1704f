"""The machine: board, loaders, device tree, console, snapshots; a Python face of csrc/machine.

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyemu.machine.bill import Bill, CpuBill, Executed
    from pyemu.machine.cpu import Cpu, Power
    from pyemu.machine.devicetree import TreeOptions
    from pyemu.machine.loaders import LoadOptions
    from pyemu.machine.machine import Machine
    from pyemu.machine.stop import Stop, StopReason

__all__ = [
    "Bill",
    "Cpu",
    "CpuBill",
    "Executed",
    "LoadOptions",
    "Machine",
    "Power",
    "Stop",
    "StopReason",
    "TreeOptions",
]

_HOMES = {
    "Bill": "bill",
    "Cpu": "cpu",
    "CpuBill": "bill",
    "Executed": "bill",
    "LoadOptions": "loaders",
    "Machine": "machine",
    "Power": "cpu",
    "Stop": "stop",
    "StopReason": "stop",
    "TreeOptions": "devicetree",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pyemu.machine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pyemu.machine' has no attribute {name!r}")
