"""The committed user programs pass on every kind of kernel that the model has, and give everything back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from pyemu.kernel.program import Program
from tests.firmware.blobs import FIRMWARE, parse_tap
from tests.kernel.hosted import Ran, run_program

PROGRAMS = sorted(path.stem for path in (FIRMWARE / "hosted").glob("*.c") if path.stem not in ("sys", "wild"))
KERNELS: dict[str, dict[str, Any]] = {
    "lpae": {},
    "lpae without highmem": {"memory_bytes": 512 << 20},
    "lpae 8G": {"memory_bytes": 8 << 30},
    "lpae no-highpte 2g": {"highpte": False, "vmsplit": "2g"},
    "lpae 1g": {"vmsplit": "1g"},
    "classic": {"tables": "classic"},
    "classic rt": {"tables": "classic", "preemption": "rt"},
    "forbidden": {"preemption": "rt", "highpte": True, "force": True},
}


def run(name: str, **config: Any) -> Ran:
    return run_program(Program.read(FIRMWARE / f"elf/hosted-{name}.elf"), **config)


def assert_passed(ran: Ran) -> None:
    tap = parse_tap(ran.output)
    assert not tap.failed, ran.output
    assert tap.plan == tap.count > 5
    assert (ran.stop.reason.name, ran.stop.status) == ("EXIT", 0)


def assert_given_back(ran: Ran) -> None:
    before, after = asdict(ran.before), asdict(ran.after)
    assert after == before


def test_there_are_at_least_five() -> None:
    assert {"touch", "cow", "gup", "window", "fault"} <= set(PROGRAMS)
    images = {path.stem.removeprefix("hosted-") for path in (FIRMWARE / "elf").glob("hosted-*.elf")}
    assert images == {*PROGRAMS, "wild"}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_check_passes_and_all_memory_comes_back(name: str, kernel: str) -> None:
    ran = run(name, **KERNELS[kernel])
    assert_passed(ran)
    assert_given_back(ran)


@pytest.mark.parametrize("timing", ["tlb", "cache"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_under_the_cycle_model(name: str, timing: str) -> None:
    ran = run(name, timing=timing)
    assert_passed(ran)
    assert_given_back(ran)


def test_only_the_forbidden_kernel_reports_and_only_below_gup_fast() -> None:
    assert run("gup").reports == []
    reports = run("gup", **KERNELS["forbidden"]).reports
    assert {report.lock.text for report in reports if report.lock is not None} == {
        "kmap_lock",
        "page_address_htable[n].lock",
    }
    for report in reports:
        assert report.chain[0] == "ret_fast_syscall"
        assert "gup_fast_pgd_range" in report.chain


def test_windows_are_used_where_pte_pages_are_in_highmem() -> None:
    high, low = run("cow"), run("cow", highpte=False)
    assert high.stats["pte_windows"] == high.stats["pte_maps"] > 1000
    assert low.stats["pte_windows"] == 0
    assert high.stop.insns == low.stop.insns


def test_a_program_that_faults_ends_in_sigsegv_and_says_why() -> None:
    ran = run("wild")
    assert (ran.stop.reason.name, ran.stop.status) == ("EXIT", 128 + 11)
    (death,) = ran.deaths
    assert (death.signal.name, death.address, death.access, death.code) == ("SIGSEGV", 4, "read", 1)
    text = death.text
    assert "SIGSEGV at pc" in text
    assert "read of 0x00000004: SEGV_MAPERR: nothing is mapped there" in text
    assert "level 3 page not present" in text
    assert f"pc : [<{death.pc:08x}>]" in text
    assert_given_back(ran)


def test_two_runs_are_alike() -> None:
    first, second = (run("cow", timing="cache") for _ in range(2))
    assert (first.stop, first.stats, first.output) == (second.stop, second.stats, second.output)
