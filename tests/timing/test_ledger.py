"""The ledger: categories add up to the clock, and each cycle is where it belongs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.mmu import Access, Fault, Flag, Prot, Tlb, Translation
from pyemu.native import NativeError, ffi, lib
from pyemu.timing import Caches, CacheUse, Cost, Ledger, read_core

charges = st.tuples(st.sampled_from(Cost), st.integers(0, 1 << 40), st.integers(0, 2), st.booleans())


@given(st.lists(charges, max_size=60))
def test_categories_add_up_to_the_clock_of_each_cpu(bills: list[tuple[Cost, int, int, bool]]) -> None:
    ledger = Ledger(cpus=3)
    for cost, cycles, cpu, privileged in bills:
        before = ledger.clock(cpu)
        ledger.add(cost, cycles, cpu=cpu, privileged=privileged)
        assert ledger.clock(cpu) == before + cycles
    for cpu in range(3):
        both = [ledger.bill(cpu, privileged=privileged) for privileged in (False, True)]
        assert ledger.clock(cpu) == sum(charge.cycles for bill in both for charge in bill.values())
        for privileged, bill in zip((False, True), both, strict=True):
            for cost, charge in bill.items():
                mine = [cycles for c, cycles, i, p in bills if (c, i, p) == (cost, cpu, privileged)]
                assert (charge.cycles, charge.events) == (sum(mine), len(mine))


def test_an_access_is_billed_to_the_levels_that_it_waited_for() -> None:
    core = read_core("cortex-a15")
    caches, ledger = Caches(core), Ledger()
    for _ in range(2):
        ledger.add_access(caches, CacheUse.READ, caches.access(0x1000))
    caches.access(0x2000, CacheUse.FETCH)
    ledger.add_access(caches, CacheUse.READ, caches.access(0x2000))
    bill = {cost: charge.cycles for cost, charge in ledger.bill(privileged=True).items() if charge.events}
    assert bill == {Cost.DRAM: 187, Cost.L2: 2 * (21 - 4)}
    ledger.add_access(caches, CacheUse.WALK, caches.access(0x2000, CacheUse.WALK))
    assert ledger.bill(privileged=True)[Cost.WALK].cycles == 4


def test_a_tlb_miss_is_billed_to_both_tlbs() -> None:
    core = read_core("cortex-a15")
    tlb, ledger, native = Tlb(core), Ledger(), core.native()
    for va, access in ((0, Access.READ), (0, Access.READ), (0, Access.WRITE), (0x1000, Access.FETCH)):
        t = Translation(
            va, Fault.NONE, 3, Prot.READ, Prot.READ, 0xFF, 3, 0, 4096, Flag.NG, va | 3, 0x8000 + va // 512
        )
        result = tlb.access(va, t, access=access)
        out = ffi.new("pe_tlb_result *", (int(result.level), result.cycles, result.walk_cached, result.stale))
        lib.pe_ledger_add_tlb(ledger.handle, 0, False, native, out, int(access))
    bill = ledger.bill(privileged=False)
    assert (bill[Cost.MICRO_TLB].cycles, bill[Cost.MICRO_TLB].events) == (3 * 12, 3)
    assert (bill[Cost.MAIN_TLB].cycles, bill[Cost.MAIN_TLB].events) == (2 * 9, 2)
    assert ledger.clock() == 54


def test_every_category_has_a_name_of_its_own() -> None:
    assert len({cost.text for cost in Cost}) == len(Cost) == lib.PE_COSTS
    assert Cost.MAIN_TLB.text == "main TLB"
    assert lib.pe_cost_name(lib.PE_COSTS) == ffi.NULL


def test_cpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(NativeError, match="0 CPUs: 1 to 8"):
        Ledger(cpus=0)
    with pytest.raises(ValueError, match="no CPU 1: there are 1"):
        Ledger().add(Cost.L2, 1, cpu=1)
