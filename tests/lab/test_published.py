"""The data file of published figures: complete, and about parameters, programs and points that exist."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pyemu.lab.published import UNITS, read_book
from pyemu.timing import builtin_cores
from tests.conftest import DATA, ROOT
from tests.lab import ideal

K1 = json.loads((DATA / "lab/k1.json").read_text())


@pytest.mark.parametrize("row", K1["figures"], ids=lambda row: row[1])
def test_every_figure_of_the_table_is_there_with_value_and_source(
    row: tuple[str, str, dict[str, list[float]]],
) -> None:
    _, measure, values = row
    for core, ends in values.items():
        figure = read_book().figure(core, measure)
        assert figure is not None
        assert figure.bounds(K1["clock_mhz"][core] * 1_000_000) == pytest.approx(ends)
        assert figure.source == K1["sources"][core]


def test_no_figure_is_there_that_the_table_has_not() -> None:
    expected = {(core, measure) for _, measure, values in K1["figures"] for core in values}
    assert {(figure.core, figure.measure) for figure in read_book().figures} == expected


def test_clocks_are_those_of_the_chips_that_were_measured() -> None:
    for core, mhz in K1["clock_mhz"].items():
        assert builtin_cores()[core]["clock_hz"] == mhz * 1_000_000


def test_every_measure_names_parameters_of_a_core_and_a_unit() -> None:
    core = builtin_cores()["cortex-a15"]
    for measure in read_book().measures.values():
        assert measure.parameters
        assert set(measure.parameters) <= set(core.parameters)
        assert measure.needs is None or measure.needs in core.parameters
        assert measure.unit in UNITS


def test_every_program_is_in_the_firmware_for_both_table_formats() -> None:
    for program in read_book().programs:
        for suffix in ("", "-short"):
            assert (ROOT / f"firmware/elf/bench-{program}{suffix}.elf").is_file()


def test_the_ideal_core_of_these_tests_has_every_program() -> None:
    assert set(ideal.PROGRAMS) == set(read_book().programs)


GOOD = """
[benchmark.chase]
program = "chase"
title = "t"
y = "y"

[measure.hit]
title = "hit"
unit = "cycles"
benchmark = "chase"
plateau = 1
parameters = ["l1d.hit_cycles"]

[[figure]]
core = "cortex-a15"
measure = "hit"
value = 4
source = "s"
"""


def replaced(before: str, after: str) -> Callable[[str], str]:
    return lambda text: text.replace(before, after)


@pytest.mark.parametrize(
    "spoil",
    [
        replaced('unit = "cycles"', 'unit = "hours"'),
        replaced("plateau = 1", "plateau = 1\nedge = 1"),
        replaced("plateau = 1", "plateu = 1"),
        replaced('benchmark = "chase"\nplateau', 'benchmark = "chase2"\nplateau'),
        replaced('benchmark = "chase"\nplateau = 1\nparameters = ["l1d.hit_cycles"]', "parameters = []"),
        replaced('measure = "hit"', 'measure = "miss"'),
        replaced("value = 4", "value = 0"),
        replaced("value = 4", "low = 5\nhigh = 4"),
        replaced("value = 4", "value = 4\nlow = 3"),
        replaced("value = 4", "value = 4\nnanoseconds = 3"),
        lambda text: text + text[text.index("[[figure]]") :],
    ],
)
def test_a_mistake_in_the_file_is_refused(spoil: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    read_book(tmp_path / "good.toml")
    (tmp_path / "bad.toml").write_text(spoil(GOOD))
    with pytest.raises(ValueError):
        read_book(tmp_path / "bad.toml")
