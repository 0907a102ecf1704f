"""Goes through the memory of a target where there can be anything: a sparse guest costs what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyemu.mem import Memory

__all__ = ["WINDOW_BYTES", "Held", "is_zero", "windows"]

WINDOW_BYTES = 1 << 20
_ZERO = bytes(WINDOW_BYTES)

Held = Iterable[tuple[int, int]] | None
"""(address, bytes) of what a file holds; None: what the host has backed."""


def is_zero(data: bytes) -> bool:
    """Whether up to a megabyte of memory is all zeros."""
    return data == (_ZERO if len(data) == WINDOW_BYTES else _ZERO[: len(data)])


def windows(memory: Memory, held: Held, start: int = 0, end: int = 1 << 64) -> Iterator[tuple[int, bytes]]:
    """(address, content) of aligned megabytes in [start, end) that are not all zeros, ascending.

    At the ends of a segment, of ``held`` and of the range they are cut off.
    """
    for low, high in _ranges(memory, held, start, end):
        for at in range(low & -WINDOW_BYTES, high, WINDOW_BYTES):
            first, last = max(at, low), min(at + WINDOW_BYTES, high)
            data = memory.read(first, last - first)
            if not is_zero(data):
                yield first, data


def _ranges(memory: Memory, held: Held, start: int, end: int) -> Iterator[tuple[int, int]]:
    """[low, high) of what is worth reading."""
    if held is not None:
        for base, size in sorted(held):
            if max(base, start) < min(base + size, end):
                yield max(base, start), min(base + size, end)
        return
    for segment in memory.segments:
        low, high = max(segment.base, start), min(segment.base + segment.size, end)
        if low < high:
            touched = {pa & -WINDOW_BYTES for pa in memory.touched(low, high)}
            yield from ((max(at, low), min(at + WINDOW_BYTES, high)) for at in sorted(touched))
