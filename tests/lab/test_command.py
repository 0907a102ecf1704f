"""`pyemu lab`: what a person and a script see, with records instead of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyemu.lab.protocol import format_points
from pyemu.timing import Core, builtin_cores, load_cores
from tests.conftest import Completed
from tests.lab import ideal

OWN = """\
[mine]
base = "cortex-a15"
description = "a slow L2"

[mine.l2]
hit_cycles = { value = 40, unit = "cycles", source = "data sheet" }
"""


def record(directory: Path, core: Core, **changes: str) -> None:
    """The records of an ideal core; a program of ``changes`` has this text instead."""
    directory.mkdir(exist_ok=True)
    for name, program in ideal.PROGRAMS.items():
        (directory / f"{core.name}.{name}.txt").write_text(changes.get(name, format_points(program(core))))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    for core in builtin_cores().values():
        record(tmp_path / "records", core)
    return tmp_path / "records"


def rows(done: Completed, figure: str) -> list[str]:
    return [line.rstrip() for line in done.stdout.splitlines() if line.startswith(f"{figure}  ")]


def test_figures_that_are_met_end_with_status_0(run_pyemu: Callable[..., Completed], records: Path) -> None:
    done = run_pyemu("lab", "cores", "--from", records)
    assert (done.status, done.stderr) == (0, "")
    a15, a7, a9 = rows(done, "L2 hit")
    assert " ".join(a15.split()) == "L2 hit 21.0 cycles 21.0 cycles 1.00 chase; 7-cpu.com, Exynos 5250"
    assert a7.split()[2:5] == ["12.0", "cycles", "-"]
    assert a7.endswith("chase; no published figure: l2.hit_cycles 12 (assumed)")
    assert a9.split()[2:7] == ["23.0", "cycles", "23.0", "cycles", "1.00"]
    assert "OFF" not in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "22 of 22 published figures measured within 10%, 10 more are parameters that nothing measures"
    )


def test_a_figure_that_is_missed_is_named_with_status_1(
    run_pyemu: Callable[..., Completed], records: Path
) -> None:
    slow = builtin_cores()["cortex-a15"]
    text = (records / "cortex-a15.chase.txt").read_text().replace("cycles=21000 ", "cycles=24000 ")
    record(records, slow, chase=text)
    done = run_pyemu("lab", "cores", "cortex-a15", "--from", records)
    assert (done.status, done.stderr) == (1, "")
    assert [line.split("  ")[0] for line in done.stdout.splitlines() if "  OFF  " in line] == ["L2 hit"]
    assert done.stdout.splitlines()[-1].endswith("; off: cortex-a15 L2 hit")


def test_json_has_every_figure(run_pyemu: Callable[..., Completed], records: Path) -> None:
    report = run_pyemu("lab", "cores", "--from", records, "--json").json
    assert report["within"] is True
    assert list(report["cores"]) == ["cortex-a15", "cortex-a7", "cortex-a9"]
    dram = report["cores"]["cortex-a15"]["figures"]["dram"]
    assert (dram["measured"], dram["published"], dram["unit"], dram["ratio"]) == (
        208,
        [208, 208],
        "cycles",
        1,
    )
    assert dram["parameters"]["memory.dram_ns"]["value"] == 110
    assert report["cores"]["cortex-a7"]["figures"]["dram"]["published"] is None


def test_only_some_programs_and_cores(run_pyemu: Callable[..., Completed], records: Path) -> None:
    done = run_pyemu("lab", "cores", "cortex-a9", "--only", "chase", "--from", records)
    assert (len(rows(done, "DRAM")), len(rows(done, "L1 DTLB miss")), len(rows(done, "DSB"))) == (1, 0, 0)


def test_a_core_of_ones_own_has_measures_and_no_published_figures(
    run_pyemu: Callable[..., Completed], records: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(OWN)
    record(records, load_cores(tmp_path / "mine.toml")["mine"])
    done = run_pyemu("lab", "cores", "--file", tmp_path / "mine.toml", "--from", records)
    assert done.status == 0
    (row,) = rows(done, "L2 hit")
    assert row.split()[2:5] == ["40.0", "cycles", "-"]
    assert row.endswith("chase; no published figure: l2.hit_cycles 40")


def test_plots_go_where_they_were_asked_to_go(
    run_pyemu: Callable[..., Completed], records: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    done = run_pyemu("lab", "cores", "--only", "exceptions", "--from", records, "-o", "a/b", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "2 files in a/b"
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == ["exceptions.png", "exceptions.svg"]


def test_help_explains_itself(run_pyemu: Callable[..., Completed]) -> None:
    for arguments in (["lab"], ["lab", "cores"], ["lab", "curve"]):
        done = run_pyemu(*arguments, "--help")
        assert (done.status, done.stderr) == (0, "")
        assert "examples:" in done.stdout
    assert "lab" in run_pyemu("--help").stdout


def test_a_mistake_is_one_line_with_status_2(run_pyemu: Callable[..., Completed], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "mine.toml").write_text(OWN.replace("40", "-1"))
    record(tmp_path / "cut", builtin_cores()["cortex-a15"], chase="@ chase bytes=1 cycles=1 count=1\n")
    record(tmp_path / "odd", builtin_cores()["cortex-a15"], chase="@ chase bytes=one:two\n")
    cases: tuple[tuple[list[str], str], ...] = (
        (["lab"], "required: COMMAND"),
        (["lab", "core"], "invalid choice: 'core'"),
        (["lab", "cores", "cortex-a8"], "no core 'cortex-a8': there are cortex-a15"),
        (["lab", "cores", "--only", "chse"], "--only: no benchmark 'chse': there are chase"),
        (["lab", "cores", "-j", "0"], "'0' is not a number of machines, 1 to 256"),
        (["lab", "cores", "-j", "many"], "'many' is not a number of machines, 1 to 256"),
        (["lab", "cores", "--no-plots"], "--no-plots belongs to -o DIR"),
        (["lab", "cores", "--file", "missing.toml"], "missing.toml: No such file"),
        (["lab", "cores", "--file", "mine.toml"], "mine.toml: mine.l2.hit_cycles: -1 cycles is negative"),
        (["lab", "cores", "--from", "missing"], "missing: no record in it, such as cortex-a15.chase.txt"),
        (["lab", "cores", "--from", "empty"], "empty: no record in it"),
        (["lab", "cores", "--from", "cut"], "cut/cortex-a15.chase.txt: the output ends without '@ end'"),
        (["lab", "cores", "--from", "odd"], "odd/cortex-a15.chase.txt: line 1, '@ chase bytes=one:two':"),
        (["lab", "cores", "--from", "cut", "--only", "stream", "-o", "file"], "file: File exists"),
        (["lab", "cores", "cortex-a9", "--tables", "long"], "cortex-a9 has no long descriptors"),
        (["lab", "cores", "--tables", "wide"], "invalid choice: 'wide'"),
        (["lab", "curve"], "required: PROGRAM"),
        (["lab", "curve", "chase", "--core", "cortex-a9", "--tables", "long"], "cortex-a9 has no long"),
        (["lab", "curve", "chse"], "no benchmark 'chse': there are chase"),
        (["lab", "curve", "./missing.elf"], "./missing.elf: no such file"),
        (["lab", "curve", "file.elf", "--core", "cortex-a8"], "no core 'cortex-a8'"),
    )
    for arguments, part in cases:
        done = run_pyemu(*arguments, cwd=tmp_path)
        assert (done.status, done.stdout, done.stderr.count("\n")) == (2, "", 1), (arguments, done.stderr)
        assert part in done.stderr
