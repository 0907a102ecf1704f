"""Translation of whole arrays without a copy: any contiguous buffer in, any writable ones out."""

from __future__ import annotations

from typing import Any

from pyemu.mem import Memory
from pyemu.mmu.regime import Regime, native_regime
from pyemu.mmu.translate import Access
from pyemu.native import ffi, lib

__all__ = ["NO_ADDRESS", "translate_many"]

NO_ADDRESS = (1 << 64) - 1
"""What ``pa`` holds where the access faults."""

# struct formats of native integers; the C core reads them as unsigned.
_INTEGER_FORMATS = frozenset("bBhHiIlLqQ")


def translate_many(
    memory: Memory,
    regime: Regime,
    va: Any,
    pa: Any,
    status: Any = None,
    *,
    access: Access = Access.READ,
    privileged: bool = True,
) -> int:
    """Translate n addresses; returns how many did not fault.

    ``va``: n 32-bit integers.  ``pa``: n 64-bit integers, overwritten with the output addresses
    (:data:`NO_ADDRESS` where the access faults).  ``status``, if given: n bytes, overwritten with ``Fault |
    level << 4``.  Each is any C-contiguous buffer of native integers of that width (array.array, numpy,
    ctypes), or of raw bytes (bytes, bytearray, mmap) of that length; of any shape.  The outputs must not
    overlap the input.  Raises ValueError, naming the argument, when a buffer does not fit; nothing is written
    then.
    """
    with _Buffer("va", va, 4, writable=False) as source, _Buffer("pa", pa, 8, writable=True) as out:
        n = source.count
        out.expect(n)
        if status is None:
            return _run(memory, regime, source, out, ffi.NULL, access, privileged)
        with _Buffer("status", status, 1, writable=True) as status_out:
            status_out.expect(n)
            pointer = ffi.cast("uint8_t *", status_out.pointer)
            return _run(memory, regime, source, out, pointer, access, privileged)


class _Buffer:
    """A buffer argument, checked, with its address."""

    def __init__(self, name: str, value: Any, width: int, *, writable: bool) -> None:
        self.name = name
        self.width = width
        try:
            view = memoryview(value)
        except TypeError:
            raise ValueError(
                f"{name}: {type(value).__name__} is no buffer; pass bytes, array.array or numpy"
            ) from None
        if not view.c_contiguous:
            raise ValueError(f"{name}: the buffer is not contiguous; pass a contiguous copy")
        if writable and view.readonly:
            raise ValueError(f"{name}: the buffer is read-only; results are written to it")
        kind = view.format.lstrip("@=<" if _LITTLE_ENDIAN else "@=>")
        if kind not in _INTEGER_FORMATS or view.itemsize not in (1, width):
            raise ValueError(
                f"{name}: items of format {view.format!r} are not {8 * width}-bit native integers"
            )
        if view.nbytes % width:
            raise ValueError(f"{name}: {view.nbytes} bytes are not a multiple of {width}")
        self.count = view.nbytes // width
        self._data = ffi.from_buffer(view, require_writable=writable)
        self.pointer = ffi.cast("void *", self._data)
        if self.count and int(ffi.cast("uintptr_t", self._data)) % width:  # an empty one may lie anywhere
            ffi.release(self._data)
            raise ValueError(f"{name}: the buffer does not start at a multiple of {width} bytes")

    def expect(self, count: int) -> None:
        if self.count != count:
            raise ValueError(f"{self.name}: room for {self.count} results, but va has {count} addresses")

    def __enter__(self) -> _Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        ffi.release(self._data)


_LITTLE_ENDIAN = memoryview(b"\x01\x00").cast("H")[0] == 1


def _run(
    memory: Memory,
    regime: Regime,
    source: _Buffer,
    out: _Buffer,
    status: Any,
    access: Access,
    privileged: bool,
) -> int:
    va = ffi.cast("uint32_t *", source.pointer)
    pa = ffi.cast("uint64_t *", out.pointer)
    native = native_regime(regime)
    return int(
        lib.pe_translate_batch(memory.handle, native, va, pa, status, source.count, int(access), privileged)
    )
