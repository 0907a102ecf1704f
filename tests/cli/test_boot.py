"""`pyemu boot` as a user runs it: console, input, limits, summary, exit status."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Completed, pyemu_command
from tests.machine.images import RAM, SVC_HOST, Segment, exit_code, hello_elf, make_elf, print_code, words

Run = Callable[..., Completed]
LOOP = words(0xE2800001, 0xEAFFFFFD)  # add r0, r0, #1; b .-4

# READC (r0 = 7) into WRITEC (r0 = 3, r1 -> the character), until a 'q'.
ECHO = words(
    0xE24DD010,  # sub sp, sp, #16
    0xE3A00007,  # 1: mov r0, #7
    SVC_HOST,
    0xE1A04000,  # mov r4, r0
    0xE5CD0000,  # strb r0, [sp]
    0xE1A0100D,  # mov r1, sp
    0xE3A00003,  # mov r0, #3
    SVC_HOST,
    0xE3540071,  # cmp r4, #'q'
    0x1AFFFFF6,  # bne 1b
)


def echo_elf(greeting: str = "ready> ") -> bytes:
    stack = words(0xE59FD000, 0xEA000000, RAM + 0x100000)  # ldr sp, =...; b over it
    return make_elf(
        Segment(RAM + 0x8000, print_code(greeting, stack + ECHO + print_code("!\n", exit_code(0))))
    )


@pytest.fixture
def image(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "image"
        path.write_bytes(data)
        return path

    return write


Image = Callable[[bytes], Path]


def test_the_guests_exit_status_is_the_commands(run_pyemu: Run, image: Image) -> None:
    for status in (0, 1, 42):
        done = run_pyemu("boot", image(hello_elf(status)))
        assert (done.status, done.stdout) == (status, "hello\n")
        assert f"exit status {status}" in done.stderr
        assert "walks" in done.stderr
        assert "MIPS" in done.stderr


def test_json_is_the_only_thing_on_standard_output(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(hello_elf(3)), "--json")
    summary = json.loads(done.stdout)
    assert (done.status, summary["reason"], summary["guest_status"], summary["exit_status"]) == (
        3,
        "exit",
        3,
        3,
    )
    assert summary["instructions"] == summary["stats"]["insns"] > 0
    assert {"walks", "fills", "faults", "interrupts", "guest_seconds", "host"} <= set(summary)
    assert "hello\n" in done.stderr


def test_two_runs_give_the_same_summary(run_pyemu: Run, image: Image) -> None:
    path = image(echo_elf())
    options = ("--expect", "> ", "--send", "abc", "--expect", "abc", "--send", "q", "--json")
    runs = [run_pyemu("boot", path, *options) for _ in range(2)]
    summaries = [run.json for run in runs]
    assert [summary.pop("host") is not None for summary in summaries] == [True, True]
    assert summaries[0] == summaries[1]
    assert summaries[0]["expect"] == {"matched": 2, "total": 2, "waiting_for": None}
    assert runs[0].stderr.startswith("ready> abcq!\n")


def test_a_pipe_feeds_the_guest(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(echo_elf("")), input="hello, q", timeout=30)
    assert (done.status, done.stdout) == (0, "hello, q!\n")


def test_a_file_feeds_the_guest(image: Image, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 10000 + b"q")
    with (tmp_path / "in").open() as file:
        done = subprocess.run(
            pyemu_command("boot", image(echo_elf(""))), stdin=file, capture_output=True, check=False
        )
    assert done.stdout == b"x" * 10000 + b"q!\n"


def test_a_conversation_over_pipes_waits_for_each_answer(image: Image) -> None:
    command = pyemu_command("boot", image(echo_elf()))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as guest:
        assert guest.stdin is not None
        assert guest.stdout is not None
        assert guest.stdout.read(7) == b"ready> "
        guest.stdin.write(b"12")
        guest.stdin.flush()
        assert guest.stdout.read(2) == b"12"
        guest.stdin.write(b"q")
        guest.stdin.flush()
        assert guest.stdout.read() == b"q!\n"
    assert guest.returncode == 0


def test_a_guest_that_waits_for_input_that_cannot_come_is_stuck(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(echo_elf()), "--json")
    assert (done.status, done.json["reason"]) == (3, "deadlock")
    assert done.json["cpus"][0]["pc"] >= RAM + 0x8000
    person = run_pyemu("boot", image(echo_elf())).stderr
    assert "pyemu: stuck: every CPU waits, no timer is armed and no input can come\n" in person
    assert "pyemu: CPU 0 is at 0x40008" in person


def test_an_expectation_that_never_matches_is_named(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(hello_elf()), "--expect", "hello", "--expect", "good(bye)", "--send", "x")
    assert done.status == 4
    assert "'good(bye)' did not match (step 2 of 2)" in done.stderr


def test_until_ends_the_run_with_status_0(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(echo_elf()), "--until", "ready> ", "--json")
    assert (done.status, done.json["reason"]) == (0, "matched")


def test_max_insns_ends_a_loop_with_status_0(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(LOOP), "--max-insns", "5000000", "--json")
    assert (done.status, done.json["reason"]) == (0, "limit")
    assert 5_000_000 <= done.json["instructions"] < 5_000_100


def test_timeout_ends_a_loop_with_status_124(run_pyemu: Run, image: Image) -> None:
    done = run_pyemu("boot", image(LOOP), "--timeout", "0.3", "--json")
    assert (done.status, done.json["reason"]) == (124, "timeout")
    assert 0.3 <= done.json["host"]["seconds"] < 10


def test_timeout_ends_a_wait_for_input(image: Image) -> None:
    command = pyemu_command("boot", image(echo_elf()), "--timeout", "0.3")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as guest:
        assert guest.wait(20) == 124


# TTBR0 = 0x40004000, an empty table; DACR = 1; MMU on; b .
MMU_WITHOUT_MAPPING = words(
    0xE3A00101, 0xE3800901, 0xEE020F10, 0xE3A00001, 0xEE030F10, 0xEE110F10, 0xE3800001, 0xEE010F10, 0xEAFFFFFE
)


def test_a_guest_without_a_way_on_is_status_3(run_pyemu: Run, image: Image) -> None:
    # bx to an address without memory; VBAR and the vectors at 0 hold nothing that can be fetched
    jump = words(0xE3A00202, 0xEE0C0F10, 0xE12FFF10)  # mov r0, #0x20000000; mcr VBAR; bx r0
    done = run_pyemu("boot", image(jump), "--max-insns", "1000000", "--json")
    assert (done.status, done.json["reason"]) == (3, "lockup")


def test_a_lockup_says_which_vector_and_which_descriptor(run_pyemu: Run, image: Image) -> None:
    path = image(MMU_WITHOUT_MAPPING)
    done = run_pyemu("boot", path)
    assert done.status == 3
    first, origin, second, *_ = done.stderr.splitlines()
    cause = (
        "the prefetch abort vector at 0x0000000c cannot be fetched: "
        "level 1 table not present: L1[0] @0x40004000 = 0x0"
    )
    assert first == f"pyemu: CPU 0 locked up: {cause}"
    assert origin.startswith(
        "pyemu: it began with the fetch of 0x40008020: level 1 table not present: L1[1024]"
    )
    assert second.startswith("pyemu: MMU on with short descriptors: SCTLR 0x")
    assert "TTBR0 0x40004000" in second
    summary = run_pyemu("boot", path, "--json").json
    assert summary["cause"] == cause
    assert summary["notes"][1:] == [second.removeprefix("pyemu: ")]
    assert summary["cpus"][0]["mode"] == "abort"


def test_a_run_that_is_cut_off_says_where_the_guest_is(run_pyemu: Run, image: Image) -> None:
    for options, reason in ((("--max-insns", "1000"), "instruction"), (("--timeout", "0.3"), "time")):
        lines = run_pyemu("boot", image(LOOP), *options).stderr.splitlines()
        assert lines[0] == f"pyemu: {reason} limit reached"
        assert lines[1].startswith("pyemu: CPU 0 is at 0x4000800")
        assert lines[1].endswith("SVC mode, IRQs masked, MMU off")


def test_an_abort_handler_that_hangs_is_explained(run_pyemu: Run, image: Image) -> None:
    # mov r0, #0x40000000; mcr VBAR; mvn r0, #0; str r0, [r0, #-0xfff]; at RAM + 0x10: b .
    code = words(0xE3A00101, 0xEE0C0F10, 0xE3E00000, 0xE5000FFF, 0xEAFFFFFE)
    path = image(
        make_elf(Segment(RAM, words(*[0xEAFFFFFE] * 8)), Segment(RAM + 0x8000, code), entry=RAM + 0x8000)
    )
    done = run_pyemu("boot", path, "--no-dtb", "--max-insns", "1000")
    assert "pyemu: CPU 0 handles a data abort of the instruction at 0x4000800c\n" in done.stderr
    assert "pyemu: last data abort: external abort, write to 0xfffff000 (DFSR 0x808)" in done.stderr


def test_a_guest_that_floods_the_console_is_only_loud(image: Image) -> None:
    # strb r0, [r1] to the PL011's data register for ever
    flood = words(0xE3A01409, 0xE3A00041, 0xE5C10000, 0xEAFFFFFD)
    done = subprocess.run(
        pyemu_command("boot", image(flood), "--max-insns", "3000000"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert len(done.stdout) > 1_000_000
    assert set(done.stdout) == {0x41}


def test_output_into_a_closed_pipe_ends_quietly(image: Image) -> None:
    flood = words(0xE3A01409, 0xE3A00041, 0xE5C10000, 0xEAFFFFFD)
    command = pyemu_command("boot", image(flood), "--timeout", "20")
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as guest:
        assert guest.stdout is not None
        assert guest.stderr is not None
        guest.stdout.read(10)
        guest.stdout.close()
        complaints = guest.stderr.read()
    assert guest.returncode == 141
    assert b"Traceback" not in complaints


def test_the_console_log_holds_what_was_printed(run_pyemu: Run, image: Image, tmp_path: Path) -> None:
    run_pyemu("boot", image(hello_elf()), "--console-log", tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"hello\n"


def test_a_snapshot_boots_where_it_was_taken(run_pyemu: Run, image: Image, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    first = run_pyemu(
        "boot", image(echo_elf()), "--mem", "2G", "--until", "ready> ", "--snapshot-at-exit", saved
    )
    assert (first.status, first.stdout) == (0, "ready> ")
    second = run_pyemu("boot", saved, input="again q")
    assert (second.status, second.stdout) == (0, "again q!\n")
    refused = run_pyemu("boot", saved, "--mem", "1G")
    assert (refused.status, refused.stdout) == (2, "")
    assert "--mem cannot be given with a snapshot" in refused.stderr


def test_a_config_file_and_options_make_the_machine(run_pyemu: Run, image: Image, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[machine]\nmem = "17Q"\n')
    assert "17Q" in run_pyemu("boot", image(LOOP), "--config", tmp_path / "m.toml").stderr
    (tmp_path / "m.toml").write_text('[machine]\nsemihosting = false\nmem = "32M"\n')
    done = run_pyemu(
        "boot", image(hello_elf()), "--config", tmp_path / "m.toml", "--max-insns", "1000", "--json"
    )
    assert done.json["stats"]["semihosting"] == 0
    assert done.json["stats"]["svcs"] > 0


def test_strict_alignment_is_an_option(run_pyemu: Run, image: Image) -> None:
    # mov r0, #0x40000000; ldrd r2, r3, [r0, #1]; exit
    path = image(make_elf(Segment(RAM + 0x8000, words(0xE3A00101, 0xE1C020D1) + exit_code(6))))
    assert run_pyemu("boot", path).status == 6
    strict = run_pyemu("boot", path, "--strict-alignment", "--max-insns", "1000000", "--json")
    assert strict.json["stats"]["data_aborts"] > 0


def test_sigterm_ends_a_run(image: Image) -> None:
    command = pyemu_command("boot", image(print_code("x\n", LOOP)))
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as guest:
        assert guest.stdout is not None
        assert guest.stdout.read(2) == b"x\n"
        guest.terminate()
        assert guest.wait(20) == 128 + 15


def test_help_is_instant_and_loads_no_core() -> None:
    code = """
import sys
import pyemu.cli
try:
    pyemu.cli.main(["--help"])
except SystemExit:
    print([name for name in ("unicorn", "cffi", "elftools", "rich", "pyemu.native") if name in sys.modules])
"""
    python = pyemu_command()[0]
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "pyemu boot" in done.stdout


def test_version_and_doctor_answer(run_pyemu: Run) -> None:
    done = run_pyemu("doctor")
    assert (done.status, done.stdout.splitlines()[-1]) == (0, "pyemu is ready")
    assert "self-test: 9 ARM instructions" in done.stdout


def test_the_end_of_piped_input_is_an_end_of_file_for_the_guest(run_pyemu: Callable[..., Completed]) -> None:
    done = run_pyemu("boot", ROOT / "firmware/elf/newlib.elf", input="")
    assert done.status == 0
    assert "standard input is at its end" in done.stdout
