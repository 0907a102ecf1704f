"""Timing only counts: a guest computes the same without it, and the count does not depend on who looks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from pyemu.native import ffi, lib
from pyemu.timing import read_core
from tests.firmware.blobs import BY_NAME, compare_failures, parse_tap
from tests.machine.oracle.guests import make

CORES = ("cortex-a15", "cortex-a7", "cortex-a9")
INSNS = 20_000


def guest(seed: int, timing: str, core: str) -> Machine:
    config = MachineConfig(16 * MIB, timing=timing)  # type: ignore[arg-type]
    return make(config, None if timing == "off" else read_core(core), seed)


def memory(machine: Machine) -> dict[int, bytes]:
    """Pages of RAM that are not zero."""
    pages, at, found = ffi.new("uint64_t[]", 4096), 0, {}
    handle = lib.pe_machine_mem(machine.handle)
    while count := lib.pe_mem_touched(handle, at, pages, len(pages)):
        for page in pages[0:count]:
            data = machine.read_phys(page, 4096)
            if any(data):
                found[page] = data
        at = pages[count - 1] + 4096
    return found


def state(machine: Machine) -> tuple[Any, ...]:
    registers = dict(machine.cpus[0].regs)
    return machine.stats().insns, registers, machine.stats().data_aborts, memory(machine)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), core=st.sampled_from(CORES), timing=st.sampled_from(["tlb", "cache"]))
def test_a_guest_computes_what_it_does_without_timing(seed: int, core: str, timing: str) -> None:
    ends = []
    for level in ("off", timing):
        with guest(seed, level, core) as machine:
            machine.run(max_insns=INSNS)
            ends.append(state(machine))
    assert ends[0] == ends[1]


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    core=st.sampled_from(CORES),
    timing=st.sampled_from(["tlb", "cache"]),
    cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=12),
)
def test_a_bill_does_not_depend_on_how_a_run_is_cut(
    seed: int, core: str, timing: str, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "snapshot"

    def look(machine: Machine) -> None:
        machine.snapshot(path)
        machine.translate(0x8000_0000)
        machine.bill()

    with guest(seed, timing, core) as machine:
        for cut in cuts:
            machine.run(max_insns=cut)
            look(machine)
        insns, bill, end = machine.stats().insns, machine.bill(), state(machine)
    with guest(seed, timing, core) as machine:
        machine.run(max_insns=insns)
        assert machine.stats().insns == insns
        assert machine.bill() == bill
        assert state(machine) == end


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize(
    "name", [name for name in BY_NAME if name not in ("highmem", "newlib", "uart", "timer", "align")]
)
def test_every_check_of_the_firmware_passes_with_timing(name: str, timing: str, core: str) -> None:
    blob = BY_NAME[name]
    config = MachineConfig(512 * MIB, smp=blob.smp, timing=timing)  # type: ignore[arg-type]
    with Machine(config, read_core(core)) as machine:
        machine.load(blob.elf)
        machine.run(max_insns=100_000_000)
        tap = parse_tap(machine.console.read())
    assert compare_failures(tap, blob.fails) == ""
    assert tap.plan == tap.count > 0
