"""What the cycle model costs: the same guest with --timing off, tlb and cache, in turns.

    pytest bench/ -k timing

Goals: `tlb` boots Linux at 60 % of the speed of `off` or better; `cache` runs 40 million instructions a
second or more of a mix with 40 % loads and stores.  gem5, which models more, runs 0.1 to 10 MIPS (published).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bench.conftest import Scoreboard, in_turns, ratio
from bench.test_machine import LOOPS_ELF
from pyemu.config import MachineConfig
from pyemu.machine import Machine, StopReason
from pyemu.machine.loaders import LoadOptions
from tests.acceptance.initramfs import initramfs
from tests.acceptance.packages import Packages, Unavailable
from tests.conftest import unavailable

LEVELS = ("off", "tlb", "cache")
MIX, MIX_COUNT, MIX_INSNS = 5, 250_000, 82
MIN_TLB_SPEED, MIN_CACHE_MIPS = 0.6, 40e6
GEM5 = "gem5: 0.1 to 10 MIPS"


def mips(value: float) -> str:
    return f"{value / 1e6:.0f} MIPS"


def boot(timing: str) -> Callable[[], float]:
    """Seconds of CPU time from loading the kernel to power-off behind /init."""
    packages = Packages()
    kernel, initrd = packages.kernel("armmp-lpae"), initramfs(packages).read_bytes()

    def measure() -> float:
        began = time.process_time()
        with Machine(MachineConfig(memory_bytes=1 << 30, timing=timing)) as machine:
            machine.load(kernel, LoadOptions(initrd=initrd, append="console=ttyAMA0 rdinit=/boot-only"))
            stop = machine.run()
            seconds = time.process_time() - began
            assert stop.reason == StopReason.POWEROFF
            assert b"init: up" in machine.console.read()
        return seconds

    return measure


def mix(timing: str) -> Callable[[], float]:
    """Seconds of CPU time an instruction."""

    def measure() -> float:
        with Machine(MachineConfig(memory_bytes=512 << 20, timing=timing)) as machine:
            machine.load(LOOPS_ELF)
            for name, value in (("bench_select", MIX), ("bench_count", MIX_COUNT)):
                address = machine.symbols.find(name)
                assert address is not None
                machine.write_phys(address, value.to_bytes(4, "little"))
            machine.run(until="bench_begin")
            began = time.process_time()
            stop = machine.run(until="bench_done")
            seconds = time.process_time() - began
            assert stop.reason == StopReason.BREAKPOINT
            assert stop.insns >= MIX_COUNT * MIX_INSNS
            return seconds / stop.insns

    return measure


def test_timing_of_a_linux_boot(scoreboard: Scoreboard) -> None:
    try:
        seconds = in_turns({level: boot(level) for level in LEVELS}, rounds=3)
    except Unavailable as why:
        unavailable(str(why))
    what = "Linux LPAE boot to /init, --timing"
    scoreboard.compare(f"{what} tlb", seconds["tlb"], "off", seconds["off"], 1 / MIN_TLB_SPEED)
    scoreboard.compare(f"{what} cache", seconds["cache"], "off", seconds["off"], note=GEM5)


@pytest.mark.parametrize("level", LEVELS)
def test_timing_of_a_load_store_mix(scoreboard: Scoreboard, level: str) -> None:
    seconds = in_turns({level: mix(level), "off": mix("off")}, rounds=5)
    speed = 1 / sorted(seconds[level])[2]
    goal = 1 / MIN_CACHE_MIPS if level == "cache" else None
    relative = ratio(seconds[level], seconds["off"])
    what = f"a mix with 40 % loads and stores, --timing {level}: {1 / relative:.2f} of off"
    scoreboard.value(what, 1 / speed, goal, lambda seconds: mips(1 / seconds))
