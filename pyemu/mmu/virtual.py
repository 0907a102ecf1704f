"""Bytes at virtual addresses: each page through the tables, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pyemu.mem import PAGE_SIZE, Memory
from pyemu.mmu.regime import Regime
from pyemu.mmu.translate import Access, Walk, translate, walk

__all__ = ["TranslationFault", "read_virtual", "write_virtual"]

_SPACE = 1 << 32


class TranslationFault(Exception):
    """A page of a virtual range does not permit the access; the text names level, index and descriptor.

    ``walk`` is the walk that shows it.
    """

    def __init__(self, access: Access, walk: Walk) -> None:
        super().__init__(f"{access.name.lower()} of {walk.va:#010x}: {walk.text}")
        self.walk = walk


def read_virtual(
    memory: Memory,
    regime: Regime,
    va: int,
    length: int,
    access: Access = Access.READ,
    *,
    privileged: bool = True,
) -> bytes:
    """``length`` bytes at ``va``, where ``access`` (READ, or FETCH for code) is permitted on every page.

    Raises :class:`TranslationFault` at the first page where it is not, and NativeError for an output address
    outside memory.
    """
    pieces = _pieces(memory, regime, va, length, access, privileged)
    return b"".join(memory.read(pa, part) for pa, part in pieces)


def write_virtual(
    memory: Memory,
    regime: Regime,
    va: int,
    data: bytes,
    access: Access = Access.WRITE,
    *,
    privileged: bool = True,
) -> None:
    """Write at ``va`` where ``access`` is permitted on every page, or nothing at all.

    READ instead of WRITE also writes pages that are read-only to the guest.  Errors as :func:`read_virtual`.
    """
    pieces = list(_pieces(memory, regime, va, len(data), access, privileged))
    for pa, part in pieces:  # an output address outside memory shows before anything is written
        memory.read(pa, part)
    at = 0
    for pa, part in pieces:
        memory.write(pa, data[at : at + part])
        at += part


def _pieces(
    memory: Memory, regime: Regime, va: int, length: int, access: Access, privileged: bool
) -> Iterator[tuple[int, int]]:
    """(pa, length) of each page's part of the range; raises at the first page that faults."""
    if va < 0 or length < 0 or va + length > _SPACE:
        raise ValueError(f"[{va:#x}, {va + length:#x}) is not a range of 32-bit addresses")
    while length:
        part = min(length, PAGE_SIZE - va % PAGE_SIZE)
        result = translate(memory, regime, va, access, privileged=privileged)
        if not result.ok:
            raise TranslationFault(access, walk(memory, regime, va, access, privileged=privileged))
        yield result.pa, part
        va, length = va + part, length - part
