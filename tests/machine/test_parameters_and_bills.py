"""Changing one parameter of a core moves only the categories of the bill that it should."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from pyemu.machine.bill import Bill
from pyemu.timing import Cost, read_core
from tests.firmware.blobs import FIRMWARE

WORK = {Cost.INSTRUCTIONS, Cost.L1}
MEMORY = {Cost.L2, Cost.DRAM}
"""Also what the clock moves: misses that overlap wait for as long as nothing else hides them."""
TRANSLATION = {Cost.MICRO_TLB, Cost.MAIN_TLB, Cost.WALK}
SYSTEM = {
    "exception_entry_cycles": Cost.EXCEPTIONS,
    "exception_return_cycles": Cost.EXCEPTIONS,
    "tlbi_cycles": Cost.TLB_MAINTENANCE,
    "tlbi_broadcast_cycles": Cost.TLB_MAINTENANCE,
    "dsb_cycles": Cost.BARRIERS,
    "dmb_cycles": Cost.BARRIERS,
    "isb_cycles": Cost.BARRIERS,
    "mcr_cycles": Cost.SYSTEM,
    "exclusive_cycles": Cost.LOCKS,
    "cache_line_cycles": Cost.CACHE_MAINTENANCE,
}
PREDICTION = ("mispredict_cycles", "history_entries", "return_entries")


def may_move(key: str, timing: str) -> set[Cost]:
    """Categories in which a parameter may show."""
    group, _, name = key.rpartition(".")
    if key == "clock_hz":
        own: set[Cost] = set()
    elif group == "system":
        own = {SYSTEM[name]}
    elif group in ("pipeline", "latency"):
        own = {Cost.BRANCHES} if name in PREDICTION else WORK
    elif group.startswith("micro_"):
        own = {Cost.MICRO_TLB} if name == "miss_cycles" else TRANSLATION
    elif group in ("main_tlb", "walk"):
        own = {Cost.MAIN_TLB} if name == "miss_cycles" else TRANSLATION
    elif key == "l1d.hit_cycles":
        own = WORK | {Cost.WALK} if timing == "cache" else WORK  # walks that look in L1D
    else:
        own = {Cost.WALK} if key == "l2.hit_cycles" or timing == "cache" else set()
    return own | MEMORY if timing == "cache" else own


def other_value(core: Any, key: str) -> Any:
    """A value that the core may have, or None."""
    value = core[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "round-robin" if value == "lru" else "lru"
    if isinstance(value, tuple):
        return (4096,) if len(value) > 1 else None
    if key == "clock_hz":  # DRAM takes its time in nanoseconds
        return value + 3
    sizes = ("entries", "size_bytes", "reach_bytes")
    if key.endswith(sizes):
        return value * 2 or None
    return None if key.endswith(("ways", "line_bytes")) else value + 3


@cache
def bill(name: str, key: str, timing: str, program: str) -> Bill:
    core = read_core(name)
    if key:
        core = core.with_values({key: other_value(core, key)})
    config = MachineConfig(512 * MIB, timing=timing)  # type: ignore[arg-type]
    with Machine(config, core) as machine:
        machine.load(FIRMWARE / f"elf/{program}.elf")
        machine.run(max_insns=400_000)
        return machine.bill()


def check(name: str, key: str, timing: str, program: str) -> bool:
    """Whether anything moved."""
    before, after = (bill(name, which, timing, program).charges for which in ("", key))
    moved = {cost for cost in Cost if before[cost].cycles != after[cost].cycles}
    assert moved <= may_move(key, timing), f"{key} moves {moved}"
    assert before[Cost.INSTRUCTIONS].events == after[Cost.INSTRUCTIONS].events
    assert before[Cost.EXCEPTIONS].events == after[Cost.EXCEPTIONS].events
    return bool(moved)


def keys(name: str) -> list[str]:
    core = read_core(name)
    return [key for key in core.parameters if other_value(core, key) is not None]


MUST_MOVE = (
    *("pipeline.issue_width", "pipeline.mispredict_cycles", "latency.alu_cycles", "l2.hit_cycles"),
    *("micro_load.miss_cycles", "micro_instruction.miss_cycles", "main_tlb.miss_cycles", "system.isb_cycles"),
    *("system.tlbi_cycles", "system.dsb_cycles", "system.mcr_cycles", "system.exception_entry_cycles"),
)


@pytest.mark.parametrize("key", MUST_MOVE)
def test_a_parameter_moves_its_categories_and_no_other(key: str) -> None:
    assert check("cortex-a15", key, "tlb", "user")


@pytest.mark.parametrize("key", ["memory.dram_ns", "l1d.size_bytes", "l2.hit_cycles", "walk.through_l1d"])
def test_a_parameter_of_caches_moves_what_waits_for_memory(key: str) -> None:
    assert check("cortex-a15", key, "cache", "user")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["user", "tlb"])
@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize("name", ["cortex-a15", "cortex-a7", "cortex-a9"])
def test_every_parameter_moves_its_categories_and_no_other(name: str, timing: str, program: str) -> None:
    assert sum(check(name, key, timing, program) for key in keys(name)) >= 15
