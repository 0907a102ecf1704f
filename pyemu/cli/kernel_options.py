"""Options that say which kernel: shared by the commands that make a model of one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pyemu.config import TIMINGS, UserError, parse_size

if TYPE_CHECKING:
    from pyemu.kernel import KernelConfig

# The option's word, and that of KernelConfig.
HIGH_GET = {"on": "on", "off": "erratum", "erratum": "erratum", "debug-highmem": "debug"}
REMEDIES = ("none", "no-highpte", "no-fast-gup", "trylock", "skip-high-get")
TABLES = ("lpae", "classic")
VMSPLITS = ("3g", "3g_opt", "2g", "1g")

# What only a kernel has, by the names of its arguments.
KERNEL_ONLY = ("tables", "vmsplit", "highmem", "highpte", "preempt_rt", "high_get", "remedy", "force")

HELP = """\
--highpte and --preempt-rt together are what Kconfig forbids (HIGHPTE depends on HIGHMEM && !PREEMPT_RT);
--force builds it all the same and shows what breaks; a --remedy is a patch that takes the rule's place:
  no-highpte       PTE pages in lowmem under PREEMPT_RT, what was merged (fedadc413723)
  no-fast-gup      no HAVE_GUP_FAST with both, what the -rt patches did
  trylock          a lock that is not free ends gup_fast, and the slow path does the rest
  skip-high-get    no kmap_high_get on the way: caches that do not alias need none
--high-get is ARCH_NEEDS_KMAP_HIGH_GET: on; off or erratum, as ARM_ERRATA_798181 undefines it; debug-highmem,
where DEBUG_HIGHMEM answers without a lock."""


def add_kernel_options(parser: argparse.ArgumentParser, *, title: str = "kernel", mem: bool = True) -> None:
    """Declare them, in a group of their own; without ``mem`` where the command has a --mem already."""
    group = parser.add_argument_group(title)
    if mem:
        group.add_argument(
            "--mem", metavar="SIZE", type=size_option, default=1 << 30, help="RAM, 64M to 64G (default 1G)"
        )
    group.add_argument("--tables", choices=TABLES, default="lpae", help="page tables (default lpae)")
    group.add_argument("--vmsplit", choices=VMSPLITS, default="3g", help="user's share (default 3g)")
    group.add_argument(
        "--highmem",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="RAM beyond lowmem is used (default yes)",
    )
    group.add_argument(
        "--highpte",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="user PTE pages from highmem (default: as Kconfig has it)",
    )
    group.add_argument(
        "--preempt-rt", action=argparse.BooleanOptionalAction, default=False, help="PREEMPT_RT (default no)"
    )
    group.add_argument("--high-get", choices=tuple(HIGH_GET), default="on", help="kmap_high_get (default on)")
    group.add_argument(
        "--remedy", choices=REMEDIES, default="none", help="against sleeping locks below gup_fast"
    )
    group.add_argument("--force", action="store_true", help="build what Kconfig forbids")


def add_timing_options(parser: argparse.ArgumentParser, timing: str) -> None:
    """--core and --timing, whose default is given."""
    group = parser.add_argument_group("timing")
    group.add_argument(
        "--core", metavar="NAME", default="cortex-a15", help="whose cycles are counted (default cortex-a15)"
    )
    group.add_argument(
        "--timing",
        choices=TIMINGS,
        default=timing,
        help=f"off: a cycle an instruction; with TLBs; with caches too (default {timing})",
    )


def kernel_config(args: argparse.Namespace, **more: Any) -> KernelConfig:
    """The configuration of these options and of further fields; UserError with the rule that forbids it."""
    from pyemu.kernel import KernelConfig

    values: dict[str, Any] = {
        "memory_bytes": args.mem,
        "tables": args.tables,
        "vmsplit": args.vmsplit,
        "preemption": "rt" if args.preempt_rt else "voluntary",
        "highmem": args.highmem,
        "highpte": args.highpte,
        "high_get": HIGH_GET[args.high_get],
        "remedy": args.remedy,
        "force": args.force,
    }
    try:
        return KernelConfig(**(values | more))
    except UserError as problem:
        text = str(problem).replace("; force builds", "; --force builds").replace("ram_bytes:", "--mem:")
        raise UserError(text) from None


def size_option(text: str) -> int:
    """A size, as argparse wants it."""
    try:
        return parse_size(text)
    except UserError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
