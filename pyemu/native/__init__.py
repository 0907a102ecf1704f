"""The native boundary: the only place that touches ``ffi`` and ``lib``.

``check(status, err)`` turns a failed call into :class:`NativeError`; ``error()`` makes the slot that a call
fills.  libunicorn is loaded by importing ``unicorn`` first, so that the extension finds the same copy in this
process; libcapstone by ``load_capstone()``, when something needs it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
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
    """The Python side of an opaque handle: one of its own, or one that belongs to a machine."""

    def __init__(self, handle: Any, free: Any) -> None:
        owned = ffi.gc(handle, free)
        self._get: Callable[[], Any] = lambda: owned
        self._borrowed = False

    @classmethod
    def borrow(cls, get: Callable[[], Any]) -> Self:
        """A view of a handle that belongs to something else, which ``get`` keeps alive.

        ``get`` is called for each use: it returns the handle as it is then, or raises ValueError.
        """
        face = cls.__new__(cls)
        face._get, face._borrowed = get, True
        return face

    @property
    def handle(self) -> Any:
        """For a call into the C core that only looks; ValueError when a borrowed one is gone."""
        handle = self._get()
        if handle == ffi.NULL:
            raise ValueError(f"this {type(self).__name__} is gone")
        return handle

    @property
    def own_handle(self) -> Any:
        """For a call that changes something; ValueError for what belongs to a machine."""
        if self._borrowed:
            raise ValueError(f"this {type(self).__name__} belongs to a machine: only its guest changes it")
        return self.handle


@cache
def load_capstone() -> None:
    """Load the libcapstone of the capstone package, for the C core to find in this process.

    The package itself is slow to import, and loads with RTLD_DEEPBIND, which sanitizers refuse. Raises
    :class:`NativeError` when there is none.
    """
    spec = find_spec("capstone")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        for path in sorted(Path(folder, "lib").glob("libcapstone.so*")):
            ctypes.CDLL(str(path))
            return
    try:
        import capstone  # noqa: F401  (a package without a library of its own finds that of the system)
    except ImportError as problem:
        raise NativeError(lib.PE_ERR_ENGINE, f"libcapstone does not load ({problem})") from None
