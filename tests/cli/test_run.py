"""`pyemu run`: a program's output and status, reports of signals and of the kernel, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Completed

Run = Callable[..., Completed]
ELF = ROOT / "firmware/elf"
COW, GUP, WILD = (ELF / f"hosted-{name}.elf" for name in ("cow", "gup", "wild"))


def test_output_is_the_programs_and_the_summary_is_apart(run_pyemu: Run) -> None:
    done = run_pyemu("run", COW)
    assert done.status == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "ok 1 - a child sees its parent's pages and writes its own"
    assert lines[-1] == f"1..{len(lines) - 1}"
    assert done.stderr.startswith("pyemu: exit status 0; ")
    assert " forks, " in done.stderr


def test_a_signal_is_reported_in_full_and_is_the_status(run_pyemu: Run) -> None:
    done = run_pyemu("run", WILD)
    assert (done.status, done.stdout) == (139, "# a list without an end\n")
    first, second, third = done.stderr.splitlines()[:3]
    assert "SIGSEGV at pc 000" in first
    assert first.endswith("read of 0x00000004: SEGV_MAPERR: nothing is mapped there")
    assert second.startswith("level 3 page not present: L3[0] @0x")
    assert third.startswith("pc : [<000")


def test_the_forbidden_kernel_is_refused_and_forced_it_reports(run_pyemu: Run) -> None:
    refused = run_pyemu("run", GUP, "--highpte", "--preempt-rt")
    assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "HIGHPTE depends on HIGHMEM && !PREEMPT_RT" in refused.stderr
    forced = run_pyemu("run", GUP, "--highpte", "--preempt-rt", "--force")
    assert forced.status == 0
    assert "BUG: sleeping function called from invalid context" in forced.stderr
    assert "gup_fast_pgd_range → gup_fast_pte_range" in forced.stderr


def test_json_has_counters_deaths_and_the_bill(run_pyemu: Run) -> None:
    found = run_pyemu("run", WILD, "--json", "--timing", "tlb").json
    assert (found["exited"], found["status"], found["reports"]) == (True, 139, [])
    (death,) = found["deaths"]
    assert (death["signal"], death["address"], death["access"]) == ("SIGSEGV", 4, "read")
    assert found["stats"]["faults_bad"] == 1
    timing = found["timing"]
    user, kernel = (timing["cpus"][0][side]["cycles"] for side in ("user", "kernel"))
    assert timing["cycles"] == user + kernel
    assert min(user, kernel) > 0
    assert run_pyemu("run", COW, "--json").json["timing"] is None


def test_a_limit_ends_it(run_pyemu: Run) -> None:
    done = run_pyemu("run", COW, "--max-insns", "1000")
    assert done.status == 124
    assert "instruction limit reached" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.elf"], "missing.elf: cannot read the program: No such file"),
        (["."], "Is a directory"),
        (["text"], "truncated ELF"),
        ([WILD, "--mem", "1M"], "--mem: 1048576 bytes"),
        ([WILD, "--max-insns", "0"], "'0' is not a number of instructions"),
        ([WILD, "--tables", "classic", "--mem", "8G"], "depends on ARM_LPAE"),
        ([], "PROGRAM"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_with_status_2(
    run_pyemu: Run, tmp_path: Path, arguments: list[str], part: str
) -> None:
    (tmp_path / "text").write_text("hello")
    done = run_pyemu("run", *arguments, cwd=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
