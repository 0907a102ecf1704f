"""Where page tables of forked processes go, against real kernels with as much memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyemu.config import MIB, parse_size
from pyemu.kernel import Kernel, KernelConfig, Map
from tests.conftest import DATA
from tests.kernel.programs import start_program

TRUTH = json.loads((DATA / "linux-page-tables.json").read_text())
FLAVOURS: dict[str, dict[str, Any]] = {
    "armmp-lpae": {},
    "rt-armmp": {"tables": "classic", "preemption": "rt"},
}


@pytest.mark.parametrize("case", TRUTH["cases"], ids=lambda case: f"{case['kernel']} {case['memory']}")
def test_page_tables_of_forks_take_as_much_low_and_high_memory_as_on_the_real_kernel(
    case: dict[str, Any],
) -> None:
    config = KernelConfig(
        memory_bytes=parse_size(case["memory"]), functional=True, **FLAVOURS[case["kernel"]]
    )
    mapped = TRUTH["mapped_mb"] * MIB
    with Kernel(config) as kernel:
        program = start_program(kernel)
        addr = program.mmap(mapped, flags=Map.PRIVATE | Map.NORESERVE)
        assert program.touch(addr, mapped, write=True, stride=2 * MIB).count == 1024
        before = kernel.meminfo
        for _ in range(case["forks"]):
            child = program.fork()
            child.touch(kernel.layout.task_size - 0x2000, 0x2000, write=True)
            child.touch(0x80000, 0x4000, write=True)
        after = kernel.meminfo
        tables = after.page_tables - before.page_tables
        truth = TRUTH["page_tables_per_fork"][case["kernel"]]
        assert tables / case["forks"] == pytest.approx(truth, abs=3)
        low = (after.low_free - before.low_free) * 4 / tables
        high = (after.high_free - before.high_free) * 4 / tables
        assert low + high == pytest.approx(case["low"] + case["high"], rel=0.02)
        assert low == pytest.approx(case["low"], abs=0.02 * 4)
        assert high == pytest.approx(case["high"], abs=0.02 * 4)
        kernel.check()
