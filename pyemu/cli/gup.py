"""``pyemu gup``: the kernel's gup_test on a model of the kernel."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from pyemu.cli.kernel_options import HELP, add_kernel_options, add_timing_options, kernel_config
from pyemu.config import MIB, UserError, format_size

if TYPE_CHECKING:
    from rich.console import Console

    from pyemu.kernel import KernelConfig
    from pyemu.kernel.gup_test import GupTestResult

SUMMARY = "what get_user_pages costs, as the kernel's gup_test measures it"
DESCRIPTION = """\
Map memory, touch every page and take references with get_user_pages_fast or one of its relatives, so many
pages a call, as tools/testing/selftests/mm/gup_test does, on a model of the kernel's memory management.
Prints its line, then instructions and cycles for each page, what the cycles were spent on, the counters of
what happened, and whatever the kernel would have complained about, with the chain of calls.
"""
EPILOG = f"""\
{HELP}

exit status:
  0    done, whatever was reported
  2    a mistake on the command line, or a kernel that Kconfig forbids

examples:
  pyemu gup                                      128 MB, one page a call, PTE pages in highmem
  pyemu gup --mem 4G -n 512 --no-highpte
  pyemu gup -a -m 32 -n 64 -r 4                  pin_user_pages_fast
  pyemu gup -t -n 512                            huge pages
  pyemu gup -U --core cortex-a7 --timing tlb     the slow path
  pyemu gup --highpte --preempt-rt               refused, with Kconfig's reason
  pyemu gup --highpte --preempt-rt --force       what breaks
  pyemu gup --highpte --preempt-rt --remedy trylock --json
"""
PIPE_WIDTH = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of gup_test, and which kernel."""
    test = parser.add_argument_group("gup_test")
    test.add_argument("-m", dest="megabytes", metavar="MB", type=_number, default=128, help="default 128")
    test.add_argument("-r", dest="repeats", metavar="N", type=_number, default=1, help="repeats (default 1)")
    test.add_argument(
        "-n",
        dest="pages_per_call",
        metavar="N",
        type=_number,
        default=1,
        help="pages a call (default 1); negative: all",
    )
    flags: tuple[tuple[str, str, object, str], ...] = (
        ("-t", "thp", True, "MADV_HUGEPAGE"),
        ("-T", "thp", False, "MADV_NOHUGEPAGE"),
        ("-w", "write", True, "for writing (default)"),
        ("-W", "write", False, "for reading only"),
        ("-u", "gup_command", "gup_fast", "get_user_pages_fast (default)"),
        ("-U", "gup_command", "gup_basic", "get_user_pages"),
        ("-a", "gup_command", "pin_fast", "pin_user_pages_fast"),
        ("-b", "gup_command", "pin_basic", "pin_user_pages"),
        ("-L", "gup_command", "pin_longterm", "pin_user_pages with FOLL_LONGTERM"),
        ("-S", "shared", True, "MAP_SHARED"),
    )
    defaults = {"thp": None, "write": True, "gup_command": "gup_fast", "shared": False}
    for option, name, value, text in flags:
        test.add_argument(
            option, dest=name, action="store_const", const=value, default=defaults[name], help=text
        )
    add_kernel_options(parser)
    add_timing_options(parser, "cache")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Run the test on a kernel of its own and print what came out."""
    from pyemu.kernel.gup_test import GupTest, run_gup_test

    if args.megabytes < 1:
        raise UserError(f"-m {args.megabytes}: megabytes, 1 or more, would be right")
    test = GupTest(
        command=args.gup_command,
        size_bytes=args.megabytes * MIB,
        repeats=args.repeats,
        pages_per_call=args.pages_per_call,
        thp=args.thp,
        write=args.write,
        shared=args.shared,
    )
    config = kernel_config(args, timing=args.timing, core=args.core)
    result = run_gup_test(config, test)
    if args.json:
        print(json.dumps({**result.as_dict(), "kernel": _kernel_dict(config)}))
    else:
        print_result(result)
    return 0


def _kernel_dict(config: KernelConfig) -> dict[str, object]:
    return {
        "memory_bytes": config.memory_bytes,
        "tables": config.tables,
        "vmsplit": config.vmsplit,
        "preemption": config.preemption,
        "highpte": config.highpte_in_force,
        "high_get": config.high_get,
        "remedy": config.remedy,
        "timing": config.timing,
        "core": config.core if isinstance(config.core, str) else None,
        "broken_rules": [rule.rule for rule in config.rules()],
    }


def print_result(result: GupTestResult) -> None:
    """gup_test's lines, one for each figure, the ledger, the reports."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(highlight=False, markup=False, width=width)
    lines = [*result.lines, _kernel_line(result.config), *_figures(result)]
    for line in lines:
        console.print(line, soft_wrap=True)
    if result.get.cycles:
        _print_ledger(console, result)
    for report in result.reports:
        console.print()
        console.print(report.text, soft_wrap=True)
    if not result.reports:
        console.print("no report", soft_wrap=True)


def _kernel_line(config: KernelConfig) -> str:
    words = [
        format_size(config.memory_bytes),
        config.tables,
        f"vmsplit {config.vmsplit}",
        f"HIGHPTE {'on' if config.highpte_in_force else 'off'}",
        "PREEMPT_RT" if config.preemption == "rt" else f"preemption {config.preemption}",
        f"kmap_high_get {config.high_get}",
    ]
    if config.remedy != "none":
        words.append(f"remedy {config.remedy}")
    words += [f"forced against: {rule.rule}" for rule in config.rules()]
    return f"kernel: {', '.join(words)}"


def _figures(result: GupTestResult) -> list[str]:
    stats = result.stats
    lines = []
    for name, spent in (("get", result.get), ("put", result.put)):
        insns, cycles = result.per_page(spent.insns), result.per_page(spent.cycles)
        if insns is not None and cycles is not None:
            time = spent.cycles / result.clock_hz * 1e6
            lines.append(f"{name}: {insns:.1f} instructions and {cycles:.1f} cycles a page, {time:,.1f} us")
    windows, tables = stats["pte_windows"], stats["pte_maps"]
    lines.append(
        f"pages: {result.pages:,}, {stats['gup_fast_pages']:,} fast and {stats['gup_slow_pages']:,} slow; "
        f"{tables:,} PTE tables mapped, {windows:,} of them through highmem windows; "
        f"{stats['tlbi_local']:,} TLBI, {stats['tlbi_broadcast']:,} broadcast"
    )
    rate = result.host_pages_per_second
    lines.append(f"host: {'-' if rate is None else f'{rate:,.0f}'} pages per second")
    return lines


def _print_ledger(console: Console, result: GupTestResult) -> None:
    from pyemu.cli.bill import add_categories, cost_table

    get, put = result.get, result.put
    table = cost_table("", "cycles", "share", "events", "of get", "of put")
    add_categories(table, (get + put).charges, (get.charges, put.charges))
    console.print()
    console.print(table)
    console.print()
