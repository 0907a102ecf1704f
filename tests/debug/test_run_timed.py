"""With a cycle model: stops change no cycle, and going back finds caches, TLBs and the bill as they were."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import GIB, MIB, MachineConfig
from pyemu.debug.control import Control, Watch
from pyemu.machine import Machine, StopReason
from pyemu.mmu import TlbArray
from pyemu.timing import read_core
from tests.bills import check_bill
from tests.debug.bring_up import IT_PROGRAM, PTE, THUMB, arm_machine, bring_up, controlled
from tests.debug.test_run_stops import state
from tests.machine.oracle.guests import make
from tests.machine.traps.guest import ELF, FREE, LOG, NOP, Guest, subs


def billed(machine: Machine) -> Any:
    """All that the model knows: the bill with every count, and what TLBs and caches hold."""
    bill = machine.bill()
    cpus = [replace(cpu, executed=replace(cpu.executed, code_decoded=0)) for cpu in bill.cpus]
    entries = [[cpu.tlb.entries(array) for array in TlbArray] for cpu in machine.cpus]
    return replace(bill, cpus=tuple(cpus)), entries


def firmware(name: str, timing: str, smp: int = 1) -> Machine:
    machine = Machine(MachineConfig(64 * MIB, smp=smp, timing=timing))  # type: ignore[arg-type]
    machine.load(ELF / f"{name}.elf")
    return machine


def stop_often(control: Control, dice: random.Random, stops: int, until: int) -> None:
    """So many stops of every kind on the way to an instruction."""
    machine, each = control.machine, (until - control.position.insns) // max(stops, 1) + 1
    for _ in range(stops):
        if control.ended or control.position.insns + 2 * each + 3000 > until:
            break
        kind = dice.randrange(5)
        if kind == 0:
            control._run(1, stop_at=control.position.insns + dice.randrange(1, 2 * each))
        elif kind == 1:
            for _ in range(dice.randrange(1, 12)):
                control.step()
        elif kind == 2:  # a place that is near
            control._run(1, stop_at=control.position.insns + dice.randrange(1, 40))
            here = machine.reg("pc") + dice.choice((0, 4, 8))
            with control.temporary_break(here):
                control.resume(min(2000, 2 * each))
        elif kind == 3:
            watch = Watch(machine.reg("sp") & ~3 & 0xFFFF_FFFF, 4, "rw")
            control.add(watch)
            control.resume(min(1000, 2 * each))
            control.remove(watch)
        else:
            machine.stats()
            control.resume(dice.randrange(1, 2 * each))
        if dice.randrange(10) == 0:
            control.touched()


def compare(make_machine: Callable[[], Machine], budget: int, stops: int, seed: object) -> None:
    with make_machine() as machine:
        machine.run(max_insns=budget)
        total = machine.stats().insns
    machine = make_machine()
    session, control = controlled(machine)
    with session:
        control._run(1, stop_at=total - 1)
        wanted = billed(machine), state(machine)
        printed = machine.console.read()
    machine = make_machine()
    session, control = controlled(machine)
    with session:
        stop_often(control, random.Random(str(seed)), stops, total)
        control._run(1, stop_at=total - 1)
        assert control.position.insns == total - 1
        assert (billed(machine), state(machine)) == wanted
        assert machine.console.read() == printed


@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize(
    ("name", "smp"), [("timer", 1), ("thumb", 1), ("faults", 1), ("user", 1), ("smc", 1), ("atomic", 3)]
)
def test_a_thousand_stops_of_firmware_change_no_cycle(name: str, smp: int, timing: str) -> None:
    compare(lambda: firmware(name, timing, smp), 3_000_000, 1000, name)


def places(control: Control, dice: random.Random, count: int) -> list[tuple[Any, Any]]:
    """Stops on the way, each with all that is known there; some have a checkpoint."""
    seen = []
    for number in range(count):
        control.resume(dice.randrange(1, 9000))
        if control.ended:
            break
        if number % 3 == 0:
            control.step()
        if number % 5 == 0:
            control.touched()
        seen.append((control.position, (billed(control.machine), state(control.machine))))
    return seen


@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize(
    ("name", "smp"), [("timer", 1), ("thumb", 1), ("smc", 1), ("user", 1), ("atomic", 2)]
)
def test_going_back_finds_the_cycle_model_as_it_was(name: str, smp: int, timing: str) -> None:
    machine = firmware(name, timing, smp)
    session, control = controlled(machine)
    with session:
        seen = places(control, random.Random(name), 20)
        for position, wanted in reversed(seen):
            control.go_to(position)
            assert (billed(machine), state(machine)) == wanted


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    core=st.sampled_from(["cortex-a15", "cortex-a7", "cortex-a9"]),
    timing=st.sampled_from(["tlb", "cache"]),
)
def test_stops_of_any_guest_change_no_cycle(seed: int, core: str, timing: str) -> None:
    config = MachineConfig(16 * MIB, timing=timing)  # type: ignore[arg-type]
    compare(lambda: make(config, read_core(core), seed), 20_000, 40, seed)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), timing=st.sampled_from(["tlb", "cache"]))
def test_any_guest_can_be_gone_back_in(seed: int, timing: str) -> None:
    machine = make(MachineConfig(16 * MIB, timing=timing), read_core("cortex-a15"), seed)  # type: ignore[arg-type]
    session, control = controlled(machine)
    with session:
        seen = places(control, random.Random(seed), 8)
        for position, wanted in reversed(seen):
            control.go_to(position)
            assert (billed(machine), state(machine)) == wanted


def long_block() -> Guest:
    """A loop of 200 LDM: the engine's buffer is full before the block is over, earlier with hooks in it."""
    guest = Guest()
    guest.mov(0, LOG)
    guest.mov(12, 40)
    guest.label("loop")
    guest.op(*[0xE890_0FFE] * 200)  # ldm r0, {r1-r11}
    guest.op(subs(12, 12, 1))
    guest.b("loop", "ne")
    guest.exit()
    return guest


