"""The machine beside bare Unicorn, QEMU and plain Python.

    pytest bench/ -k machine

Guest loops and translations are measured in CPU time of one thread, boots in wall-clock time from the start
of the process to its end and, because the host may have other work, in CPU time too.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.conftest import ROOT, Scoreboard, in_turns, in_unit
from bench.test_translate import full_tables
from bench.unicorn_peer import BareUnicorn
from pyemu.config import MachineConfig
from pyemu.machine import Machine
from pyemu.mem import Memory
from pyemu.mmu import Access, reference, translate_many
from pyemu.mmu.check.oracle import MAX_BATCH, Oracle
from tests.acceptance.guest import Guest
from tests.acceptance.initramfs import initramfs
from tests.acceptance.packages import Packages, Unavailable
from tests.conftest import need_tool, pyemu_command, unavailable

LOOPS_ELF = ROOT / "firmware/elf/bench-loops.elf"

# name: selector, iterations under pyemu, iterations under bare Unicorn, bound on the ratio of times.
LOOPS = {
    "integer": (0, 400_000, 400_000, 1 / 0.95),
    "load/store hit": (1, 1_000_000, 1_000_000, 1 / 0.95),
    "TLB-miss bound, 100,000 pages": (2, 125_000, 125_000, 0.75),
    "fault bound (data abort round trip)": (3, 200_000, 20_000, None),
}


def loop_on_pyemu(selector: int, count: int) -> Callable[[], float]:
    """Seconds of CPU time an iteration, on a machine that is made for each call."""

    def measure() -> float:
        with Machine(MachineConfig(memory_bytes=512 << 20)) as machine:
            machine.load(LOOPS_ELF)
            for name, value in (("bench_select", selector), ("bench_count", count)):
                address = machine.symbols.find(name)
                assert address is not None
                machine.write_phys(address, value.to_bytes(4, "little"))
            machine.run(until="bench_begin")
            began = time.process_time()
            stop = machine.run(until="bench_done")
            seconds = time.process_time() - began
            assert stop.reason.name == "BREAKPOINT"
            return seconds / count

    return measure


def loop_on_unicorn(selector: int, count: int) -> Callable[[], float]:
    def measure() -> float:
        peer = BareUnicorn(LOOPS_ELF, {"bench_select": selector, "bench_count": count})
        peer.run("bench_begin")
        return peer.run("bench_done") / count

    return measure


@pytest.mark.parametrize("name", LOOPS)
def test_guest_loop(scoreboard: Scoreboard, name: str) -> None:
    selector, ours, theirs, goal = LOOPS[name]
    seconds = in_turns(
        {"pyemu": loop_on_pyemu(selector, ours), "unicorn": loop_on_unicorn(selector, theirs)}, rounds=7
    )
    scoreboard.compare(name, seconds["pyemu"], "Unicorn", seconds["unicorn"], goal)
    if name.startswith("fault"):
        scoreboard.value("data abort round trip", min(seconds["pyemu"]), 1e-6, in_unit)


class Boot:
    """A process that boots Linux to /init and powers off; keeps the CPU time of each run."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.cpu_seconds: list[float] = []

    def __call__(self) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        done = subprocess.run(
            self.command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""},  # as a user has it
        )
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert b"init: up" in done.stdout + done.stderr
        assert b"Power down" in done.stdout + done.stderr
        return seconds


def test_linux_boot(scoreboard: Scoreboard) -> None:
    need_tool("qemu-system-arm", "qemu-system-arm")
    packages = Packages()
    try:
        kernel, initrd = packages.kernel("armmp-lpae"), initramfs(packages)
    except Unavailable as why:
        unavailable(str(why))
    guest = Guest("1G", kernel, initrd, append="console=ttyAMA0 rdinit=/boot-only")
    boots = {
        "qemu": Boot(guest.qemu("qemu-system-arm")),
        "host": Boot(pyemu_command(*guest.pyemu())),
        "guest": Boot(pyemu_command(*guest.pyemu(), "--no-host-decompress")),
    }
    wall = in_turns(boots, rounds=3)
    for name, what, goal in (
        ("host", "Linux LPAE boot to /init, unpacked by the host", 1.0),
        ("guest", "Linux LPAE boot to /init, unpacked by the guest", None),
    ):
        scoreboard.compare(what, wall[name], "QEMU", wall["qemu"], goal, note="no goal of its own")
        cpu, qemu = boots[name].cpu_seconds, boots["qemu"].cpu_seconds
        scoreboard.compare("  the same in CPU time", cpu, "QEMU", qemu)


