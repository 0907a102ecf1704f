"""Guests and how they are run: shared by the acceptance tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.guest import Dialogue, Guest
from tests.acceptance.initramfs import initramfs
from tests.acceptance.packages import Packages, Unavailable
from tests.conftest import DATA, run_command_line, unavailable

LINUX_MEMORY = json.loads((DATA / "linux-memory.json").read_text())


@pytest.fixture(scope="session")
def packages() -> Packages:
    return Packages()


@pytest.fixture(scope="session")
def debian(packages: Packages) -> Callable[..., Guest]:
    """debian(flavour, memory, cpus=1): a Debian kernel with the busybox initramfs."""

    def guest(flavour: str, memory: str, cpus: int = 1) -> Guest:
        try:
            return Guest(
                memory, packages.kernel(flavour), initramfs(packages), append="console=ttyAMA0", cpus=cpus
            )
        except Unavailable as why:
            unavailable(str(why))

    return guest


@pytest.fixture(scope="session")
def u_boot(packages: Packages) -> Guest:
    try:
        return Guest("1G", flash=packages.u_boot())
    except Unavailable as why:
        unavailable(str(why))


@dataclass(frozen=True)
class Boot:
    """One run of `pyemu boot`: its console and the object that --json printed."""

    console: str
    summary: dict[str, Any]


def boot(guest: Guest, dialogue: Dialogue, log: Path, timeout: float) -> Boot:
    arguments = [*guest.pyemu(), "--json", "--console-log", str(log), "--timeout", f"{timeout:g}"]
    for pattern, line in dialogue:
        arguments += ["--expect", pattern, "--send", line + "\n"]
    done = run_command_line(*arguments, timeout=timeout + 60)
    console = log.read_bytes().decode(errors="replace") if log.exists() else ""
    assert done.status == 0, f"exit status {done.status}: {done.stderr}\n{console[-2000:]}"
    return Boot(console, done.json)


def boot_twice(guest: Guest, dialogue: Dialogue, directory: Path, timeout: float = 300) -> Boot:
    """Boots side by side in two processes, and demands that nothing tells the runs apart."""
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(boot, guest, dialogue, directory / f"console-{n}", timeout) for n in (1, 2)]
    first, second = (run.result() for run in runs)
    assert first.console == second.console
    assert without_host(first.summary) == without_host(second.summary)
    return first


def without_host(summary: dict[str, Any]) -> dict[str, Any]:
    """Instructions, walks, faults, guest time and all else that may not depend on the host's speed."""
    return {name: value for name, value in summary.items() if name != "host"}
