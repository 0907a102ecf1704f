"""pyemu: a laboratory for 32-bit ARM memory management.

``Machine`` runs ARM code on page tables that pyemu walks itself; ``MachineConfig`` says what it is made of.
Names are imported when they are first used, so that ``import pyemu`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyemu.config import MachineConfig, UserError
    from pyemu.machine import LoadOptions, Machine, Stop, StopReason

__all__ = ["LoadOptions", "Machine", "MachineConfig", "Stop", "StopReason", "UserError"]

_HOMES = {
    "LoadOptions": "pyemu.machine",
    "Machine": "pyemu.machine",
    "MachineConfig": "pyemu.config",
    "Stop": "pyemu.machine",
    "StopReason": "pyemu.machine",
    "UserError": "pyemu.config",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pyemu-armv7")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pyemu' has no attribute {name!r}")
