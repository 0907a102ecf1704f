"""With a cycle model: stops change no cycle, and going back finds caches, TLBs and the bill as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.debug.control import Control, Watch
from pyemu.machine import Machine
from pyemu.mmu import TlbArray
from tests.debug.bring_up import controlled
from tests.debug.test_run_stops import state
from tests.machine.traps.guest import ELF


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
    machine, each = control.machine, max((until - control.position.insns) // stops, 1)
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
            machine.bill()
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
