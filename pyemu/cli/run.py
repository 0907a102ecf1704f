"""``pyemu run``: a user program on the kernel model."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.cli.kernel_options import HELP, add_kernel_options, add_timing_options, kernel_config

if TYPE_CHECKING:
    from pyemu.kernel import Kernel
    from pyemu.machine import Machine, Stop

SUMMARY = "run a user program: ARM Linux ELF, static, on tables that the kernel model makes"
DESCRIPTION = """\
Run a statically linked ARM program in user mode on a machine whose kernel is the model: its page tables are
Linux' own, in guest memory; its faults go to the model's fault handler, its SVCs to a small part of Linux'
system calls (exit, fork, wait4, brk, mmap2, munmap, mprotect, mremap, madvise, read, write, open, close,
ioctl, getpid and a few more), and /sys/kernel/debug/gup_test is there. Its output is ours.
"""
EPILOG = f"""\
{HELP}

exit status:
  the program's        128 and the signal where one ended it, with a report on stderr
  2                    a mistake on the command line or in the file
  124                  --max-insns reached
  130                  interrupted

examples:
  pyemu run firmware/elf/hosted-cow.elf
  pyemu run firmware/elf/hosted-gup.elf --mem 4G --timing cache
  pyemu run firmware/elf/hosted-gup.elf --highpte --preempt-rt --force    what the kernel would print
  pyemu run firmware/elf/hosted-wild.elf                                  SIGSEGV, and why
"""
STATUS_LIMIT = 124
SLICE_INSNS = 20_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The program, which kernel, and limits."""
    parser.add_argument("program", metavar="PROGRAM", type=Path, help="an ELF executable")
    parser.add_argument("arguments", metavar="ARG", nargs="*", help="its arguments")
    add_kernel_options(parser)
    add_timing_options(parser, "off")
    parser.add_argument("--max-insns", metavar="N", type=_count, help="stop after so many instructions")
    parser.add_argument("--json", action="store_true", help="print one JSON object behind its output")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of instructions")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Run it and return its exit status."""
    from pyemu.kernel.program import Program, host_program

    program = Program.read(args.program)
    config = kernel_config(args, timing=args.timing, core=args.core)
    machine, kernel = host_program(config, program, args.arguments)
    with machine, kernel:
        stop = _run_to_its_end(machine, args.max_insns)
        summary = _Summary(kernel, machine, stop)
    if args.json:
        print(json.dumps(summary.as_dict()))
    else:
        summary.print()
    return summary.status


def _run_to_its_end(machine: Machine, max_insns: int | None) -> Stop:
    """Its output is written as it comes."""
    from pyemu.machine import StopReason

    done = 0
    while True:
        part = SLICE_INSNS if max_insns is None else min(SLICE_INSNS, max_insns - done)
        stop = machine.run(max_insns=part)
        done += stop.insns
        sys.stdout.buffer.write(machine.console.read())
        sys.stdout.buffer.flush()
        if stop.reason is not StopReason.LIMIT or (max_insns is not None and done >= max_insns):
            return replace(stop, insns=done)


class _Summary:
    """What is said behind the program's output: its end, who died of what, what the kernel reported."""

    def __init__(self, kernel: Kernel, machine: Machine, stop: Stop) -> None:
        from pyemu.kernel.program import read_deaths, unknown_calls
        from pyemu.kernel.reports import read_reports
        from pyemu.machine import StopReason

        self.exited = stop.reason is StopReason.EXIT
        self.status = stop.status if self.exited else STATUS_LIMIT
        self.insns = stop.insns
        self.deaths = read_deaths(kernel)
        self.unknown = unknown_calls(kernel)
        self.reports = read_reports(kernel)
        self.stats = kernel.stats
        self.bill = machine.bill() if machine.config.timing != "off" else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "exited": self.exited,
            "status": self.status,
            "instructions": self.insns,
            "deaths": [asdict(death) | {"signal": death.signal.name} for death in self.deaths],
            "unknown_system_calls": self.unknown,
            "reports": [report.as_dict() for report in self.reports],
            "stats": self.stats,
            "timing": None if self.bill is None else self.bill.as_dict(),
        }

    def print(self) -> None:
        """To standard error."""
        for text in (death.text for death in self.deaths):
            print(text, file=sys.stderr)
        for report in self.reports:
            print(report.text, file=sys.stderr)
        for number in self.unknown:
            print(f"pyemu: system call {number} is not known here: ENOSYS", file=sys.stderr)
        stats = self.stats
        how = f"exit status {self.status}" if self.exited else "instruction limit reached"
        print(
            f"pyemu: {how}; {self.insns:,} instructions in user mode; {stats['faults']:,} faults, "
            f"{stats['forks']:,} forks, {stats['context_switches']:,} context switches, "
            f"{stats['pte_windows']:,} PTE windows",
            file=sys.stderr,
        )
        if self.bill is not None:
            from pyemu.cli.bill import print_bill

            print_bill(self.bill, None)
