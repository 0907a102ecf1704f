"""``pyemu sweep``: gup_test and forks on every kernel of a matrix, and the answers."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.cli.kernel_options import REMEDIES, add_timing_options, size_option

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pyemu.lab.sweep import Job, Plan, Row

SUMMARY = "what HIGHPTE costs and saves, and what breaks with PREEMPT_RT, over a matrix of kernels"
DESCRIPTION = """\
Run gup_test on kernels with and without HIGHPTE and PREEMPT_RT, by RAM size and pages a call; on the
combination that Kconfig forbids also each remedy. Fork processes with sparse memory until it runs out.
Prints the answers and writes, into the directory of -o,
  results.jsonl        a line for each measurement, appended as it is done
  gup.csv, tables.csv  the same as tables
  sweep.json           everything, with the answers
  cost, lowmem, remedies .png and .svg
  index.html           plots and answers, in one file
"""
EPILOG = """\
A sweep that was stopped or killed goes on where it was when it is started again with the same options.
Plots need matplotlib: pip install 'pyemu-armv7[plot]'; --dask needs pip install 'pyemu-armv7[dask]'.

examples:
  pyemu sweep                                          the whole matrix, into sweep/
  pyemu sweep -o quick --mem 1G,4G --pages-per-call 1,512 -m 8
  pyemu sweep -o a7 --core cortex-a7 --timing tlb
  pyemu sweep -o big -m 256 --dask tcp://10.0.0.5:8786   on the workers of a cluster

exit status: 0, or 2 when a mistake was made on the command line or results are of another sweep
"""
DEFAULT_DIRECTORY = Path("sweep")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, where, and by whom."""
    parser.add_argument(
        "-o", dest="directory", metavar="DIR", type=Path, default=DEFAULT_DIRECTORY, help="default sweep"
    )
    matrix = parser.add_argument_group("matrix")
    matrix.add_argument(
        "--mem", metavar="SIZE,...", type=_list_of(size_option), help="RAM (default 512M,1G,2G,4G,8G,16G)"
    )
    matrix.add_argument(
        "--pages-per-call", metavar="N,...", type=_list_of(_number), help="default 1,8,64,512"
    )
    matrix.add_argument(
        "--remedy",
        metavar="NAME,...",
        type=_list_of(str),
        help=f"default {','.join(REMEDIES[1:])}; none: without remedies",
    )
    matrix.add_argument(
        "-m", dest="megabytes", metavar="MB", type=_number, default=32, help="that gup_test maps (default 32)"
    )
    add_timing_options(parser, "cache")
    parser.add_argument("--no-plots", action="store_true", help="no plots: without matplotlib")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "-j", dest="jobs", metavar="N", type=_number, help="processes of this host (default: one a CPU)"
    )
    who.add_argument("--dask", metavar="ADDRESS", help="the workers of a dask.distributed scheduler")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1 << 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 1 to {1 << 20}")
    return int(text)


def _list_of(convert: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def parse(text: str) -> tuple[Any, ...]:
        return tuple(convert(part.strip()) for part in text.split(","))

    return parse


def run(args: argparse.Namespace) -> int:
    """Do what is left of the sweep, write the files, print the answers."""
    from pyemu.lab.figure import need_matplotlib
    from pyemu.lab.sweep.answers import answers
    from pyemu.lab.sweep.results import Results
    from pyemu.lab.sweep.run import run_sweep
    from pyemu.lab.sweep.write import write_sweep

    if not args.no_plots:
        need_matplotlib()
    plan = _plan(args)
    results = Results(args.directory / "results.jsonl", plan)
    jobs = plan.jobs({row.place for row in results.rows})
    if jobs:
        with _executor(args, len(jobs)) as executor, _progress(jobs) as advance:
            run_sweep(results, executor, advance)
    files = write_sweep(plan, results.rows, args.directory, plots=not args.no_plots)
    found = answers(results.rows)
    if args.json:
        said = [asdict(answer) for answer in found]
        print(
            json.dumps({"rows": len(results.rows), "answers": said, "files": [str(path) for path in files]})
        )
    else:
        _print_answers(found, results.rows, files)
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    from pyemu.lab.sweep import Plan
    from pyemu.lab.sweep.plan import CALLS, SIZES
    from pyemu.lab.sweep.plan import REMEDIES as ALL

    remedies = ALL if args.remedy is None else () if args.remedy == ("none",) else args.remedy
    return Plan(
        sizes=args.mem or SIZES,
        calls=args.pages_per_call or CALLS,
        remedies=remedies,
        core=args.core,
        timing=args.timing,
        megabytes=args.megabytes,
    )


def _executor(args: argparse.Namespace, jobs: int) -> AbstractContextManager[Executor]:
    from pyemu.lab.sweep.run import dask_pool, process_pool

    if args.dask is not None:
        return dask_pool(args.dask)
    return process_pool(min(args.jobs or len(os.sched_getaffinity(0)), jobs))


@contextmanager
def _progress(jobs: list[Job]) -> Iterator[Callable[[Job], None]]:
    """A bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda job: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("running", total=len(jobs))
        yield lambda job: progress.update(task, advance=1, description=str(job))


def _print_answers(found: list[Any], rows: list[Row], files: list[Path]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for answer in found:
        console.print(answer.question, style="bold")
        for text in answer.text:
            console.print(f"  {text}", soft_wrap=True)
        console.print()
    page = next(path for path in files if path.suffix == ".html")
    console.print(f"{len(rows)} measurements, {len(files)} files: {page} shows them", soft_wrap=True)
