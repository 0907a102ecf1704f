"""Changes to page tables in memory: what :class:`pyemu.mmu.tables.PageTables` does once its arguments are
checked.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from pyemu.mmu.formats import Attributes, Entry, Format, Kind, Leaf
from pyemu.mmu.pool import TablePool

__all__ = ["TableEditor"]

Change = Callable[[Attributes], Attributes]


class TableEditor:
    """Reads and writes the tables of one address space.

    A table is written before the descriptor that points to it, and given back after that descriptor is gone.
    """

    def __init__(
        self,
        fmt: Format,
        pool: TablePool,
        read: Callable[[int, int], bytes],
        write: Callable[[int, bytes], None],
    ) -> None:
        self._format = fmt
        self._pool = pool
        self._read = read
        self._write = write
        self._code = {4: "I", 8: "Q"}[fmt.entry_bytes]
        write(pool.root, bytes(fmt.root_bytes))

    # ---- descriptors ----

    def _load(self, table: int, index: int, count: int) -> tuple[int, ...]:
        width = self._format.entry_bytes
        return struct.unpack(f"<{count}{self._code}", self._read(table + index * width, count * width))

    def _put(self, table: int, index: int, descriptors: list[int]) -> None:
        width = self._format.entry_bytes
        self._write(table + index * width, struct.pack(f"<{len(descriptors)}{self._code}", *descriptors))

    def _replace(self, level: int, table: int, index: int, descriptors: list[int]) -> None:
        """As _put, and gives the tables back that the old descriptors led to."""
        old = self._load(table, index, len(descriptors))
        self._put(table, index, descriptors)
        for descriptor in old:
            entry = self._format.decode(level, descriptor)
            if entry.kind is Kind.TABLE:
                self._release(level + 1, entry.pa)

    def _release(self, level: int, table: int) -> None:
        if level < self._format.last_level:
            for descriptor in self._load(table, 0, self._format.levels[level].entries):
                entry = self._format.decode(level, descriptor)
                if entry.kind is Kind.TABLE:
                    self._release(level + 1, entry.pa)
        self._pool.give_back(table)

    def _new_table(self, level: int, descriptors: list[int] | None = None) -> int:
        table = self._pool.take()
        if descriptors is None:
            self._write(table, bytes(self._format.table_bytes))
        else:
            self._put(table, 0, descriptors)
        return table

    # ---- leaves ----

    def leaves(self, start: int, end: int) -> Iterator[tuple[int, Leaf, int, Attributes]]:
        """(va, leaf, pa, attributes) of every leaf that touches [start, end), ascending."""
        return self._leaves(1, self._pool.root, None, 0, start, end)

    def _leaves(
        self, level: int, table: int, below: int | None, base: int, start: int, end: int
    ) -> Iterator[tuple[int, Leaf, int, Attributes]]:
        shift = self._format.levels[level].shift
        first, last = (start - base) >> shift, (end - 1 - base) >> shift
        done = 0
        for index, descriptor in enumerate(self._load(table, first, last - first + 1), first):
            at = base + (index << shift)
            entry = self._format.decode(level, descriptor, below)
            if entry.kind is Kind.TABLE:
                stop = min(end, at + (1 << shift))
                yield from self._leaves(level + 1, entry.pa, descriptor, at, max(start, at), stop)
            elif entry.leaf is not None and entry.attributes is not None and at >= done:
                size = 1 << entry.leaf.shift
                va = at & -size
                done = va + size
                yield va, entry.leaf, entry.pa, entry.attributes

    def _split(self, level: int, table: int, va: int, entry: Entry) -> None:
        """Replace the leaf that holds va by smaller ones with the same effect."""
        fmt = self._format
        assert entry.leaf is not None
        assert entry.attributes is not None
        leaf, attributes, pa = entry.leaf, entry.attributes, entry.pa
        geometry = fmt.levels[level]
        smaller = next(one for one in fmt.leaves if one.shift < leaf.shift)
        count = 1 << (leaf.shift - smaller.shift)
        descriptors = [
            fmt.encode(smaller, pa + (i << smaller.shift), attributes)
            for i in range(count)
            for _ in range(smaller.repeat)
        ]
        index = ((va & -(1 << leaf.shift)) >> geometry.shift) % geometry.entries
        if smaller.level == level:
            self._put(table, index, descriptors)
        else:
            child = self._new_table(level + 1, descriptors)
            self._put(table, index, [fmt.encode_table(child, attributes)])

    # ---- map ----

    def map(self, start: int, end: int, pa: int, attributes: Attributes) -> None:
        """Map [start, end) to pa with the largest leaves, over whatever is there."""
        self._map(1, self._pool.root, 0, start, end, pa - start, attributes)

    def _map(
        self, level: int, table: int, base: int, start: int, end: int, delta: int, attributes: Attributes
    ) -> None:
        fmt = self._format
        geometry = fmt.levels[level]
        table_end = base + (geometry.entries << geometry.shift)
        end = min(end, table_end)
        at = start
        while at < end:
            index = (at - base) >> geometry.shift
            if self._make_way(level, table, index, at, end):
                continue
            run = self._run(level, at, end, at + delta, attributes)
            if run:
                self._replace(level, table, index, run)
                at += len(run) << geometry.shift
            else:
                child, child_base = self._child(level, table, index, at, end, attributes)
                stop = min(end, child_base + (1 << geometry.shift))
                self._map(level + 1, child, child_base, at, stop, delta, attributes)
                at = stop

    def _make_way(self, level: int, table: int, index: int, at: int, end: int) -> bool:
        """Break up a leaf at ``at`` that [at, end) covers only in part, or clear one of several descriptors;
        whether there was one.
        """
        entry = self._format.decode(level, self._load(table, index, 1)[0], 0)
        if entry.leaf is None:
            return False
        size = 1 << entry.leaf.shift
        va = at & -size
        if va < at or va + size > end:
            self._split(level, table, at, entry)
            return True
        if entry.leaf.repeat > 1:
            self._put(table, index, [0] * entry.leaf.repeat)
            return True
        return False

    def _run(self, level: int, at: int, end: int, pa: int, attributes: Attributes) -> list[int]:
        """Descriptors for as many leaves of the largest size that fits at this level as can be written at
        once.
        """
        fmt = self._format
        sizes = [leaf for leaf in fmt.leaves if leaf.level == level]
        for leaf in sizes:
            size = 1 << leaf.shift
            if (at | pa) % size or at + size > end or not fmt.fits(leaf, pa, attributes):
                continue
            if leaf.repeat > 1:
                return [fmt.encode(leaf, pa, attributes)] * leaf.repeat
            # Up to where a larger leaf of this level may begin, or to the end of the table.
            block = 1 << sizes[0].shift if leaf is not sizes[0] else fmt.levels[level].entries << leaf.shift
            stop = min(end, (at & -block) + block)
            return [
                fmt.encode(leaf, pa + offset, attributes)
                for offset in range(0, (stop - at) // size * size, size)
                if fmt.fits(leaf, pa + offset, attributes)
            ]
        return []

    def _child(
        self, level: int, table: int, index: int, at: int, end: int, attributes: Attributes
    ) -> tuple[int, int]:
        """The table below an entry, made if there is none, and the first address that it translates."""
        fmt = self._format
        base = at & -(1 << fmt.levels[level].shift)
        (descriptor,) = self._load(table, index, 1)
        entry = fmt.decode(level, descriptor)
        child = entry.pa if entry.kind is Kind.TABLE else self._new_table(level + 1)
        wanted = fmt.encode_table(child, attributes)
        if wanted != descriptor:
            self._put(table, index, [wanted])
        return child, base

    # ---- unmap, protect ----

    def change(self, start: int, end: int, new: Change | None) -> None:
        """Give every leaf in [start, end) the attributes ``new`` of its own, or (None) unmap it."""
        self._change(1, self._pool.root, None, 0, start, end, new)

    def _change(
        self, level: int, table: int, below: int | None, base: int, start: int, end: int, new: Change | None
    ) -> None:
        fmt = self._format
        shift = fmt.levels[level].shift
        at = start
        while at < end:
            index = (at - base) >> shift
            first = base + (index << shift)
            (descriptor,) = self._load(table, index, 1)
            entry = fmt.decode(level, descriptor, below)
            if entry.kind is Kind.LEAF:
                at = self._change_leaf(level, table, at, end, entry, new)
                continue
            stop = min(end, first + (1 << shift))
            if entry.kind is Kind.TABLE:
                self._change_table(level, table, index, descriptor, entry, (first, at, stop), new)
            at = stop

    def _change_leaf(
        self, level: int, table: int, at: int, end: int, entry: Entry, new: Change | None
    ) -> int:
        """Change the leaf at ``at`` if it lies in [at, end), else break it up; returns where to go on."""
        fmt = self._format
        leaf, attributes = entry.leaf, entry.attributes
        assert leaf is not None
        assert attributes is not None
        va = at & -(1 << leaf.shift)
        whole = va == at and va + (1 << leaf.shift) <= end
        wanted = new(attributes) if new else attributes
        if not whole or not fmt.fits(leaf, entry.pa, wanted):
            self._split(level, table, at, entry)
            return at
        geometry = fmt.levels[level]
        descriptor = fmt.encode(leaf, entry.pa, wanted) if new else 0
        self._put(table, (va >> geometry.shift) % geometry.entries, [descriptor] * leaf.repeat)
        return va + (1 << leaf.shift)

    def _change_table(
        self,
        level: int,
        table: int,
        index: int,
        descriptor: int,
        entry: Entry,
        span: tuple[int, int, int],
        new: Change | None,
    ) -> None:
        """Change what lies below a table descriptor; ``span`` is (its first address, start, end)."""
        fmt = self._format
        first, start, end = span
        if new is None:
            whole = start == first and end == first + (1 << fmt.levels[level].shift)
            if not whole:
                self._change(level + 1, entry.pa, descriptor, first, start, end, None)
            if whole or not any(self._load(entry.pa, 0, fmt.levels[level + 1].entries)):
                self._replace(level, table, index, [0])
            return
        self._change(level + 1, entry.pa, descriptor, first, start, end, new)
        if entry.attributes is not None:
            wanted = fmt.encode_table(entry.pa, new(entry.attributes))
            if wanted != descriptor:
                self._put(table, index, [wanted])
