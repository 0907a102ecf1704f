"""Sweeps: which kernels, in which order, what is left after a kill, and which files come of it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pyemu.config import GIB, MIB, UserError
from pyemu.lab.sweep import GupRow, Job, Plan, Row, TablesRow, run_sweep
from pyemu.lab.sweep.answers import answers
from pyemu.lab.sweep.results import Results
from pyemu.lab.sweep.rows import row_as_dict, row_from_dict
from pyemu.lab.sweep.write import write_sweep
from tests.lab.sweeps import CHAIN, SMALL, ideal_rows, ideal_sweep


def sweep(path: Path, work: Callable[[Job], list[Row]] = ideal_rows, plan: Plan = SMALL) -> list[Row]:
    results = Results(path, plan)
    with ThreadPoolExecutor(2) as pool:
        run_sweep(results, pool, work=work)
    return results.rows


def test_the_matrix_is_highpte_by_rt_by_ram_by_call_and_remedies_where_both_are_on() -> None:
    plan = Plan()
    places = [place for job in plan.jobs() for place in job.places]
    assert len(places) == len(set(places))
    gup = [place for place in places if place[0] == "gup"]
    assert len(gup) == 6 * 4 * (2 * 2 + 4)
    assert {(highpte, rt) for _, _, highpte, rt, remedy, _ in gup if remedy != "none"} == {(True, True)}
    assert {place[1] for place in gup} == {512 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB, 16 * GIB}
    assert sum(place[0] == "tables" for place in places) == 6 * 2


def test_every_kernel_of_the_matrix_can_be_made() -> None:
    for job in Plan().jobs():
        assert job.kernel_config().memory_bytes == job.memory_bytes


def test_long_jobs_come_first() -> None:
    jobs = Plan().jobs()
    tables = [bool(job.calls) for job in jobs]
    assert tables == sorted(tables)
    sizes = [job.memory_bytes for job in jobs if job.calls]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"sizes": (3 * MIB,)}, "64M to 64G"),
        ({"sizes": ()}, "at least one RAM size"),
        ({"sizes": (GIB, GIB)}, "twice"),
        ({"calls": (0,)}, "0 pages a call"),
        ({"remedies": ("prayer",)}, "no remedy 'prayer': there are no-highpte"),
        ({"core": "cortex-m3"}, "cortex-m3"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, object], part: str) -> None:
    with pytest.raises(UserError, match=re.escape(part)):
        replace(SMALL, **changes)  # type: ignore[arg-type]


def test_rows_survive_json() -> None:
    for row in ideal_sweep():
        assert row_from_dict(json.loads(json.dumps(row_as_dict(row)))) == row


@pytest.mark.parametrize(
    "change", [{"kind": "x"}, {"pages": 1.5}, {"highpte": 1}, {"locks": "kmap_lock"}, {"cycles": None}]
)
def test_a_row_with_another_form_is_no_row(change: dict[str, object]) -> None:
    row = next(row for row in ideal_sweep() if isinstance(row, GupRow))
    with pytest.raises(ValueError):
        row_from_dict({**json.loads(json.dumps(row_as_dict(row))), **change})
    values = json.loads(json.dumps(row_as_dict(row)))
    del values[next(iter(change))]
    with pytest.raises(ValueError):
        row_from_dict(values)


def test_a_sweep_gives_every_row_once(tmp_path: Path) -> None:
    rows = sweep(tmp_path / "results.jsonl")
    assert sorted(row.place for row in rows) == sorted(row.place for row in ideal_sweep())
    assert Results(tmp_path / "results.jsonl", SMALL).rows == rows


@pytest.mark.parametrize("cut", [0, 1, 40, 500, 1500, -1])
def test_a_killed_sweep_goes_on_and_does_nothing_twice(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.jsonl"
    whole = sweep(path)
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    kept = Results(path, SMALL).rows
    assert kept == whole[: len(kept)]
    asked: list[Job] = []

    def work(job: Job) -> list[Row]:
        asked.append(job)
        return ideal_rows(job)

    rows = sweep(path, work)
    assert sorted(row.place for row in rows) == sorted(row.place for row in whole)
    done_again = {place for job in asked for place in job.places} & {row.place for row in kept}
    assert not done_again
    assert not SMALL.jobs({row.place for row in Results(path, SMALL).rows})


def test_a_job_that_fails_ends_the_sweep_and_keeps_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"

    def work(job: Job) -> list[Row]:
        if job.rt:
            raise UserError("no memory")
        return ideal_rows(job)

    with pytest.raises(UserError, match=r"RT.*: no memory"):
        sweep(path, work)
    kept = Results(path, SMALL).rows
    assert all(not row.rt for row in kept if isinstance(row, GupRow))
    assert sorted(row.place for row in sweep(path)) == sorted(row.place for row in ideal_sweep())


def test_results_of_another_sweep_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    sweep(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="of a sweep with core cortex-a15, not cortex-a9: the same options"):
        sweep(path, plan=replace(SMALL, core="cortex-a9"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["hello\n", "[1]\n", "{}\n", '{"kind": "gup"}\n'])
def test_a_file_that_is_none_of_a_sweep_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=r"results\.jsonl: line 1"):
        Results(path, SMALL)
    assert path.read_text() == text


def test_a_damaged_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    sweep(path)
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace('"kind"', '"kin"')
    path.write_text("".join(lines))
    with pytest.raises(UserError, match=r"results\.jsonl: line 4: not of a sweep: no kind of a row"):
        Results(path, SMALL)


def said(rows: list[Row]) -> dict[str, str]:
    return {answer.question: " ".join(answer.text) for answer in answers(rows)}


def test_the_answers_say_what_the_rows_say() -> None:
    cost, lowmem, breaks, remedies = said(ideal_sweep()).values()
    assert "100.0 cycles and 200.0 instructions a page at 1 page a call (+50.0 % cycles)" in cost
    assert "1.6 cycles and 3.1 instructions a page at 64 pages a call" in cost
    assert "With 512M of RAM there is no highmem, and HIGHPTE changes nothing." in cost
    assert "1,030 page tables" in lowmem
    assert "At 512M HIGHPTE saves nothing" in lowmem
    assert "At 1G HIGHPTE saves 4,120 kB of lowmem for each such process, 100 %" in lowmem
    assert "without it there is room for 190" in lowmem
    assert "kmap_lock and page_address_htable[n].lock with interrupts off" in breaks
    assert "520 reports in 260 calls, 0 of them" in breaks
    assert f"Chain: {CHAIN}." in breaks
    assert "none reports anything" in breaks
    assert "no-highpte: -125.0 cycles a page at 1 page a call and -2.0 cycles a page at 64" in remedies
    assert "4,120 kB more of lowmem" in remedies
    assert "trylock: +0.0 cycles a page at 1 page a call" in remedies


def test_a_report_of_an_allowed_kernel_is_said() -> None:
    rows = [
        replace(row, reports=3) if isinstance(row, GupRow) and not row.rt and row.windows else row
        for row in ideal_sweep()
    ]
    assert (
        "of the kernels that kconfig allows, came 6 reports."
        in said(rows)["What breaks with PREEMPT_RT?"].lower()
    )


def test_without_highmem_there_is_less_to_answer() -> None:
    rows = ideal_sweep(replace(SMALL, sizes=(512 * MIB,)))
    questions = said(rows)
    assert list(questions) == ["What lowmem does HIGHPTE save?", "What breaks with PREEMPT_RT?"]
    assert "Nothing was reported" in questions["What breaks with PREEMPT_RT?"]
    assert answers([]) == []


def test_csv_and_json_have_every_row(tmp_path: Path) -> None:
    rows = ideal_sweep()
    write_sweep(SMALL, rows, tmp_path, plots=False)
    with (tmp_path / "gup.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == sum(isinstance(row, GupRow) for row in rows)
    assert {row["remedy"] for row in read} == {"none", "no-highpte", "trylock"}
    with (tmp_path / "tables.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(isinstance(row, TablesRow) for row in rows)
    whole = json.loads((tmp_path / "sweep.json").read_text())
    assert [row_from_dict(row) for row in whole["rows"]] == sorted(rows, key=lambda row: row.place)


def test_the_page_holds_plots_and_answers_and_needs_no_other_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = {path.name for path in write_sweep(SMALL, ideal_sweep(), tmp_path)}
    assert {f"{name}.{kind}" for name in ("cost", "lowmem", "remedies") for kind in ("png", "svg")} < files
    page = (tmp_path / "index.html").read_text()
    assert page.count("<img ") == page.count('src="data:image/svg+xml;base64,') == 3
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    for answer in answers(ideal_sweep()):
        assert answer.question in page
        assert all(len(row) == len(answer.head) for row in answer.table)


def test_files_are_alike_whatever_order_rows_came_in(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = ideal_sweep()
    for name, some in (("a", rows), ("b", rows[::-1])):
        write_sweep(SMALL, some, tmp_path / name)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert len(names) == 10
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
