"""``pyemu lab``: micro-benchmarks under the cycle model, and the figures that were published."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyemu.config import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from pyemu.lab.curves import Job, Run
    from pyemu.lab.measure import Result
    from pyemu.lab.protocol import Point
    from pyemu.timing import Core

SUMMARY = "measure the cores of the cycle model, beside published figures"
DESCRIPTION = "Run ARM micro-benchmarks on the cycle model and look at what they measure."
EPILOG = """\
examples:
  pyemu lab cores                      every core, beside what was published about it
  pyemu lab curve chase                the points of one curve

`pyemu lab COMMAND --help` explains a command and its exit status.
"""
CORES_DESCRIPTION = """\
Run the micro-benchmarks on each core under the cycle model. For each figure the table has what was measured
(the height of a plateau of a curve, a difference of two, or where one ends), what was published about a chip
with this core and by whom, and the ratio. Figures in ns go through the core's clock. A figure that nobody
published is printed with the parameters that it comes from.
"""
CORES_EPILOG = """\
With -o the curves are drawn, CURVE.png and CURVE.svg, with published figures as dashed lines, and what the
programs printed is kept, CORE.PROGRAM.txt, which --from reads instead of running them. Plots need matplotlib:
pip install 'pyemu-armv7[plot]'.

examples:
  pyemu lab cores                                        every core and benchmark
  pyemu lab cores cortex-a15 --only chase                one core, one benchmark
  pyemu lab cores -o curves                              also draw the curves, into curves/
  pyemu lab cores my-core cortex-a15 --file my.toml      a core of your own beside another
  pyemu lab cores --from curves -o drawn                 draw again what was measured before

exit status:
  0    every published figure is met within 10 %
  1    one is not; the table says which
  2    a mistake on the command line or in a file
"""
CURVE_EPILOG = """\
PROGRAM is the name of a benchmark, or an ELF file of your own that prints through semihosting or the PL011

    @ chase bytes=4096 cycles=40960 count=10240
    @ end

one line a point: a name, keys with numbers or words in lower case, cycles and count; then it exits with 0.

examples:
  pyemu lab curve chase
  pyemu lab curve tlb_reach --core cortex-a9
  pyemu lab curve ./mine.elf --core my-core --file my.toml --json

