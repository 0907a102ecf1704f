"""`pyemu debug --kernel`: a Kernel model alone, or a user program that it hosts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Completed, need_tool

Run = Callable[..., Completed]
COW = ROOT / "firmware/elf/hosted-cow.elf"
RULE = "HIGHPTE depends on HIGHMEM && !PREEMPT_RT"


def commands(*lines: str) -> list[str]:
    return [word for line in lines for word in ("-c", line)]


def test_a_model_alone_is_made_to_do_things(run_pyemu: Run) -> None:
    done = run_pyemu(
        "debug", "--kernel", "--mem", "4G", "--json",
        *commands("spawn bench", "mmap 64K 0x10000000", "touch 0x10000000 4 w",
                  "gup 0x10000000 4 w", "tasks"),
    )  # fmt: skip
    assert (done.status, done.stderr) == (0, "")
    spawned, mapped, touched, got, tasks = map(json.loads, done.stdout.splitlines())
    assert (spawned["value"], mapped["value"], touched["value"]) == (1, 0x10000000, 4)
    assert got["result"]["fast"] == 4
    assert [task["name"] for task in tasks["tasks"]] == ["bench"]


def test_a_program_is_stopped_before_its_first_instruction(run_pyemu: Run) -> None:
    done = run_pyemu("debug", "--kernel", COW, *commands("where", "tasks", "vma", "b main", "c", "bt"))
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("CPU 0 at 0x00010000 (_start), usr: ldr")
    assert lines[1].startswith("instruction 0, ")
    assert "hosted-cow.elf (running)" in done.stdout
    assert "00010000-00012000 r-xp" in done.stdout
    assert "breakpoint 1" in lines
    assert any(line.startswith("#0") and "(main)" in line for line in lines)


def test_every_view_of_the_kernel_works_on_a_program(run_pyemu: Run) -> None:
    done = run_pyemu(
        "debug", "--kernel", COW,
        *commands("b main", "c", "walk main", "why main w user", "pt --user", "kmap", "pkmap", "zones",
                  "locks", "gup main 1", "history main", "alias 0x70800000", "reports", "touch main x"),
    )  # fmt: skip
    assert (done.status, done.stderr) == (0, "")
    assert "read-only" in done.stdout or "AP[2:1]=0b11" in done.stdout
    assert "get_user_pages_fast: 1 page, 1 by the fast walk" in done.stdout
    assert "1 fetch, 0 faults" in done.stdout


def test_arguments_reach_the_program_and_its_end_is_told(run_pyemu: Run) -> None:
    done = run_pyemu("debug", *commands("x/s 0xbefffff0", "c", "c"), "--kernel", COW, "one", "two")
    assert done.status == 2
    assert "1..11" in done.stdout
    assert "the guest has ended with status 0" in done.stdout
    assert done.stderr == "pyemu: the guest has ended (exit): rs or rc goes back\n"


def test_tasks_of_a_program_are_its_own_doing(run_pyemu: Run) -> None:
    for line in ("spawn", "fork", "switch 1", "kill 1"):
        done = run_pyemu("debug", "--kernel", COW, "-c", line)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
        assert "makes its own tasks" in done.stderr


def test_timing_and_the_kernels_options_hold(run_pyemu: Run) -> None:
    done = run_pyemu(
        "debug", "--kernel", "--timing", "tlb", "--core", "cortex-a7", "--tables", "classic", "--smp", "2",
        *commands("cp15 ttbcr", "tlb", "cpu 1", "kernel_tasks", "spawn"),
    )  # fmt: skip
    assert "EAE" in done.stdout
    assert "main TLB: " in done.stdout
    assert "runs on CPU 1" in done.stdout
    assert done.stderr.startswith("pyemu: no command 'kernel_tasks'")


def test_the_forbidden_kernel_is_refused_and_forced_it_reports(run_pyemu: Run) -> None:
    refused = run_pyemu("debug", "--kernel", "--highpte", "--preempt-rt")
    assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert RULE in refused.stderr
    done = run_pyemu(
        "debug", "--kernel", "--highpte", "--preempt-rt", "--force",
        *commands("spawn", "mmap 64K 0x10000000", "touch 0x10000000 4 w", "gup 0x10000000 4 w"),
    )  # fmt: skip
    assert done.stdout.count("BUG: sleeping function called from invalid context") == 2
    assert "gup_fast_pgd_range → gup_fast_pte_range" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "TARGET is missing: a snapshot, a dump or an image; or --kernel"),
        (["missing.snap"], "missing.snap: No such file"),
        (["--kernel", "missing.elf"], "missing.elf: cannot read the program: No such file"),
        (["--kernel", "text"], "truncated ELF"),
        (["--kernel", "--initrd", "text"], "--initrd: --kernel has no use for it"),
        (["--kernel", "--find-pgd"], "--find-pgd: --kernel has no use for it"),
        (["--kernel", "--mem", "16M"], "--mem: 16777216 bytes"),
        (["--kernel", "--mem", "much"], "'much' is not a size"),
        (["--kernel", "--core", "cortex-m3"], "no core 'cortex-m3'"),
        (["--kernel", "--smp", "9"], "9"),
        (["--kernel", "--cpu", "1"], "no CPU 1: there are 1, counted from 0"),
        (["--kernel", COW, "--smp", "2"], "--smp: a user program runs on one CPU"),
        (["--highpte", COW], "--highpte: needs --kernel"),
        (["--tables", "classic", COW], "--tables: needs --kernel"),
        ([COW, "argument"], "argument: only a user program has arguments: see --kernel"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_with_status_2(
    run_pyemu: Run, tmp_path: Path, arguments: list[str], part: str
) -> None:
    (tmp_path / "text").write_text("hello")
    done = run_pyemu("debug", *arguments, "-c", "regs", cwd=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_placeholder_of_a_system_map_is_recognized(run_pyemu: Run, tmp_path: Path) -> None:
    (tmp_path / "map").write_text("ffffffff B The real System.map is in the linux-image-6.1-dbg package\n")
    (tmp_path / "kallsyms").write_text("00010000 T _start\n00010004 t more\t[module]\n")
    done = run_pyemu("debug", "--kernel", COW, "--symbols", tmp_path / "map", "-c", "where")
    assert (done.status, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "a placeholder" in done.stderr
    done = run_pyemu("debug", "--kernel", COW, "--symbols", tmp_path / "kallsyms", "-c", "sym more")
    assert (done.status, "0x00010004" in done.stdout) == (0, True)


def test_gdb_debugs_a_program_with_the_kernels_commands_and_back() -> None:
    need_tool("gdb-multiarch", "gdb-multiarch")
    command = [sys.executable, "-m", "pyemu", "debug", "--kernel", str(COW), "--gdb", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            match = re.search(r"target remote 127\.0\.0\.1:(\d+)", server.stderr.readline())
            assert match
            typed = ["set confirm off", f"target remote 127.0.0.1:{match[1]}", "break main", "continue",
                     "monitor vma", "monitor gup main 1", "stepi 7", "reverse-stepi 2", "stepi 2",
                     'printf "pc is %#x\\n", $pc', "monitor tasks", "continue"]  # fmt: skip
            arguments = [word for each in typed for word in ("-ex", each)]
            done = subprocess.run(
                ["gdb-multiarch", "-q", "-nx", "-batch", str(COW), *arguments],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        finally:
            server.kill()
    output = done.stdout + done.stderr
    assert "00010000-00012000 r-xp" in output, output
    assert "get_user_pages_fast: 1 page, 1 by the fast walk" in output
    places = re.findall(r"^0x[0-9a-f]+ in main \(\)$", output, re.M)
    assert (places[0], places[1] != places[0]) == (places[2], True)
    assert "hosted-cow.elf (running)" in output
    assert "exited normally" in output
