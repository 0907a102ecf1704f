"""Caches of the cycle model: one by itself, and the hierarchy of a core with its cycles.

They hold tags only; memory is always coherent, and a cache decides what an access costs. Addresses are
physical. The same accesses give the same hits in every run, also with random replacement.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

from pyemu.native import Face, check, check_handle, error, ffi, lib
from pyemu.timing.cores import Core
from pyemu.timing.schema import REPLACEMENTS

__all__ = ["Cache", "CacheLevel", "CacheOperation", "CacheStats", "CacheUse", "Caches"]


class CacheLevel(IntEnum):
    """One cache of a hierarchy; L2 belongs to all CPUs."""

    L1I = lib.PE_CACHE_L1I
    L1D = lib.PE_CACHE_L1D
    L2 = lib.PE_CACHE_L2


class CacheUse(IntEnum):
    """What an access is for: it decides which first-level cache is asked."""

    READ = lib.PE_CACHE_READ
    WRITE = lib.PE_CACHE_WRITE
    FETCH = lib.PE_CACHE_FETCH
    WALK = lib.PE_CACHE_WALK


class CacheOperation(IntEnum):
    """Cache maintenance, to the point of coherency."""

    CLEAN = lib.PE_CACHE_CLEAN
    INVALIDATE = lib.PE_CACHE_INVALIDATE
    CLEAN_INVALIDATE = lib.PE_CACHE_CLEAN_INVALIDATE


@dataclass(frozen=True)
class CacheStats:
    """Counters since a cache was made; ``evictions`` are valid lines that made room for another one,
    ``write_backs`` dirty lines written to the next level, ``invalidations`` lines dropped otherwise."""

    reads: int
    writes: int
    read_misses: int
    write_misses: int
    fills: int
    evictions: int
    write_backs: int
    invalidations: int

    @property
    def accesses(self) -> int:
        """Reads and writes together."""
        return self.reads + self.writes

    @property
    def misses(self) -> int:
        """Of reads and writes together."""
        return self.read_misses + self.write_misses

    @property
    def miss_rate(self) -> float:
        """Misses of all accesses, 0.0 to 1.0; 0.0 without an access."""
        return self.misses / self.accesses if self.accesses else 0.0

    @classmethod
    def from_native(cls, native: Any) -> CacheStats:
        """From a ``pe_cache_stats *``."""
        return cls(*(getattr(native, field.name) for field in fields(cls)))


class Cache:
    """One set-associative cache with write-back. ``replacement`` is "lru", "round-robin" or "random".

    Raises :class:`pyemu.native.NativeError` when ``size_bytes`` is not ways x sets x line with a power of
    two of sets.
    """

    def __init__(
        self,
        size_bytes: int,
        ways: int,
        line_bytes: int,
        *,
        replacement: str = "lru",
        write_allocate: bool = True,
    ) -> None:
        policy = REPLACEMENTS[replacement]
        params = ffi.new("pe_cache_params *", (size_bytes, ways, line_bytes, 1, policy, write_allocate))
        err = error()
        handle = check_handle(lib.pe_cache_new(params, err), err)
        self.handle = ffi.gc(handle, lib.pe_cache_free)

    def access_many(self, addresses: Iterable[int], writes: Iterable[int] | None = None) -> bytes:
        """Access the lines of n addresses in order; returns n bytes, 1 for a hit. ``writes``: n flags."""
        pa = _array("Q", addresses)
        flags = None if writes is None else _array("B", writes)
        if flags is not None and len(flags) != len(pa):
            raise ValueError(f"writes: {len(flags)} flags for {len(pa)} addresses")
        hits = ffi.new("uint8_t[]", len(pa))
        write = ffi.NULL if flags is None else ffi.from_buffer("uint8_t[]", flags)
        lib.pe_cache_access_batch(self.handle, ffi.from_buffer("uint64_t[]", pa), write, hits, len(pa))
        return bytes(ffi.buffer(hits))

    def holds(self, address: int) -> bool:
        """Whether the line of an address is here; changes no order."""
        return bool(lib.pe_cache_holds(self.handle, address, ffi.NULL))

    def is_dirty(self, address: int) -> bool:
        """Whether the line of an address is here and was written since it came."""
        dirty = ffi.new("bool *")
        lib.pe_cache_holds(self.handle, address, dirty)
        return bool(dirty[0])

    def clean(self, address: int | None = None) -> None:
        """Write the line of an address back, or all dirty lines; they stay."""
        if address is None:
            lib.pe_cache_clean_all(self.handle)
        else:
            lib.pe_cache_clean(self.handle, address)

    def invalidate(self, address: int | None = None) -> None:
        """Drop the line of an address, or all lines, without writing them back."""
        if address is None:
            lib.pe_cache_invalidate_all(self.handle)
        else:
            lib.pe_cache_invalidate(self.handle, address)

    def stats(self) -> CacheStats:
        """Counters since the cache was made."""
        out = ffi.new("pe_cache_stats *")
        lib.pe_cache_read_stats(self.handle, out)
        return CacheStats.from_native(out)


class Caches(Face):
    """L1I and L1D of each CPU of a core, their L2, and DRAM. Those of a machine can only be looked at."""

    cpus: int
    """How many CPUs have caches of their own here."""

    def __init__(self, core: Core, cpus: int = 1) -> None:
        err = error()
        handle = check_handle(lib.pe_caches_new(core.native(), cpus, err), err)
        super().__init__(handle, lib.pe_caches_free)
        self.cpus = cpus

    @classmethod
    def of(cls, machine: Any) -> Caches:
        """Those of a :class:`~pyemu.machine.Machine` with timing "cache"."""
        caches = cls.borrow(lambda: lib.pe_machine_caches(machine.handle))
        caches.cpus = len(machine.cpus)
        return caches

    def access(self, address: int, use: CacheUse = CacheUse.READ, cpu: int = 0) -> int:
        """Cycles from one access to its data."""
        self._check_cpu(cpu)
        return int(lib.pe_caches_access(self.own_handle, cpu, int(use), address))

    def access_many(
        self, addresses: Iterable[int], uses: Iterable[int] | None = None, cpu: int = 0
    ) -> array[int]:
        """Cycles of each of n accesses in order; ``uses``: n of :class:`CacheUse`, without it all read."""
        self._check_cpu(cpu)
        pa = _array("Q", addresses)
        kinds = None if uses is None else _array("B", uses)
        if kinds is not None and (len(kinds) != len(pa) or any(kind > CacheUse.WALK for kind in set(kinds))):
            raise ValueError(f"uses: {len(pa)} values of CacheUse are needed, for as many addresses")
        cycles = array("I", bytes(4 * len(pa)))
        lib.pe_caches_access_batch(
            self.own_handle,
            cpu,
            ffi.from_buffer("uint64_t[]", pa),
            ffi.NULL if kinds is None else ffi.from_buffer("uint8_t[]", kinds),
            ffi.from_buffer("uint32_t[]", cycles),
            len(pa),
        )
        return cycles

    def maintain(self, operation: CacheOperation, address: int | None = None) -> None:
        """Clean or invalidate the line of an address in every L1D and L2, or all of their lines."""
        if address is None:
            lib.pe_caches_maintain_all(self.own_handle, int(operation))
        else:
            lib.pe_caches_maintain(self.own_handle, int(operation), address)

    def invalidate_fetch(self, cpu: int = 0) -> None:
        """Empty the L1I of a CPU (ICIALLU)."""
        self._check_cpu(cpu)
        lib.pe_caches_maintain_fetch(self.own_handle, cpu)

    def holds(self, level: CacheLevel, address: int, cpu: int = 0) -> bool:
        """Whether a cache has the line of an address."""
        return self._line(level, address, cpu)[0]

    def is_dirty(self, level: CacheLevel, address: int, cpu: int = 0) -> bool:
        """Whether a cache has the line of an address and must write it back."""
        return self._line(level, address, cpu)[1]

    def stats(self, level: CacheLevel, cpu: int = 0) -> CacheStats:
        """Counters of one cache; ``cpu`` says nothing for L2."""
        out, err = ffi.new("pe_cache_stats *"), error()
        check(lib.pe_caches_read_stats(self.handle, cpu, int(level), out, err), err)
        return CacheStats.from_native(out)

    def _line(self, level: CacheLevel, address: int, cpu: int) -> tuple[bool, bool]:
        holds, dirty, err = ffi.new("bool *"), ffi.new("bool *"), error()
        check(lib.pe_caches_holds(self.handle, cpu, int(level), address, holds, dirty, err), err)
        return bool(holds[0]), bool(dirty[0])

    def _check_cpu(self, cpu: int) -> None:
        if not 0 <= cpu < self.cpus:
            raise ValueError(f"no CPU {cpu}: there are {self.cpus}")


def _array(code: str, values: Iterable[int]) -> array[int]:
    return values if isinstance(values, array) and values.typecode == code else array(code, values)
