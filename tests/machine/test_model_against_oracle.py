"""The running cycle model against an independent simulation of the same run.

Hooks of the test's own record what the guest fetches, loads and stores, and the CP15 writes that it executes;
TLBs, caches and a walker in plain Python say what that should have missed. Every figure is the same: misses
of micro-TLBs, main TLB, walk cache, L1I, L1D and L2, and what maintenance and other CPUs took.
"""

from __future__ import annotations

from typing import Any

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from pyemu.timing import read_core
from tests.firmware.blobs import BY_NAME, FIRMWARE
from tests.machine.oracle.guests import make
from tests.machine.oracle.model import Oracle, counted, expected
from tests.machine.oracle.recorder import Recorder

CORES = ("cortex-a15", "cortex-a7", "cortex-a9")


def watched(machine: Machine, max_insns: int) -> Oracle:
    """Run a loaded machine with an oracle watching; every access could be explained."""
    oracle = Oracle(machine, machine.core, machine.config.timing == "cache")
    recorder = Recorder(machine, oracle)
    stop = machine.run(max_insns=max_insns)
    recorder.finish()
    assert recorder.problems == []
    assert recorder.insns > 0.8 * stop.insns  # it does not see those whose condition fails
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
            assert found == right


# ---- firmware ----


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("program", ["tlb", "user", "short"])
def test_programs_miss_where_an_independent_simulation_says(program: str, name: str) -> None:
    firmware(program, read_core(name), "cache", 500_000)


# The recorder sees each instruction in Python, so one core for each program has to do.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("lpae", "cortex-a15"),
        ("thumb", "cortex-a7"),
        ("faults", "cortex-a9"),
        ("vectors", "cortex-a15"),
        ("smc", "cortex-a7"),
        ("at", "cortex-a9"),
    ],
)
def test_more_programs_miss_where_an_independent_simulation_says(program: str, name: str) -> None:
    firmware(program, read_core(name), "cache", 500_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("asid", "cortex-a7"),
        ("bench-tlb_reach", "cortex-a15"),
        ("bench-store_tlb", "cortex-a15"),
        ("bench-chase-short", "cortex-a9"),
    ],
)
def test_long_programs_miss_where_an_independent_simulation_says(program: str, name: str) -> None:
    firmware(program, read_core(name), "cache", 1_000_000)


@pytest.mark.parametrize("name", CORES)
def test_two_cpus_reach_each_others_tlbs_and_take_lines_from_each_other(name: str) -> None:
    core = read_core(name)
    with Machine(MachineConfig(512 * MIB, smp=2, timing="cache"), core) as machine:
        machine.load(BY_NAME["shootdown"].elf)
        oracle = watched(machine, 250_000)
        found = [counted(machine, cpu) for cpu in range(2)]
        for cpu in range(2):
            assert found[cpu] == expected(oracle, cpu)
            assert sum(found[cpu].maintained) > 100
            assert found[cpu].taken > 100


# ---- random guests ----


def random_guest(seed: int) -> None:
    core, timing = read_core(CORES[seed % 3]), ("cache", "tlb")[seed // 3 % 2]
    config = MachineConfig(16 * MIB, timing=timing)  # type: ignore[arg-type]
    with make(config, core, seed) as machine:
        oracle = watched(machine, 30_000)
        right = expected(oracle, 0)
        assert min(right.main) > 50
        assert counted(machine, 0) == right


@pytest.mark.parametrize("seed", range(6))
def test_random_guests_miss_where_an_independent_simulation_says(seed: int) -> None:
    random_guest(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 24))
def test_more_random_guests_miss_where_an_independent_simulation_says(seed: int) -> None:
    random_guest(seed)
