"""The running cycle model against an independent simulation of the same run.

Hooks of the test's own record what the guest fetches, loads and stores, and the CP15 writes that it executes;
TLBs and caches in plain Python, with a walker in plain Python, say what that should have cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from pyemu.timing import read_core
from tests.firmware.blobs import BY_NAME, FIRMWARE
from tests.machine.oracle.model import Counts, Oracle, counted, expected
from tests.machine.oracle.recorder import Recorder

CORES = ("cortex-a15", "cortex-a7", "cortex-a9")


def near(found: Sequence[int], right: Sequence[int]) -> bool:
    """Within 5 % of each figure, or one where there are few."""
    return all(abs(a - b) <= max(1, b * 0.05) for a, b in zip(found, right, strict=True))


def compare(found: Counts, right: Counts) -> None:
    """Main TLB, walk cache and L1D as the oracle says; micro-TLBs, L1I and L2 within 5 %."""
    assert found.main == right.main
    assert found.walk_hits == right.walk_hits
    assert near(found.micro, right.micro), (found.micro, right.micro)
    assert found.l1d == right.l1d
    assert near([found.l1i], [right.l1i]), (found.l1i, right.l1i)
    assert near(found.l2, right.l2), (found.l2, right.l2)


def watched(machine: Machine, max_insns: int) -> Oracle:
    """Run a loaded machine with an oracle watching; every access could be explained."""
    oracle = Oracle(machine, machine.core, machine.config.timing == "cache")
    recorder = Recorder(machine, oracle)
    stop = machine.run(max_insns=max_insns)
    assert recorder.problems == []
    assert recorder.insns >= 0.99 * stop.insns
    return oracle


def firmware(name: str, core: Any, timing: str, max_insns: int) -> None:
    blob = BY_NAME.get(name)
    config = MachineConfig(512 * MIB, smp=blob.smp if blob else 1, timing=timing)  # type: ignore[arg-type]
    with Machine(config, core) as machine:
        machine.load(FIRMWARE / f"elf/{name}.elf")
        oracle = watched(machine, max_insns)
        for cpu in range(machine.config.smp):
            found, right = counted(machine, cpu), expected(oracle, cpu)
            assert sum(right.main) > 0
            compare(found, right)


# ---- firmware ----


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("program", ["tlb", "user", "short"])
def test_programs_miss_where_an_independent_simulation_says(program: str, name: str) -> None:
    firmware(program, read_core(name), "cache", 400_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize("program", ["asid", "lpae", "thumb", "faults", "vectors", "shootdown", "smc", "at"])
def test_more_programs_miss_where_an_independent_simulation_says(
    program: str, timing: str, name: str
) -> None:
    firmware(program, read_core(name), timing, 700_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize(
    "program",
    ["bench-tlb_reach", "bench-store_tlb", "bench-tlb_reach-short", "bench-chase", "bench-walk_cost"],
)
def test_benchmarks_miss_where_an_independent_simulation_says(program: str, name: str) -> None:
    firmware(program, read_core(name), "cache", 1_500_000)
