"""VMCOREINFO: what a Linux kernel tells about itself, kept in a page of its own memory as a ready ELF note.

Linux kernel/crash_core.c, Documentation/admin-guide/kdump/vmcoreinfo.rst.
"""

from __future__ import annotations

import struct

from pyemu.debug.dump.windows import Held, windows
from pyemu.mem import PAGE_SIZE, Memory

__all__ = ["fields", "find_vmcoreinfo", "swapper_address"]

_NAME = b"VMCOREINFO\0"
_HEADER = struct.pack("<I", len(_NAME))
_MAX_BYTES = PAGE_SIZE


def find_vmcoreinfo(memory: Memory, held: Held = None) -> bytes | None:
    """The content of the note, or None: the guest is no Linux, or one that cannot crash-dump."""
    for at, data in windows(memory, held):
        found = data.find(_NAME)
        while found >= 0:
            if (at + found) % PAGE_SIZE == 12 and data[found - 12 : found - 8] == _HEADER:
                content = _content(data, found)
                if content is not None:
                    return content
            found = data.find(_NAME, found + 1)
    return None


def _content(data: bytes, name_at: int) -> bytes | None:
    size = struct.unpack_from("<I", data, name_at - 8)[0]
    start = name_at + (len(_NAME) + 3 & ~3)
    content = data[start : start + size]
    good = 0 < size <= _MAX_BYTES and len(content) == size and content.startswith(b"OSRELEASE=")
    return content if good else None


def fields(content: bytes) -> dict[str, str]:
    """``OSRELEASE``, ``SYMBOL(swapper_pg_dir)``, ...: the lines as a dictionary."""
    lines = content.decode("ascii", "replace").splitlines()
    return {key: value for key, found, value in (line.partition("=") for line in lines) if found}


def swapper_address(content: bytes) -> int | None:
    """The virtual address of swapper_pg_dir, which lies in the linear map."""
    try:
        return int(fields(content).get("SYMBOL(swapper_pg_dir)", ""), 16) & 0xFFFF_FFFF
    except ValueError:
        return None
