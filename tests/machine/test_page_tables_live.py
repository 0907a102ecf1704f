"""ARM code runs on tables that Python makes; a change is seen after the TLB invalidate and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pyemu.config import GIB, MIB, MachineConfig
from pyemu.machine import Machine, StopReason
from pyemu.mmu import Access, Fault, PageTables
from tests.machine.images import RAM, words

FORMATS = ("lpae", "short")
CODE, VECTORS = RAM + 0x8000, RAM + 0xC000
VA = 0x1234_5000
OLD_PAGE, NEW_PAGE = RAM + 0x20_0000, RAM + 0x20_1000
OLD, NEW = 0x0000_001D, 0x0000_0E37
NOP = 0xE320F000
BX_LR = 0xE12FFF1E
DATA_ABORT = 0x10

# r0: the address; r1: what is there; r2: rounds; r6: a function to call; r5: where TLBIMVA goes if r3 is set.
LOOP = (
    0xE5901000,  # loop: ldr r1, [r0]
    0xE2822001,  # add r2, r2, #1
    0xE3560000,  # cmp r6, #0
    0x112FFF36,  # blxne r6
    0xE3530000,  # cmp r3, #0
    0x0AFFFFF9,  # beq loop
    0xEE085F37,  # mcr p15, 0, r5, c8, c7, 1    TLBIMVA
    0xEE070F15,  # mcr p15, 0, r0, c7, c5, 0    ICIALLU
    0xF57FF04F,  # dsb
    0xF57FF06F,  # isb
    0xE3A03000,  # mov r3, #0
    0xEAFFFFF3,  # b loop
)


@dataclass
class Live:
    """A machine in the loop, its tables and how Python stops it between two rounds."""

    machine: Machine
    tables: PageTables
    run: Callable[[], None]

    def invalidate(self, va: int) -> None:
        """Let the guest execute its TLBIMVA for an address, once."""
        self.machine.set_reg("r5", va)
        self.machine.set_reg("r3", 1)
        self.run()
        assert self.machine.reg("r3") == 0


def run_slices(machine: Machine) -> None:
    rounds = machine.reg("r2")
    assert machine.run(max_insns=1000).reason is StopReason.LIMIT
    assert machine.reg("r2") > rounds + 10


def run_to_breakpoint(machine: Machine) -> None:
    for _ in range(3):
        stop = machine.run(until=CODE, max_insns=1000)
        assert (stop.reason, stop.address) == (StopReason.BREAKPOINT, CODE)


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[run_slices, run_to_breakpoint])
def live(format: str, request: pytest.FixtureRequest) -> Iterator[Live]:
    with Machine(MachineConfig(16 * MIB)) as machine:
        tables = PageTables(machine, format)
        tables.map(RAM, RAM, MIB)
        tables.map(VA, OLD_PAGE, 4096)
        machine.write_phys(CODE, words(*LOOP))
        machine.write_phys(VECTORS, words(*[0xEAFFFFFE] * 8))
        for page, value in ((OLD_PAGE, OLD), (NEW_PAGE, NEW)):
            machine.write_phys(page, words(value))
        machine.reset(CODE, {"r0": VA, "vbar": VECTORS})
        tables.activate()
        live = Live(machine, tables, lambda: request.param(machine))
        live.run()
        assert machine.reg("r1") == OLD
        yield live


def test_the_guest_runs_on_the_tables(live: Live) -> None:
    assert live.machine.regime().mmu_on
    assert live.machine.regime().long_format == (live.tables.format.name == "lpae")
    for va in (CODE, VA, VA + 0x1000):
        walk = live.machine.walk(va)
        assert walk == live.tables.walk(va)
        assert walk.steps[0].table_pa == live.tables.root
    assert live.machine.read(VA, 4) == words(OLD)
    assert live.machine.stats().walks >= 2


def test_a_page_that_is_mapped_elsewhere_is_seen_after_the_guests_tlbimva(live: Live) -> None:
    live.tables.map(VA, NEW_PAGE, 4096)
    for _ in range(3):
        live.run()
        assert live.machine.reg("r1") == OLD
    assert live.machine.translate(VA).pa == NEW_PAGE, "the tables themselves are new at once"
    live.invalidate(VA + 0x1000)
    assert live.machine.reg("r1") == OLD, "another page's entry was invalidated"
    live.invalidate(VA)
    assert live.machine.reg("r1") == NEW


def test_a_page_that_is_mapped_elsewhere_is_seen_after_a_flush_from_python(live: Live) -> None:
    live.tables.map(VA, NEW_PAGE, 4096)
    live.run()
    assert live.machine.reg("r1") == OLD
    live.machine.tlb_flush()
    live.run()
    assert live.machine.reg("r1") == NEW


def test_an_unmapped_page_faults_after_the_invalidate(live: Live) -> None:
    live.tables.unmap(VA, 4096)
    live.run()
    assert live.machine.stats().data_aborts == 0
    live.machine.tlb_flush()
    live.machine.run(max_insns=100)
    assert live.machine.stats().data_aborts == 1
    assert (live.machine.reg("pc"), live.machine.reg("dfar")) == (VECTORS + DATA_ABORT, VA)


def test_a_page_that_is_mapped_again_needs_no_invalidate(live: Live) -> None:
    """Entries that fault are never kept (ARM DDI 0406C B3.10.1): break before make ends without a TLBI."""
    live.tables.unmap(VA, 4096)
    live.machine.tlb_flush()
    live.tables.map(VA, NEW_PAGE, 4096)
    live.run()
    assert live.machine.reg("r1") == NEW


def test_a_page_that_becomes_read_only_faults_at_the_store_after_the_invalidate(live: Live) -> None:
    live.machine.write_phys(CODE, words(0xE5802000))  # str r2, [r0]
    live.run()
    written = live.machine.read_phys(OLD_PAGE, 4)
    assert written != words(OLD)
    live.tables.protect(VA, 4096, write=False)
    assert live.machine.translate(VA, Access.WRITE).fault is Fault.PERMISSION
    live.run()
    assert live.machine.read_phys(OLD_PAGE, 4) != written
    live.machine.tlb_flush()
    live.machine.run(max_insns=100)
    assert (live.machine.stats().data_aborts, live.machine.reg("dfsr") >> 11 & 1) == (1, 1)


def test_code_that_is_mapped_elsewhere_runs_after_the_invalidate(live: Live) -> None:
    function = VA + 0x1000
    for page, value in ((OLD_PAGE, OLD), (NEW_PAGE, NEW)):
        mov_r7 = 0xE3007000 | (value & 0xF000) << 4 | value & 0xFFF  # movw r7, #value
        live.machine.write_phys(page + 0x10_0000, words(mov_r7, BX_LR))
    live.tables.map(function, OLD_PAGE + 0x10_0000, 4096)
    live.machine.set_reg("r6", function)
    live.run()
    assert live.machine.reg("r7") == OLD
    live.tables.map(function, NEW_PAGE + 0x10_0000, 4096)
    live.run()
    assert live.machine.reg("r7") == OLD
    live.invalidate(function)
    live.run()
    assert live.machine.reg("r7") == NEW


def test_a_large_leaf_that_is_broken_up_goes_on_translating(live: Live, format: str) -> None:
    block = 0x4000_0000 if format == "lpae" else 16 * MIB
    va = 0x8000_0000
    live.tables.map(va, RAM & -block, block)
    assert live.tables.lookup(va).size == block  # type: ignore[union-attr]
    at = va + (OLD_PAGE - (RAM & -block))
    live.machine.set_reg("r0", at)
    live.run()
    assert live.machine.reg("r1") == OLD
    live.tables.map(at, NEW_PAGE, 4096)
    assert live.tables.lookup(at).size == 4096  # type: ignore[union-attr]
    live.run()
    assert live.machine.reg("r1") == OLD
    live.invalidate(at)
    assert live.machine.reg("r1") == NEW
    live.machine.set_reg("r0", at + 0x1000)
    live.run()
    assert live.machine.reg("r1") == NEW, "the neighbour still maps to its own place, which is the same page"


def test_code_moves_from_one_format_to_the_other() -> None:
    with Machine(MachineConfig(16 * MIB)) as machine:
        machine.write_phys(CODE, words(*LOOP))
        machine.reset(CODE, {"r0": VA})
        for number, format in enumerate((*FORMATS, *FORMATS)):
            tables = PageTables(machine, format, RAM + (4 + number) * MIB)
            page = RAM + 0x20_0000 + number * 0x1000
            tables.map(RAM, RAM, MIB)
            tables.map(VA, page, 4096)
            machine.write_phys(page, words(0x100 + number))
            tables.activate()
            run_slices(machine)
            assert machine.reg("r1") == 0x100 + number
            assert machine.regime().long_format == (format == "lpae")
            assert machine.stats().data_aborts + machine.stats().prefetch_aborts == 0


def test_tables_of_one_cpu_are_not_those_of_another() -> None:
    with Machine(MachineConfig(16 * MIB, smp=2)) as machine:
        tables = PageTables(machine, "lpae")
        tables.map(RAM, RAM, MIB)
        machine.reset(CODE)
        tables.activate(cpu=1)
        assert machine.regime(1).mmu_on
        assert not machine.regime(0).mmu_on


def test_memory_above_4_gb_is_mapped_and_reached() -> None:
    high = RAM + 5 * GIB
    with Machine(MachineConfig(8 * GIB)) as machine:
        tables = PageTables(machine, "lpae")
        assert all(table < 1 << 32 for table in tables.tables)
        tables.map(RAM, RAM, MIB)
        tables.map(0x8000_0000, high, 2 * MIB)
        machine.write_phys(high + 0x1000, words(NEW))
        machine.write_phys(CODE, words(*LOOP))
        machine.reset(CODE, {"r0": 0x8000_1000})
        tables.activate()
        run_slices(machine)
        assert machine.reg("r1") == NEW
