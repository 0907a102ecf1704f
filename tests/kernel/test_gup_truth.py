"""Instructions of get_user_pages, page by page, against what a real kernel was measured to need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.kernel.bill import read_spent
from pyemu.kernel.gup import Foll, GupCall, GupTimes, gup_test
from pyemu.kernel.kmap import kmap_local, kunmap_local
from pyemu.kernel.process import Map, spawn

TRUTH: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "linux-gup.json").read_text())
SIZE = TRUTH["pages"] * 4096

# RAM, huge pages, call of each column; the measured kernel has the erratum's option.
COLUMNS: dict[str, tuple[int, bool, GupCall]] = {
    "gup_fast, PTE in lowmem": (512 * MIB, False, GupCall.GUP_FAST),
    "gup_fast, PTE in highmem": (GIB, False, GupCall.GUP_FAST),
    "pin_fast, PTE in highmem": (GIB, False, GupCall.PIN_FAST),
    "THP": (GIB, True, GupCall.GUP_FAST),
    "slow GUP, PTE in highmem": (GIB, False, GupCall.GUP),
}


def measure(memory: int, huge: bool, call: GupCall, per_call: int, **options: Any) -> GupTimes:
    config = KernelConfig(**{"memory_bytes": memory, "high_get": "erratum", **options})
    with Kernel(config) as kernel:
        process = spawn(kernel, "gup_test")
        flags = Map.PRIVATE | Map.FIXED | (Map.HUGEPAGE if huge else Map.NOHUGEPAGE)
        addr = process.mmap(SIZE, 0x2000_0000, flags=flags)
        assert process.touch(addr, SIZE, write=True).count == TRUTH["pages"]
        times = gup_test(kernel, call, addr, SIZE, per_call, Foll.WRITE)
    assert (times.pages, times.error, times.size, times.reports) == (TRUTH["pages"], 0, SIZE, 0)
    return times


@pytest.mark.parametrize("row", range(4), ids=[f"{n} a call" for n in TRUTH["pages_per_call"]])
@pytest.mark.parametrize("column", COLUMNS)
def test_instructions_a_page_are_those_of_the_real_kernel(column: str, row: int) -> None:
    memory, huge, call = COLUMNS[column]
    times = measure(memory, huge, call, TRUTH["pages_per_call"][row])
    assert times.get_instructions / times.pages == pytest.approx(TRUTH["get"][column][row], rel=0.05)
    put = TRUTH["unpin"] if call.pins else TRUTH["put"]
    assert times.put_instructions / times.pages == pytest.approx(put, rel=0.05)


@pytest.mark.parametrize("memory", [4 * GIB, 8 * GIB])
def test_more_highmem_makes_no_difference(memory: int) -> None:
    assert measure(memory, False, GupCall.GUP_FAST, 1).get_instructions == pytest.approx(
        TRUTH["get"]["gup_fast, PTE in highmem"][0] * TRUTH["pages"], rel=0.05
    )


def test_a_window_of_a_highmem_table_costs_what_it_costs_the_real_kernel() -> None:
    """Beside the same call of a lowmem page, as in the measurement."""
    with Kernel(KernelConfig(memory_bytes=GIB, high_get="erratum")) as kernel:
        spent = []
        for gfp in (Gfp.KERNEL, Gfp.HIGHMEM):
            pfn = kernel.alloc_pages(0, gfp)
            before, stats = read_spent(kernel), kernel.stats
            va = kmap_local(kernel, pfn)
            assert va is not None
            kunmap_local(kernel, va)
            spent.append((read_spent(kernel) - before).insns)
        assert spent[1] - spent[0] == pytest.approx(TRUTH["window"]["instructions"], abs=1)
        assert kernel.stats["tlbi_local"] - stats["tlbi_local"] == TRUTH["window"]["tlbimva"]


def test_the_fast_walk_makes_one_window_for_each_table_that_a_call_touches() -> None:
    for per_call, windows in ((1, 8192), (8, 1024), (64, 128), (512, 16), (8192, 16)):
        assert measure(GIB, False, GupCall.GUP_FAST, per_call).windows == windows
    assert measure(512 * MIB, False, GupCall.GUP_FAST, 1).windows == 0
    assert measure(GIB, False, GupCall.GUP_FAST, 1, highpte=False).windows == 0
    assert measure(GIB, True, GupCall.GUP_FAST, 1).windows == 0


def test_highpte_costs_what_its_windows_cost() -> None:
    with_highpte = measure(GIB, False, GupCall.GUP_FAST, 1)
    without = measure(GIB, False, GupCall.GUP_FAST, 1, highpte=False)
    saved = (with_highpte.get_instructions - without.get_instructions) / TRUTH["pages"]
    assert saved == pytest.approx(
        TRUTH["window"]["instructions"] + 31, abs=1
    )  # kmap_local of lowmem is gone too


def test_every_access_that_is_billed_by_its_address_leaves_the_instructions_as_they_are() -> None:
    """The walk has a loop of its own for each: one looks at every address, one at whole runs of entries."""
    plain = measure(GIB, False, GupCall.GUP_FAST, 64)
    cached = measure(GIB, False, GupCall.GUP_FAST, 64, timing="cache", core="cortex-a15")
    assert plain.get_instructions == cached.get_instructions
    assert cached.get_cycles > cached.get_instructions * 0.75
    assert cached.get_usec == cached.get_cycles * 1_000_000 // 1_700_000_000
