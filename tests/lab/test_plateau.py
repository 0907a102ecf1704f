"""Plateaus of curves whose plateaus are known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.lab.plateau import TOLERANCE, find_edge, find_plateaus

Curve = list[tuple[int, float]]


@st.composite
def stairs(draw: st.DrawFn) -> tuple[Curve, list[tuple[int, int, float]]]:
    """A curve of level stretches, each 1.5 times or more as high as the one before, with noise of 2 %."""
    steps = draw(st.lists(st.tuples(st.integers(3, 6), st.floats(1.5, 8)), min_size=1, max_size=5))
    curve: Curve = []
    expected = []
    height = draw(st.floats(1, 5))
    for length, factor in steps:
        height *= factor
        first = len(curve)
        curve += [(1 << (first + n), height * draw(st.floats(0.99, 1.01))) for n in range(length)]
        expected.append((curve[first][0], curve[-1][0], height))
    return curve, expected


@given(stairs())
def test_every_stair_is_found_with_its_ends_and_height(
    stair: tuple[Curve, list[tuple[int, int, float]]],
) -> None:
    curve, expected = stair
    plateaus = find_plateaus(curve)
    assert [(plateau.first, plateau.last) for plateau in plateaus] == [step[:2] for step in expected]
    for index, (plateau, (_, last, height)) in enumerate(zip(plateaus, expected, strict=True)):
        assert plateau.level == pytest.approx(height, rel=0.011)
        assert find_edge(curve, plateaus, index) == last


@given(st.lists(st.floats(0, 1e6), max_size=30))
def test_plateaus_are_level_apart_and_in_order(heights: list[float]) -> None:
    curve = list(enumerate(heights))
    plateaus = find_plateaus(curve)
    for plateau in plateaus:
        its = heights[plateau.first : plateau.last + 1]
        assert len(its) == plateau.points >= 3
        assert max(its) <= min(its) * (1 + TOLERANCE)
        assert min(its) <= plateau.level <= max(its)
    assert all(before.last < after.first for before, after in pairwise(plateaus))


def test_a_slope_belongs_to_no_plateau() -> None:
    curve = [(4, 4.0), (8, 4.0), (16, 4.1), (32, 9.0), (48, 9.1), (64, 21.0), (128, 21.0), (256, 21.3)]
    found = [(plateau.first, plateau.last, plateau.level) for plateau in find_plateaus(curve)]
    assert found == [(4, 16, 4.0), (64, 256, 21.0)]


def test_a_long_plateau_is_not_cut_by_a_gentle_slope_before_it() -> None:
    curve = [(1, 8.9), (2, 9.2), (4, 10.0), (8, 10.0), (16, 10.0), (32, 10.0)]
    assert [(plateau.first, plateau.last) for plateau in find_plateaus(curve)] == [(2, 32)]


def test_an_edge_lies_where_a_tenth_of_the_way_up_is_passed() -> None:
    curve = [(1, 20.0), (2, 20.0), (4, 20.0), (8, 29.0), (16, 31.0), (32, 120.0), (64, 120.0), (128, 120.0)]
    plateaus = find_plateaus(curve)
    assert [find_edge(curve, plateaus, index) for index in range(len(plateaus))] == [8, 128]


def test_two_points_are_no_plateau() -> None:
    assert find_plateaus([]) == []
    assert find_plateaus([(4, 4.0), (8, 4.0)]) == []
    assert find_plateaus([(4, 4.0), (8, 4.0), (16, 16.0), (32, 16.0)]) == []


@pytest.mark.parametrize(
    "curve",
    [
        [(4, 1.0), (4, 1.0)],
        [(8, 1.0), (4, 1.0)],
        [(4, math.nan)],
        [(4, math.inf)],
        [(4, -1.0)],
    ],
)
def test_what_is_no_curve_is_refused(curve: Curve) -> None:
    with pytest.raises(ValueError):
        find_plateaus(curve)
