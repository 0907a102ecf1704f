"""Guests that run for ever: Ctrl-C stops them wherever it comes, and their output fills no memory."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug import control as control_module
from pyemu.debug.control import Control
from pyemu.machine import Machine, StopReason
from tests.conftest import ROOT, pyemu_command
from tests.debug.bring_up import arm_machine, controlled
from tests.machine.images import SVC_HOST
from tests.machine.traps.guest import FREE, SMALL, WFI, Guest

BRANCH_TO_SELF = struct.pack("<I", 0xEAFFFFFE)


@pytest.mark.parametrize("command", ["c", "s 100000000"])
def test_one_ctrl_c_stops_the_guest_and_the_next_command_is_carried_out(command: str, tmp_path: Path) -> None:
    image = tmp_path / "loop.bin"
    image.write_bytes(BRANCH_TO_SELF)
    words = pyemu_command("debug", image, "-c", "where", "-c", command, "-c", "where")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=environment) as process:
        assert process.stdout is not None
        while "of guest time" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped" in out
    assert "of guest time" in out


@pytest.fixture
def endless() -> Iterator[tuple[Session, Control]]:
    machine = Machine(SMALL)
    machine.load(BRANCH_TO_SELF)
    session, control = controlled(machine)
    with session:
        yield session, control


def test_what_is_asked_between_two_slices_is_heard(endless: tuple[Session, Control]) -> None:
    session, control = endless
    session.machine.stop()
    assert control.resume().reason is StopReason.REQUESTED
    assert control.resume(1000).reason is StopReason.LIMIT


def test_a_way_back_that_is_stopped_says_where(
    endless: tuple[Session, Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, control = endless
    control.resume(100_000)
    monkeypatch.setattr(control_module, "SLICE_INSNS", 4096)
    session.machine.stop()
    with pytest.raises(UserError, match="stopped on the way back, at instruction "):
        session.execute("rs")
    assert control.step().reason is StopReason.STEP


def test_a_run_that_cannot_go_on_as_it_did_ends_and_says_so() -> None:
    """A place that was not reached: so many instructions, but more exceptions; and every CPU waits."""
    machine = Machine(SMALL)
    machine.load(struct.pack("<2I", WFI, 0xEAFFFFFE))
    session, control = controlled(machine)
    with session:
        assert control.resume(1000).reason is StopReason.DEADLOCK
        here = control.position
        with pytest.raises(UserError, match="the run was not the same again"):
            control.go_to(control_module.Position(here.insns, here.exceptions + 1))


def test_of_a_guest_that_prints_for_ever_the_latest_megabyte_is_shown() -> None:
    """SYS_WRITE of a megabyte to handle 1, which is the console, again and again."""
    guest = Guest()
    guest.mov(0, 5)
    guest.mov(1, FREE)
    guest.label("again")
    guest.op(SVC_HOST)
    guest.mov(0, 5)
    guest.b("again")
    machine = arm_machine(guest)
    machine.write_phys(FREE, struct.pack("<3I", 1, FREE + 0x1000, 1 << 20))
    machine.write_phys(FREE + 0x1000, b"line of the guest\n" * 0x10000)
    session, _ = controlled(machine)
    with session:
        found = session.execute("c 100")
        assert len(found.output) == 1 << 20
        assert found.left_out >= 4 << 20
        assert found.lines[0] == f"({found.left_out} bytes of output before are left out)"
        again = session.execute("c 100")
        assert 0 < again.left_out < 2 * found.left_out
