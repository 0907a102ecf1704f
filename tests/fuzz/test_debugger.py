"""The debugger withstands hostile input: a few thousand cases here, a million in ``make fuzz-debug``."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pyemu.debug import control, forward
from pyemu.debug.registry import commands
from tests.conftest import ROOT
from tests.fuzz.debugger.__main__ import SHARES, DebuggerCampaign, shares
from tests.fuzz.debugger.limits import ctrl_c_after
from tests.fuzz.debugger.lines import execute, keep_few_points, line_of
from tests.fuzz.debugger.worlds import WORLDS, make_world

CASES = int(os.environ.get("PYEMU_FUZZ_DEBUGGER", "4000"))


@pytest.mark.parametrize("kind", SHARES)
def test_the_debugger_withstands_hostile_input(kind: str) -> None:
    count = shares(CASES)[kind]
    report = DebuggerCampaign(seed=2, kind=kind).run(0, count)
    assert report.findings == []
    assert report.cases == count
    assert len(report.ends) > 1, "every case ended alike"


def test_shares_add_up() -> None:
    for count in (1, 999, 4000, 1_000_000):
        assert sum(shares(count).values()) == count


@pytest.fixture
def limits_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``ctrl_c_after`` sets for a worker's life is as before behind a test of this process."""
    for module, names in (
        (forward, ("lib", "SLICE_INSNS")),
        (control, ("CHECKPOINT_INSNS", "MAX_CHECKPOINT_BYTES")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))


@pytest.mark.usefixtures("limits_end_with_the_test")
def test_lines_reach_every_command(tmp_path: Path) -> None:
    """A generator that is refused at the door finds nothing."""
    missing = set(commands().values())
    for number in range(8 * len(WORLDS)):
        _, session = make_world(random.Random(number), tmp_path, tuple(WORLDS)[number % len(WORLDS)])
        with session:
            here = {each for each in missing if each.needs in session.target.capabilities}
            for each in sorted(here, key=lambda each: each.name):
                for at in range(40):
                    rng = random.Random(f"reach/{number}/{each.name}/{at}")
                    ctrl_c_after(20)
                    if execute(session, " ".join(line_of(rng, session, each, each.name, []))) == "accepted":
                        missing.discard(each)
                        break
                keep_few_points(session)
    assert not {each.name for each in missing}


# ---- what watches the cases ----


GUARDED = """\
import os, socket, subprocess, sys, tempfile, time
from pathlib import Path
from tests.fuzz.debugger import limits
limits.CPU_SECONDS, limits.GROWTH_BYTES = 1, 64 << 20
directory = Path(sys.argv[1])
guard = limits.Guard(directory)
path = directory / "file"
for _ in range(8):
    with guard.case():
        {deed}
print("passed")
"""


def guarded(deed: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARDED.format(deed=deed), str(directory)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        check=False,
    )


@pytest.mark.parametrize(
    "deed",
    [
        "path.read_bytes()",
        "with guard.naming(path): path.write_text('named')",
        "with guard.naming(path): os.close(tempfile.mkstemp(prefix='.file.', dir=directory)[0])",
        "with guard.off(): path.write_text('by the harness')",
    ],
)
def test_what_a_case_may_do(deed: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = guarded(deed, tmp_path)
    assert done.stdout == "passed\n", done.stderr


@pytest.mark.parametrize(
    ("deed", "problem"),
    [
        ("path.write_text('not named')", "Finding: open"),
        ("path.open('r+b')", "Finding: open"),
        ("os.open(path, os.O_RDWR)", "Finding: open"),
        ("path.unlink()", "Finding: os.remove"),
        ("os.rename(path, directory / 'other')", "Finding: os.rename"),
        ("subprocess.run(['true'])", "Finding: subprocess.Popen"),
        ("socket.create_server(('127.0.0.1', 0))", "Finding: socket.bind"),
        ("[None for _ in iter(int, 1)]", 'File "<string>"'),
        ("bytearray(b'x' * (100 << 20))", "Finding: this process has grown by"),
    ],
)
def test_what_a_case_may_not_do(deed: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = guarded(deed, tmp_path)
    assert "passed" not in done.stdout
    assert problem in done.stderr


def test_what_is_caught_is_a_finding_all_the_same(tmp_path: Path) -> None:
    """Code that expects an OSError or anything else from a file does not hide it."""
    deed = "\n        try: path.unlink()\n        except BaseException: pass"
    done = guarded(deed, tmp_path)
    assert "files, processes or sockets that nobody named" in done.stderr
