"""A machine with a cycle model, from Python: what can be looked at, cores, time, snapshots."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyemu.config import MIB, MachineConfig, UserError
from pyemu.machine import Machine, StopReason
from pyemu.machine.snapshot import Snapshot, write_snapshot
from pyemu.mmu import Access, TlbArray, TlbInvalidate
from pyemu.native import lib
from pyemu.timing import CacheLevel, CacheOperation, Core, Cost, read_core
from tests.firmware.blobs import FIRMWARE
from tests.machine.images import RAM, words
from tests.machine.small_guests import SELF, SVC, VBAR, VECTORS, cp15, load
from tests.machine.timed_guests import FIRST, strides, timed

SMALL = MachineConfig(16 * MIB)
LOOP = words(0xE2800001, 0xEAFFFFFD)  # add r0, r0, #1; b .-4
STORE = 0xE5854000  # str r4, [r5]


# ---- what can be looked at ----

VIEWS: dict[str, Callable[[Machine], Any]] = {
    "bill": lambda m: m.bill(),
    "ledger": lambda m: m.ledger,
    "modelled TLB": lambda m: m.cpus[0].tlb,
    "branch predictor": lambda m: m.cpus[0].predictor,
    "count by privilege": lambda m: m.cpus[0].executed(),
    "modelled cache": lambda m: m.caches,
}


@pytest.mark.parametrize("what", VIEWS)
def test_without_a_model_a_machine_says_what_would_have_it(what: str) -> None:
    with Machine(SMALL) as machine:
        assert machine.core is None
        with pytest.raises(UserError, match=f'no {what} with timing "off": timing .*"cache" would have it'):
            VIEWS[what](machine)


def test_without_modelled_caches_there_is_all_but_them() -> None:
    with timed(strides(4096, 4, 2), timing="tlb") as machine:
        assert all(view(machine) for name, view in VIEWS.items() if name != "modelled cache")
        with pytest.raises(UserError, match='no modelled cache with timing "tlb": timing "cache"'):
            _ = machine.caches
        bill = machine.bill()
        assert (bill.l2, bill.cpus[0].l1i, bill.cpus[0].l1d) == (None, None, None)
        assert bill.charges[Cost.DRAM].events == bill.charges[Cost.L2].events == 0
        assert bill.charges[Cost.MAIN_TLB].events > 0


def test_tlb_entries_are_those_of_the_pages_that_the_guest_used() -> None:
    with timed(strides(4096, 8, 3)) as machine:
        tlb = machine.cpus[0].tlb
        pages = [FIRST + 4096 * page for page in range(8)]
        held = {entry.va: entry for entry in tlb.entries(TlbArray.LOAD)}
        assert set(pages) <= set(held)
        for entry in held.values():
            assert machine.translate(entry.va).pa == entry.pa
        assert RAM in {entry.va for entry in tlb.entries(TlbArray.INSTRUCTION)}
        stats = tlb.stats()
        assert stats.micro_misses[Access.READ] == stats.main_misses[Access.READ] == 8


def test_caches_hold_what_the_guest_loaded_and_stored() -> None:
    with timed(strides(64, 100, 2, STORE)) as machine:
        for line in range(100):
            assert machine.caches.is_dirty(CacheLevel.L1D, FIRST + 64 * line)
        assert not machine.caches.holds(CacheLevel.L1D, FIRST + 64 * 100)
        stats = machine.caches.stats(CacheLevel.L1D)
        assert (stats.write_misses, stats.writes) == (100, 200)
        assert stats == machine.bill().cpus[0].l1d
        assert machine.caches.holds(CacheLevel.L1I, RAM)


def test_the_ledger_and_the_bill_say_the_same() -> None:
    with timed(strides(4096, 100, 2)) as machine:
        bill = machine.bill()
        assert bill.cycles == machine.ledger.clock(0) > 0
        assert bill.cpus[0].kernel == bill.kernel == machine.ledger.bill(privileged=True)
        assert bill.insns == machine.stats().insns == bill.charges[Cost.INSTRUCTIONS].events
        with pytest.raises(ValueError, match="no CPU 1"):
            machine.ledger.clock(1)


def test_what_belongs_to_a_machine_is_changed_by_its_guest_only() -> None:
    with timed(strides(4096, 4, 1)) as machine:
        tlb, fresh = machine.cpus[0].tlb, machine.translate(FIRST)
        changes: list[Callable[[], object]] = [
            lambda: machine.ledger.add(Cost.LOCKS, 1),
            lambda: machine.caches.access(FIRST),
            lambda: machine.caches.access_many([FIRST]),
            lambda: machine.caches.maintain(CacheOperation.CLEAN),
            lambda: machine.caches.maintain(CacheOperation.CLEAN, FIRST),
            lambda: machine.caches.invalidate_fetch(),
            lambda: tlb.invalidate(TlbInvalidate.ALL),
            lambda: tlb.context_changed(),
            lambda: tlb.access(FIRST, fresh),
            lambda: tlb.replay(machine.mem, machine.regime(), [FIRST]),
            lambda: machine.cpus[0].predictor.replay([]),
        ]
        before = machine.bill()
        for change in changes:
            with pytest.raises(ValueError, match="belongs to a machine: only its guest changes it"):
                change()
        assert machine.bill() == before


def test_a_view_keeps_its_machine_and_ends_with_it() -> None:
    tlb = timed(strides(4096, 8, 1)).cpus[0].tlb
    gc.collect()
    assert len(tlb.entries()) >= 8
    machine = timed(strides(4096, 8, 1))
    views = (machine.cpus[0].tlb.stats, machine.ledger.clock, machine.cpus[0].predictor.stats)
    caches = machine.caches
    machine.close()
    for view in (*views, lambda: caches.stats(CacheLevel.L2)):
        with pytest.raises(ValueError, match="the machine is closed"):
            view()


def test_stale_hits_can_be_watched_on_a_running_machine() -> None:
    with timed(strides(4096, 4, 10_000), insns=2000) as machine:
        tlb = machine.cpus[0].tlb
        tlb.detect_stale()
        machine.run(max_insns=2000)
        assert tlb.stats().stale == 0


# ---- cores and time ----


def test_the_core_is_that_of_the_cpu_unless_another_one_is_named() -> None:
    for config, name in (
        (MachineConfig(16 * MIB, timing="tlb"), "cortex-a15"),
        (MachineConfig(16 * MIB, "cortex-a7", timing="tlb"), "cortex-a7"),
        (MachineConfig(16 * MIB, "cortex-a7", timing="cache", core="cortex-a9"), "cortex-a9"),
    ):
        with Machine(config) as machine:
            assert machine.core == read_core(name)
            assert machine.bill().clock_hz == read_core(name)["clock_hz"]


def test_a_core_that_does_not_exist_is_one_line_before_anything_runs() -> None:
    with pytest.raises(UserError, match="no core 'cortex-a8': there are cortex-a15"):
        Machine(MachineConfig(16 * MIB, timing="tlb", core="cortex-a8"))


@pytest.mark.parametrize("name", ["cortex-a15", "cortex-a7", "cortex-a9"])
@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_guest_time_is_the_cycles_of_a_cpu_that_never_waits(name: str, timing: str) -> None:
    with timed(strides(4096, 600, 3), core=read_core(name), timing=timing) as machine:
        bill = machine.bill()
        assert bill.cycles > 0
        assert abs(machine.time_ns - bill.cycles * 10**9 / bill.clock_hz) < 2


def test_two_runs_have_the_same_bill() -> None:
    bills = []
    for _ in range(2):
        with timed(strides(4096, 900, 5), smp=2) as machine:
            bills.append(machine.bill())
    assert bills[0] == bills[1]
    assert bills[0].as_dict() == bills[1].as_dict()


def test_a_run_in_pieces_has_the_bill_of_one_in_one_piece() -> None:
    with timed(strides(64, 5000, 2), insns=30_000) as whole, timed(strides(64, 5000, 2), insns=7) as cut:
        while cut.stats().insns < whole.stats().insns:
            cut.run(max_insns=min(1013, whole.stats().insns - cut.stats().insns))
        assert cut.bill() == whole.bill()


SVC_LOOP = [*load(8, 500), SVC, 0xE2588001, 0x1AFFFFFC, SELF]  # 1: svc; subs r8, r8, #1; bne 1b

MOVES = [
    ("micro_load.miss_cycles", 5, strides(4096, 100, 9), {Cost.MICRO_TLB}),
    ("main_tlb.miss_cycles", 5, strides(4096, 900, 3), {Cost.MAIN_TLB}),
    ("pipeline.mispredict_cycles", 5, strides(4096, 3, 99), {Cost.BRANCHES}),
    ("l2.hit_cycles", 5, strides(4096, 900, 3), {Cost.WALK}),
    ("system.exception_entry_cycles", 5, SVC_LOOP, {Cost.EXCEPTIONS}),
    ("system.exception_return_cycles", 5, SVC_LOOP, {Cost.EXCEPTIONS}),
    ("latency.divide_cycles", 5, strides(4096, 100, 9), set()),
    ("clock_hz", 10**9, strides(4096, 100, 9), set()),
]


@pytest.mark.parametrize(("key", "more", "code", "categories"), MOVES, ids=[move[0] for move in MOVES])
def test_a_parameter_moves_only_the_categories_that_it_should(
    key: str, more: int, code: list[int], categories: set[Cost]
) -> None:
    core = read_core("cortex-a15")
    bills = []
    for which in (core, core.with_values({key: core[key] + more})):
        with timed(code, which, timing="tlb") as machine:
            bills.append(machine.bill())
    before, after = (bill.charges for bill in bills)
    assert {cost for cost in Cost if before[cost].cycles != after[cost].cycles} == categories
    for cost in Cost:
        assert before[cost].events == after[cost].events
    for cost in categories:
        assert after[cost].cycles > before[cost].cycles


def test_dram_latency_moves_only_what_waits_for_memory() -> None:
    core = read_core("cortex-a7")
    charges = []
    for ns in (80, 180):
        with timed(strides(64, 20_000, 1), core.with_values({"memory.dram_ns": ns})) as machine:
            charges.append(machine.bill().charges)
    before, after = charges
    moved = {cost for cost in Cost if before[cost] != after[cost]}
    assert moved == {Cost.DRAM, Cost.WALK}


# ---- reset and snapshots ----


def test_a_reset_begins_a_new_bill() -> None:
    with timed(strides(4096, 50, 2), insns=2000) as machine:
        first, tlb, ledger = machine.bill(), machine.cpus[0].tlb, machine.ledger
        machine.reset(RAM)
        assert (tlb.entries(), ledger.clock()) == ([], 0)
        assert machine.bill().cycles == machine.bill().insns == 0
        machine.run(max_insns=2000)
        assert machine.bill() == first
        assert ledger.clock() == first.cycles


@pytest.mark.parametrize("before", ["off", "tlb", "cache"])
@pytest.mark.parametrize("after", ["off", "tlb", "cache"])
def test_timing_can_be_chosen_anew_and_the_guests_time_goes_on(
    before: str, after: str, tmp_path: Path
) -> None:
    with timed(strides(64, 100, 10_000), timing=before, insns=50_001) as machine:
        machine.snapshot(tmp_path / "m")
        then, r8 = machine.stats(), machine.reg("r8")
    with Machine.restore(tmp_path / "m", after) as machine:  # type: ignore[arg-type]
        assert machine.config.timing == after
        assert (machine.stats().insns, machine.time_ns) == (then.insns, then.time_ns)
        if after != "off":
            assert machine.bill().cycles == machine.bill().insns == 0
        stop = machine.run(max_insns=100_000)
        assert stop.reason is StopReason.LIMIT
        assert machine.reg("r8") < r8
        passed = machine.time_ns - then.time_ns
        if after == "off":
            assert passed == stop.insns
        else:
            bill = machine.bill()
            assert bill.insns == stop.insns
            assert abs(passed - bill.cycles * 10**9 / bill.clock_hz) < 2


def test_a_snapshot_keeps_its_timing_and_its_core(tmp_path: Path) -> None:
    own = read_core("cortex-a9").with_values({"l2.hit_cycles": 31}, name="mine")
    with timed(strides(64, 100, 10), core=own) as machine:
        machine.snapshot(tmp_path / "m")
    with Machine.restore(tmp_path / "m") as machine:
        assert (machine.config.timing, machine.core) == ("cache", own)
        machine.run(max_insns=100)
        machine.snapshot(tmp_path / "again")
    with Machine.restore(tmp_path / "again", core="cortex-a7") as machine:
        assert machine.core == read_core("cortex-a7")
    with Machine.restore(tmp_path / "m", core=own.with_values({"l2.hit_cycles": 32})) as machine:
        assert machine.core is not None
        assert machine.core["l2.hit_cycles"] == 32


def test_a_snapshot_does_not_need_the_file_that_its_core_came_from(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[mine]\nbase = "cortex-a7"\n')
    config = MachineConfig(16 * MIB, timing="tlb", core_file=tmp_path / "own.toml")
    with Machine(config) as machine:
        machine.load(LOOP)
        machine.run(max_insns=100)
        machine.snapshot(tmp_path / "m")
    (tmp_path / "own.toml").unlink()
    with Machine.restore(tmp_path / "m") as machine:
        assert machine.core is not None
        assert (machine.core.name, machine.core.base) == ("mine", "cortex-a7")
    assert str(tmp_path).encode() not in (tmp_path / "m").read_bytes()


def test_a_timing_that_does_not_exist_is_refused_on_restore_too(tmp_path: Path) -> None:
    with timed(LOOPING, timing="off") as machine:
        machine.snapshot(tmp_path / "m")
    with pytest.raises(UserError, match="timing 'caches' is not known: off, tlb, cache are"):
        Machine.restore(tmp_path / "m", "caches")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no core 'cortex-a8'"):
        Machine.restore(tmp_path / "m", "tlb", "cortex-a8")


LOOPING = [SELF]


def test_a_core_in_a_snapshot_that_cannot_be_is_damage(tmp_path: Path) -> None:
    with timed(LOOPING) as machine:
        machine.snapshot(tmp_path / "m")
    with Snapshot(tmp_path / "m") as saved:
        meta, state = saved.meta, saved.state
    bad: list[Any] = [3, "cortex-a15", [], {}, {**meta["core"], "name": "a\nb"}, {**meta["core"], "base": 1}]
    parameters = meta["core"]["parameters"]
    for change in ({"l2.hit_cycles": 3}, {"l2": {"value": 1}}, {"l2.hit_cycles.x": parameters["clock_hz"]}):
        bad.append({**meta["core"], "parameters": {**parameters, **change}})
    entry = {**parameters["l1d.size_bytes"], "value": 30_000}
    bad.append({**meta["core"], "parameters": {**parameters, "l1d.size_bytes": entry}})
    for core in bad:
        write_snapshot(tmp_path / "bad", {**meta, "core": core}, state, [])
        with pytest.raises(UserError, match="bad: damaged snapshot: ") as caught:
            Machine.restore(tmp_path / "bad")
        assert "\n" not in str(caught.value)
    config = {**meta["config"], "core_file": "/etc/passwd"}
    write_snapshot(tmp_path / "bad", {**meta, "config": config}, state, [])
    with pytest.raises(UserError, match="bad: damaged snapshot"):
        Machine.restore(tmp_path / "bad")


def test_a_core_from_a_snapshot_is_the_core_that_was_saved() -> None:
    for name in ("cortex-a15", "cortex-a7", "cortex-a9"):
        core = read_core(name)
        assert Core.from_dict(core.as_dict()) == core


def test_an_exception_and_its_return_are_billed_once_each() -> None:
    with timed(SVC_LOOP, timing="tlb") as machine:
        executed = machine.cpus[0].executed()
        assert (executed.exceptions, executed.exception_returns) == (500, 500)
        core = machine.core
        assert core is not None
        each = core["system.exception_entry_cycles"] + core["system.exception_return_cycles"]
        charge = machine.bill().charges[Cost.EXCEPTIONS]
        assert (charge.cycles, charge.events) == (500 * each, 1000)


def test_a_view_of_the_model_is_good_after_a_reset() -> None:
    with Machine(MachineConfig(memory_bytes=64 << 20, timing="cache")) as machine:
        machine.load(FIRMWARE / "elf/hello.elf")
        ledger, caches = lib.pe_machine_ledger(machine.handle), lib.pe_machine_caches(machine.handle)
        machine.run(max_insns=50_000)
        first = machine.bill()
        assert lib.pe_ledger_cycles(ledger, 0) == first.cycles > 0
        machine.load(FIRMWARE / "elf/hello.elf")
        assert lib.pe_machine_ledger(machine.handle) == ledger
        assert lib.pe_machine_caches(machine.handle) == caches
        assert lib.pe_ledger_cycles(ledger, 0) == 0
        machine.run(max_insns=50_000)
        assert machine.bill() == first


def test_a_block_that_writes_over_itself_and_aborts_is_counted_by_what_is_there_then() -> None:
    """Three wide instructions become six while they run: more than the whole block had."""
    at, nowhere, two_nops = RAM + 0x4000, 0x0F00_0000, 0xBF00_BF00
    start = [*load(0, at | 1), *load(1, at), *load(3, nowhere)]
    for register in (4, 5, 6):
        start += load(register, two_nops)
    wide_nop = 0x8000_F3AF
    with Machine(MachineConfig(16 * MIB, timing="tlb")) as machine:
        machine.write_phys(VECTORS, words(*[SELF] * 8))
        machine.write_phys(RAM, words(*cp15(VBAR, VECTORS), *start, 0xE12FFF10))
        # stmia r1!, {r4, r5, r6}; ldr r2, [r3]; b .
        machine.write_phys(at, words(*[wide_nop] * 3, 0x681A_C170, 0xE7FE))
        machine.reset(RAM)
        stop = machine.run(max_insns=500)
        assert machine.stats().data_aborts == 1
        assert 500 <= stop.insns < 510
        assert machine.bill().insns == machine.stats().insns
