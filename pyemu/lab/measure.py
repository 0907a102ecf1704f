"""From curves to figures: each measure of the data file for a core, beside what was published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyemu.lab.plateau import find_edge, find_plateaus
from pyemu.lab.protocol import Point
from pyemu.lab.published import Book, Figure, Measure, Pick
from pyemu.timing import Core

__all__ = ["MAX_DEVIATION", "Result", "curve_of", "measure_core", "points_of"]

MAX_DEVIATION = 0.10

# Ratios are compared as they are printed: a published 100 ns has no third digit either.
_DIGITS = 2


class _NoFigure(Exception):
    """Why a measure has no value."""


@dataclass(frozen=True)
class Result:
    """A measure of a core.

    ``figure``   what was published; None when nothing was.
    ``terms``    what each of the measure's picks contributes, with its sign, in cycles or the curve's x.
    ``problem``  why the measure has no value; None when it has one.
    """

    core: Core
    measure: Measure
    figure: Figure | None
    terms: tuple[float, ...] = ()
    problem: str | None = None

    @property
    def value(self) -> float | None:
        """What came out, in the measure's unit; None when nothing did."""
        if self.problem is not None:
            return None
        return sum(self.terms) * 1e9 / self._clock_hz if self.measure.unit == "ns" else sum(self.terms)

    @property
    def published(self) -> tuple[float, float] | None:
        """The two ends of what was published, in the measure's unit."""
        return None if self.figure is None else self.figure.bounds(self._clock_hz)

    @property
    def ratio(self) -> float | None:
        """Measured over published, over the nearer end of a range, 1 inside it; None without one of them."""
        value, ends = self.value, self.published
        if value is None or ends is None:
            return None
        return value / ends[0] if value < ends[0] else value / ends[1] if value > ends[1] else 1.0

    @property
    def places(self) -> list[float]:
        """Where the published ends lie on the curve of the first pick: heights in cycles, or x for an edge.

        A difference stands on what was measured of its other terms.
        """
        if self.published is None or not self.terms:
            return []
        scale = self._clock_hz / 1e9 if self.measure.unit == "ns" else 1.0
        return sorted({end * scale - sum(self.terms[1:]) for end in self.published})

    @property
    def _clock_hz(self) -> int:
        return int(self.core["clock_hz"])

    @property
    def off(self) -> bool:
        """Whether a published figure is missed by more than :data:`MAX_DEVIATION`, or is not measured."""
        if self.figure is None:
            return False
        return self.ratio is None or round(abs(round(self.ratio, _DIGITS) - 1), _DIGITS) > MAX_DEVIATION


def points_of(points: Iterable[Point], benchmark: str, where: Mapping[str, int | str]) -> list[Point]:
    """The points of a benchmark whose keys include ``where``."""
    return [point for point in points if point.benchmark == benchmark and where.items() <= point.keys.items()]


def curve_of(points: Iterable[Point], axis: str) -> list[tuple[int, float]]:
    """(x, cycles of one operation) of the points that have a number at ``axis``, in the order of x."""
    placed = ((point.keys.get(axis), point.each) for point in points)
    return sorted((x, each) for x, each in placed if isinstance(x, int))


def measure_core(book: Book, core: Core, points: Sequence[Point], programs: Iterable[str]) -> list[Result]:
    """Every measure that these programs give, and that this core has, in the order of the data file.

    Where all programs ran, those that are a parameter and were published come too.
    """
    chosen = set(programs)
    ran = {benchmark.name for benchmark in book.benchmarks.values() if benchmark.program in chosen}
    results = []
    for measure in book.measures.values():
        figure = book.figure(core.name, measure.name)
        if measure.needs is not None and core[measure.needs] == 0:
            continue
        if measure.benchmarks <= ran if measure.picks else figure and ran == set(book.benchmarks):
            try:
                results.append(Result(core, measure, figure, _terms(book, core, measure, points)))
            except _NoFigure as problem:
                results.append(Result(core, measure, figure, problem=str(problem)))
    return results


def _terms(book: Book, core: Core, measure: Measure, points: Sequence[Point]) -> tuple[float, ...]:
    if not measure.picks:
        return (float(core[measure.parameters[0]]),)
    return tuple(sign * _take(book, core, pick, points) for sign, pick in measure.picks)


def _take(book: Book, core: Core, pick: Pick, points: Sequence[Point]) -> float:
    name = " ".join([pick.benchmark, *(f"{key}={value}" for key, value in pick.where.items())])
    its = points_of(points, pick.benchmark, pick.where)
    if pick.take == "point":
        if len(its) != 1:
            raise _NoFigure(f"{len(its)} points of {name}, not one")
        return its[0].each
    least = core[pick.beyond] if pick.beyond is not None else -1
    curve = [(x, y) for x, y in curve_of(its, book.benchmarks[pick.benchmark].axis) if x > least]
    try:
        plateaus = find_plateaus(curve)
    except ValueError as problem:
        raise _NoFigure(f"{name} is no curve: {problem}") from None
    index = pick.number - 1 if pick.number > 0 else len(plateaus) + pick.number
    if not 0 <= index < len(plateaus):
        raise _NoFigure(f"{name} has {len(plateaus)} plateaus, not {abs(pick.number)}")
    return plateaus[index].level if pick.take == "plateau" else float(find_edge(curve, plateaus, index))
