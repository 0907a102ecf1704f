"""Page tables in guest memory that Python manages: map, unmap, protect, with the largest leaves that fit.

Everything is kept in the tables themselves; a table comes from a pool of memory that the caller sets aside.
No TLB maintenance is done: code that runs on these tables sees a change after its own TLB invalidate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pyemu.mem import PAGE_SIZE, Memory
from pyemu.mmu.editor import TableEditor
from pyemu.mmu.formats import FORMATS, Attributes, Format, Leaf
from pyemu.mmu.pool import TablePool
from pyemu.mmu.regime import Regime
from pyemu.mmu.translate import Access, Walk, walk

__all__ = ["Attributes", "Mapping", "PageTables"]

_SPACE = 1 << 32


@dataclass(frozen=True)
class Mapping:
    """One leaf: ``size`` bytes at ``va`` map to ``pa``."""

    va: int
    pa: int
    leaf: Leaf
    attributes: Attributes

    @property
    def size(self) -> int:
        return 1 << self.leaf.shift


class PageTables:
    """A 4 GB address space for TTBR0, as ``"lpae"`` or ``"short"`` tables.

    ``memory`` is a :class:`~pyemu.mem.Memory`, or anything with ``read_phys(pa, length) -> bytes`` and
    ``write_phys(pa, data)`` (a machine, whose writes also drop translated code).  Tables come from the
    ``pool_size`` bytes at ``pool_base``, which nothing else may use.  Addresses and sizes are bytes and
    multiples of 4096.
    """

    def __init__(self, memory: Any, format: str, pool_base: int, pool_size: int) -> None:
        if format not in FORMATS:
            raise ValueError(f"table format {format!r} is unknown; there are {', '.join(FORMATS)}")
        self.format: Format = FORMATS[format]()
        self._memory = memory
        native = isinstance(memory, Memory)
        self._read: Callable[[int, int], bytes] = memory.read if native else memory.read_phys
        write: Callable[[int, bytes], None] = memory.write if native else memory.write_phys
        fmt = self.format
        self._pool = TablePool(pool_base, pool_size, fmt.root_bytes, fmt.table_bytes, fmt.table_pa_limit)
        self._editor = TableEditor(fmt, self._pool, self._read, write)

    # ---- what to load into the machine ----

    @property
    def root(self) -> int:
        """Physical address of the first-level table."""
        return self._pool.root

    @property
    def registers(self) -> dict[str, int]:
        """Register values by field of :class:`Regime` (``mair0`` and ``mair1`` are PRRR and NMRR in the short
        format).

        ``sctlr`` has only the bits that these tables need: M, TRE and, for LPAE, AFE.
        """
        return self.format.registers(self.root)

    @property
    def regime(self) -> Regime:
        """The same as a regime to translate with."""
        return Regime(**self.registers)

    @property
    def tables(self) -> tuple[int, ...]:
        """Physical addresses of all tables in use, the root first."""
        return (self.root, *sorted(self._pool.used))

    # ---- changes ----

    def map(self, va: int, pa: int, size: int, **attributes: Any) -> None:
        """Map ``size`` bytes at ``va`` to ``pa``, over whatever is there; attributes as :class:`Attributes`.

        Leaves are as large as alignment, size and format allow; a larger leaf that is partly covered is
        broken up. ValueError, before anything is written, for what the format cannot express; MemoryError
        when the pool is used up, and then the addresses before that point are mapped.
        """
        wanted = _attributes(Attributes(), attributes)
        self.format.check(wanted)
        _check_range(va, size)
        self._check_output(va, pa, size, wanted)
        self._check_edges(va, va + size, lambda _: wanted, wanted)
        self._editor.map(va, va + size, pa, wanted)

    def unmap(self, va: int, size: int) -> None:
        """Make ``size`` bytes at ``va`` fault; what is not mapped stays so.  Empty tables go back to the
        pool.
        """
        _check_range(va, size)
        self._check_edges(va, va + size, None)
        self._editor.change(va, va + size, None)

    def protect(self, va: int, size: int, **attributes: Any) -> None:
        """Change the named attributes of ``size`` bytes at ``va`` and keep the others.

        ValueError, before anything is written, when part of the range is not mapped or an attribute does not
        fit.
        """
        _check_range(va, size)

        def changed(old: Attributes) -> Attributes:
            return _attributes(old, attributes)

        at = va
        for mapping in self.mappings(va, va + size):
            if mapping.va > at:
                break
            wanted = changed(mapping.attributes)
            self.format.check(wanted)
            leaf, pa = mapping.leaf, mapping.pa
            if not self.format.fits(leaf, pa, wanted) and not self.format.breaks_up(leaf, pa):
                raise ValueError(
                    f"{mapping.va:#x} maps {pa:#x}: above 4 GB the short format has only domain 0"
                )
            at = mapping.va + mapping.size
        if at < va + size:
            raise ValueError(f"cannot protect {va:#x} + {size:#x}: {at:#x} is not mapped")
        self._check_edges(va, va + size, changed)
        self._editor.change(va, va + size, changed)

    # ---- questions ----

    def lookup(self, va: int) -> Mapping | None:
        """The leaf that maps ``va``, or None."""
        return next(self.mappings(va, va + 1), None)

    def mappings(self, start: int = 0, end: int = _SPACE) -> Iterator[Mapping]:
        """All leaves that touch [start, end), by ascending address."""
        for va, leaf, pa, attributes in self._editor.leaves(start, end):
            yield Mapping(va, pa, leaf, attributes)

    def walk(self, va: int, access: Access = Access.READ, *, privileged: bool = True) -> Walk:
        """The translation of ``va`` by these tables, step by step, as the hardware does it."""
        if isinstance(self._memory, Memory):
            return walk(self._memory, self.regime, va, access, privileged=privileged)
        # Any other memory is only reachable through its functions: show the walker a copy of the tables.
        with Memory() as copy:
            for page in sorted(set(self._pool.pages())):
                copy.add_ram(page, PAGE_SIZE)
                copy.write(page, self._read(page, PAGE_SIZE))
            return walk(copy, self.regime, va, access, privileged=privileged)

    # ---- checks ----

    def _check_output(self, va: int, pa: int, size: int, attributes: Attributes) -> None:
        if pa % PAGE_SIZE:
            raise ValueError(f"physical address {pa:#x} is not a multiple of 4096")
        if pa < 0 or pa + size > 1 << 40:
            raise ValueError(f"physical range {pa:#x} + {size:#x} leaves the 40-bit address space")
        largest, smallest = self.format.leaves[0], self.format.leaves[-1]
        high = max(pa, _SPACE)
        if high >= pa + size or self.format.fits(smallest, high, attributes):
            return
        odd = ((pa - va) | high | (pa + size)) % (1 << largest.shift)
        if odd or not self.format.fits(largest, high, attributes):
            raise ValueError(
                f"physical range {pa:#x} + {size:#x}: above 4 GB the short format maps only whole aligned "
                f"supersections of 16 MB in domain 0"
            )

    def _check_edges(
        self,
        start: int,
        end: int,
        new: Callable[[Attributes], Attributes] | None,
        fresh: Attributes | None = None,
    ) -> None:
        """ValueError when a leaf across an end of [start, end) cannot be broken up, or when what the range
        gets (``new`` of what is there, ``fresh`` where nothing is) cannot share a table with what lies beside
        it.
        """
        for edge in (start, end):
            cut = self.lookup(edge) if edge < _SPACE else None
            if cut is not None and cut.va < edge and not self.format.breaks_up(cut.leaf, cut.pa):
                raise ValueError(
                    f"the supersection at {cut.va:#x} maps {cut.pa:#x} and cannot be broken up: "
                    f"smaller leaves reach only 4 GB"
                )
            if new is not None and self.format.shared(Attributes()):
                self._check_neighbours(edge, start, end, new, fresh)

    def _check_neighbours(
        self,
        edge: int,
        start: int,
        end: int,
        new: Callable[[Attributes], Attributes],
        fresh: Attributes | None,
    ) -> None:
        unit = 1 << self.format.levels[1].shift
        first = edge & -unit
        if edge == first:
            return
        last = first + unit
        shared = self.format.shared
        beside = {
            shared(m.attributes)
            for m in (*self.mappings(first, max(first, start)), *self.mappings(min(end, last), last))
        }
        inside = {shared(new(m.attributes)) for m in self.mappings(max(first, start), min(end, last))}
        if fresh is not None:
            inside.add(shared(fresh))
        if beside and beside != inside:
            raise ValueError(
                f"domain and pxn belong to the whole megabyte at {first:#x} in the short format; "
                f"other pages of it have other ones"
            )


def _attributes(old: Attributes, changes: dict[str, Any]) -> Attributes:
    """``old`` with the named changes; ValueError for a name or value that does not exist."""
    unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(Attributes)})
    if unknown:
        raise ValueError(f"attribute {unknown[0]!r} is unknown")
    return dataclasses.replace(old, **changes)


def _check_range(va: int, size: int) -> None:
    if va % PAGE_SIZE or size % PAGE_SIZE:
        raise ValueError(f"virtual range {va:#x} + {size:#x} is not in whole pages of 4096 bytes")
    if size <= 0 or va < 0 or va + size > _SPACE:
        raise ValueError(f"virtual range {va:#x} + {size:#x} is empty or leaves the 32-bit address space")
