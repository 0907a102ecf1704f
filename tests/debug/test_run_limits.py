"""A run that ends by a number of instructions does not end a CPU's turn: what follows is as without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pyemu.config import MachineConfig
from pyemu.debug import LiveTarget, Session
from pyemu.debug.control import Control
from pyemu.machine import Machine
from tests.conftest import ROOT

# Both CPUs of the guest run from about the 120,000th instruction on; a turn has 20,000.
LIMITS = (102_345, 7_777, 10_001, 100, 13_333, 12_121, 9_999, 20_000)


@pytest.fixture
def session() -> Iterator[Session]:
    machine = Machine(MachineConfig(smp=2))
    machine.load(ROOT / "firmware/elf/shootdown.elf")
    with Session(LiveTarget(machine, owned=True)) as made:
        yield made


def registers(session: Session) -> list[dict[str, Any]]:
    return [dict(session.target.registers(cpu)) for cpu in range(2)]


def test_going_back_to_where_a_limit_stopped_shows_every_cpu_as_it_was(session: Session) -> None:
    control = session.part(Control)
    seen = []
    for limit in LIMITS:
        control.resume(limit)
        seen.append((control.position, registers(session)))
    assert seen[-1][1][0]["pc"] != seen[0][1][0]["pc"]
    for position, values in reversed(seen):
        control.go_to(position)
        assert registers(session) == values


def test_a_run_in_pieces_is_the_run_in_one(session: Session) -> None:
    control = session.part(Control)
    for limit in LIMITS:
        control.resume(limit)
    pieces, place = registers(session), control.position
    with Machine(MachineConfig(smp=2)) as machine:
        machine.load(ROOT / "firmware/elf/shootdown.elf")
        whole = Session(LiveTarget(machine))
        whole.part(Control).resume(place.insns)
        assert whole.part(Control).position == place
        assert registers(whole) == pieces
