"""User programs made in memory, and runs of programs on a model."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from pyemu.config import MachineConfig
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.memory import MemInfo
from pyemu.kernel.program import Death, Program, Segment, read_deaths, start_program, unknown_calls
from pyemu.kernel.reports import Report, read_reports
from pyemu.machine import Machine, Stop
from pyemu.native import lib

TEXT, DATA = 0x10000, 0x20000
RX, RW = lib.PE_PROT_READ | lib.PE_PROT_EXEC, lib.PE_PROT_READ | lib.PE_PROT_WRITE


@dataclass(frozen=True)
class Ran:
    """How a program ended; ``before`` and ``after`` are the kernel's memory."""

    stop: Stop
    output: str
    deaths: list[Death]
    unknown: list[int]
    reports: list[Report]
    stats: dict[str, int]
    before: MemInfo
    after: MemInfo


def program(*words: int, data: bytes = b"", name: str = "program") -> Program:
    """ARM code at 0x10000, data at 0x20000."""
    code = struct.pack(f"<{len(words)}I", *words)
    segments = [Segment(TEXT, code, len(code), RX), Segment(DATA, data, max(len(data), 4096), RW)]
    return Program(name, TEXT, tuple(segments))


def run_program(
    what: Program, *arguments: str, max_insns: int = 50_000_000, timing: str = "off", **config: Any
) -> Ran:
    """Run it to its end; the model's frames and tables are counted anew afterwards."""
    kernel_config = KernelConfig(timing=timing, core="cortex-a15", **config)  # type: ignore[arg-type]
    machine_config = MachineConfig(
        memory_bytes=kernel_config.memory_bytes,
        semihosting=False,
        timing=timing,
        core="cortex-a15",  # type: ignore[arg-type]
    )
    with Machine(machine_config) as machine:
        machine.reset(0)
        with Kernel(kernel_config, machine=machine) as kernel:
            before = kernel.meminfo
            start_program(kernel, what, arguments)
            stop = machine.run(max_insns=max_insns)
            kernel.check()
            return Ran(
                stop,
                machine.console.read().decode(errors="replace"),
                read_deaths(kernel),
                unknown_calls(kernel),
                read_reports(kernel),
                kernel.stats,
                before,
                kernel.meminfo,
            )