def in_megabytes(size: float) -> str:
    return f"{size / (1 << 20):.0f} MB"


# Prints seconds to construct and the process's resident bytes afterwards.
CONSTRUCT = """
import time
from pyemu.config import MachineConfig
from pyemu.machine import Machine
began = time.perf_counter()
with Machine(MachineConfig(memory_bytes=16 << 30)):
    print(time.perf_counter() - began)
    print(next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def test_construction_of_16_gb(scoreboard: Scoreboard) -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", CONSTRUCT], cwd=ROOT, capture_output=True, check=True, text=True
        )
        for _ in range(7)
    ]
    seconds, resident = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    scoreboard.value("a machine of 16 GB is constructed", sorted(seconds)[3], 0.05, in_unit)
    scoreboard.value(
        "resident memory of the whole process",
        max(resident),
        64 << 20,
        lambda size: f"{size / (1 << 20):.0f} MB",
    )


def test_help_is_instant(scoreboard: Scoreboard) -> None:
    script = Path(sys.executable).with_name("pyemu")
    command = [str(script)] if script.exists() else pyemu_command()

    def measure() -> float:
        began = time.perf_counter()
        subprocess.run([*command, "--help"], stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
        return time.perf_counter() - began

    scoreboard.value("pyemu --help", sorted(measure() for _ in range(9))[4], 0.2, in_unit)


BATCH, BATCH_PYTHON = 2_000_000, 2000
# Always set in ARMv7; Unicorn walks ARMv5 tables (with subpages) without it.
SCTLR_XP = 1 << 23
# Of a 32-bit PAR only bits 31 to 12 are address; the tables of both formats stay below 8 GB.
PAR_PA = np.uint64(0xFFFFF000)


@pytest.mark.parametrize("format", ["lpae", "short"])
def test_batch_translation(scoreboard: Scoreboard, format: str) -> None:
    """Random addresses of 4 GB that are mapped by 4 KB pages: 8 MB (LPAE) or 4 MB (short) of tables."""
    memory, regime = full_tables(format)
    with memory:
        regime = replace(regime, sctlr=regime.sctlr | SCTLR_XP)
        va = np.random.default_rng(1).integers(0, (1 << 32) - 4096, BATCH, dtype=np.uint32)
        pa, oracle = np.empty(BATCH, np.uint64), Oracle(world_of(memory))
        registers: Any = regime  # has the fields that are asked for
        oracle.set_registers(registers)
        few = array("I", va[:BATCH_PYTHON].tobytes())

        def ours() -> float:
            began = time.process_time()
            assert translate_many(memory, regime, va, pa) == BATCH
            return (time.process_time() - began) / BATCH

        def ats() -> float:
            began = time.process_time()
            par = oracle.translate(va[:MAX_BATCH], 0)
            seconds = (time.process_time() - began) / MAX_BATCH
            assert (par & PAR_PA == pa[:MAX_BATCH] & PAR_PA).all()
            return seconds

        def python() -> float:
            def read(at: int, size: int) -> int | None:
                return int.from_bytes(memory.read(at, size), "little")

            began = time.process_time()
            for n, address in enumerate(few):
                assert reference.translate(read, regime, address, Access.READ, True).pa == pa[n]
            return (time.process_time() - began) / len(few)

        seconds = in_turns({"pyemu": ours, "ats": ats, "python": python}, rounds=5)
        what = f"a random translation of a batch, {format}"
        scoreboard.value(what, sorted(seconds["pyemu"])[2], 1 / 50e6, in_unit)
        scoreboard.compare("  beside", seconds["pyemu"], "Unicorn ATS", seconds["ats"])
        scoreboard.compare("  beside", seconds["pyemu"], "plain Python", seconds["python"])


def world_of(memory: Memory) -> Any:
    """What the oracle wants to know of a memory."""
    areas = [(segment.base, range(segment.size)) for segment in memory.segments]
    return SimpleNamespace(mem=memory.handle, areas=areas)


def test_committed_loops_are_here() -> None:
    assert LOOPS_ELF.exists(), "firmware/elf/bench-loops.elf is missing: make -C firmware install"
    assert shutil.which("qemu-system-arm") or os.environ.get("CI") != "true"
