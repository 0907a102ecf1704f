"""What tests of every wing share: the host's tools, which may be missing, and the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.bills import watch_machines

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests/data"


def unavailable(what: str) -> NoReturn:
    """Skips the test; in CI, where everything is installed, it fails instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; in CI this must not be skipped", pytrace=False)
    pytest.skip(what)


def need_tool(tool: str, package: str) -> None:
    """Skips the test (fails it in CI) when the host has no command or file `tool` of Debian's `package`."""
    found = Path(tool).exists() if tool.startswith("/") else shutil.which(tool) is not None
    if not found:
        unavailable(f"{tool} is not installed (Debian: apt install {package})")


@dataclass(frozen=True)
class Completed:
    """How a run of the command line ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The object that `--json` printed: the last line of standard output."""
        return json.loads(self.stdout.strip().splitlines()[-1])


PROGRAM = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from pyemu.cli import main
from tests.bills import watch_boot
watch_boot()
sys.exit(main())
"""


@pytest.fixture(scope="session", autouse=True)
def _every_bill_adds_up() -> None:
    """See tests/bills.py, which does the same for runs of the command line."""
    watch_machines()


def pyemu_command(*args: str | Path) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *map(str, args)]


def run_command_line(
    *args: str | Path, input: str | None = None, timeout: float = 60, cwd: Path = ROOT
) -> Completed:
    """`pyemu ARGS` in a process of its own; standard input is `input`, or empty.  `timeout` is in seconds."""
    done = subprocess.run(
        pyemu_command(*args),
        input=(input or "").encode(),
        capture_output=True,
        timeout=timeout,
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        },
        check=False,
    )
    return Completed(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


@pytest.fixture(scope="session")
def run_pyemu() -> Callable[..., Completed]:
    """The function `run_command_line`."""
    return run_command_line
