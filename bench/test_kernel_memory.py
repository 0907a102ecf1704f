"""The kernel model's memory: 16 GB made, and filled page by page.

    pytest bench/ -k kernel_memory

Each figure is taken in a process of its own, so that what is resident is that of one model.
"""

from __future__ import annotations

import json
import subprocess
import sys

from bench.conftest import ROOT, Scoreboard, in_unit

MEASURE = """
import json, resource, sys, time
from pyemu.config import GIB
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.native import ffi, lib

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

config = KernelConfig(memory_bytes=16 * GIB, functional=True)
before, start = resident(), time.perf_counter()
kernel = Kernel(config)
ready, ready_bytes = time.perf_counter() - start, resident() - before
pfns = ffi.new("uint32_t[]", 1 << 22)
start = time.perf_counter()
count = lib.pe_kernel_alloc_bulk(kernel.handle, 0, int(Gfp.HIGHMEM | Gfp.MOVABLE), pfns, 1 << 22)
filled = time.perf_counter() - start
filled_bytes = resident() - before - 4 * count
start = time.perf_counter()
for i in range(0, 1 << 16):
    lib.pe_kernel_free_pages(kernel.handle, pfns[i * 61], 0, ffi.NULL)
freed = (time.perf_counter() - start) / (1 << 16)
kernel.check()
json.dump([ready, ready_bytes, count, filled, filled_bytes, freed], sys.stdout)
"""


def in_megabytes(size: float) -> str:
    return f"{size / (1 << 20):.0f} MB"


def test_16_gb_are_ready_and_filled(scoreboard: Scoreboard) -> None:
    command = [sys.executable, "-c", MEASURE]
    outputs = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout for _ in range(3)]
    ready, ready_bytes, count, filled, filled_bytes, freed = sorted(map(json.loads, outputs))[1]
    assert count > 4_000_000
    scoreboard.value("a model of 16 GB is ready", ready, 0.2, in_unit)
    scoreboard.value("resident then", ready_bytes, 150 << 20, in_megabytes)
    scoreboard.value(f"{count:,} pages allocated one by one", filled, 1.5, in_unit)
    scoreboard.value("resident then, without the caller's list", filled_bytes, 700 << 20, in_megabytes)
    scoreboard.value("a page freed, from Python", freed, None, in_unit)
