"""A Linux boot that is saved to a file anywhere and restored goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pyemu.config import MachineConfig, parse_memory
from pyemu.machine import Machine, StopReason
from tests.acceptance.guest import Guest

pytestmark = pytest.mark.acceptance

# Odd numbers, so that a run ends inside a block, a quantum and a slice of the host's.
CUTS = (1, 99_999_989, 654_321_987)


def load(guest: Guest) -> Machine:
    machine = Machine(MachineConfig(parse_memory(guest.memory), smp=guest.cpus))
    machine.load(guest.kernel, initrd=guest.initrd.read_bytes(), append=guest.append)  # type: ignore[union-attr]
    return machine


def run_to_poweroff(machine: Machine) -> bytes:
    stop = machine.run(max_insns=6_000_000_000)
    assert stop.reason is StopReason.POWEROFF
    return machine.console.read()


@pytest.mark.parametrize(
    ("flavour", "cpus"), [("armmp-lpae", 1), ("armmp-lpae", 2), ("armmp", 1)], ids=lambda value: str(value)
)
def test_a_boot_that_is_saved_and_restored_ends_as_one_that_ran_through(
    debian: Callable[..., Guest], flavour: str, cpus: int, tmp_path: Path
) -> None:
    """Console, instructions, guest time, interrupts and faults are the same.

    Walks and fills may differ: a restored machine starts with cold TLBs.
    """
    guest = replace(debian(flavour, "512M", cpus), append="console=ttyAMA0 rdinit=/boot-only")
    with load(guest) as machine:
        console, stats = run_to_poweroff(machine), machine.stats()
    assert b"init: up" in console

    machine, parts = load(guest), b""
    for number, cut in enumerate(CUTS):
        machine.run(max_insns=cut - machine.stats().insns)
        parts += machine.console.read()
        machine.snapshot(tmp_path / f"{number}")
        machine.close()
        machine = Machine.restore(tmp_path / f"{number}")
    with machine:
        parts += run_to_poweroff(machine)
        restored = machine.stats()
    assert parts == console
    counted = ("insns", "time_ns", "irqs", "data_aborts", "prefetch_aborts", "undefs", "svcs", "wfi", "mmio")
    assert {name: restored[name] for name in counted} == {name: stats[name] for name in counted}
