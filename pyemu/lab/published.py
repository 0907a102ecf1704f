"""What the laboratory measures, and the figures that were published about it: ``data/published.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

__all__ = ["Benchmark", "Book", "Figure", "Measure", "Pick", "read_book"]

DATA = Path(__file__).parent / "data" / "published.toml"

Unit = Literal["cycles", "ns", "bytes", "pages", "entries", "ways"]
UNITS: tuple[str, ...] = ("cycles", "ns", "bytes", "pages", "entries", "ways")

_TAKES = ("plateau", "edge")


@dataclass(frozen=True)
class Benchmark:
    """A micro-benchmark: the program that prints it, and the words of its plot.

    ``axis`` is the key that is its curve's x, ``x`` the words for it; both are empty where there is no curve
    but single points.
    """

    name: str
    program: str
    title: str
    y: str
    axis: str = ""
    x: str = ""


@dataclass(frozen=True)
class Pick:
    """A place on a curve: of ``benchmark``, those points whose keys include ``where``; then one of three.

    ``beyond`` is a parameter of the core: only points with an x above its value are looked at.

    ``plateau``  the height of a plateau: 1 is the first, -1 the last.
    ``edge``     the last x before the curve leaves a plateau for the next one.
    ``point``    the height of the one point that there is.
    """

    benchmark: str
    where: Mapping[str, int | str]
    take: str
    number: int
    beyond: str | None


@dataclass(frozen=True)
class Measure:
    """A figure that curves give for any core; the fields are those of the data file."""

    name: str
    title: str
    unit: str
    picks: tuple[tuple[int, Pick], ...]
    """Signs, 1 or -1, and places: the figure is their sum. Empty where nothing measures it."""
    needs: str | None
    parameters: tuple[str, ...]

    @property
    def benchmarks(self) -> frozenset[str]:
        """The benchmarks that it comes from."""
        return frozenset(pick.benchmark for _, pick in self.picks)


@dataclass(frozen=True)
class Figure:
    """What was published: ``low`` to ``high`` in the measure's unit, and ``ns`` by the core's clock."""

    core: str
    measure: str
    low: float
    high: float
    ns: float
    source: str

    def bounds(self, clock_hz: int) -> tuple[float, float]:
        """The two ends in the measure's unit."""
        cycles = self.ns * clock_hz / 1e9
        return self.low + cycles, self.high + cycles


@dataclass(frozen=True)
class Book:
    """The data file."""

    benchmarks: Mapping[str, Benchmark]
    measures: Mapping[str, Measure]
    figures: tuple[Figure, ...] = field(repr=False)

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs of the benchmarks, each once."""
        return tuple(dict.fromkeys(benchmark.program for benchmark in self.benchmarks.values()))

    def figure(self, core: str, measure: str) -> Figure | None:
        """What was published about this measure of this core."""
        return next((entry for entry in self.figures if (entry.core, entry.measure) == (core, measure)), None)


@cache
def read_book(path: Path = DATA) -> Book:
    """The data file; raises ValueError or KeyError when there is a mistake in it."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    tables = tomllib.loads(path.read_text("utf-8"))
    benchmarks = {name: Benchmark(name, **table) for name, table in tables["benchmark"].items()}
    measures = {name: _measure(name, table) for name, table in tables["measure"].items()}
    figures = tuple(_figure(table) for table in tables["figure"])
    for measure in measures.values():
        if unknown := measure.benchmarks - set(benchmarks):
            raise ValueError(f"measure {measure.name}: no benchmark {min(unknown)}")
    places = [(figure.core, figure.measure) for figure in figures]
    for place in places:
        if place[1] not in measures or places.count(place) != 1:
            raise ValueError(f"figure {place}: no such measure, or there twice")
    return Book(benchmarks, measures, figures)


def _measure(name: str, table: dict[str, Any]) -> Measure:
    known = {"title", "unit", "benchmark", "where", "minus", "plus", "beyond", "needs", "parameters", *_TAKES}
    if set(table) - known or table["unit"] not in UNITS:
        raise ValueError(f"measure {name}: {sorted(set(table) - known)} or the unit is not known")
    picks: list[tuple[int, Pick]] = []
    if "benchmark" in table:
        picks.append((1, _pick(name, table)))
        for key, sign in (("minus", -1), ("plus", 1)):
            if key in table:
                inherited = {"benchmark": table["benchmark"], "where": table.get("where", {})}
                picks.append((sign, _pick(name, inherited | table[key])))
    elif len(table["parameters"]) != 1:
        raise ValueError(f"measure {name}: without a benchmark it is one parameter")
    return Measure(
        name, table["title"], table["unit"], tuple(picks), table.get("needs"), tuple(table["parameters"])
    )


def _pick(name: str, table: dict[str, Any]) -> Pick:
    takes = [take for take in _TAKES if take in table]
    if len(takes) > 1:
        raise ValueError(f"measure {name}: a plateau's height or its edge, not both")
    take = takes[0] if takes else "point"
    where = dict(table.get("where", {}))
    return Pick(table["benchmark"], where, take, table.get(take, 0), table.get("beyond"))


def _figure(table: dict[str, Any]) -> Figure:
    ends = ("value",) if "value" in table else ("low", "high")
    if unknown := set(table) - {"core", "measure", "ns", "source", *ends}:
        raise ValueError(f"figure {table}: {min(unknown)} is not known, or not beside {ends[0]}")
    low, high = float(table[ends[0]]), float(table[ends[-1]])
    if not 0 < low <= high:
        raise ValueError(f"figure {table}: {low} to {high} is no range")
    return Figure(table["core"], table["measure"], low, high, float(table.get("ns", 0)), table["source"])
