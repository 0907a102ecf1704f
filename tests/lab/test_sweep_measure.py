"""What a job of a sweep measures, on real models."""

from __future__ import annotations

from dataclasses import replace
from errno import ENOMEM

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel
from pyemu.kernel.process import Map, Process, spawn
from pyemu.lab.sweep import GupRow, Job, Plan, TablesRow
from pyemu.lab.sweep.measure import SPARSE_BYTES, STRIDE, measure

PLAN = Plan(megabytes=1, timing="off")


def tables(memory_bytes: int, highpte: bool) -> TablesRow:
    (row,) = measure(Job(PLAN, memory_bytes, highpte, False))
    assert isinstance(row, TablesRow)
    return row


def forks_until_it_fails(parent: Process) -> int:
    for made in range(1000):
        try:
            parent.fork()
        except OSError as problem:
            if problem.errno != ENOMEM:
                raise
            return made
    raise AssertionError("fork never failed")


@pytest.mark.parametrize("size", [128 * MIB, 256 * MIB])
def test_room_for_processes_is_where_fork_fails(size: int) -> None:
    row = tables(size, highpte=False)
    with Kernel(Job(PLAN, size, False, False).kernel_config()) as kernel:
        parent = spawn(kernel)
        address = parent.mmap(SPARSE_BYTES, flags=Map.PRIVATE | Map.NORESERVE)
        parent.touch(address, SPARSE_BYTES, write=True, stride=STRIDE)
        assert row.processes == pytest.approx(1 + forks_until_it_fails(parent), abs=1)


def test_with_highpte_lowmem_is_hardly_taken_and_highmem_is() -> None:
    off, on = tables(4 * GIB, highpte=False), tables(4 * GIB, highpte=True)
    assert (off.low_kb, off.high_kb) == (on.low_kb, on.high_kb)
    assert off.tables_each == on.tables_each
    assert off.low_each_kb == pytest.approx(on.low_each_kb + on.high_each_kb, abs=16)
    assert on.low_each_kb < 0.02 * off.low_each_kb
    assert on.processes > 4 * off.processes


def test_calls_are_measured_each_on_a_kernel_of_its_own() -> None:
    job = Job(PLAN, GIB, True, False, calls=(64, 8))
    rows = measure(job)
    assert [row.place for row in rows] == job.places
    for row in rows:
        assert isinstance(row, GupRow)
        alone = measure(replace(job, calls=(row.pages_per_call,)))[0]
        assert replace(alone, host_pages_per_second=row.host_pages_per_second) == row


def test_the_chain_of_what_breaks_is_kept() -> None:
    (row,) = measure(Job(PLAN, GIB, True, True, calls=(256,)))
    assert isinstance(row, GupRow)
    assert (row.reports, row.blocked, row.windows) == (2 * row.windows, 0, row.windows)
    assert row.locks == ("kmap_lock", "page_address_htable[n].lock")
    assert all("gup_fast_pgd_range" in chain and chain.endswith("rt_spin_lock") for chain in row.chains)
