"""Figures out of points, and how far they are from what was published."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pyemu.lab.measure import Result, measure_core
from pyemu.lab.protocol import Point
from pyemu.lab.published import Figure, Measure, read_book
from pyemu.timing import Core, builtin_cores
from tests.lab import ideal

A15 = builtin_cores()["cortex-a15"]


def measure(core: Core, points: Sequence[Point] | None = None) -> dict[str, Result]:
    if points is None:
        points = [point for program in ideal.PROGRAMS.values() for point in program(core)]
    return {result.measure.name: result for result in measure_core(read_book(), core, points, ideal.PROGRAMS)}


@pytest.mark.parametrize("name", builtin_cores())
def test_an_ideal_core_measures_its_own_parameters(name: str) -> None:
    core = builtin_cores()[name]
    results = measure(core)
    for parameter, measured in (
        ("l1d.hit_cycles", "l1d_hit"),
        ("l2.hit_cycles", "l2_hit"),
        ("l1d.size_bytes", "l1d_size"),
        ("l2.size_bytes", "l2_size"),
        ("micro_load.entries", "dtlb_entries"),
        ("micro_load.miss_cycles", "dtlb_miss"),
    ):
        assert results[measured].value == core[parameter], measured
    assert results["dram"].value == ideal.dram_cycles(core)
    assert [result.problem for result in results.values() if result.problem] == []
    assert [result.measure.name for result in results.values() if result.off] == []


def test_a_core_without_a_part_has_no_figure_of_it() -> None:
    assert "store_tlb_entries" in measure(A15)
    assert "store_tlb_entries" not in measure(builtin_cores()["cortex-a9"])
    without = A15.with_values({"walk.cache_entries": 0})
    assert {"walk_cache_miss", "walk_cache_entries"} <= set(measure(A15)) - set(measure(without))


def test_what_nothing_measures_is_the_parameter_and_only_where_it_was_published() -> None:
    ways = measure(A15)["l1d_ways"]
    assert (ways.value, ways.ratio, ways.measure.benchmarks) == (2, 1, frozenset())
    assert "l1d_ways" not in measure(builtin_cores()["cortex-a7"])
    assert measure(A15.with_values({"l1d.ways": 4}))["l1d_ways"].off


def test_cortex_a7_has_no_published_figure_and_nothing_of_it_is_off() -> None:
    results = measure(builtin_cores()["cortex-a7"])
    assert len(results) > 15
    assert {(result.figure, result.ratio, result.off) for result in results.values()} == {(None, None, False)}


def test_only_what_the_programs_give_is_measured() -> None:
    names = {
        result.measure.name
        for result in measure_core(read_book(), A15, ideal.exceptions(A15), ["exceptions"])
    }
    assert {"svc", "translation_abort"} <= names
    assert names.isdisjoint({"l1d_hit", "dtlb_miss", "walk_l2", "l1d_ways"})


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_plateau_that_is_15_percent_away_is_off_and_no_other(factor: float) -> None:
    def spoil(point: Point) -> Point:
        if point.benchmark != "chase" or point.each != 21:
            return point
        return Point(point.benchmark, point.keys, round(point.cycles * factor), point.count)

    points = [spoil(point) for program in ideal.PROGRAMS.values() for point in program(A15)]
    results = measure(A15, points)
    assert [name for name, result in results.items() if result.off] == ["l2_hit"]
    assert results["l2_hit"].ratio == pytest.approx(factor)


def test_ns_go_through_the_clock_of_the_core() -> None:
    result = measure(A15)["walk_dram"]
    assert result.terms[0] + result.terms[1] == pytest.approx(170)
    assert result.value == pytest.approx(100)


def test_what_cannot_be_measured_is_off_and_says_why() -> None:
    results = measure(A15, [point for point in ideal.chase(A15) if point.each < 100])
    assert results["dram"].value == 21
    assert results["dram"].off
    assert results["l2_fill"].problem == "l2_fill has 0 plateaus, not 1"
    assert results["walk_l2"].problem == "0 points of walk_cost tables=l2, not one"
    assert (results["walk_l2"].ratio, results["walk_l2"].off) == (None, True)
    assert (results["dsb"].value, results["dsb"].off) == (None, False)


def test_a_curve_with_two_points_at_one_place_is_no_curve() -> None:
    points = [ideal.make_point("chase", 4, bytes=4096, order=order) for order in ("up", "down")]
    assert "is no curve" in (measure(A15, points)["l1d_hit"].problem or "")


@pytest.mark.parametrize(
    ("value", "ratio", "off"),
    [
        (7.0, 0.875, True),
        (7.5, 0.9375, False),
        (8.0, 1.0, False),
        (8.7, 1.0, False),
        (9.0, 1.0, False),
        (9.9, 1.1, False),
        (9.94, 1.1044, False),
        (9.96, 1.1067, True),
    ],
)
def test_a_range_is_met_inside_it_and_missed_by_its_nearer_end(value: float, ratio: float, off: bool) -> None:
    kind = Measure("m", "m", "cycles", (), None, ())
    result = Result(A15, kind, Figure(A15.name, "m", 8, 9, 0, "s"), (value,))
    assert result.ratio == pytest.approx(ratio, rel=1e-4)
    assert result.off is off


def test_published_places_of_a_difference_stand_on_what_was_measured() -> None:
    result = measure(A15)["dtlb_miss"]
    assert result.terms == (16, -4)
    assert result.places == [16]
    assert measure(A15)["l2_fill"].places == [8, 9]
    assert measure(A15)["l1d_size"].places == [32768]
    assert measure(A15)["svc"].places == []
