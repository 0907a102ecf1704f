"""What came out, as a table for a person and as an object for a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyemu.config import format_size
from pyemu.lab.measure import MAX_DEVIATION, Result
from pyemu.lab.protocol import Point
from pyemu.timing import Core

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["as_json", "points_as_json", "print_points", "print_results"]


def print_results(console: Console, results: Sequence[Result]) -> None:
    """A table for each core, and a last line that says what is off."""
    for core in dict.fromkeys(result.core.name for result in results):
        _print_core(console, [result for result in results if result.core.name == core])
    compared = [result for result in results if result.figure is not None]
    measured = [result for result in compared if result.measure.picks]
    met = sum(not result.off for result in measured)
    line = f"{met} of {len(measured)} published figures measured within {MAX_DEVIATION:.0%}"
    if len(measured) < len(compared):
        line += f", {len(compared) - len(measured)} more are parameters that nothing measures"
    off = [f"{result.core.name} {result.measure.title}" for result in compared if result.off]
    console.print("; ".join([line, *(f"off: {name}" for name in off)]), soft_wrap=True)


def _print_core(console: Console, results: Sequence[Result]) -> None:
    from rich.table import Table

    core = results[0].core
    console.print(f"{core.name} at {core['clock_hz'] / 1e6:g} MHz: {core.description}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("figure", "measured", "published", "ratio", "", "from; source"):
        right = column in ("measured", "published", "ratio")
        table.add_column(
            column, justify="right" if right else "left", no_wrap=";" not in column, overflow="fold"
        )
    for result in results:
        table.add_row(
            result.measure.title,
            "-" if result.value is None else _with_unit(result.value, result.measure.unit),
            _published(result),
            "-" if result.ratio is None else f"{result.ratio:.2f}",
            "OFF" if result.off else "",
            f"{_origin(result)}; {result.problem or _source(core, result)}",
        )
    console.print(table)
    console.print()


def _with_unit(value: float, unit: str) -> str:
    if unit == "bytes":
        return format_size(round(value))
    return f"{value:.1f} {unit}" if unit in ("cycles", "ns") else f"{value:g} {unit}"


def _published(result: Result) -> str:
    if result.published is None:
        return "-"
    low, high = result.published
    upper = _with_unit(high, result.measure.unit)
    return upper if low == high else f"{low:g} to {high:g} {result.measure.unit}"


def _origin(result: Result) -> str:
    """The programs' curves, or the parameter that nothing measures."""
    return ", ".join(sorted(result.measure.benchmarks)) or f"parameter {result.measure.parameters[0]}"


def _source(core: Core, result: Result) -> str:
    if result.figure is not None:
        return result.figure.source
    entries = [core.parameters[name] for name in result.measure.parameters]
    words = (f"{entry.name} {entry.value}{' (assumed)' if entry.assumed else ''}" for entry in entries)
    return f"no published figure: {', '.join(words)}"


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results by core; ``within`` says whether no published figure is off."""
    cores: dict[str, Any] = {}
    for result in results:
        core = result.core
        home = cores.setdefault(core.name, {"clock_hz": core["clock_hz"], "figures": {}})
        home["figures"][result.measure.name] = {
            "title": result.measure.title,
            "unit": result.measure.unit,
            "benchmarks": sorted(result.measure.benchmarks),
            "measured": result.value,
            "published": None if result.published is None else list(result.published),
            "source": None if result.figure is None else result.figure.source,
            "ratio": result.ratio,
            "off": result.off,
            "problem": result.problem,
            "parameters": {
                name: {"value": entry.value, "unit": entry.unit, "source": entry.source}
                for name in result.measure.parameters
                for entry in [core.parameters[name]]
            },
        }
    return {"within": not any(result.off for result in results), "cores": cores}


def print_points(console: Console, points: Sequence[Point]) -> None:
    """The points of a run: a column for each key, then the cycles of one operation."""
    from rich.table import Table

    for benchmark in dict.fromkeys(point.benchmark for point in points):
        its = [point for point in points if point.benchmark == benchmark]
        keys = list(dict.fromkeys(key for point in its for key in point.keys))
        table = Table(box=None, pad_edge=False)
        table.add_column(benchmark)
        for column in (*keys, "cycles", "count", "cycles each"):
            table.add_column(column, justify="right", no_wrap=True)
        for point in its:
            values = (_value(key, point.keys.get(key, "")) for key in keys)
            table.add_row("", *values, str(point.cycles), str(point.count), f"{point.each:.2f}")
        console.print(table)


def _value(key: str, value: int | str) -> str:
    return format_size(value) if isinstance(value, int) and key.endswith("bytes") else str(value)


def points_as_json(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The points of a run."""
    return [
        {"benchmark": point.benchmark, "keys": dict(point.keys), "cycles": point.cycles, "count": point.count}
        for point in points
    ]
