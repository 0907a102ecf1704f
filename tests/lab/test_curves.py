"""Programs run on machines with a cycle model, and what becomes of those that go wrong."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from pyemu.config import UserError
from pyemu.lab.curves import Job, Run, machine_config, run_job, run_jobs
from pyemu.lab.protocol import parse_points
from tests.machine.images import RAM, Segment, hello_elf, make_elf, print_code, words

POINTS = "a remark\n@ chase bytes=4096 cycles=40 count=10\n@ end\n"
ENDLESS = make_elf(Segment(RAM + 0x8000, words(0xEAFFFFFE)))  # b .
FLOODING = make_elf(Segment(RAM + 0x8000, print_code("@ " * 500, words(0xEAFFFEFF))))  # b to its start
WAITING = make_elf(Segment(RAM + 0x8000, words(0xE320F003, 0xEAFFFFFD)))  # wfi; b to it


def job(path: Path, image: bytes, core: str = "cortex-a15", core_file: Path | None = None) -> Job:
    path.write_bytes(image)
    return Job(path.stem, path, core, core_file)


def test_a_program_gives_its_text_and_instructions(tmp_path: Path) -> None:
    run = run_job(job(tmp_path / "good.elf", hello_elf(0, POINTS)))
    assert run.text == POINTS
    assert parse_points(run.text)[0].each == 4
    assert 0 < run.insns < 100


def test_a_machine_has_the_core_and_its_identity_where_there_is_one(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[small]\nbase = "cortex-a7"\n[other]\nbase = "cortex-a9"\n')
    for core, file, cpu in (
        ("cortex-a15", None, "cortex-a15"),
        ("cortex-a7", None, "cortex-a7"),
        ("cortex-a9", None, "cortex-a15"),
        ("small", own, "cortex-a7"),
        ("other", own, "cortex-a15"),
    ):
        config = machine_config(Job("chase", tmp_path, core, file))
        assert (config.timing, config.core, config.core_file, config.cpu) == ("cache", core, file, cpu)


@pytest.mark.parametrize("processes", [1, 2])
def test_runs_come_in_the_order_of_their_jobs(processes: int, tmp_path: Path) -> None:
    jobs = [
        job(tmp_path / f"p{n}.elf", hello_elf(0, f"@ chase n={n} cycles=1 count=1\n@ end\n"))
        for n in range(3)
    ]
    heard: list[Run] = []
    runs = run_jobs(jobs, processes, heard.append)
    assert [run.job for run in runs] == jobs
    assert [parse_points(run.text)[0].keys["n"] for run in runs] == [0, 1, 2]
    assert sorted(run.job.name for run in heard) == ["p0", "p1", "p2"]


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (hello_elf(3, POINTS), "bad on cortex-a15: ended with status 3, its last line '@ end'"),
        (hello_elf(0, "hello\n"), "bad on cortex-a15: the output ends without '@ end'"),
        (hello_elf(0, "@ chase\n"), "bad on cortex-a15: line 1, '@ chase': the last two keys"),
        (ENDLESS, "bad on cortex-a15: still running after 200000 instructions: it hangs"),
        (WAITING, "bad on cortex-a15: ended with DEADLOCK, its last line 'nothing'"),
        (FLOODING, "bad on cortex-a15: it printed more than 1048576 bytes"),
        (hello_elf()[:60], "bad.elf: truncated ELF"),
    ],
    ids=["status", "no-end", "no-point", "endless", "waiting", "flooding", "truncated"],
)
def test_a_program_that_goes_wrong_is_one_line(image: bytes, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run_job(job(tmp_path / "bad.elf", image), max_insns=200_000)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_failure_ends_the_others_at_once(tmp_path: Path) -> None:
    jobs = [job(tmp_path / "bad.elf", hello_elf(3)), *[job(tmp_path / "slow.elf", ENDLESS)] * 2]
    before = set(multiprocessing.active_children())
    with pytest.raises(UserError, match="ended with status 3"):
        run_jobs(jobs, 2)
    assert set(multiprocessing.active_children()) <= before


def test_a_worker_that_dies_is_a_line_for_the_user(tmp_path: Path) -> None:
    jobs = [job(tmp_path / "good.elf", hello_elf(0, POINTS)), job(tmp_path / "slow.elf", ENDLESS)]
    before = set(multiprocessing.active_children())

    def kill(_: Run) -> None:
        for process in set(multiprocessing.active_children()) - before:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(UserError, match="slow on cortex-a15: the process that ran it died"):
        run_jobs(jobs, 2, kill)