@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_stops_in_blocks_that_the_engine_cuts_by_their_length_change_no_cycle(timing: str) -> None:
    config = MachineConfig(16 * MIB, timing=timing)  # type: ignore[arg-type]
    compare(lambda: arm_machine(long_block(), config), 7000, 100, "long")


def test_stops_do_not_move_where_a_long_block_is_cut() -> None:
    """Only there are interrupts taken."""
    plain = set()
    with arm_machine(long_block()) as machine:
        while machine.run(max_insns=1).reason is StopReason.LIMIT:  # ends with a block
            plain.add(machine.stats().insns)
    session, control = controlled(arm_machine(long_block()))
    dice = random.Random(5)
    with session:
        for _ in range(60):
            for _ in range(dice.randrange(3)):
                control.step()
            control._run(1, stop_at=control.position.insns + dice.randrange(1, 80))
            session.machine.run(max_insns=1)
            assert control.position.insns in plain


@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_reverse_steps_undo_steps_and_their_cycles(timing: str) -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest, MachineConfig(16 * MIB, timing=timing)))  # type: ignore[arg-type]
    with session:
        control.add(guest.address_of("pte_store"))
        control.resume()
        trail = []
        for _ in range(30):
            trail.append((control.position, control.pc(0), billed(session.machine), state(session.machine)))
            control.step()
        for wanted in reversed(trail):
            control.reverse_step()
            machine = session.machine
            assert (control.position, control.pc(0), billed(machine), state(machine)) == wanted


@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_running_back_finds_the_store_to_a_descriptor_and_the_tlb_of_then(timing: str) -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest, MachineConfig(16 * MIB, timing=timing)))  # type: ignore[arg-type]
    with session:
        control.add(guest.address_of("pte_store"))
        control.resume()
        there = billed(session.machine), state(session.machine)
        control.remove(guest.address_of("pte_store"))
        control.resume()
        assert billed(session.machine) != there[0]
        control.add(Watch(PTE, 8, "w", True))
        halt = control.reverse_continue()
        assert halt.pc == guest.address_of("pte_store")
        assert (billed(session.machine), state(session.machine)) == there


def test_a_step_through_it_blocks_is_billed_as_a_run() -> None:
    def thumb(timing: str) -> Machine:
        machine = Machine(MachineConfig(16 * MIB, timing=timing))  # type: ignore[arg-type]
        machine.load(struct.pack(f"<{len(IT_PROGRAM)}H", *IT_PROGRAM))
        machine.reset(THUMB | 1)
        return machine

    for timing in ("tlb", "cache"):
        with thumb(timing) as machine:
            machine.run(max_insns=500)
            total = machine.stats().insns
            wanted = billed(machine), state(machine)
        session, control = controlled(thumb(timing))
        with session:
            while control.position.insns < total:
                control.step()
            assert (billed(session.machine), state(session.machine)) == wanted


def test_the_bill_at_a_stop_has_all_that_was_executed() -> None:
    session, control = controlled(arm_machine(long_block(), MachineConfig(16 * MIB, timing="tlb")))
    with session:
        cycles = 0
        for _ in range(60):
            control.step()
            bill = session.machine.bill()
            assert bill.insns == control.position.insns
            assert cycles <= bill.cycles <= bill.insns * 300
            cycles = bill.cycles
        assert cycles > 60


def test_table_stores_that_are_recorded_reach_the_caches() -> None:
    """`history` sends them through a window; the model must see the memory behind it."""
    with Machine(MachineConfig(GIB, timing="cache")) as machine:
        machine.load(ELF / "lpae.elf")
        machine.run(max_insns=3_000_000)
        wanted = billed(machine), state(machine)
    machine = Machine(MachineConfig(GIB, timing="cache"))
    machine.load(ELF / "lpae.elf")
    session, control = controlled(machine)
    with session:
        control.machine.run(max_insns=3_000_000)
        assert (billed(machine), state(machine)) == wanted


@pytest.mark.parametrize("insns", [50, 51, 52])
def test_a_block_that_is_left_for_where_nothing_can_be_fetched_is_forgotten(insns: int) -> None:
    """Within a block, to outside memory, to a loop of three instructions; then that is written."""
    guest = Guest()
    guest.op(NOP, NOP, NOP, NOP, NOP)
    guest.exit()
    machine = arm_machine(guest, MachineConfig(16 * MIB, timing="tlb"))
    loop = struct.pack("<3I", NOP, NOP, 0xEAFFFFFC)
    machine.write_phys(FREE, loop)
    session, control = controlled(machine)
    with session:
        control.step()
        control.step()
        machine.set_reg("pc", 0xB000_0000)
        control.touched()
        control.step()
        assert machine.reg("lr_abt") == 0xB000_0004
        machine.set_reg("pc", FREE)
        control.touched()
        control.resume(insns)
        machine.write_phys(FREE, loop)
        assert control.resume(50).reason is StopReason.LIMIT
        check_bill(machine)
