"""``pyemu cores``: the parameter sets of the cycle model, each value with its unit and source."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyemu.config import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from pyemu.timing import Core

SUMMARY = "print the cores of the cycle model and where each figure comes from"
DESCRIPTION = (
    "List the cores, or print the parameters of one: value, unit, and the source or the word 'assumed'. "
    "A file of your own adds cores, from scratch or on the base of another."
)
EPILOG = """\
examples:
  pyemu cores                                 the cores
  pyemu cores cortex-a15                      every parameter with its source
  pyemu cores my-core --file my-cores.toml    one of your own
  pyemu cores --check my-cores.toml           only validate a file

exit status: 0, or 2 when there is no such core or the file is not valid
"""

PIPE_WIDTH = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``pyemu cores``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a core, such as cortex-a15")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="FILE.toml", help="also the cores of this file")
    source.add_argument("--check", metavar="FILE.toml", help="validate this file and name its cores")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from pyemu.timing import builtin_cores, load_cores, read_core

    if args.check is not None:
        if args.name is not None:
            raise UserError("--check takes no NAME: it validates every core of the file")
        cores = load_cores(args.check)
        if args.json:
            print(json.dumps({"valid": args.check, "cores": list(cores)}))
        else:
            print(f"{args.check}: valid: {', '.join(cores)}")
        return 0
    if args.name is not None:
        core = read_core(args.name, args.file)
        print(json.dumps(core.as_dict())) if args.json else _print_core(core)
        return 0
    cores = {**builtin_cores(), **(load_cores(args.file) if args.file is not None else {})}
    if args.json:
        print(json.dumps({name: core.as_dict() for name, core in cores.items()}))
    else:
        _print_list(cores)
    return 0


def _console() -> Console:
    """A terminal's width, or, into a file or a pipe, a line for each row."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _print_list(cores: Mapping[str, Core]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("core", "clock", "parameters", "assumed", "description"):
        table.add_column(column, justify="right" if column in ("parameters", "assumed") else "left")
    for core in cores.values():
        clock = f"{core['clock_hz'] / 1e6:g} MHz"
        table.add_row(core.name, clock, str(len(core.parameters)), str(len(core.assumed)), core.description)
    _console().print(table)


def _print_core(core: Core) -> None:
    from rich.table import Table

    title = f"{core.name}: {core.description}" if core.description else core.name
    table = Table(box=None, pad_edge=False)
    table.add_column("parameter", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("source", overflow="fold")
    for name, entry in core.parameters.items():
        table.add_row(name, _shown(entry.value), entry.unit, entry.source)
    console = _console()
    console.print(title, soft_wrap=True)
    console.print(table)
    console.print(f"{len(core.parameters)} parameters, {len(core.assumed)} of them assumed")


def _shown(value: int | bool | str | tuple[int, ...]) -> str:
    from pyemu.config import format_size

    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(format_size(size) for size in value)
    return str(value)
