"""Random guests and damaged input end with a result: a few here, 100,000 guests in ``make fuzz``."""

from __future__ import annotations

import os
import random
import sys

import pytest

from pyemu.machine import Machine
from tests.fuzz.blobs import Campaign, boot, clean, machine_config
from tests.fuzz.damage import damage
from tests.fuzz.guests import BLOB_BYTES, MIXES, make_guest
from tests.fuzz.inputs import TARGETS, fuzz
from tests.fuzz.values import LOAD

BLOBS = int(os.environ.get("PYEMU_FUZZ_BLOBS", "400"))
INPUTS = int(os.environ.get("PYEMU_FUZZ_INPUTS", "100"))


@pytest.mark.parametrize("mix", MIXES)
def test_random_guests_end_with_a_stop_reason(mix: str) -> None:
    report = Campaign(seed=2, mix=mix).run(0, BLOBS // len(MIXES))
    assert report.findings == []
    assert report.cases == BLOBS // len(MIXES)


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_input_works_or_is_refused_in_one_line(target: str) -> None:
    results = fuzz(target, seed=2, first=0, count=INPUTS)
    assert results["refused"] > 0
    assert results["accepted"] > 0


def test_a_guest_runs_alike_on_two_machines() -> None:
    for index in range(0, 40, 5):
        ends = []
        for _ in range(2):
            with Machine(machine_config(3, index)) as machine:
                reason = boot(machine, make_guest(3, index))
                ends.append((reason, machine.stats(), [dict(cpu.regs) for cpu in machine.cpus]))
        assert ends[0] == ends[1]


def test_a_cleaned_machine_has_no_memory_of_the_guest_before() -> None:
    with Machine(machine_config(4, 0)) as machine:
        guest = make_guest(4, 3, "system")
        boot(machine, guest)
        assert any(machine.read_phys(guest.address, BLOB_BYTES))
        clean(machine)
        for address, data in (*guest.more, (guest.address, guest.data)):
            assert not any(machine.read_phys(address, len(data)))


def test_a_machine_that_is_reset_has_the_registers_of_a_new_one() -> None:
    with Machine(machine_config(5, 0)) as new, Machine(machine_config(5, 0)) as used:
        new.reset(LOAD)
        for index in range(40):
            boot(used, make_guest(5, index, "system"))
            used.reset(LOAD)
            for one, other in zip(new.cpus, used.cpus, strict=True):
                assert dict(one.regs) == dict(other.regs)


def test_guests_are_functions_of_their_seed() -> None:
    for index in range(8):
        assert make_guest(1, index) == make_guest(1, index)
        assert make_guest(1, index).data != make_guest(2, index).data
    assert damage(random.Random(1), bytes(100)) == damage(random.Random(1), bytes(100))


class Broken(Campaign):
    """Workers that print the number of the first blob and then do something else than they should."""

    deed = ""

    def command(self, first: int, end: int) -> list[str]:
        return [sys.executable, "-c", f"import os, time; print({first}, flush=True); {self.deed}"]


@pytest.mark.parametrize(
    ("deed", "problem"),
    [
        ("os.abort()", "the worker died of SIGABRT"),
        ("raise KeyError('of the test')", "KeyError: 'of the test'"),
        ("time.sleep(60)", "no end after 1 s"),
    ],
)
def test_what_befalls_a_worker_is_a_finding(deed: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "deed", deed)
    report = Broken(seed=9, hang_seconds=1.0).run(300, 2)
    assert len(report.findings) == 2
    for finding, index in zip(report.findings, (300, 301), strict=True):
        assert problem in finding
        assert f"blob {index}: " in finding
    assert "--seed 9 --first 300 --count 1" in report.findings[0]


def test_a_worker_that_does_not_start_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "command", lambda self, first, end: [sys.executable, "-c", "import nothing"])
    report = Broken(seed=9).run(0, 100)
    assert len(report.findings) == 1
    assert "No module named 'nothing'" in report.findings[0]
