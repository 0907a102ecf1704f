"""Random page tables, translation registers and addresses, dense in the cases where a walker can be wrong.

A :class:`World` is guest memory full of descriptors; many register sets are tried on one world.  Tables of
each level mostly point to the next level, sometimes to any table (themselves included) and sometimes
outside memory; every attribute bit is random, so that all combinations of AP, XN, PXN, AF, domain, type and
size occur.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyemu.native import check, check_handle, error, ffi, lib

__all__ = ["AREAS", "LONG", "SHORT", "Registers", "World", "random_addresses", "random_registers"]

LONG, SHORT = "lpae", "short"

LOW = (0x40000000, 0x40000)
# Above 32 bits only long descriptors reach; the second area ends where 40 bits end.
HIGH = (0x08_2000_0000, 0x10000)
TOP = (0x100_0000_0000 - 0x10000, 0x10000)
AREAS = (LOW, HIGH, TOP)
OUTSIDE_40 = (0x0, 0x3FFFF000, 0x40040000, 0x08_1FFF_F000, 0x08_2001_0000, 0xFF_FFFE_F000)

PAGE = 4096
# Short descriptors: so many first-level tables of 16 KB at the start of LOW; second-level tables follow.
L1_SHORT = 4

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Registers:
    """The CP15 registers that decide a translation."""

    sctlr: int
    ttbcr: int
    ttbr0: int
    ttbr1: int
    dacr: int
    mair0: int
    mair1: int

    @property
    def long_format(self) -> bool:
        return bool(self.ttbcr >> 31)

    def native(self) -> Any:
        """As a ``pe_regime *`` (owned by the result)."""
        return ffi.new("pe_regime *", {field.name: getattr(self, field.name) for field in fields(self)})

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name):#x}" for field in fields(self))


class World:
    """Guest memory in the C core's keeping, full of tables of one format; ``read`` serves the reference."""

    def __init__(self) -> None:
        err = error()
        self.mem = ffi.gc(check_handle(lib.pe_mem_new(err), err), lib.pe_mem_free)
        self.areas: list[tuple[int, U8]] = []
        for base, size in AREAS:
            check(lib.pe_mem_add_ram(self.mem, base, size, 0, err), err)
            host = lib.pe_mem_host(self.mem, base, size)
            self.areas.append((base, np.frombuffer(ffi.buffer(host, size), dtype=np.uint8)))
        self.format = LONG
        self.big_endian = False
        self.tables: dict[int, list[int]] = {}

    def read(self, pa: int, size: int) -> int | None:
        for base, data in self.areas:
            if base <= pa and pa + size <= base + len(data):
                return int.from_bytes(data[pa - base : pa - base + size].tobytes(), "little")
        return None

    def fill(self, rng: np.random.Generator, table_format: str) -> None:
        """New tables everywhere."""
        self.format = table_format
        self.big_endian = bool(rng.random() < 0.25)
        if table_format == LONG:
            self._fill_long(rng)
        else:
            self._fill_short(rng)

    def _fill_long(self, rng: np.random.Generator) -> None:
        pages = [base + offset for base, data in self.areas for offset in range(0, len(data), PAGE)]
        levels = rng.integers(1, 4, len(pages))
        of_page = dict(zip(pages, levels, strict=True))
        self.tables = {level: [p for p in pages if of_page[p] == level] for level in (1, 2, 3)}
        order = "big" if self.big_endian else "little"
        for base, data in self.areas:
            for offset in range(0, len(data), PAGE):
                level = int(of_page[base + offset])
                next_tables = self.tables.get(level + 1) or pages
                table = _long_table(rng, level, next_tables, pages)
                data[offset : offset + PAGE] = _bytes(table, order)

    def _fill_short(self, rng: np.random.Generator) -> None:
        base, data = self.areas[0]
        first = [base + 0x4000 * n for n in range(L1_SHORT)]
        second = list(range(base + 0x4000 * L1_SHORT, base + len(data), 0x400))
        self.tables = {1: first, 2: second}
        split = 0x4000 * L1_SHORT
        order = "big" if self.big_endian else "little"
        data[:split] = _bytes(_short_first(rng, split // 4, second, first), order)
        data[split:] = _bytes(_short_second(rng, (len(data) - split) // 4), order)


def _bytes(table: U64 | U32, order: str) -> U8:
    swapped = table.byteswap() if order == "big" else table
    return swapped.view(np.uint8)


def _chance(rng: np.random.Generator, n: int, probability: float) -> Bools:
    return rng.random(n) < probability


def _random64(rng: np.random.Generator, n: int) -> U64:
    return rng.integers(0, 1 << 64, n, dtype=np.uint64)


def _long_table(rng: np.random.Generator, level: int, next_tables: list[int], pages: list[int]) -> U64:
    """512 long descriptors of a table that is meant for ``level``."""
    n = 512
    raw = _random64(rng, n)
    # Address bits 47:40 and the low bits of a block are UNK/SBZP: zero in most entries, anything in some.
    table = np.where(_chance(rng, n, 0.9), raw & ~np.uint64(0xFF << 40), raw)
    low = 39 - 9 * level
    if level < 3:
        low_bits = np.uint64((1 << low) - (1 << 12))
        table = np.where(_chance(rng, n, 0.95), table & ~low_bits, table)
    # Table attributes (NSTable, APTable, XNTable, PXNTable) one in eight each; AF in four of five.
    for bit in range(59, 64):
        table &= ~np.where(_chance(rng, n, 0.875), np.uint64(1 << bit), np.uint64(0))
    table |= np.where(_chance(rng, n, 0.8), np.uint64(1 << 10), np.uint64(0))
    table &= ~np.where(_chance(rng, n, 0.5), np.uint64(1 << 54), np.uint64(0))
    kinds = rng.choice(np.array([0b11, 0b01, 0b00, 0b10], dtype=np.uint64), n, p=[0.62, 0.3, 0.04, 0.04])
    table = np.asarray(table & ~np.uint64(3) | kinds)
    if level == 3:
        return table
    # Where they are: the next level, any table, just outside memory, or anywhere.
    targets = rng.choice(np.array(next_tables, dtype=np.uint64), n)
    anywhere = rng.choice(np.array(pages, dtype=np.uint64), n)
    outside = rng.choice(np.array(OUTSIDE_40, dtype=np.uint64), n)
    which = rng.random(n)
    pointer = np.where(which < 0.9, targets, np.where(which < 0.96, anywhere, outside))
    address = np.uint64((1 << 40) - (1 << 12))
    pointed = (table & ~address) | pointer
    is_table = (kinds == 0b11) & (which < 0.99)
    return np.asarray(np.where(is_table, pointed, table))


def _short_first(rng: np.random.Generator, n: int, second: list[int], first: list[int]) -> U32:
    """First-level short descriptors: page tables, sections, supersections, invalid ones."""
    table = rng.integers(0, 1 << 32, n, dtype=np.uint32)
    kinds = rng.choice(np.array([0b01, 0b10, 0b11, 0b00], dtype=np.uint32), n, p=[0.55, 0.22, 0.15, 0.08])
    table = table & ~np.uint32(3) | kinds
    # A fifth of the sections are supersections.
    section = kinds >= 0b10
    table &= ~np.where(section & _chance(rng, n, 0.6), np.uint32(1 << 18), np.uint32(0))
    targets = rng.choice(np.array(second, dtype=np.uint32), n)
    wild = [table + 1024 * part for table in first for part in range(16)]
    anywhere = rng.choice(np.array(wild, dtype=np.uint32), n)
    which = rng.random(n)
    pointer = np.where(which < 0.93, targets, anywhere)
    pointed = (table & np.uint32(0x3FF)) | pointer
    return np.asarray(np.where((kinds == 0b01) & (which < 0.97), pointed, table))


def _short_second(rng: np.random.Generator, n: int) -> U32:
    """Second-level short descriptors: small pages (with and without XN), large pages, invalid ones."""
    table = rng.integers(0, 1 << 32, n, dtype=np.uint32)
    kinds = rng.choice(np.array([0b10, 0b11, 0b01, 0b00], dtype=np.uint32), n, p=[0.35, 0.2, 0.3, 0.15])
    return np.asarray(table & ~np.uint32(3) | kinds)


def random_registers(rng: np.random.Generator, world: World) -> Registers:
    """Registers under which ``world`` is walked; mostly sensible, sometimes hostile."""

    def bit(position: int, probability: float) -> int:
        return int(rng.random() < probability) << position

    def word() -> int:
        return int(rng.integers(0, 1 << 32))

    big_endian = world.big_endian ^ bool(rng.random() < 0.02)
    # M, I, WXN, UWXN, TRE, AFE.
    chances = {0: 0.99, 12: 0.5, 19: 0.3, 20: 0.3, 28: 0.6, 29: 0.5}
    sctlr = 0x00C50878 | sum(bit(*chance) for chance in chances.items()) | big_endian << 25
    dacr = sum(int(field) << 2 * n for n, field in enumerate(rng.choice(4, 16, p=[0.06, 0.68, 0.06, 0.2])))
    if world.format == LONG:
        t0sz, t1sz = (0 if rng.random() < 0.3 else int(rng.integers(0, 8)) for _ in range(2))
        ttbcr = 1 << 31 | word() & 0x3F403F00 | t1sz << 16 | t0sz | bit(7, 0.04) | bit(23, 0.04)
        ttbr0, ttbr1 = (_long_ttbr(rng, world, size) for size in (t0sz, t1sz))
        return Registers(sctlr, ttbcr, ttbr0, ttbr1, dacr, word(), word())
    ttbcr = (0 if rng.random() < 0.3 else int(rng.integers(0, 8))) | bit(4, 0.04) | bit(5, 0.04)
    ttbr0, ttbr1 = (_short_ttbr(rng, world) for _ in range(2))
    # PRRR: memory types 0 to 2, rarely the reserved 3; the rest of PRRR, and NMRR, are free.
    types = sum(int(kind) << 2 * n for n, kind in enumerate(rng.choice(4, 8, p=[0.15, 0.2, 0.6, 0.05])))
    return Registers(sctlr, ttbcr, ttbr0, ttbr1, dacr, word() & 0xFF0F0000 | types, word())


def _long_ttbr(rng: np.random.Generator, world: World, txsz: int) -> int:
    level = 1 if txsz <= 1 else 2
    align = 5 - txsz if level == 1 else 14 - txsz
    choice = rng.random()
    if choice < 0.93 and world.tables[level]:
        base = int(rng.choice(world.tables[level]))
    elif choice < 0.98:
        base = int(rng.choice(world.tables[int(rng.integers(1, 4))] or [LOW[0]]))
    else:
        base = int(rng.choice(OUTSIDE_40))
    base += int(rng.integers(0, PAGE >> align)) << align if align < 12 else 0
    below = int(rng.integers(0, 1 << align)) if rng.random() < 0.1 else 0
    return int(rng.integers(0, 256)) << 48 | base | below


def _short_ttbr(rng: np.random.Generator, world: World) -> int:
    base = int(rng.choice(world.tables[1]))
    if rng.random() < 0.02:
        base = int(rng.integers(0, 1 << 32)) & 0xFFFFC000
    # Below the base: walk attributes, and with TTBCR.N base bits of a smaller table.
    return base | int(rng.integers(0, 1 << 14))


def random_addresses(rng: np.random.Generator, registers: Registers, n: int) -> U32:
    """``n`` virtual addresses: in TTBR0's range, in TTBR1's, anywhere, and beside the edges of the ranges."""
    any32 = rng.integers(0, 1 << 32, n, dtype=np.uint32)
    t0sz = registers.ttbcr & 7
    t1sz = registers.ttbcr >> 16 & 7 if registers.long_format else 0
    low = any32 >> np.uint32(t0sz)
    high = any32 | np.uint32(0x100000000 - (0x100000000 >> t1sz))
    edges = [0, 1 << 31, 1 << (32 - t0sz), (1 << 32) - (1 << (32 - t1sz))]
    near = rng.choice(np.array(edges, dtype=np.int64), n) + rng.integers(-0x2000, 0x2000, n)
    near32 = (near & 0xFFFFFFFF).astype(np.uint32)
    which = rng.choice(4, n, p=[0.4, 0.3, 0.175, 0.125])
    return np.choose(which, [low, high, any32, near32]).astype(np.uint32)
