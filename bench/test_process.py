"""The kernel model's processes: 16 GB mapped page by page, forks of 1 GB, and a long random program.

    pytest bench/ -k process

A fork is measured twice: the first one, whose tables the host has never seen (each is a page fault of the
host's), and the ones after it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest

from bench.conftest import ROOT, Scoreboard, in_unit
from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig, Map, Process, Thp
from tests.kernel.process_shadow import Pair, random_step

MEASURE = """
import json, resource, sys, time
from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig, Map

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

kernel = Kernel(KernelConfig(memory_bytes=16 * GIB, functional=True))
before, start = resident(), time.perf_counter()
processes, pages, signal = [], 0, 0
while not signal:
    process = kernel.spawn()
    addr = process.mmap(2900 * MIB, flags=Map.PRIVATE | Map.NORESERVE)
    done = process.touch(addr, 2900 * MIB, write=True)
    pages, signal = pages + done.count, done.signal
    processes.append(process)
mapped, mapped_bytes = time.perf_counter() - start, resident() - before
kernel.check()
start = time.perf_counter()
for process in processes:
    process.exit()
gone = time.perf_counter() - start
kernel.check()
assert kernel.meminfo.anon_pages == kernel.meminfo.page_tables == 0
json.dump([pages, mapped, mapped_bytes, gone], sys.stdout)
"""


def in_megabytes(size: float) -> str:
    return f"{size / (1 << 20):.0f} MB"


def test_all_pages_of_16_gb_are_mapped(scoreboard: Scoreboard) -> None:
    command = [sys.executable, "-c", MEASURE]
    outputs = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout for _ in range(3)]
    pages, mapped, mapped_bytes, gone = sorted(map(json.loads, outputs), key=lambda o: o[1])[1]
    assert pages > 4_000_000
    scoreboard.value(f"{pages:,} pages allocated and mapped, a fault each", mapped, 5.0, in_unit)
    scoreboard.value("resident on top of the empty model", mapped_bytes, 700 << 20, in_megabytes)
    scoreboard.value("all of them exit", gone, None, in_unit)


@pytest.mark.parametrize(("stride", "name"), [(2 * MIB, "one PTE each"), (4096, "all full")])
def test_a_process_of_1_gb_forks(scoreboard: Scoreboard, stride: int, name: str) -> None:
    with Kernel(KernelConfig(memory_bytes=4 * GIB, functional=True)) as kernel:
        process = kernel.spawn()
        addr = process.mmap(GIB, 0x40000000, flags=Map.PRIVATE | Map.NORESERVE)
        process.touch(addr, GIB, write=True, stride=stride)
        seconds = []
        for _ in range(21):
            start = time.perf_counter()
            child = process.fork()
            seconds.append(time.perf_counter() - start)
            assert child.info.pte_tables == 512
            child.exit()
            process.wait()
        goal = 1e-3 if stride > 4096 else None
        scoreboard.value(f"fork of 512 tables, {name}", sorted(seconds[1:])[10], goal, in_unit)
        scoreboard.value(f"fork of 512 tables, {name}: the first", seconds[0], None, in_unit)


@pytest.mark.parametrize("kind", ["lpae", "classic", "lpae, huge pages"])
def test_a_long_random_program_keeps_every_invariant(scoreboard: Scoreboard, kind: str) -> None:
    """PYEMU_BENCH_STEPS=1000000 is the long run."""
    steps = int(os.environ.get("PYEMU_BENCH_STEPS", "30000"))
    rng = random.Random(4)
    tables = "classic" if kind == "classic" else "lpae"
    with Kernel(KernelConfig(memory_bytes=GIB, tables=tables, functional=True)) as kernel:
        pair = Pair(kernel, exact_frames="huge" not in kind)
        if "huge" in kind:
            kernel.set_thp(Thp.ALWAYS)
        start = time.perf_counter()
        for step in range(steps):
            random_step(rng, pair)
            if step % 500 == 0:
                pair.compare()
        pair.compare()
        for space in list(pair.spaces):
            pair.exit(space)
        pair.compare()
        each = (time.perf_counter() - start) / steps
        scoreboard.value(f"a step of {steps:,} random ones, checked, {kind}", each, None, in_unit)


def bulk_step(rng: random.Random, kernel: Kernel, processes: list[Process]) -> int:
    """Something that moves up to 400 MB of a random process; how many pages it was about."""
    process = rng.choice(processes)
    areas = process.areas
    area = rng.choice(areas) if areas else None
    size = rng.randrange(1, 400 * MIB // 4096) * 4096
    step = rng.choice(["map", "map", "write", "write", "fork", "unmap", "exit"])
    try:
        if step == "map" or area is None:
            addr = process.mmap(size, flags=Map.PRIVATE | Map.NORESERVE)
            return process.touch(addr, size, write=True).count
        start = rng.randrange(area.start, area.end, 4096)
        size = min(size, area.end - start)
        if step == "write":
            return process.touch(start, size, write=True).count
        if step == "unmap":
            process.munmap(start, size)
            return size // 4096
        if step == "fork" and len(processes) < 24:
            processes.append(process.fork())
            return process.info.anon
    except OSError:
        step = "exit"  # no memory, or no room below TASK_SIZE
    if step != "exit" or rng.random() < 0.5:
        return 0
    pages = process.info.anon
    process.exit(0)
    processes.remove(process)
    if not processes:
        processes.append(kernel.spawn())
    return pages


def test_16_gb_are_populated_forked_unmapped_and_left_in_random_order(scoreboard: Scoreboard) -> None:
    """No frame is lost and none used twice, whatever ran out on the way."""
    rng = random.Random(16)
    with Kernel(KernelConfig(memory_bytes=16 * GIB, functional=True)) as kernel:
        idle, fullest, pages = kernel.meminfo.mem_free, GIB, 0
        processes = [kernel.spawn() for _ in range(8)]
        start = time.perf_counter()
        for step in range(600):
            pages += bulk_step(rng, kernel, processes)
            fullest = min(fullest, kernel.meminfo.mem_free)
            if step % 20 == 0:
                kernel.check()
        seconds = time.perf_counter() - start
        for process in processes:
            process.exit()
        kernel.check()
        assert kernel.meminfo.mem_free == idle
        assert kernel.meminfo.anon_pages == 0
        assert pages > 1_000_000
        scoreboard.value(f"{pages:,} pages in random order, checked", seconds, None, in_unit)
        scoreboard.value("memory was left at the fullest", fullest * 4096, None, in_megabytes)
