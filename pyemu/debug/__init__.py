"""Looking inside: commands on a session of a running machine, a snapshot or a dump.

The prompt, scripts, gdb's ``monitor`` and Python are doors to the same commands. Names are imported when
they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyemu.debug.opening import open_target
    from pyemu.debug.session import Session
    from pyemu.debug.target import Capability, KernelTarget, LiveTarget, Target

__all__ = ["Capability", "KernelTarget", "LiveTarget", "Session", "Target", "open_target"]

_HOMES = {
    "Capability": "target",
    "KernelTarget": "target",
    "LiveTarget": "target",
    "Session": "session",
    "Target": "target",
    "open_target": "opening",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pyemu.debug.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pyemu.debug' has no attribute {name!r}")
