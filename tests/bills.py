"""In every test: the bill of each machine with timing adds up when the machine is closed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyemu.machine import Machine


def check_bill(machine: Machine) -> None:
    """Categories of a machine with timing add up to its cycles, exactly; every instruction is billed once."""
    from pyemu.timing import Cost

    bill = machine.bill()
    for cpu in bill.cpus:
        billed = sum(charge.cycles for side in (cpu.user, cpu.kernel) for charge in side.values())
        assert billed == cpu.cycles, (
            f"CPU {cpu.number}: categories of {billed} cycles, a clock of {cpu.cycles}"
        )
        sides = zip((cpu.user, cpu.kernel), cpu.executed.insns, strict=True)
        for side, insns in sides:
            assert side[Cost.INSTRUCTIONS].events == insns
    assert bill.cycles == sum(charge.cycles for charge in bill.charges.values())


def watch_machines() -> None:
    """Check each machine of this process when it is closed."""
    from pyemu.machine.machine import Machine

    if getattr(Machine.close, "checks_bill", False):
        return
    close = Machine.close

    def checked(machine: Machine) -> None:
        try:
            if machine._handle is not None and machine.config.timing != "off":
                check_bill(machine)
        finally:
            close(machine)

    checked.checks_bill = True  # type: ignore[attr-defined]
    Machine.close = checked  # type: ignore[method-assign]


def watch_boot() -> None:
    """Check the machine that `pyemu boot` makes; imports nothing before it does."""
    from pyemu.cli import boot

    make = boot._make_machine

    def made(args: argparse.Namespace) -> Machine:
        machine = make(args)
        watch_machines()
        return machine

    boot._make_machine = made
