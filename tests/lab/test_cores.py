"""The cycle model measured from inside: every published figure of every core, by the firmware's programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyemu.lab.published import read_book
from tests.conftest import Completed


@pytest.mark.slow
def test_every_published_figure_is_measured_within_a_tenth(
    run_pyemu: Callable[..., Completed], tmp_path: Path
) -> None:
    done = run_pyemu("lab", "cores", "-o", tmp_path, "--json", timeout=900)
    report = done.json
    missed = {
        f"{core} {name}": figure["problem"] or figure["ratio"]
        for core, entry in report["cores"].items()
        for name, figure in entry["figures"].items()
        if figure["off"]
    }
    assert (missed, done.status, report["within"]) == ({}, 0, True)
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg", ".txt"}
    assert {path.stem for path in tmp_path.glob("*.svg")} == set(read_book().benchmarks)


def test_two_runs_give_the_same_cycles(run_pyemu: Callable[..., Completed]) -> None:
    first, second = (run_pyemu("lab", "curve", "exceptions", "--core", "cortex-a7", "--json") for _ in "12")
    assert first.status == 0
    assert first.json["points"]
    assert first.json == second.json


@pytest.mark.parametrize("tables", ["short", "long"])
def test_a_curve_is_a_table_of_its_points(tables: str, run_pyemu: Callable[..., Completed]) -> None:
    done = run_pyemu("lab", "curve", "exceptions", "--tables", tables)
    assert (done.status, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["exceptions", "kind", "cycles", "count", "cycles", "each"]
    assert [line[0] for line in lines[1:]] == ["svc", "undefined", "permission", "translation"]
    assert all(float(line[3]) == pytest.approx(int(line[1]) / int(line[2]), abs=0.01) for line in lines[1:])
