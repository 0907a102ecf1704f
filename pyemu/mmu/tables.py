"""Page tables in guest memory that Python manages: map, unmap, protect, with the largest leaves that fit.

Everything is kept in the tables themselves; a table comes from a pool of memory that the caller sets aside.
No TLB maintenance is done for a change: code that runs on these tables sees it after its own TLB invalidate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pyemu.mem import PAGE_SIZE, Memory
from pyemu.mmu.editor import TableEditor
from pyemu.mmu.formats import FORMATS, Attributes, Format, Leaf
from pyemu.mmu.pool import TablePool
from pyemu.mmu.regime import Regime
from pyemu.mmu.translate import Access, Walk, walk

__all__ = ["Attributes", "Guest", "Mapping", "PageTables"]

_SPACE = 1 << 32
_POOL_BYTES = 1 << 20

# SCTLR: M, HA, WXN, UWXN, EE, TRE, AFE: what decides the meaning of tables.
_SCTLR_TABLES = 1 << 0 | 1 << 17 | 1 << 19 | 1 << 20 | 1 << 25 | 1 << 28 | 1 << 29


class Guest(Protocol):
    """What tables need of a machine that runs on them."""

    @property
    def mem(self) -> Memory: ...

    def reg(self, name: str, cpu: int = 0) -> int: ...

    def set_reg(self, name: str, value: int, cpu: int = 0) -> None: ...

    def tlb_flush(self) -> None: ...


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

    ``memory`` is a :class:`~pyemu.mem.Memory`, or a machine, whose guest may run on the tables.  They take
    the ``pool_size`` bytes at ``pool_base``, which nothing else may use; by default the last MB of RAM below
    4 GB.  Addresses and sizes are bytes and multiples of 4096.
    """

    def __init__(
        self,
        memory: Memory | Guest,
        format: str,
        pool_base: int | None = None,
        pool_size: int = _POOL_BYTES,
    ) -> None:
        if format not in FORMATS:
            raise ValueError(f"table format {format!r} is unknown; there are {', '.join(FORMATS)}")
        self.format: Format = FORMATS[format]()
        self._guest: Guest | None = None
        if isinstance(memory, Memory):
            self.memory = memory
        else:
            self._guest, self.memory = memory, memory.mem
        if pool_base is None:
            pool_base = _last_ram(self.memory, pool_size)
        fmt = self.format
        self._pool = TablePool(pool_base, pool_size, fmt.root_bytes, fmt.table_bytes, fmt.table_pa_limit)
        self._editor = TableEditor(fmt, self._pool, self.memory.read, self.memory.write)

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

    def activate(self, cpu: int = 0) -> None:
        """Turn the MMU of a machine's CPU on with these tables, and drop what its TLB holds.

        Writes TTBCR, TTBR0, MAIR0 and MAIR1 (PRRR and NMRR), DACR in the short format, and SCTLR, of which
        bits that have nothing to do with tables stay.  The CPU goes on where it is: its code must be mapped.
        """
        if self._guest is None:
            raise ValueError("these tables are in a Memory, which has no CPU; give PageTables a Machine")
        guest, registers = self._guest, self.registers
        kept = guest.reg("sctlr", cpu) & ~_SCTLR_TABLES
        guest.set_reg("sctlr", kept, cpu)
        for name, value in registers.items():
            if name != "sctlr":
                guest.set_reg(name, value, cpu)
        guest.set_reg("sctlr", kept | registers["sctlr"], cpu)
        guest.tlb_flush()

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
        return walk(self.memory, self.regime, va, access, privileged=privileged)

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


def _last_ram(memory: Memory, size: int) -> int:
    """Where the last ``size`` bytes of RAM below 4 GB begin."""
    ram = [s for s in memory.segments if not s.readonly and s.base + size <= min(s.base + s.size, _SPACE)]
    if not ram:
        raise ValueError(f"no RAM below 4 GB has {size:#x} bytes for tables: give pool_base and pool_size")
    return (min(ram[-1].base + ram[-1].size, _SPACE) - size) & -PAGE_SIZE


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
