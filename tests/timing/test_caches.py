"""The hierarchy: what an access costs by where its line is, inclusion, write-backs, several CPUs."""

from __future__ import annotations

import random
from array import array

import pytest

from pyemu.native import NativeError
from pyemu.timing import CacheLevel, CacheOperation, Caches, CacheUse, read_core

L1I, L1D, L2 = CacheLevel.L1I, CacheLevel.L1D, CacheLevel.L2
CORES = ("cortex-a15", "cortex-a7", "cortex-a9")
KIB, MIB = 1 << 10, 1 << 20


def cycles_of(name: str) -> tuple[int, int, int]:
    """Cycles of a load from L1D, L2 and DRAM by the parameters."""
    core = read_core(name)
    dram = round(core["memory.dram_ns"] * core["clock_hz"] / 1e9)
    return core["l1d.hit_cycles"], core["l2.hit_cycles"], core["l2.hit_cycles"] + dram


def chase(name: str, size: int, loads: int = 60_000) -> float:
    """Mean cycles of a load in a random pointer chase over `size` bytes, with warm caches."""
    core = read_core(name)
    step = core["l1d.line_bytes"]
    lines = list(range(0, size, step))
    random.Random(size).shuffle(lines)
    caches = Caches(core)
    caches.access_many(array("Q", lines))
    caches.access_many(array("Q", lines))
    walked = (lines * (loads // len(lines) + 1))[: max(loads, len(lines))]
    return sum(caches.access_many(array("Q", walked))) / len(walked)


@pytest.mark.parametrize("name", CORES)
def test_a_pointer_chase_has_the_plateaus_of_the_parameters(name: str) -> None:
    l1, l2, dram = cycles_of(name)
    core = read_core(name)
    assert chase(name, 16 * KIB) == l1
    small = core["l2.size_bytes"] // 4
    assert chase(name, small) == pytest.approx(l2, rel=0.15)
    assert chase(name, 8 * core["l2.size_bytes"]) == pytest.approx(dram, rel=0.10)


def test_a_line_costs_less_each_level_nearer() -> None:
    l1, l2, dram = cycles_of("cortex-a15")
    caches = Caches(read_core("cortex-a15"))
    assert [caches.access(0x4000_0000), caches.access(0x4000_003F), caches.access(0x4000_0040)] == [
        dram,
        l1,
        dram,
    ]
    assert caches.access(0x4000_0000, CacheUse.FETCH) == l2
    assert caches.access(0x4000_0000, CacheUse.FETCH) == read_core("cortex-a15")["l1i.hit_cycles"]


def test_a_walk_reads_where_the_core_lets_it() -> None:
    core = read_core("cortex-a15")
    l1, _, dram = cycles_of("cortex-a15")
    caches = Caches(core)
    assert caches.access(0x1000, CacheUse.WALK) == dram
    assert caches.access(0x1000, CacheUse.WALK) == l1
    assert caches.holds(L1D, 0x1000)


def test_a_dirty_line_goes_to_l2_and_then_to_memory() -> None:
    core = read_core("cortex-a15")
    caches = Caches(core)
    caches.access(0, CacheUse.WRITE)
    assert (caches.is_dirty(L1D, 0), caches.is_dirty(L2, 0)) == (True, False)
    way = core["l1d.size_bytes"] // core["l1d.ways"]
    caches.access_many([way, 2 * way])
    assert (caches.holds(L1D, 0), caches.is_dirty(L2, 0)) == (False, True)
    assert caches.stats(L1D).write_backs == 1
    caches.maintain(CacheOperation.CLEAN)
    assert not caches.is_dirty(L2, 0)
    assert caches.stats(L2).write_backs == 1


def test_a_line_that_leaves_l2_leaves_l1_too() -> None:
    core = read_core("cortex-a15")
    caches = Caches(core)
    source = random.Random(7)
    for _ in range(4):
        addresses = array("Q", (source.randrange(8 * MIB) for _ in range(20_000)))
        uses = array("B", (source.choice((0, 1)) for _ in addresses))
        caches.access_many(addresses, uses)
        lines = {pa // 64 * 64 for pa in addresses}
        held = [line for line in lines if caches.holds(L1D, line)]
        assert held
        assert all(caches.holds(L2, line) for line in held)
    assert caches.stats(L1D).invalidations > 0


def test_a_store_takes_the_line_from_other_cpus() -> None:
    l1, l2, _ = cycles_of("cortex-a15")
    caches = Caches(read_core("cortex-a15"), cpus=2)
    caches.access(0, CacheUse.WRITE, cpu=0)
    assert caches.access(0, CacheUse.READ, cpu=1) == l2
    assert not caches.is_dirty(L1D, 0, cpu=0)
    assert caches.is_dirty(L2, 0)
    assert caches.access(0, CacheUse.WRITE, cpu=1) == l2  # shared: the others are asked first
    assert (caches.holds(L1D, 0, cpu=0), caches.is_dirty(L1D, 0, cpu=1)) == (False, True)
    assert caches.access(0, CacheUse.WRITE, cpu=1) == l1


def test_two_cpus_never_both_have_a_dirty_line() -> None:
    caches = Caches(read_core("cortex-a9"), cpus=3)
    source = random.Random(3)
    for _ in range(5_000):
        pa, cpu = source.randrange(64) * 32, source.randrange(3)
        use = source.choice((CacheUse.READ, CacheUse.WRITE))
        caches.access(pa, use, cpu)
        dirty = [i for i in range(3) if caches.is_dirty(L1D, pa, i)]
        held = [i for i in range(3) if caches.holds(L1D, pa, i)]
        assert cpu in held
        if use == CacheUse.WRITE:
            assert dirty == held == [cpu]
        elif len(held) > 1:
            assert not dirty


def test_maintenance_by_line_and_of_everything() -> None:
    caches = Caches(read_core("cortex-a15"))
    caches.access_many([0, 64, 128], [1, 1, 0])
    caches.maintain(CacheOperation.CLEAN_INVALIDATE, 0)
    assert not caches.holds(L1D, 0)
    assert not caches.holds(L2, 0)
    assert (caches.stats(L1D).write_backs, caches.stats(L2).write_backs) == (1, 1)
    caches.maintain(CacheOperation.INVALIDATE)
    assert [caches.holds(level, 64) for level in (L1D, L2)] == [False, False]
    assert caches.stats(L2).write_backs == 1
    caches.access(0, CacheUse.FETCH)
    caches.invalidate_fetch()
    assert not caches.holds(L1I, 0)


def test_a_core_that_cannot_be_and_a_cpu_that_is_not_there_are_refused() -> None:
    with pytest.raises(NativeError, match="9 CPUs: 1 to 8"):
        Caches(read_core("cortex-a15"), cpus=9)
    caches = Caches(read_core("cortex-a15"))
    with pytest.raises(ValueError, match="no CPU 1"):
        caches.access(0, cpu=1)
    with pytest.raises(NativeError, match="no cache of level 1 on CPU 3"):
        caches.stats(L1D, 3)
    with pytest.raises(ValueError, match="2 values of CacheUse"):
        caches.access_many([0, 1], [0, 9])
