"""Guest physical memory: sparse RAM and copy-on-write views of files, at 40-bit physical addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyemu.native import NativeError, check, check_handle, error, ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PAGE_SIZE", "Memory", "Segment"]

PAGE_SIZE: int = lib.PE_PAGE_SIZE

_TOUCHED_BATCH = 16384
_CLEARED_AT_ONCE = 1 << 20  # bytes: cheaper than to ask which pages are backed
_LARGE_READ = 1 << 20  # above, a read is compared with the size of memory before the host allocates for it


@dataclass(frozen=True)
class Segment:
    """A stretch of memory: ``base`` and ``size`` in bytes, both multiples of 4096."""

    base: int
    size: int
    readonly: bool


class Memory:
    """The physical memory of a guest, made of segments that do not overlap.

    A context manager: leaving it gives the memory back to the host.  Addresses are 40-bit integers, lengths
    are bytes. A failed call raises :class:`pyemu.native.NativeError`, whose text names the address, and
    changes nothing.
    """

    def __init__(self) -> None:
        err = error()
        handle = check_handle(lib.pe_mem_new(err), err)
        self._handle: Any = ffi.gc(handle, lib.pe_mem_free)
        self._owner: Any = None

    @classmethod
    def borrow(cls, handle: Any, owner: Any) -> Self:
        """The memory behind a ``pe_mem *`` that belongs to ``owner`` (a machine), which is kept alive.

        Only the owner changes its segments: :meth:`add_ram`, :meth:`add_file` and :meth:`reset` raise
        ValueError.
        """
        memory = cls.__new__(cls)
        memory._handle = handle
        memory._owner = owner
        return memory

    @property
    def handle(self) -> Any:
        """``pe_mem *`` for a call into the C core; ValueError once closed."""
        if self._handle is None:
            raise ValueError("this Memory is closed")
        return self._handle

    @property
    def _own_handle(self) -> Any:
        if self._owner is not None:
            raise ValueError("this Memory belongs to a machine, which alone changes its segments")
        return self.handle

    def close(self) -> None:
        """Give the memory back; a borrowed one is only let go."""
        if self._handle is not None and self._owner is None:
            ffi.release(self._handle)
        self._handle = None
        self._owner = None

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_ram(self, base: int, size: int, *, readonly: bool = False) -> None:
        """Add zero-filled RAM; the host pays only for pages that are touched.

        ``readonly`` keeps the guest from writing (flash); :meth:`write` still does.
        """
        err = error()
        check(
            lib.pe_mem_add_ram(
                self._own_handle, _u64("base", base), _u64("size", size), _flags(readonly), err
            ),
            err,
        )

    def add_file(
        self,
        base: int,
        path: str | os.PathLike[str],
        *,
        offset: int = 0,
        size: int | None = None,
        readonly: bool = False,
    ) -> None:
        """Add a private view of ``size`` bytes of a file (default: to its end); the file is never changed.

        What follows the view in its last page reads as zero.
        """
        if size is None:
            size = max(os.stat(path).st_size - offset, 0)
        err = error()
        check(
            lib.pe_mem_add_file(
                self._own_handle,
                _u64("base", base),
                os.fsencode(path),
                _u64("offset", offset),
                _u64("size", size),
                _flags(readonly),
                err,
            ),
            err,
        )

    @property
    def segments(self) -> list[Segment]:
        """All segments, ordered by base."""
        count = lib.pe_mem_segments(self.handle, ffi.NULL, 0)
        out = ffi.new("pe_segment[]", count)
        lib.pe_mem_segments(self.handle, out, count)
        return [Segment(s.base, s.size, bool(s.flags & lib.PE_MEM_READONLY)) for s in out]

    def read(self, pa: int, length: int) -> bytes:
        """``length`` bytes at ``pa``; the range may cross segments that touch."""
        _u64("length", length)
        total = sum(s.size for s in self.segments) if length > _LARGE_READ else length
        if length > total:
            raise NativeError(
                lib.PE_ERR_RANGE, f"cannot read {length:#x} bytes at {pa:#x}: the guest has {total:#x} in all"
            )
        data = bytearray(length)
        self.read_into(pa, data)
        return bytes(data)

    def read_into(self, pa: int, buffer: Any) -> None:
        """Fill a writable, contiguous buffer from ``pa`` without a copy in between."""
        err = error()
        with ffi.from_buffer(buffer, require_writable=True) as out:
            check(lib.pe_mem_read(self.handle, _u64("address", pa), out, len(out), err), err)

    def write(self, pa: int, data: Any) -> None:
        """Write a contiguous buffer (bytes, array, numpy) at ``pa``, also to read-only segments."""
        err = error()
        with ffi.from_buffer(data) as source:
            check(lib.pe_mem_write(self.handle, _u64("address", pa), source, len(source), err), err)

    def touched(self, start: int = 0, end: int = 1 << 64) -> Iterator[int]:
        """Addresses in [start, end) of the 4096-byte pages that the host has backed, ascending."""
        pages = ffi.new("uint64_t[]", _TOUCHED_BATCH)
        at = _u64("start", start)
        while count := lib.pe_mem_touched(self.handle, at, pages, _TOUCHED_BATCH):
            for page in ffi.unpack(pages, count):
                if page >= end:
                    return
                yield page
            at = pages[count - 1] + PAGE_SIZE

    def content(self, max_bytes: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
        """(address, bytes) of all pages that are not zero, ascending, in runs of up to ``max_bytes``."""
        zero = bytes(PAGE_SIZE)
        start, run = 0, bytearray()
        for pa in self.touched():
            page = self.read(pa, PAGE_SIZE)
            if page == zero:
                continue
            if run and (pa != start + len(run) or len(run) + PAGE_SIZE > max_bytes):
                yield start, bytes(run)
                run.clear()
            if not run:
                start = pa
            run += page
        if run:
            yield start, bytes(run)

    def clear(self, pa: int, length: int) -> None:
        """Make ``length`` bytes at ``pa`` read as zero, at the cost of those that are backed."""
        end = pa + length
        if length <= _CLEARED_AT_ONCE:
            if length:
                self.write(pa, bytes(length))
            return
        for page in self.touched(pa & -PAGE_SIZE, end):
            low, high = max(page, pa), min(page + PAGE_SIZE, end)
            self.write(low, bytes(high - low))

    def reset(self) -> None:
        """Make RAM read as zero and views as their files again, and give the pages back to the host."""
        err = error()
        check(lib.pe_mem_reset(self._own_handle, err), err)


def _flags(readonly: bool) -> int:
    return int(lib.PE_MEM_READONLY) if readonly else 0


def _u64(name: str, value: int) -> int:
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{name} {value:#x} is not a number of bytes: 0 to 2**64 - 1 is")
    return value
