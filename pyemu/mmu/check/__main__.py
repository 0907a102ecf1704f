"""``python -m pyemu.mmu.check``: the C walker against Unicorn's MMU and the plain-Python reference.

Exit status: 0 when every answer agrees or differs by a named deviation of Unicorn, 1 on a mismatch, 2 when
the check cannot run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyemu.mmu.check.compare import Report

FORMATS = {"lpae": ("lpae",), "short": ("short",), "both": ("lpae", "short")}


def at_least(minimum: int) -> Callable[[str], int]:
    """An argument type: an integer from ``minimum`` on."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {minimum}")
        return value

    return number


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m pyemu.mmu.check", description=description)
    add = parser.add_argument
    add("--count", type=at_least(1), default=1_000_000, metavar="N", help="translations to compare")
    add("--seed", type=at_least(0), default=1, metavar="S", help="same seed, same tables and addresses")
    add("--format", choices=FORMATS, default="both", help="descriptor format (default: both)")
    add(
        "--sample",
        type=at_least(1),
        default=200,
        metavar="N",
        help="one in N also against the reference (200)",
    )
    add("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args(arguments)


@contextmanager
def progress_bar(count: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal's standard error; nothing where that is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("translations"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=count)
        yield lambda done: progress.update(task, completed=done)


def as_data(report: Report, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    return {
        "count": report.count,
        "seed": options.seed,
        "format": options.format,
        "register_sets": report.register_sets,
        "sampled": report.sampled,
        "seconds": round(seconds, 2),
        "asked": {" ".join(key): number for key, number in sorted(report.asked.items())},
        "outcomes": {" ".join(key): number for key, number in sorted(report.outcomes.items())},
        "deviations": dict(report.deviations.most_common()),
        "mismatches": dict(report.mismatches),
        "shown": report.shown,
    }


def print_tables(report: Report, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()

    def table(title: str, rows: Sequence[tuple[str, int]]) -> None:
        out = Table("", "count", title=title, title_justify="left", show_header=False)
        out.columns[1].justify = "right"
        for name, number in rows:
            out.add_row(name, f"{number:,}")
        console.print(out)

    table("Outcomes", [(" ".join(key), number) for key, number in sorted(report.outcomes.items())])
    table("Deviations of Unicorn", report.deviations.most_common())
    for text in report.shown:
        console.print(f"MISMATCH: {text}", markup=False, highlight=False)
    console.print(
        f"{report.count:,} translations under {report.register_sets:,} register sets against Unicorn's MMU, "
        f"{report.sampled:,} of them against the reference: {sum(report.mismatches.values()):,} mismatches, "
        f"{seconds:.1f} s",
        highlight=False,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if importlib.util.find_spec("numpy") is None:
        print("pyemu.mmu.check needs numpy: pip install 'pyemu-armv7[test]'", file=sys.stderr)
        return 2
    from pyemu.mmu.check.compare import Judge
    from pyemu.mmu.check.oracle import OracleError

    start = time.monotonic()
    bar: AbstractContextManager[Callable[[int], None]]
    bar = nullcontext(lambda done: None) if options.json else progress_bar(options.count)
    try:
        judge = Judge(options.seed, FORMATS[options.format], options.sample)
        with bar as progress:
            report = judge.run(options.count, progress)
    except OracleError as error:
        print(f"pyemu.mmu.check: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - start
    if options.json:
        print(json.dumps(as_data(report, options, seconds), indent=1))
    else:
        print_tables(report, seconds)
    return 1 if report.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
