"""A page table entry that is changed without TLB maintenance is found where its old translation is used."""

from __future__ import annotations

import pytest

from pyemu.machine import Machine
from pyemu.mmu import Access, StaleHit
from pyemu.mmu.translate import Fault
from pyemu.timing import read_core
from tests.machine.images import RAM, words
from tests.machine.oracle.guests import DSB, ISB
from tests.machine.small_guests import SELF, load
from tests.machine.timed_guests import FIRST, PAGES, timed

CORES = ("cortex-a15", "cortex-a7", "cortex-a9")
PAGE, OTHER = FIRST + 0x3000, FIRST + 0x20_0000
ENTRY = PAGES + 4 * 3
"""Of PAGE; its table is in the section that is mapped flat."""
SMALL_PAGE = 0x47E
OLD, NEW = PAGE | SMALL_PAGE, OTHER | SMALL_PAGE
TLBIMVA = 0xEE080F37
LOAD, STORE, CALL = [0xE5954000], [0xE5854000], [0xE12FFF35]  # ldr r4, [r5]; str r4, [r5]; blx r5
NEXT_BLOCK = [0xEAFFFFFF]  # b . + 4

USES = {Access.READ: LOAD, Access.WRITE: STORE, Access.FETCH: CALL}


def change(entry: int) -> list[int]:
    """The entry of PAGE."""
    return [*load(0, entry), *load(1, ENTRY), 0xE5810000, DSB]


def use(access: Access) -> list[int]:
    return [*load(5, PAGE), *USES[access]]


def maintain() -> list[int]:
    return [*load(0, PAGE), TLBIMVA, DSB, ISB]


def run(code: list[int], core: str, timing: str, detect: bool = True) -> tuple[Machine, list[StaleHit]]:
    """PAGE and OTHER begin with `bx lr`; detection is on from the start of `code`."""
    machine = timed([SELF], read_core(core), timing=timing)
    for page in (PAGE, OTHER):
        machine.write_phys(page, words(0xE12FFF1E))
    machine.write_phys(RAM + 0x8_0000, words(*code, SELF))
    machine.cpus[0].tlb.detect_stale(detect)
    machine.set_reg("pc", RAM + 0x8_0000)
    machine.run(max_insns=5000)
    return machine, machine.cpus[0].tlb.stale_hits()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize("access", list(Access))
def test_an_entry_changed_without_maintenance_is_found(access: Access, timing: str, core: str) -> None:
    broken = [*use(access), *NEXT_BLOCK, *change(NEW), *use(access)]
    machine, hits = run(broken, core, timing)
    with machine:
        assert hits
        assert machine.cpus[0].tlb.stats().stale == len(hits)
        hit = hits[0]
        assert (hit.va, hit.access, hit.fault) == (PAGE, access, Fault.NONE)
        assert (hit.old_descriptor, hit.new_descriptor) == (OLD, NEW)
        assert (hit.descriptor_pa, hit.old_pa, hit.new_pa) == (ENTRY, PAGE, OTHER)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("access", list(Access))
def test_an_entry_that_is_gone_is_found_while_it_is_still_used(access: Access, core: str) -> None:
    machine, hits = run([*use(access), *NEXT_BLOCK, *change(0), *use(access)], core, "tlb")
    with machine:
        assert hits
        assert (hits[0].va, hits[0].access, hits[0].fault) == (PAGE, access, Fault.TRANSLATION)
        assert (hits[0].old_descriptor, hits[0].new_descriptor) == (OLD, 0)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize("access", list(Access))
def test_break_before_make_is_not_found(access: Access, timing: str, core: str) -> None:
    correct = [*use(access), *NEXT_BLOCK, *change(0), *maintain(), *change(NEW), *use(access)]
    machine, hits = run(correct, core, timing)
    with machine:
        assert hits == []
        assert machine.cpus[0].tlb.stats().stale == 0
        assert machine.translate(PAGE).pa == OTHER


def test_nothing_is_looked_for_unless_asked() -> None:
    machine, hits = run(
        [*use(Access.READ), *NEXT_BLOCK, *change(NEW), *use(Access.READ)], "cortex-a15", "tlb", False
    )
    with machine:
        assert hits == []


def test_looking_for_stale_hits_does_not_change_misses() -> None:
    code = [word for access in Access for word in use(access)] * 3
    misses = []
    for detect in (False, True):
        machine, _ = run(code, "cortex-a15", "tlb", detect)
        with machine:
            stats = machine.cpus[0].tlb.stats()
            misses.append((stats.micro_misses, stats.main_misses, machine.bill().cycles))
    assert misses[0] == misses[1]
