"""Dumps: memory of a guest in a file, read and written.

ELF cores (QEMU, kdump, pyemu) and raw images of RAM are read, ELF cores are written. Names
are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyemu.debug.dump.guess import Candidate, find_tables
    from pyemu.debug.dump.target import DumpTarget, open_dump
    from pyemu.debug.dump.writer import Written, write_core

__all__ = ["Candidate", "DumpTarget", "Written", "find_tables", "open_dump", "write_core"]

_HOMES = {
    "Candidate": "guess",
    "DumpTarget": "target",
    "Written": "writer",
    "find_tables": "guess",
    "open_dump": "target",
    "write_core": "writer",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pyemu.debug.dump.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pyemu.debug.dump' has no attribute {name!r}")
