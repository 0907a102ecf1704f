"""Plateaus of a curve: stretches of neighbouring points that lie at one height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

__all__ = ["Plateau", "find_edge", "find_plateaus"]

TOLERANCE = 0.1
"""How far two heights may lie apart, of the lower one, and still be the same plateau."""

MIN_POINTS = 3
"""Two points can be level by chance, half-way up a slope."""

EDGE = 0.1
"""How much of the step to the next plateau a curve may climb without having left the one before."""


@dataclass(frozen=True)
class Plateau:
    """A level stretch of a curve.

    ``first`` and ``last`` are the x of its ends, ``level`` its median height, ``points`` how many lie on it.
    """

    first: int
    last: int
    level: float
    points: int


def find_plateaus(
    curve: Sequence[tuple[int, float]], tolerance: float = TOLERANCE, min_points: int = MIN_POINTS
) -> list[Plateau]:
    """The plateaus of a curve of (x, y), in the order of x.

    A plateau is the longest run of at least ``min_points`` neighbours whose highest is within ``tolerance``
    of the lowest; what lies between two of them is the slope from one to the next and belongs to neither.
    Raises ValueError when an x comes twice, is not in order, or a y is negative or not finite.
    """
    _check(curve)
    runs = _longest_runs(curve, tolerance, min_points)
    return [
        Plateau(curve[start][0], curve[stop - 1][0], median(y for _, y in curve[start:stop]), stop - start)
        for start, stop in runs
    ]


def find_edge(curve: Sequence[tuple[int, float]], plateaus: Sequence[Plateau], index: int) -> int:
    """The last x before the curve leaves a plateau for the next one; of the last plateau, where it ends.

    A capacity: the height says what part of the accesses misses, and beyond the edge more than a tenth do.
    The plateau itself may end before: with random replacement misses begin one by one.
    """
    plateau = plateaus[index]
    if index + 1 == len(plateaus):
        return plateau.last
    step = plateaus[index + 1].level - plateau.level
    edge = plateau.last
    for x, y in curve:
        if x > edge:
            if abs(y - plateau.level) > EDGE * abs(step):
                break
            edge = x
    return edge


def _check(curve: Sequence[tuple[int, float]]) -> None:
    for (before, _), (after, _) in pairwise(curve):
        if after <= before:
            raise ValueError(f"x of {after} is not above the {before} before it")
    for x, y in curve:
        if not math.isfinite(y) or y < 0:
            raise ValueError(f"y of {y} at x of {x} is no height")


def _longest_runs(
    curve: Sequence[tuple[int, float]], tolerance: float, min_points: int
) -> list[tuple[int, int]]:
    """Level runs as (start, stop): the longest first, then the longest of what is left beside it.

    The longest first, so that a slope which begins gently is not taken for the end of a long plateau's level.
    Of two that are as long the leveller one is taken.
    """
    free = [(0, len(curve))]
    found = []
    while free:
        start, stop = free.pop()
        best = _best_run(curve, start, stop, tolerance)
        if best is None or best[1] - best[0] < min_points:
            continue
        found.append(best)
        free += [(start, best[0]), (best[1], stop)]
    return sorted(found)


def _best_run(
    curve: Sequence[tuple[int, float]], start: int, stop: int, tolerance: float
) -> tuple[int, int] | None:
    best: tuple[int, float, int, int] | None = None
    for first in range(start, stop):
        low = high = curve[first][1]
        for last in range(first, stop):
            low, high = min(low, curve[last][1]), max(high, curve[last][1])
            if high > low * (1 + tolerance):
                break
            run = (last + 1 - first, low - high, first, last + 1)
            if best is None or run[:2] > best[:2]:
                best = run
    return None if best is None else best[2:]
