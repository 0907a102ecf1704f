"""The native boundary: the only place that touches ``ffi`` and ``lib``.

``check(status, err)`` turns a failed call into :class:`NativeError`; ``error()`` makes the slot that a call
fills.  libunicorn is loaded by importing ``unicorn`` first, so that the extension finds the same copy in this
process; libcapstone by ``load_capstone()``, when something needs it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unicorn  # noqa: F401  (loads libunicorn, which the C side finds with RTLD_NOLOAD)

from pyemu.native._native import ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Face", "NativeError", "check", "check_handle", "error", "ffi", "lib", "load_capstone"]


class NativeError(Exception):
    """A call into the C core failed: ``status`` is one of the ``PE_ERR_*`` constants, the text a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def error() -> Any:
    """A new, empty error slot (``pe_error *``)."""
    return ffi.new("pe_error *")


def check(status: int, err: Any) -> None:
    """Raise :class:`NativeError` unless ``status`` is ``PE_OK``."""
    if status != lib.PE_OK:
        raise NativeError(status, ffi.string(err.text).decode(errors="replace"))


def check_handle(handle: Any, err: Any) -> Any:
    """Return ``handle``, or raise :class:`NativeError` when it is NULL."""
    if handle == ffi.NULL:
        raise NativeError(err.status, ffi.string(err.text).decode(errors="replace"))
    return handle


class Face:
    """The Python side of an opaque handle: one of its own, or one that belongs to a machine.

    A borrowed handle keeps its owner alive, and is gone when the owner is closed.
    """

    def __init__(self, handle: Any, free: Any) -> None:
        self._handle = ffi.gc(handle, free)
        self._owner: Any = None

    @classmethod
    def borrow(cls, handle: Any, owner: Any) -> Self:
        """A view of a handle that belongs to ``owner``, whose ``handle`` raises ValueError once closed."""
        face = cls.__new__(cls)
        face._handle, face._owner = handle, owner
        return face

    @property
    def handle(self) -> Any:
        """For a call into the C core that only looks; ValueError once the owner is closed."""
        if self._owner is not None:
            self._owner.handle  # noqa: B018  (raises)
        return self._handle

    @property
    def own_handle(self) -> Any:
        """For a call that changes something; ValueError for what belongs to a machine."""
        if self._owner is not None:
            raise ValueError(f"this {type(self).__name__} belongs to a machine: only its guest changes it")
        return self._handle


@cache
def load_capstone() -> None:
    """Load the libcapstone of the capstone package, for the C core to find in this process.

    The package itself is slow to import, and loads with RTLD_DEEPBIND, which sanitizers refuse.
    """
    spec = find_spec("capstone")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        for path in sorted(Path(folder, "lib").glob("libcapstone.so*")):
            ctypes.CDLL(str(path))
            return
    import capstone  # noqa: F401  (a package without a library of its own finds that of the system)
