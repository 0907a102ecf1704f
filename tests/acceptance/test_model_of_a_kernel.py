"""The cycle model of a real kernel and its programs against the simulation of tests/machine/oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, StopReason
from pyemu.timing import read_core
from tests.acceptance.guest import Guest
from tests.acceptance.initramfs import PROMPT
from tests.machine.oracle.model import Oracle, counted, expected
from tests.machine.oracle.recorder import Recorder

pytestmark = pytest.mark.acceptance

SECONDS = 300

INSNS = 1_500_000


@pytest.fixture(scope="module")
def booted(debian: Callable[..., Guest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of Debian LPAE with a shell that has just been given a command to run."""
    guest = debian("armmp-lpae", "1G")
    path = tmp_path_factory.mktemp("kernel") / "booted"
    assert guest.kernel is not None
    assert guest.initrd is not None
    with Machine(MachineConfig(1024 * MIB)) as machine:
        machine.load(guest.kernel, initrd=guest.initrd.read_bytes(), append=guest.append)
        stop = machine.run(until=PROMPT.encode(), timeout=SECONDS)
        assert stop.reason is StopReason.CONSOLE
        machine.console.write(b"ls -lR /bin /proc/self | wc; cat /proc/meminfo\n")
        machine.snapshot(path)
    return path


@pytest.mark.parametrize("name", ["cortex-a15", "cortex-a7", "cortex-a9"])
def test_a_kernel_and_its_programs_miss_where_an_independent_simulation_says(name: str, booted: Path) -> None:
    core = read_core(name)
    with Machine.restore(booted, "cache", core) as machine:
        oracle = Oracle(machine, core, with_caches=True)
        recorder = Recorder(machine, oracle)
        machine.run(max_insns=INSNS)
        recorder.finish()
        assert recorder.problems == []
        found, right = counted(machine, 0), expected(oracle, 0)
        assert min(right.main) > 50
        assert machine.bill().cpus[0].executed.insns[0] > INSNS // 20  # programs too
        assert (found.micro, found.main, found.walk_hits) == (right.micro, right.main, right.walk_hits)
        assert (found.maintained, found.l1i) == (right.maintained, right.l1i)
        # Where replacement is random one line in another order changes all that follow.
        assert found.l1d == pytest.approx(right.l1d, rel=0.01)
        assert found.l2 == pytest.approx(right.l2, rel=0.02)
