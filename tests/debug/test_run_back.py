"""Going back: the machine is as it was, and the run from there is the same again."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyemu.config import MachineConfig
from pyemu.debug import control as control_module
from pyemu.debug.control import Watch
from pyemu.machine import Machine, StopReason
from tests.debug.bring_up import PTE, arm_machine, bring_up, controlled
from tests.debug.test_run_stops import state
from tests.machine.traps.guest import ELF, FREE, NOP, SMALL, Guest, add


@pytest.mark.parametrize(
    ("name", "smp"), [("timer", 1), ("thumb", 1), ("smc", 1), ("user", 1), ("atomic", 2)]
)
def test_every_place_of_a_run_can_be_gone_back_to(name: str, smp: int) -> None:
    machine = Machine(MachineConfig(64 << 20, smp=smp))
    machine.load(ELF / f"{name}.elf")
    session, control = controlled(machine)
    dice = random.Random(name)
    with session:
        seen = []
        for number in range(20):
            control.resume(dice.randrange(1, 9000))
            if control.ended:
                break
            if number % 3 == 0:
                control.step()
            if number % 5 == 0:
                control.touched()
            seen.append((control.position, state(machine)))
        for position, wanted in reversed(seen):
            control.go_to(position)
            assert state(machine) == wanted


def test_reverse_steps_undo_steps_through_an_exception() -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(guest.address_of("pte_store"))
        control.resume()
        trail = []
        for _ in range(30):
            trail.append((control.position, control.pc(0), state(session.machine)))
            control.step()
        for wanted in reversed(trail):
            control.reverse_step()
            assert (control.position, control.pc(0), state(session.machine)) == wanted


def test_reverse_step_on_two_cpus_goes_back_on_the_one_that_is_looked_at() -> None:
    machine = Machine(MachineConfig(64 << 20, smp=2))
    machine.load(ELF / "atomic.elf")
    session, control = controlled(machine)
    with session:
        control._run(1, stop_at=400_000)
        for cpu in (0, 1):
            control.step(cpu)
            before, wanted = control.position, control.machine.cpus[cpu].regs.group("core")
            control.step(cpu)
            assert control.position > before
            control.reverse_step(cpu)
            assert control.machine.cpus[cpu].regs.group("core") == wanted


def test_running_back_finds_the_latest_store_to_a_descriptor() -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        assert control.resume().reason is StopReason.EXIT
        control.add(Watch(PTE, 8, "w", True))
        halt = control.reverse_continue()
        assert (halt.reason, halt.pc) == (StopReason.WATCHPOINT, guest.address_of("pte_store"))
        assert control.pc(0) == halt.pc
        assert session.memory.read(PTE, 8) == bytes(8)
        again = control.resume()
        assert again.hit is not None
        assert again.hit.pc == halt.pc


def test_running_back_stops_at_breakpoints_latest_first_and_at_the_beginning() -> None:
    guest = bring_up(5)
    session, control = controlled(arm_machine(guest))
    with session:
        start = state(session.machine)
        control.resume()
        control.add(guest.address_of("loop"))
        left = []
        while not (halt := control.reverse_continue()).history_end:
            assert halt.reason is StopReason.BREAKPOINT
            left.append(session.machine.reg("r8"))
        assert left == [1, 2, 3, 4, 5]
        assert state(session.machine) == start
        assert control.reverse_step().history_end


def test_what_came_from_outside_is_kept_by_a_checkpoint() -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(guest.address_of("loop"))
        control.resume()
        session.machine.set_reg("r9", 0x77)
        control.touched()
        here = control.position
        control.step()
        control.step()
        control.go_to(here)
        assert session.machine.reg("r9") == 0x77
        control.reverse_step()
        assert control.position < here
        assert session.machine.reg("r9") == 0


def test_memory_that_was_changed_from_outside_is_as_it_was_before() -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(guest.address_of("loop"))
        control.resume()
        before = list(session.memory.content())
        here = control.position
        session.memory.write(guest.origin + 0x9000, b"poked")
        control.touched()
        control.step()
        control.go_to(control_module.Position(here.insns - 1, here.exceptions))
        control.step()
        assert list(session.memory.content()) == before


def test_the_way_back_stays_whole_when_checkpoints_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "MAX_CHECKPOINTS", 6)
    machine = Machine(SMALL)
    machine.load(ELF / "timer.elf")
    session, control = controlled(machine)
    with session:
        seen = []
        for _ in range(25):
            control.resume(3000)
            control.touched()
            seen.append((control.position, state(machine)))
        assert len(control.checkpoints()) <= 6
        for position, wanted in reversed(seen):
            if position >= control.checkpoints()[0][0]:
                control.go_to(position)
                assert state(machine) == wanted


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 1500), min_size=1, max_size=8))
def test_any_order_of_places_is_the_same_run(places: list[int]) -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        wanted = {}
        for place in sorted(set(places)):
            if place > control.position.insns:
                control._run(1, stop_at=place)
            wanted[place] = (control.position, control.machine.cpus[0].regs.group("core"))
        for place in places:
            position, registers = wanted[place]
            control.go_to(position)
            assert control.machine.cpus[0].regs.group("core") == registers


def _two_counters() -> Guest:
    """Adds to one word and then to another, with LDREX and STREX far apart; r8 counts STREX that failed."""
    guest = Guest()
    guest.mov(4, FREE)
    guest.mov(5, FREE + 0x100)
    guest.mov(8, 0)
    for base in (4, 5):
        guest.label(f"again{base}")
        guest.op(0xE1900F9F | base << 16)  # ldrex r0, [base]
        guest.b(f"change{base}")
        guest.label(f"change{base}")
        guest.op(add(0, 0, 1), NOP, 0xE1801F90 | base << 16)  # strex r1, r0, [base]
        guest.op(0xE3510000, 0x12888001)  # cmp r1, #0; addne r8, r8, #1
        guest.b(f"again{base}", "ne")
    guest.exit()
    return guest


@pytest.mark.parametrize("timing", ["off", "tlb", "cache"])
def test_between_a_load_exclusive_and_its_store_the_monitor_is_as_it_was(timing: str) -> None:
    session, control = controlled(arm_machine(_two_counters(), replace(SMALL, timing=timing)))
    with session:
        seen = []
        while control.ended is None:
            control.touched()
            seen.append((control.position, state(session.machine)))
            control.step()
        failed = session.machine.cpus[0].regs["r8"]
        assert failed == 0
        for position, wanted in reversed(seen):
            control.go_to(position)
            assert state(session.machine) == wanted
            assert control.resume().reason is StopReason.EXIT
            assert session.machine.cpus[0].regs["r8"] == failed
