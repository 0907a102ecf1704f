"""`pyemu sweep`: a small matrix on real models, its files, going on after a kill, mistakes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed, pyemu_command

Run = Callable[..., Completed]
MATRIX = ("--mem", "512M,1G", "--pages-per-call", "1,64", "-m", "1", "--timing", "off", "-j", "1")
ROWS = 2 * 2 * (2 * 2 + 4) + 2 * 2


def read_rows(path: Path) -> list[dict[str, object]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def swept(run_pyemu: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Completed, Path]:
    directory = tmp_path_factory.mktemp("swept") / "out"
    return run_pyemu("sweep", "-o", directory, *MATRIX, "--no-plots"), directory


def test_it_answers_in_words_and_names_its_page(swept: tuple[Completed, Path]) -> None:
    done, directory = swept
    assert (done.status, done.stderr) == (0, "")
    for part in (
        "What does HIGHPTE cost a page of get_user_pages_fast?",
        "What lowmem does HIGHPTE save?",
        "kmap_lock and page_address_htable[n].lock with interrupts off",
        "Of the kernels that Kconfig allows, none reports anything.",
        "What does each remedy cost?",
    ):
        assert part in done.stdout
    assert done.stdout.splitlines()[-1].endswith("index.html shows them")
    assert {path.name for path in directory.iterdir()} == {
        "results.jsonl",
        "gup.csv",
        "tables.csv",
        "sweep.json",
        "index.html",
    }


def test_what_breaks_is_the_forbidden_kernel_with_highmem_and_nothing_else(
    swept: tuple[Completed, Path],
) -> None:
    rows = read_rows(swept[1] / "gup.csv")
    broken = {
        (row["memory_bytes"], row["highpte"], row["rt"], row["remedy"])
        for row in rows
        if row["reports"] != "0"
    }
    assert broken == {(str(1 << 30), "1", "1", "none")}
    for row in rows:
        assert (row["windows"] != "0") == (
            row["memory_bytes"] == str(1 << 30) and row["highpte"] == "1" and row["remedy"] != "no-highpte"
        ) or row["remedy"] == "no-fast-gup"


def test_pte_pages_are_in_highmem_with_highpte_where_there_is_some(swept: tuple[Completed, Path]) -> None:
    rows = {(row["memory_bytes"], row["highpte"]): row for row in read_rows(swept[1] / "tables.csv")}
    assert len(rows) == 4
    for (memory, highpte), row in rows.items():
        low, high = float(str(row["low_each_kb"])), float(str(row["high_each_kb"]))
        tables = float(str(row["tables_each"]))
        assert tables == pytest.approx(1030, abs=5)
        moved = highpte == "1" and memory != str(512 << 20)
        assert (high if moved else low) == pytest.approx(4 * tables, rel=0.02)
        assert (low if moved else high) < 100


def test_a_killed_sweep_goes_on(swept: tuple[Completed, Path], run_pyemu: Run, tmp_path: Path) -> None:
    results = tmp_path / "out/results.jsonl"
    process = subprocess.Popen(
        pyemu_command("sweep", "-o", tmp_path / "out", *MATRIX, "--no-plots"), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (results.exists() and results.read_bytes().count(b"\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [line for line in results.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    assert 3 < len(kept) <= ROWS + 1
    done = run_pyemu("sweep", "-o", tmp_path / "out", *MATRIX, "--no-plots", "--json")
    assert done.json["rows"] == ROWS
    lines = results.read_bytes().splitlines(keepends=True)
    assert lines[: len(kept)] == kept
    assert len(lines) == ROWS + 1
    for name in ("gup.csv", "tables.csv"):
        ours, theirs = (
            [*map(_without_host, read_rows(place / name))] for place in (tmp_path / "out", swept[1])
        )
        assert ours == theirs


def _without_host(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != "host_pages_per_second"}


def test_plots_are_written_and_shown(run_pyemu: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = ("--mem", "1G", "--pages-per-call", "64", "--remedy", "none", "-m", "1", "--timing", "off")
    done = run_pyemu("sweep", "-o", tmp_path, *options, "-j", "1", "--json")
    names = {Path(path).name for path in done.json["files"]}
    assert {"cost.png", "cost.svg", "lowmem.png", "lowmem.svg", "index.html"} < names
    assert (tmp_path / "index.html").read_text().count("data:image/svg+xml") == 2
    assert json.loads((tmp_path / "sweep.json").read_text())["plan"]["sizes"] == [1 << 30]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--mem", "1G,x"], "'x' is not a size"),
        (["--mem", "1G,1G"], "twice"),
        (["--mem", "1M"], "64M to 64G"),
        (["--pages-per-call", "0"], "'0' is not a number, 1 to"),
        (["--remedy", "prayer"], "no remedy 'prayer'"),
        (["--core", "cortex-m3"], "cortex-m3"),
        (["-j", "0"], "'0' is not a number"),
        (["-j", "1", "--dask", "tcp://localhost:1"], "not allowed with"),
        (["-o", "/dev/null/x"], "/dev/null/x"),
        (["-m", "3500"], "a mapping of 3500 MB"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_with_status_2(
    run_pyemu: Run, tmp_path: Path, options: list[str], part: str
) -> None:
    done = run_pyemu("sweep", "--no-plots", *options, cwd=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert part in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_results_of_other_options_are_left_alone(swept: tuple[Completed, Path], run_pyemu: Run) -> None:
    before = (swept[1] / "results.jsonl").read_bytes()
    done = run_pyemu("sweep", "-o", swept[1], *MATRIX, "--no-plots", "--core", "cortex-a7")
    assert done.status == 2
    assert "of a sweep with core cortex-a15, not cortex-a7: the same options" in done.stderr
    assert (swept[1] / "results.jsonl").read_bytes() == before
