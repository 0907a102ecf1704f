"""What the performance monitors count of the cycle model: the numbers of the machine's own bill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pyemu.config import MachineConfig
from pyemu.machine import Bill, Machine
from pyemu.mmu import Access
from pyemu.timing import Branch, Cost, PmuEvent
from tests.machine.pmu_guest import CACHE, PMCEID0, TLB, PerfGuest, Program
from tests.machine.traps.guest import (
    CONTEXTIDR,
    DSB,
    FREE,
    HVC,
    NOP,
    Tables,
    ldr,
    logged,
    store,
)

# What each event must be, from the bill of CPU 0; those of CACHED only with modelled caches.
_IMMEDIATE = (Branch.DIRECT, Branch.CONDITIONAL, Branch.CALL)
_INDIRECT = (Branch.INDIRECT, Branch.CALL_INDIRECT, Branch.RETURN)


def _branches(kinds: tuple[Branch, ...], which: int = 0) -> Callable[[Bill], int]:
    return lambda bill: sum(bill.cpus[0].branches[kind][which] for kind in kinds)


def _tlb(*accesses: Access) -> Callable[[Bill], int]:
    return lambda bill: sum(bill.cpus[0].tlb.micro_misses[access] for access in accesses)


def _cache(level: str, *names: str) -> Callable[[Bill], int]:
    return lambda bill: sum(getattr(getattr(bill.cpus[0], level, None) or bill.l2, name) for name in names)


def _memory_accesses(bill: Bill) -> int:
    cpu = bill.cpus[0]
    assert cpu.l1d is not None
    walks = sum(side[Cost.WALK].events for side in (cpu.user, cpu.kernel))
    return cpu.l1d.accesses - walks + cpu.executed.uncached


MODELLED: Mapping[PmuEvent, Callable[[Bill], int]] = {
    PmuEvent.INST_RETIRED: lambda bill: bill.insns,
    PmuEvent.CPU_CYCLES: lambda bill: bill.cycles,
    PmuEvent.L1I_TLB_REFILL: _tlb(Access.FETCH),
    PmuEvent.L1D_TLB_REFILL: _tlb(Access.READ, Access.WRITE),
    PmuEvent.L1D_TLB_REFILL_LD: _tlb(Access.READ),
    PmuEvent.L1D_TLB_REFILL_ST: _tlb(Access.WRITE),
    PmuEvent.EXC_TAKEN: lambda bill: bill.cpus[0].executed.exceptions,
    PmuEvent.EXC_RETURN: lambda bill: bill.cpus[0].executed.exception_returns,
    PmuEvent.BR_MIS_PRED: _branches((*_IMMEDIATE, *_INDIRECT), 1),
    PmuEvent.BR_PRED: _branches((*_IMMEDIATE, *_INDIRECT)),
    PmuEvent.BR_IMMED_SPEC: _branches(_IMMEDIATE),
    PmuEvent.BR_INDIRECT_SPEC: _branches(_INDIRECT),
    PmuEvent.BR_RETURN_SPEC: _branches((Branch.RETURN,)),
    PmuEvent.LD_SPEC: lambda bill: sum(bill.cpus[0].executed.loads),
    PmuEvent.ST_SPEC: lambda bill: sum(bill.cpus[0].executed.stores),
    PmuEvent.LDST_SPEC: lambda bill: sum(bill.cpus[0].executed.loads + bill.cpus[0].executed.stores),
}
CACHED: Mapping[PmuEvent, Callable[[Bill], int]] = {
    PmuEvent.L1I_CACHE: _cache("l1i", "reads"),
    PmuEvent.L1I_CACHE_REFILL: _cache("l1i", "fills"),
    PmuEvent.L1D_CACHE: _cache("l1d", "reads", "writes"),
    PmuEvent.L1D_CACHE_LD: _cache("l1d", "reads"),
    PmuEvent.L1D_CACHE_ST: _cache("l1d", "writes"),
    PmuEvent.L1D_CACHE_REFILL: _cache("l1d", "fills"),
    PmuEvent.L1D_CACHE_REFILL_LD: _cache("l1d", "read_misses"),
    PmuEvent.L1D_CACHE_REFILL_ST: _cache("l1d", "write_misses"),
    PmuEvent.L1D_CACHE_WB: _cache("l1d", "write_backs"),
    PmuEvent.L1D_CACHE_INVAL: _cache("l1d", "invalidations"),
    PmuEvent.L2D_CACHE: _cache("l2", "reads", "writes"),
    PmuEvent.L2D_CACHE_LD: _cache("l2", "reads"),
    PmuEvent.L2D_CACHE_ST: _cache("l2", "writes"),
    PmuEvent.L2D_CACHE_REFILL: _cache("l2", "fills"),
    PmuEvent.L2D_CACHE_REFILL_LD: _cache("l2", "read_misses"),
    PmuEvent.L2D_CACHE_REFILL_ST: _cache("l2", "write_misses"),
    PmuEvent.L2D_CACHE_WB: _cache("l2", "write_backs"),
    PmuEvent.MEM_ACCESS: _memory_accesses,
}


def stride(guest: PerfGuest, turns: int, count: int, step: int, *access: int, base: int = FREE) -> None:
    """Goes over count places, turns times: r8 points at one of them for the access."""
    name = f"turns {guest.here:#x}"
    guest.mov(7, turns)
    guest.label(name)
    guest.mov(8, base)
    guest.mov(6, step)
    guest.loop(count, *access, 0xE0888006)  # add r8, r8, r6
    guest.op(0xE2577001)  # subs r7, r7, #1
    guest.b(name, "ne")


def mixture(guest: PerfGuest) -> None:
    """Some of everything."""
    guest.set_cp15(CONTEXTIDR, 3)
    stride(guest, 3, 80, 4096 + 64, ldr(1, 8), store(1, 8, 8))
    stride(guest, 2, 3000, 64, store(1, 8))
    guest.op(DSB, 0xE8980006, 0xE8880006)  # ldm r8, {r1, r2}; stm r8, {r1, r2}
    guest.loop(50, 0xE3190003, 0x0A000000, NOP)  # tst r9, #3; beq past the NOP
    for _ in range(5):
        guest.op(0xEF000001)  # svc
    guest.mov(11, FREE)  # where exceptions were logged is of no interest
    guest.b("over the function")
    guest.label("function")
    guest.op(0xE12FFF1E)  # bx lr
    guest.label("over the function")
    guest.mov_label(5, "function")
    guest.loop(10, 0xE12FFF35)  # blx r5


def difference(before: Bill, after: Bill, count: Callable[[Bill], int]) -> int:
    return count(after) - count(before)


def measure(program: Program, config: MachineConfig, *events: int) -> tuple[list[int], Bill, Bill]:
    """Six counters at most, and PMCCNTR; the bill where they were started and stopped."""
    guest = PerfGuest()
    guest.caches_on()
    guest.count(*events)
    guest.label("begin")
    program(guest)
    guest.stop()
    guest.label("finish")
    guest.mov(11, FREE + 0x80_0000)
    guest.log_counters(len(events))
    guest.exit()
    with Machine(config) as machine:
        Tables(machine)
        machine.load(guest.code())
        bills = []
        for label in ("begin", "finish"):
            machine.run(until=guest.address_of(label))
            bills.append(machine.bill())
        machine.run()
        words = machine.read_phys(FREE + 0x80_0000, 4 * len(events) + 4)
        counts = [int.from_bytes(words[at : at + 4], "little") for at in range(0, len(words), 4)]
        return counts, bills[0], bills[1]


@pytest.mark.parametrize("config", [TLB, CACHE], ids=["tlb", "cache"])
def test_every_event_is_what_the_bill_has_of_it(config: MachineConfig) -> None:
    expected = {**MODELLED, **(CACHED if config.timing == "cache" else {})}
    events = list(expected)
    for first in range(0, len(events), 6):
        group = events[first : first + 6]
        counts, begin, finish = measure(mixture, config, *group)
        assert dict(zip(group, counts[:-1], strict=True)) == {
            event: difference(begin, finish, expected[event]) for event in group
        }
        assert counts[-1] == finish.cycles - begin.cycles


def test_pmceid_lists_what_the_model_knows() -> None:
    always = {PmuEvent.SW_INCR, PmuEvent.CID_WRITE_RETIRED, PmuEvent.TTBR_WRITE_RETIRED}
    for config, events in ((TLB, always | set(MODELLED)), (CACHE, always | set(MODELLED) | set(CACHED))):
        guest = PerfGuest()
        guest.log_register(PMCEID0)
        guest.exit()
        with Machine(config) as machine:
            guest.run(machine)
            assert logged(machine) == [sum(1 << event for event in events if event < 32)]


# ---- known patterns ----


def refills(program: Program, config: MachineConfig, *events: PmuEvent) -> list[int]:
    return measure(program, config, *events)[0][:-1]


@pytest.mark.parametrize("config", [TLB, CACHE], ids=["tlb", "cache"])
def test_data_tlb_refills_are_those_of_the_pages_that_were_touched(config: MachineConfig) -> None:
    events = (PmuEvent.L1D_TLB_REFILL, PmuEvent.L1D_TLB_REFILL_LD, PmuEvent.L1D_TLB_REFILL_ST)

    def loads(pages: int) -> list[int]:
        return refills(lambda guest: stride(guest, 10, pages, 4096, ldr(1, 8)), config, *events)

    def stores(pages: int) -> list[int]:
        return refills(lambda guest: stride(guest, 10, pages, 4096, store(1, 8)), config, *events)

    # 32 entries of 4 KB for loads, 32 for stores, least recently used: 33 pages in turn miss each time
    assert loads(32) == [32, 32, 0]
    assert loads(33) == [330, 330, 0]
    assert stores(32) == [32, 0, 32]
    assert stores(33) == [330, 0, 330]


def test_l1d_refills_are_those_of_the_lines_that_were_touched() -> None:
    events = (PmuEvent.L1D_CACHE, PmuEvent.L1D_CACHE_REFILL, PmuEvent.L1D_CACHE_WB, PmuEvent.L2D_CACHE_REFILL)

    def counted(lines: int, access: int) -> list[int]:
        return refills(lambda guest: stride(guest, 4, lines, 64, access), CACHE, *events)

    # L1D: 32 KB, 512 lines; a page walk reads through it as well, for the first page of the 1 GB block
    few, many, dirty = (counted(256, ldr(1, 8)), counted(1024, ldr(1, 8)), counted(1024, store(1, 8)))
    walks = few[0] - 4 * 256
    assert 0 <= walks <= 2
    assert few[1:] == [256 + walks, 0, few[3]]
    assert many[:3] == [4 * 1024 + walks, 4 * 1024 + walks, 0]
    assert few[3] - 256 in range(walks + 3)
    assert many[3] - few[3] == 1024 - 256
    assert dirty[1] == many[1]
    assert 4 * 1024 - 512 <= dirty[2] <= 4 * 1024


def test_the_cycle_counter_of_a_guest_is_the_clock_of_the_ledger() -> None:
    for config in (TLB, CACHE):
        counts, begin, finish = measure(lambda guest: stride(guest, 20, 100, 4096, ldr(1, 8)), config)
        assert counts == [finish.cycles - begin.cycles]
        assert counts[0] > 20 * 100 * 3 / 3


# ---- several CPUs ----


def test_l2_events_are_those_of_the_cpu_that_counts_them() -> None:
    """CPU 0 starts CPU 1, which goes through memory, and waits in a loop; both count, and log."""
    events = (PmuEvent.L2D_CACHE, PmuEvent.L2D_CACHE_REFILL, PmuEvent.L2D_CACHE_WB, PmuEvent.INST_RETIRED)
    guest = PerfGuest()
    guest.caches_on()
    guest.count(*events)
    guest.mov(0, 0x8400_0003)  # PSCI CPU_ON
    guest.mov(1, 1)
    guest.mov_label(2, "other")
    guest.op(HVC)
    guest.loop(300_000)
    guest.log_counters(len(events))
    guest.exit()
    guest.label("other")
    guest.mov(11, FREE + 0x80_0000)
    guest.caches_on()
    guest.count(*events)
    stride(guest, 2, 40_000, 64, store(1, 8))
    guest.log_counters(len(events))
    guest.label("done")
    guest.b("done")
    with Machine(replace(CACHE, smp=2)) as machine:
        Tables(machine)
        guest.run(machine, max_insns=3_000_000)
        first, second = logged(machine)[:4], machine.read_phys(FREE + 0x80_0000, 16)
        l2 = machine.bill().l2
    other = [int.from_bytes(second[at : at + 4], "little") for at in range(0, 16, 4)]
    assert l2 is not None
    assert max(first[:3]) < 100
    assert other[1] > 60_000
    assert other[2] >= 40_000
    assert 0 <= l2.fills - first[1] - other[1] < 100
    assert 0 <= l2.accesses - first[0] - other[0] < 200
