"""The benchmark loops do the same work on pyemu and on the bare engine with its own MMU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_MODE_ARM, Uc
from unicorn.arm_const import UC_CPU_ARM_CORTEX_A15

from pyemu.config import MachineConfig
from pyemu.machine import Machine, StopReason
from tests.firmware.blobs import FIRMWARE

ELF = FIRMWARE / "elf/bench-loops.elf"
RAM_BASE, RAM_SIZE = 0x40000000, 512 << 20

INTEGER, HIT, MISS, FAULT, MISS_IN_MEMORY, MIX = range(6)
# Iterations; a miss iteration makes 8 loads, so that each of the 100,000 pages is visited once.
LOOPS = {INTEGER: 2_000, HIT: 2_000, MISS: 12_500, MISS_IN_MEMORY: 12_500, MIX: 2_000}


@dataclass(frozen=True)
class Image:
    entry: int
    segments: tuple[tuple[int, bytes], ...]
    symbols: dict[str, int]


@cache
def image() -> Image:
    with ELF.open("rb") as file:
        elf = ELFFile(file)
        segments = tuple((s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD"))
        symbols = {s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
        return Image(elf["e_entry"], segments, symbols)


def parameters(loop: int, count: int) -> tuple[int, bytes]:
    address = image().symbols["bench_select"]
    assert image().symbols["bench_count"] == address + 4
    return address, loop.to_bytes(4, "little") + count.to_bytes(4, "little")


def on_pyemu(loop: int, count: int) -> tuple[int, int]:
    """The checksum, and how many walks the loop needed."""
    with Machine(MachineConfig(memory_bytes=RAM_SIZE)) as machine:
        machine.load(ELF)
        machine.write_phys(*parameters(loop, count))
        assert machine.run(until="bench_begin").reason == StopReason.BREAKPOINT
        before = machine.stats().walks
        assert machine.run(until="bench_done").reason == StopReason.BREAKPOINT
        walks = machine.stats().walks - before
        stop = machine.run(max_insns=100)
        assert (stop.reason, stop.status) == (StopReason.EXIT, 0)
        return int.from_bytes(machine.read_phys(image().symbols["bench_result"], 4), "little"), walks


def on_bare_engine(loop: int, count: int) -> int:
    engine = Uc(UC_ARCH_ARM, UC_MODE_ARM)
    engine.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_A15)
    engine.ctl_set_page_size(4096)
    engine.mem_map(RAM_BASE, RAM_SIZE)
    for address, data in image().segments:
        engine.mem_write(address, data)
    engine.mem_write(*parameters(loop, count))
    engine.emu_start(image().entry, image().symbols["bench_done"])
    return int.from_bytes(engine.mem_read(image().symbols["bench_result"], 4), "little")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_gives_the_same_checksum_on_pyemu_and_on_the_bare_engine(loop: int) -> None:
    checksum, _ = on_pyemu(loop, LOOPS[loop])
    assert checksum == on_bare_engine(loop, LOOPS[loop]) != 0


def test_the_miss_loop_walks_for_nearly_each_load_and_the_hit_loop_hardly_ever() -> None:
    assert on_pyemu(MISS, LOOPS[MISS])[1] > 95_000
    assert on_pyemu(HIT, LOOPS[HIT])[1] < 200


def test_the_fault_loop_takes_one_data_abort_an_iteration() -> None:
    assert on_pyemu(FAULT, 1_000)[0] == 1_000
