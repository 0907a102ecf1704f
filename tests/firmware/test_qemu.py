"""The blobs on QEMU: they fail where it differs from the architecture, as listed, and nowhere else."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import need_tool, unavailable
from tests.firmware.blobs import BLOBS, Blob, compare_failures, parse_tap

QEMU = "qemu-system-aarch64"
BOARD = [
    *("-M", "virt,highmem=on", "-cpu", "cortex-a15"),
    *("-net", "none", "-display", "none", "-monitor", "none", "-serial", "null"),
    *("-semihosting-config", "enable=on,target=native"),
]
# Guest time is instructions, so that a busy host changes nothing; with two CPUs that spin it takes minutes.
BY_INSTRUCTIONS = ["-icount", "shift=0,sleep=off"]


def run_on_qemu(blob: Blob) -> tuple[str, int]:
    """What came through semihosting, and the exit status; nothing is typed."""
    clock = BY_INSTRUCTIONS if blob.smp == 1 else []
    command = [QEMU, *BOARD, *clock, "-smp", str(blob.smp), "-m", blob.mem, "-kernel", str(blob.elf)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    return done.stdout.decode(errors="replace"), done.returncode


@pytest.mark.parametrize("blob", BLOBS, ids=lambda blob: blob.name)
def test_qemu_fails_the_listed_deviations_and_nothing_else(blob: Blob) -> None:
    need_tool(QEMU, "qemu-system-arm")
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    if " version 7.2." not in version:
        unavailable(f"the deviations are those of QEMU 7.2, this is {version.splitlines()[0]}")
    output, status = run_on_qemu(blob)
    tap = parse_tap(output)
    assert compare_failures(tap, blob.qemu) == ""
    assert tap.plan == tap.count > 0, output[-2000:]
    assert status == (1 if blob.qemu else 0)
