"""One cache against a plain-Python one of the same geometry: equal hits, evictions, write-backs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.native import NativeError
from pyemu.timing import Cache
from tests.timing.plain_cache import PlainCache

POLICIES = ("lru", "round-robin", "random")
GEOMETRIES = ((1024, 1, 32), (2048, 2, 64), (3072, 3, 64), (1024, 16, 64), (4096, 4, 16))


def trace(length: int, seed: int, span: int) -> tuple[list[int], list[int]]:
    """Loops, strides and jumps within `span` bytes, a third of them writes."""
    source = random.Random(seed)
    addresses: list[int] = []
    while len(addresses) < length:
        base, step = source.randrange(span), source.choice((4, 16, 64, 256, 1024))
        run = [base + step * i for i in range(source.randrange(1, 40))]
        addresses += run * source.randrange(1, 4)
    return addresses[:length], [source.randrange(3) == 0 for _ in range(length)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("allocate", [True, False])
def test_a_long_trace_hits_and_misses_as_in_the_plain_cache(
    policy: str, geometry: tuple[int, int, int], allocate: bool
) -> None:
    addresses, writes = trace(40_000, geometry[1], 16 * geometry[0])
    cache = Cache(*geometry, replacement=policy, write_allocate=allocate)
    plain = PlainCache(*geometry, policy, allocate)
    expected = bytes(plain.access(pa, write) for pa, write in zip(addresses, writes, strict=True))
    assert cache.access_many(addresses, writes) == expected
    stats = cache.stats()
    assert stats.misses == expected.count(0)
    assert (stats.evictions, stats.write_backs) == (plain.evictions, plain.write_backs)
    assert (stats.reads, stats.writes) == (writes.count(False), writes.count(True))
    assert 0.05 < stats.misses / len(addresses) < 0.95  # the trace tells policies apart


step = st.tuples(st.sampled_from(("read", "write", "clean", "invalidate")), st.integers(0, 31))
whole = st.tuples(st.sampled_from(("clean all", "invalidate all")), st.just(0))


@settings(max_examples=150)
@given(
    st.sampled_from(POLICIES),
    st.booleans(),
    st.lists(st.one_of(step, step, step, step, step, whole), max_size=120),
)
def test_any_mix_of_accesses_and_maintenance_leaves_the_same_lines(
    policy: str, allocate: bool, steps: list[tuple[str, int]]
) -> None:
    cache = Cache(256, 4, 16, replacement=policy, write_allocate=allocate)
    plain = PlainCache(256, 4, 16, policy, allocate)
    for verb, line in steps:
        pa = line * 16 + 5
        if verb in ("read", "write"):
            assert cache.access_many([pa], [verb == "write"])[0] == plain.access(pa, verb == "write")
        elif verb in ("clean", "invalidate"):
            getattr(cache, verb)(pa)
            getattr(plain, verb)(pa)
        else:
            getattr(cache, verb.split()[0])()
            getattr(plain, verb.replace(" ", "_"))()
    for line in range(32):
        assert cache.holds(line * 16) == (plain.find(line * 16)[2] is not None)
        assert cache.is_dirty(line * 16 + 15) == plain.dirty(line * 16)
    assert (cache.stats().evictions, cache.stats().write_backs) == (plain.evictions, plain.write_backs)


def test_addresses_of_64_bits_keep_their_lines_apart() -> None:
    cache = Cache(1024, 2, 64)
    high = [0, 1 << 40, (1 << 64) - 64]
    assert cache.access_many(high) == bytes(3)
    assert [cache.holds(pa) for pa in high] == [True, True, True]
    assert not cache.holds(1 << 63)


@pytest.mark.parametrize(
    ("geometry", "part"),
    [
        ((1000, 2, 64), "1024 would be right"),
        ((1024, 0, 64), "cache.ways: 0 is not in range"),
        ((1024, 2, 48), "cache.line_bytes: 48 is no power of two"),
        ((1 << 30, 2, 64), "cache.size_bytes: 1073741824 is not in range"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused(geometry: tuple[int, int, int], part: str) -> None:
    with pytest.raises(NativeError, match=part):
        Cache(*geometry)


def test_as_many_write_flags_as_addresses_are_needed() -> None:
    with pytest.raises(ValueError, match="1 flags for 2 addresses"):
        Cache(1024, 2, 64).access_many([0, 64], [1])
