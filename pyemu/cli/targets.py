"""What subcommands that look at a guest have in common: how a target is named and opened."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.config import TIMINGS, UserError, parse_size

if TYPE_CHECKING:
    from pyemu.debug import Target

__all__ = ["add_target_arguments", "open_from", "with_cpu"]


def add_target_arguments(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """TARGET and the options that say more about it."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?" if optional else None,
        help="a snapshot, an ELF core, a raw image of RAM, or an image to load",
    )
    group = parser.add_argument_group("what the target is")
    group.add_argument(
        "--regs",
        metavar="FILE.json",
        type=Path,
        help='translation registers of a dump: {"sctlr": "0x30c5387d", "ttbcr": "0", "ttbr0": "0x40204059"}, '
        "or with ttbr1, mair0, mair1, dacr and others too",
    )
    group.add_argument(
        "--find-pgd",
        action="store_true",
        help="guess the page tables of a dump, say what and why (standard error), and take the first",
    )
    group.add_argument(
        "--ram-base", metavar="ADDR", help="TARGET is an image of the RAM that begins there, as at 0x40000000"
    )
    group.add_argument("--symbols", metavar="FILE", type=Path, help="an ELF file or a System.map")
    group.add_argument("--timing", choices=TIMINGS, help="of a snapshot or an image: see pyemu boot")
    group.add_argument("--cpu", metavar="N", type=int, default=0, help="which CPU, from 0 (default: 0)")


def open_from(args: argparse.Namespace, **more: Any) -> Target:
    """The target that the arguments name; ``more`` are further fields of OpenOptions.

    Raises :class:`~pyemu.config.UserError`.
    """
    import sys

    from pyemu.debug.opening import OpenOptions, open_target

    if args.regs is not None and args.find_pgd:
        raise UserError("--regs and --find-pgd: one of them says where the page tables are")
    options = OpenOptions(
        timing=args.timing,
        regs=args.regs,
        find_pgd=args.find_pgd,
        ram_base=None if args.ram_base is None else parse_size(args.ram_base),
        symbols=args.symbols,
        **more,
    )
    target = open_target(args.target, options)
    for guess in getattr(target, "guesses", ()):
        print("\n".join(guess.lines), file=sys.stderr)
    return with_cpu(target, args.cpu)


def with_cpu(target: Target, cpu: int) -> Target:
    """The target, if it has the CPU that --cpu names; closed and a UserError otherwise."""
    if not 0 <= cpu < target.cpus:
        count = target.cpus
        target.close()
        raise UserError(f"{target.name}: no CPU {cpu}: there are {count}, counted from 0")
    return target
