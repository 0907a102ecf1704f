"""`pyemu boot --timing`: options, the table, the JSON object, the file of --stats, snapshots, mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyemu.timing import read_core
from tests import conftest
from tests.conftest import ROOT, Completed
from tests.machine.images import RAM, Segment, hello_elf, make_elf, words

Run = Callable[..., Completed]
BLOB = ROOT / "firmware/elf/user.elf"
LOOP = make_elf(Segment(RAM + 0x8000, words(0xE2800001, 0xEAFFFFFD)))  # add r0, r0, #1; b .-4
OWN = """\
[mine]
base = "cortex-a7"

[mine.l2]
hit_cycles = { value = 20, unit = "cycles", source = "guess" }
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with images and files of cores."""
    (tmp_path / "hello.elf").write_bytes(hello_elf())
    (tmp_path / "loop.elf").write_bytes(LOOP)
    (tmp_path / "own.toml").write_text(OWN)
    (tmp_path / "two.toml").write_text(OWN + '\n[other]\nbase = "cortex-a15"\n')
    (tmp_path / "bad.toml").write_text(OWN.replace("20", "-3"))
    return tmp_path


def lines_of(stderr: str) -> list[list[str]]:
    """The cells of each row of the tables; columns are two spaces apart."""
    return [re.split(r" {2,}", line.strip()) for line in stderr.splitlines() if "  " in line]


def rows(stderr: str) -> dict[str, list[str]]:
    """The cells of each row by its name; of two with the same name, the second."""
    return {cells[0]: cells[1:] for cells in lines_of(stderr)}


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def test_without_timing_nothing_is_said_about_it(run_pyemu: Run) -> None:
    plain, off = run_pyemu("boot", BLOB), run_pyemu("boot", BLOB, "--timing", "off")
    assert (plain.status, plain.stdout) == (off.status, off.stdout)
    for done in (plain, off):
        assert len(done.stderr.splitlines()) == 2
        assert all(line.startswith("pyemu: ") for line in done.stderr.splitlines())
    objects = [run_pyemu("boot", BLOB, *options, "--json").json for options in ((), ("--timing", "off"))]
    assert [summary.pop("host") is not None for summary in objects] == [True, True]
    assert objects[0] == objects[1]
    assert "timing" not in objects[0]


@pytest.mark.parametrize("level", ["tlb", "cache"])
def test_the_table_says_what_the_json_object_says(run_pyemu: Run, level: str) -> None:
    done = run_pyemu("boot", BLOB, "--timing", level)
    assert done.status == 0
    report = run_pyemu("boot", BLOB, "--timing", level, "--json").json["timing"]
    lines, table = lines_of(done.stderr), rows(done.stderr)
    names = {"instructions": "instructions", "micro-TLB": "micro_tlb", "main TLB": "main_tlb", "walk": "walk"}
    if level == "cache":
        names |= {"L2": "l2", "DRAM": "dram"}
    for row, key in names.items():
        first = next(cells for cells in lines if cells[0] == row)
        charge = report["categories"][key]
        assert (number(first[1]), number(first[3])) == (charge["cycles"], charge["events"])
        assert first[2] == f"{100 * charge['cycles'] / report['cycles']:.2f} %"
        sides = [report["cpus"][0][side]["categories"][key]["cycles"] for side in ("user", "kernel")]
        assert [number(cell) for cell in first[4:]] == sides
    assert number(table["all"][0]) == report["cycles"] == sum(number(cell) for cell in table["all"][2:])
    misses = report["cpus"][0]["tlb"]["micro_misses"]
    for row, access in (("fetches", "fetch"), ("loads", "read"), ("stores", "write")):
        assert number(table[f"micro-TLB, {row}"][0]) == misses[access] > 0
    assert ("L1D" in table) == (level == "cache")
    assert f"CPI {report['cpi']:.2f} (" in done.stderr
    assert f"{report['cycles']:,} cycles of cortex-a15 at 1700 MHz" in done.stderr


def test_the_last_line_says_how_much_is_assumed_and_where_it_is_listed(run_pyemu: Run, files: Path) -> None:
    for options, command in (
        (("--core", "cortex-a9"), "cores cortex-a9"),
        (("--core-file", "own.toml"), "cores mine --file own.toml"),
    ):
        done = run_pyemu("boot", "hello.elf", "--timing", "tlb", *options, cwd=files)
        last = done.stderr.splitlines()[-1]
        found = re.fullmatch(
            r"(\d+) of the (\d+) parameters of \S+ are assumed: `pyemu (.*)` lists them", last
        )
        assert found is not None, last
        assert found[3] == command
        listed = run_pyemu(*command.split(), cwd=files).stdout.splitlines()[-1]
        assert listed == f"{found[2]} parameters, {found[1]} of them assumed"


def test_each_cpu_has_a_row_where_there_are_several(run_pyemu: Run) -> None:
    done = run_pyemu("boot", ROOT / "firmware/elf/shootdown.elf", "--smp", "2", "--timing", "cache")
    table = rows(done.stderr)
    assert number(table["CPU 0"][0]) + number(table["CPU 1"][0]) == number(table["all"][0])
    assert "CPU 0" not in rows(run_pyemu("boot", BLOB, "--timing", "tlb").stderr)


def test_the_core_is_that_of_the_cpu_or_the_one_that_is_named(run_pyemu: Run, files: Path) -> None:
    for options, name, hit in (
        ((), "cortex-a15", 21),
        (("--cpu", "cortex-a7"), "cortex-a7", read_core("cortex-a7")["l2.hit_cycles"]),
        (("--core", "cortex-a9"), "cortex-a9", 23),
        (("--core-file", "own.toml"), "mine", 20),
        (("--core-file", "two.toml", "--core", "mine"), "mine", 20),
        (("--core-file", "two.toml", "--core", "cortex-a9"), "cortex-a9", 23),
    ):
        done = run_pyemu("boot", "hello.elf", "--timing", "tlb", *options, "--json", cwd=files)
        core = done.json["timing"]["core"]
        assert (core["name"], core["parameters"]["l2.hit_cycles"]["value"]) == (name, hit)


def test_a_configuration_file_can_choose_all_of_it(run_pyemu: Run, files: Path) -> None:
    (files / "sub").mkdir()
    (files / "sub/own.toml").write_text(OWN)
    (files / "sub/m.toml").write_text('[machine]\nmem = "32M"\ntiming = "cache"\ncore_file = "own.toml"\n')
    config = ("boot", "hello.elf", "--config", "sub/m.toml", "--json")
    report = run_pyemu(*config, cwd=files).json["timing"]
    assert (report["level"], report["core"]["name"]) == ("cache", "mine")
    assert "timing" not in run_pyemu(*config, "--timing", "off", cwd=files).json
    other = run_pyemu(*config, "--core", "cortex-a9", cwd=files).json["timing"]
    assert (other["level"], other["core"]["name"]) == ("cache", "cortex-a9")
    (files / "m.toml").write_text('[machine]\ntiming = "caches"\n')
    done = run_pyemu("boot", "hello.elf", "--config", "m.toml", cwd=files)
    assert (done.status, done.stderr) == (
        2,
        "pyemu: m.toml: [machine]: timing 'caches' is not known: off, tlb, cache are\n",
    )


# ---- the file of --stats ----


@pytest.mark.parametrize("level", ["off", "cache"])
def test_the_file_of_stats_is_the_json_object(run_pyemu: Run, files: Path, level: str) -> None:
    (files / "out.json").write_text("old")
    options = ("--timing", level, "--stats", "out.json")
    done = run_pyemu("boot", "hello.elf", *options, "--json", cwd=files)
    written = json.loads((files / "out.json").read_text())
    assert written == done.json
    assert ("timing" in written) == (level != "off")
    assert written["stats"]["insns"] > 0
    assert not list(files.glob(".out.json*"))
    beside = run_pyemu("boot", "hello.elf", *options, cwd=files)
    assert (beside.status, beside.stdout) == (0, "hello\n")
    assert json.loads((files / "out.json").read_text())["instructions"] == written["instructions"]


def test_stats_are_written_however_a_run_ends(run_pyemu: Run, files: Path) -> None:
    for options, reason in ((("--max-insns", "5000"), "limit"), (("--timeout", "0.3"), "timeout")):
        run_pyemu("boot", "loop.elf", "--timing", "tlb", *options, "--stats", "out.json", cwd=files)
        written = json.loads((files / "out.json").read_text())
        assert written["reason"] == reason
        assert written["timing"]["instructions"] == written["instructions"] >= 5000


# ---- snapshots ----


def snapshot(run_pyemu: Run, files: Path, *options: str) -> float:
    """A loop that was cut off and saved as `m`; its guest time."""
    arguments = ("--max-insns", "500000", "--snapshot-at-exit", "m", *options, "--json")
    seconds = run_pyemu("boot", "loop.elf", *arguments, cwd=files).json["guest_seconds"]
    assert isinstance(seconds, float)
    return seconds


def go_on(run_pyemu: Run, files: Path, *options: str) -> Any:
    return run_pyemu("boot", "m", "--max-insns", "400000", *options, "--json", cwd=files).json


def test_a_snapshot_can_be_timed_and_its_time_goes_on(run_pyemu: Run, files: Path) -> None:
    before = snapshot(run_pyemu, files)
    assert before == pytest.approx(500_000e-9, rel=0.01)
    after = go_on(run_pyemu, files, "--timing", "cache", "--core", "cortex-a9")
    report = after["timing"]
    assert (report["level"], report["core"]["name"]) == ("cache", "cortex-a9")
    assert report["instructions"] == after["instructions"] == pytest.approx(400_000, rel=0.01)
    passed = after["guest_seconds"] - before
    assert passed == pytest.approx(report["cycles"] / report["clock_hz"], abs=3e-9)
    assert "timing" not in go_on(run_pyemu, files)


def test_a_snapshot_keeps_its_timing_unless_another_is_chosen(run_pyemu: Run, files: Path) -> None:
    snapshot(run_pyemu, files, "--timing", "tlb", "--core-file", "own.toml")
    (files / "own.toml").unlink()
    report = go_on(run_pyemu, files)["timing"]
    assert (report["level"], report["core"]["name"]) == ("tlb", "mine")
    report = go_on(run_pyemu, files, "--core", "cortex-a15")["timing"]
    assert (report["level"], report["core"]["name"]) == ("tlb", "cortex-a15")
    assert "timing" not in go_on(run_pyemu, files, "--timing", "off")
    done = run_pyemu("boot", "m", "--max-insns", "1000", cwd=files)
    assert done.stderr.splitlines()[-1].endswith("parameters of mine are assumed: --stats lists them")


def test_a_core_for_a_snapshot_without_timing_is_refused(run_pyemu: Run, files: Path) -> None:
    snapshot(run_pyemu, files)
    for options, part in (
        (("--core", "cortex-a9"), "--core is of no use with timing off: give --timing tlb or"),
        (("--core-file", "own.toml"), "--core-file is of no use with timing off"),
        (("--core", "cortex-a8", "--timing", "tlb"), "no core 'cortex-a8'"),
    ):
        done = run_pyemu("boot", "m", *options, cwd=files)
        assert (done.status, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert part in done.stderr


# ---- mistakes ----

MISTAKES = [
    (["--timing", "caches"], "argument --timing: invalid choice: 'caches' (choose from"),
    (["--core", "cortex-a9"], "--core is of no use with timing off: give --timing tlb or --timing cache too"),
    (["--timing", "off", "--core", "cortex-a9"], "--core is of no use with timing off"),
    (["--core-file", "own.toml"], "--core-file is of no use with timing off"),
    (["--timing", "tlb", "--core", "cortex-a8"], "no core 'cortex-a8': there are cortex-a15, cortex-a7"),
    (["--timing", "tlb", "--core", "his", "--core-file", "own.toml"], "no core 'his' in own.toml"),
    (["--timing", "tlb", "--core-file", "two.toml"], "two.toml: it has 2 cores, choose one: mine, other"),
    (["--timing", "tlb", "--core-file", "bad.toml"], "bad.toml: mine.l2.hit_cycles: -3 cycles is negative"),
    (["--timing", "tlb", "--core-file", "none.toml"], "none.toml: No such file"),
    (["--stats", "none/out.json"], "none/out.json: cannot write the statistics: none is no directory"),
    (["--stats", "."], ".: cannot write the statistics: it is a directory"),
]


@pytest.mark.parametrize(("options", "part"), MISTAKES, ids=lambda value: " ".join(value)[:40])
def test_a_mistake_is_one_line_before_the_guest_runs(
    run_pyemu: Run, files: Path, options: list[str], part: str
) -> None:
    there = set(files.iterdir())
    done = run_pyemu("boot", "hello.elf", *options, cwd=files)
    assert (done.status, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert part in done.stderr
    assert set(files.iterdir()) == there


def test_without_a_disassembler_timing_is_a_broken_installation(run_pyemu: Run, files: Path) -> None:
    without = (
        "import pyemu.native; pyemu.native.find_spec = lambda name: None; sys.modules['capstone'] = None\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "PROGRAM", conftest.PROGRAM.replace("sys.exit", f"{without}sys.exit"))
        assert run_pyemu("boot", "hello.elf", cwd=files).status == 0
        done = run_pyemu("boot", "hello.elf", "--timing", "tlb", cwd=files)
    assert (done.status, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "libcapstone does not load" in done.stderr
    assert done.stderr.endswith("see pyemu doctor\n")