exit status: 0, or 2 when there is no such program or core, or the program goes wrong
"""
PIPE_WIDTH = 320


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of ``pyemu lab``."""
    commands = parser.add_subparsers(dest="experiment", metavar="COMMAND", required=True)
    cores = commands.add_parser(
        "cores",
        help="every figure of each core, beside what was published",
        description=CORES_DESCRIPTION,
        epilog=CORES_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cores.add_argument("name", nargs="*", metavar="NAME", help="a core (default: all; of --file if given)")
    cores.add_argument("--file", metavar="CORES.toml", type=Path, help="also the cores of this file")
    cores.add_argument(
        "--only", metavar="PROGRAM", action="append", help="only this benchmark; may be given again"
    )
    cores.add_argument("-o", dest="directory", metavar="DIR", type=Path, help="write plots and records here")
    cores.add_argument("--no-plots", action="store_true", help="with -o: only the records")
    cores.add_argument("--from", dest="records", metavar="DIR", type=Path, help="take records; run nothing")
    _add_tables(cores)
    cores.add_argument("--json", action="store_true", help="print one JSON object")
    cores.add_argument(
        "-j", dest="jobs", metavar="N", type=_jobs, help="so many machines at a time (default: one a CPU)"
    )
    cores.set_defaults(experiment_run=_run_cores, parser=cores)
    curve = commands.add_parser(
        "curve",
        help="the points of one program's curve",
        description="Run one program under the cycle model and print the points of its curve.",
        epilog=CURVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    curve.add_argument("program", metavar="PROGRAM", help="a benchmark, or an ELF file")
    curve.add_argument("--core", metavar="NAME", default="cortex-a15", help="default cortex-a15")
    curve.add_argument("--file", metavar="CORES.toml", type=Path, help="also the cores of this file")
    _add_tables(curve)
    curve.add_argument("--json", action="store_true", help="print one JSON object")
    curve.set_defaults(experiment_run=_run_curve, parser=curve)


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tables",
        choices=("short", "long"),
        default="short",
        help="the programs' page tables: short descriptors, as where figures were measured, or long ones",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command that was asked for."""
    status: int = args.experiment_run(args)
    return status


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of machines, 1 to 256")
    return int(text)


def _run_cores(args: argparse.Namespace) -> int:
    from pyemu.lab.measure import measure_core
    from pyemu.lab.published import read_book
    from pyemu.lab.report import as_json, print_results

    if args.no_plots and args.directory is None:
        raise UserError("--no-plots belongs to -o DIR: without it nothing is drawn")
    if args.directory is not None and not args.no_plots:
        from pyemu.lab.figure import need_matplotlib

        need_matplotlib()
    book = read_book()
    cores = _choose_cores(args.name, args.file)
    programs = _choose_programs(args.only, book.programs)
    measured, files = _points(args, cores, programs)
    results: list[Result] = []
    for core in cores.values():
        its = measured.get(core.name, {})
        points = [point for part in its.values() for point in part]
        results += measure_core(book, core, points, its)
    if args.directory is not None and not args.no_plots:
        files += _draw(args.directory, measured, results)
    if args.json:
        print(json.dumps({**as_json(results), "files": [str(path) for path in files]}))
    else:
        console = _console()
        print_results(console, results)
        if files:
            console.print(f"{len(files)} files in {args.directory}", soft_wrap=True)
    return int(any(result.off for result in results))


def _choose_cores(names: Sequence[str], file: Path | None) -> Mapping[str, Core]:
    from pyemu.timing import builtin_cores, load_cores

    own = load_cores(file) if file is not None else {}
    known = {**builtin_cores(), **own}
    for name in names:
        if name not in known:
            where = f" in {file}" if file is not None else ""
            raise UserError(f"no core {name!r}{where}: there are {', '.join(known)}")
    chosen = names or (own if file is not None else known)
    return {name: known[name] for name in chosen}


def _choose_programs(only: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    for name in only or ():
        if name not in known:
            raise UserError(f"--only: no benchmark {name!r}: there are {', '.join(known)}")
    return [name for name in known if only is None or name in only]


def _points(
    args: argparse.Namespace, cores: Mapping[str, Core], programs: Sequence[str]
) -> tuple[dict[str, dict[str, list[Point]]], list[Path]]:
    """The points by core and program, from runs or records, and the records that were written."""
    from pyemu.lab.protocol import parse_points
    from pyemu.lab.records import read_records, write_records

    if args.records is not None:
        return read_records(args.records, list(cores), programs), []
    runs = _run_programs(args, cores, programs)
    measured: dict[str, dict[str, list[Point]]] = {}
    for run in runs:
        measured.setdefault(run.job.core, {})[run.job.name] = parse_points(run.text)
    if args.directory is None:
        return measured, []
    return measured, write_records(args.directory, [(run.job.core, run.job.name, run.text) for run in runs])


def _run_programs(args: argparse.Namespace, cores: Mapping[str, Core], programs: Sequence[str]) -> list[Run]:
    from pyemu.lab.curves import Job, run_jobs
    from pyemu.lab.programs import check_tables, find_program

    for core in cores.values():
        check_tables(core, args.tables)
    paths = {name: find_program(name, args.tables) for name in programs}
    jobs = [Job(name, paths[name], core, args.file) for name in programs for core in cores]
    with _progress(jobs) as advance:
        return run_jobs(jobs, args.jobs or len(os.sched_getaffinity(0)), advance)


@contextmanager
def _progress(jobs: Sequence[Job]) -> Iterator[Callable[[Run], None]]:
    """A bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda run: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("running", total=len(jobs))
        yield lambda run: progress.update(task, advance=1, description=str(run.job))


def _draw(
    directory: Path, measured: Mapping[str, Mapping[str, list[Point]]], results: Sequence[Result]
) -> list[Path]:
    from pyemu.lab.plot import draw_benchmark
    from pyemu.lab.published import read_book

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"{directory}: {problem.strerror or problem}") from None
    files = []
    for benchmark in read_book().benchmarks.values():
        program = benchmark.program
        points = {core: its[program] for core, its in measured.items() if program in its}
        if points:
            files += draw_benchmark(benchmark, points, results, directory)
    return files


def _run_curve(args: argparse.Namespace) -> int:
    from pyemu.lab.curves import Job, run_job
    from pyemu.lab.programs import check_tables, find_program
    from pyemu.lab.protocol import parse_points
    from pyemu.lab.report import points_as_json, print_points

    core = _choose_cores([args.core], args.file)[args.core]
    check_tables(core, args.tables)
    done = run_job(Job(args.program, find_program(args.program, args.tables), core.name, args.file))
    points = parse_points(done.text)
    if args.json:
        print(json.dumps({"core": core.name, "insns": done.insns, "points": points_as_json(points)}))
    else:
        print_points(_console(), points)
    return 0


def _console() -> Console:
    """A terminal's width, or, into a file or a pipe, a line for each row."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
