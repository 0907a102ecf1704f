"""Batch translation of random addresses on resident tables, beside single calls and a walker in plain Python.

    pytest bench/test_translate.py --benchmark-columns=min,rounds --benchmark-json=out.json

``Mtranslations_per_s`` of each row is in its name's extra_info in the JSON file.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pyemu.mem import Memory
from pyemu.mmu import Access, PageTables, Regime, translate, translate_many

RAM = 0x4000_0000
POOL_BYTES = 64 << 20
BATCH = 4_000_000
SINGLE = 2_000
PAGE = 4096


def full_tables(format: str) -> tuple[Memory, Regime]:
    """All 4 GB mapped by 4 KB pages: 8 MB of last-level tables (LPAE), 4 MB (short)."""
    memory = Memory()
    memory.add_ram(RAM, POOL_BYTES)
    tables = PageTables(memory, format, RAM, POOL_BYTES)
    if format == "lpae":
        tables.map(0, 0x1_0000_1000, 1 << 32)
    else:
        tables.map(0, 0x1000, (1 << 32) - PAGE)
    return memory, tables.regime


@pytest.fixture(scope="module", params=["lpae", "short"])
def guest(request: pytest.FixtureRequest) -> tuple[Memory, Regime]:
    return full_tables(request.param)


def report(benchmark: Any, translations: int) -> None:
    benchmark.extra_info["Mtranslations_per_s"] = round(translations / benchmark.stats.stats.min / 1e6, 3)


@pytest.mark.benchmark(group="translate")
@pytest.mark.parametrize("with_status", [False, True], ids=["", "status"])
def test_batch_of_random_addresses(benchmark: Any, guest: tuple[Memory, Regime], with_status: bool) -> None:
    memory, regime = guest
    va = np.random.default_rng(1).integers(0, (1 << 32) - PAGE, BATCH, dtype=np.uint32)
    pa = np.empty(BATCH, np.uint64)
    status = np.empty(BATCH, np.uint8) if with_status else None
    count = benchmark(translate_many, memory, regime, va, pa, status)
    assert count == BATCH
    assert (pa - va.astype(np.uint64) == pa[0] - int(va[0])).all()
    report(benchmark, BATCH)


def addresses() -> list[int]:
    rng = random.Random(1)
    return [rng.randrange((1 << 32) - PAGE) for _ in range(SINGLE)]


@pytest.mark.benchmark(group="translate")
def test_single_calls(benchmark: Any, guest: tuple[Memory, Regime]) -> None:
    memory, regime = guest
    va = addresses()

    def run() -> int:
        return sum(translate(memory, regime, a).ok for a in va)

    assert benchmark(run) == SINGLE
    report(benchmark, SINGLE)


@pytest.mark.benchmark(group="translate")
def test_plain_python_walker(benchmark: Any, guest: tuple[Memory, Regime]) -> None:
    reference = pytest.importorskip("pyemu.mmu.reference")
    memory, regime = guest
    content = memory.read(RAM, POOL_BYTES)
    va = addresses()

    def read(pa: int, size: int) -> int | None:
        at = pa - RAM
        return int.from_bytes(content[at : at + size], "little") if 0 <= at < POOL_BYTES else None

    walk: Callable[..., Any] = reference.translate

    def run() -> int:
        return sum(walk(read, regime, a, Access.READ, True).ok for a in va)

    assert benchmark(run) == SINGLE
    report(benchmark, SINGLE)
