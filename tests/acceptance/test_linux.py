"""Unmodified Debian kernels with a busybox initramfs: to a shell, through commands, to power-off."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import LINUX_MEMORY, boot, boot_twice
from tests.acceptance.guest import Dialogue, Guest, answers, converse, meminfo
from tests.acceptance.initramfs import PROMPT, filled
from tests.acceptance.packages import Packages
from tests.conftest import need_tool

pytestmark = pytest.mark.acceptance

COMMANDS = ("uname -rm", "nproc", "cat /proc/meminfo", "echo $((6 * 7)) | tr 42 24")


def session(*commands: str) -> Dialogue:
    """Types each command at the shell's prompt, then powers off."""
    return [(re.escape(PROMPT), command) for command in (*commands, "poweroff -f")]


def check_memory(console: str, flavour: str, memory: str) -> None:
    """Addresses alone decide HighTotal; LowTotal also the kernel's size, which a new release changes."""
    seen = meminfo(answers(console, PROMPT)["cat /proc/meminfo"])
    expected = LINUX_MEMORY[flavour][memory]
    assert seen["HighTotal"] == expected["HighTotal"]
    assert seen["LowTotal"] == pytest.approx(expected["LowTotal"], rel=0.01)


def check_shell(console: str, flavour: str, cpus: int) -> None:
    answer = answers(console, PROMPT)
    assert re.fullmatch(rf"6\.1\.0-\d+-{flavour} armv7l", answer["uname -rm"])
    assert answer["nproc"] == str(cpus)
    assert answer["echo $((6 * 7)) | tr 42 24"] == "24"
    assert "reboot: Power down" in console


@pytest.mark.parametrize("memory", ["512M", "1G", "4G", "16G"])
def test_lpae_kernel_reaches_a_shell_and_sees_all_memory(
    debian: Callable[..., Guest], memory: str, tmp_path: Path
) -> None:
    run = boot_twice(debian("armmp-lpae", memory), session(*COMMANDS), tmp_path)
    check_shell(run.console, "armmp-lpae", cpus=1)
    check_memory(run.console, "armmp-lpae", memory)
    assert run.summary["reason"] == "poweroff"


@pytest.mark.parametrize("flavour", ["armmp", "rt-armmp"])
def test_short_descriptor_kernel_reaches_a_shell(
    debian: Callable[..., Guest], flavour: str, tmp_path: Path
) -> None:
    run = boot_twice(debian(flavour, "1G"), session(*COMMANDS), tmp_path)
    check_shell(run.console, flavour, cpus=1)
    check_memory(run.console, flavour, "1G")
    assert run.summary["reason"] == "poweroff"


@pytest.mark.parametrize("flavour", ["armmp-lpae", "rt-armmp"])
def test_two_cpus_come_up_and_run(debian: Callable[..., Guest], flavour: str, tmp_path: Path) -> None:
    on_each = "for c in 0 1; do taskset -c $c awk '{print $39}' /proc/self/stat; done"
    run = boot_twice(
        debian(flavour, "1G", cpus=2),
        session(*COMMANDS, "grep -c ^processor /proc/cpuinfo", on_each),
        tmp_path,
    )
    check_shell(run.console, flavour, cpus=2)
    answer = answers(run.console, PROMPT)
    assert answer["grep -c ^processor /proc/cpuinfo"] == "2"
    assert answer[on_each].split() == ["0", "1"], "each CPU runs the task that is bound to it"


def test_three_gigabytes_of_highmem_hold_what_was_written(
    debian: Callable[..., Guest], packages: Packages, tmp_path: Path
) -> None:
    files = 192
    run = boot(
        debian("armmp-lpae", "16G"),
        session(f"fill-tmpfs {files}", "cat /proc/meminfo"),
        tmp_path / "console",
        600,
    )
    answer = answers(run.console, PROMPT)
    assert meminfo(answer["cat /proc/meminfo"])["Shmem"] >= 3 << 20
    sums = dict(re.findall(r"^([0-9a-f]{32})  (\d+)$", answer[f"fill-tmpfs {files}"], re.M))
    busybox = packages.busybox().read_bytes()
    expected = {hashlib.md5(filled(busybox, n)).hexdigest(): str(n) for n in range(1, files + 1)}
    assert sums == expected


def test_what_is_asked_of_pyemu_is_what_qemu_answers(debian: Callable[..., Guest]) -> None:
    """The dialogue and the expected figures, held against the peer that they come from."""
    need_tool("qemu-system-aarch64", "qemu-system-arm")
    for flavour, memory, cpus in (("armmp-lpae", "4G", 1), ("rt-armmp", "1G", 2)):
        console = converse(debian(flavour, memory, cpus).qemu(), session(*COMMANDS))
        check_shell(console, flavour, cpus)
        check_memory(console, flavour, memory)
