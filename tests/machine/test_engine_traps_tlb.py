"""Traps of the engine's soft TLB: how often it is filled, and how much of it maintenance drops.

See test_engine_traps.py.  Where a trap costs only time, what it does too often is counted.
"""

from __future__ import annotations

import pytest

from pyemu.config import MIB
from pyemu.machine import Machine
from tests.machine.images import RAM, words
from tests.machine.traps.guest import (
    BX_LR,
    DSB,
    FREE,
    ISB,
    SMALL,
    TLBIMVA,
    TLBIMVAA,
    Guest,
    Tables,
    add,
    add_reg,
    blx,
    ldr,
    logged,
    store,
    subs,
)

VA = 0x8000_0000


# ---- 6, 19, 20: fills ----


def fills_of(code: Guest, *pages: tuple[int, int]) -> int:
    with Machine(SMALL) as machine:
        tables = Tables(machine)
        for va, pa in pages:
            tables.map(va, pa)
        code.run(machine)
        return machine.stats().fills


def touching_guest(*addresses: int) -> Guest:
    code = Guest()
    code.mmu_on()
    for address in addresses:
        code.mov(4, address)
        code.op(ldr(2, 4))
    code.exit()
    return code


def test_06_a_page_is_4096_bytes() -> None:
    """Trap 6: the engine's default page for this core is 1024 bytes."""
    page = (VA, FREE)
    one = fills_of(touching_guest(VA, VA, VA, VA), page)
    quarters = fills_of(touching_guest(VA, VA + 0x400, VA + 0x800, VA + 0xC00), page)
    assert quarters == one
    two = fills_of(touching_guest(VA, VA + 0x400, VA + 0x1000, VA + 0x1C00), page, (VA + 0x1000, FREE))
    assert two == one + 1


def test_19_fills_are_as_many_as_the_pages_that_fit_and_no_measure_of_the_architecture() -> None:
    """Trap 19: the soft TLB is direct-mapped and small, so fills say nothing about a real TLB.

    A few pages fill once each; what is counted is the same in every run, and stale entries are never needed.
    """
    pages = [(VA + 0x1000 * n, FREE + 0x1000 * n) for n in range(200)]
    few = [va for va, _ in pages[:8]]
    base = fills_of(touching_guest(), *pages)
    assert fills_of(touching_guest(*few), *pages) == base + 8
    assert fills_of(touching_guest(*(few * 4)), *pages) == base + 8
    many = [va for va, _ in pages] * 2
    first, second = (fills_of(touching_guest(*many), *pages) for _ in range(2))
    assert first == second >= base + len(pages)


def rounds_over_pages(rounds: int) -> Guest:
    code = Guest()
    code.mmu_on()
    code.mov(8, 0x1000)
    code.mov(7, rounds)
    code.label("round")
    code.mov(4, VA)
    code.mov(5, 600)
    code.label("page")
    code.op(ldr(2, 4), add_reg(4, 4, 8), subs(5, 5, 1))
    code.b("page", "ne")
    code.op(subs(7, 7, 1))
    code.b("round", "ne")
    code.exit()
    return code


def test_19_a_guest_that_needs_many_pages_does_not_miss_for_ever() -> None:
    """Trap 19: the soft TLB grows at flushes only, and a guest that never flushes would keep the smallest."""
    pages = [(VA + 0x1000 * n, FREE + 0x1000 * n) for n in range(600)]
    assert fills_of(rounds_over_pages(60), *pages) - fills_of(rounds_over_pages(40), *pages) < 600


def ping_pong(rounds: int) -> Guest:
    code = Guest()
    code.mmu_on()
    code.mov(4, VA)
    code.mov(5, rounds)
    code.label("loop")
    code.op(ldr(2, 4), add(2, 2, 1), store(2, 4), subs(5, 5, 1))
    code.b("loop", "ne")
    code.op(ldr(6, 4))
    code.exit()
    return code


def test_20_loads_and_stores_in_turn_fill_once() -> None:
    """Trap 20: without a fill callback an entry grants no more than the access that made it."""
    assert fills_of(ping_pong(1000), (VA, FREE)) == fills_of(ping_pong(1), (VA, FREE))


# ---- TLB maintenance of larger leaves ----


@pytest.mark.parametrize("operation", [TLBIMVA, TLBIMVAA], ids=["TLBIMVA", "TLBIMVAA"])
def test_tlb_maintenance_of_one_address_reaches_the_whole_leaf(operation: tuple[int, int, int, int]) -> None:
    """The engine keeps leaves of any size as pages of 4 KB, and drops the one that is named."""
    with Machine(SMALL) as machine:
        slot = Tables(machine).map(VA, RAM + 0x80_0000, level=2)
        machine.write_phys(FREE, Tables.leaf(RAM + 0xC0_0000, 2).to_bytes(8, "little"))
        for megabyte, value in ((8, 1), (9, 2), (12, 3), (13, 4)):
            machine.write_phys(RAM + megabyte * MIB, words(value))
        code = Guest()
        code.mmu_on()
        code.mov(4, VA)
        code.mov(6, VA + 0x10_0000)
        code.op(ldr(2, 4), ldr(3, 6))
        code.log(2, 3)
        code.mov(8, FREE)
        code.mov(9, slot)
        code.op(0xE1C820D0, 0xE1C920F0, DSB)  # ldrd r2, r3, [r8]; strd r2, r3, [r9]
        code.mcr(operation, 4)
        code.op(DSB, ISB, ldr(2, 4), ldr(3, 6))
        code.log(2, 3)
        code.exit()
        code.run(machine)
        assert logged(machine) == [1, 2, 3, 4]


def test_tlb_maintenance_reaches_a_large_leaf_whose_fill_flushed_the_rest() -> None:
    """The same where the last fill of the leaf emptied the soft TLB: a store to what was code."""
    with Machine(SMALL) as machine:
        slot = Tables(machine).map(VA, RAM + 0x80_0000, level=2)
        machine.write_phys(FREE, Tables.leaf(RAM + 0xC0_0000, 2).to_bytes(8, "little"))
        machine.write_phys(RAM + 0x80_0000, words(BX_LR))
        machine.write_phys(RAM + 0xC0_0000, words(BX_LR, 2))
        code = Guest()
        code.mmu_on()
        code.mov(4, VA)
        code.mov(6, VA + 0x10_0000)
        code.mov(8, FREE)
        code.mov(9, slot)
        code.op(blx(4), store(4, 4, 4))
        code.op(0xE1C820D0, 0xE1C920F0, DSB)  # ldrd r2, r3, [r8]; strd r2, r3, [r9]
        code.mcr(TLBIMVA, 6)
        code.op(DSB, ISB, ldr(2, 4, 4))
        code.log(2)
        code.exit()
        code.run(machine)
        assert logged(machine) == [2]
