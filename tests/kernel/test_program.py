"""Programs in user mode: loading, arguments, system calls, ends; what is damaged or hostile harms nobody."""

from __future__ import annotations

import random
import struct

import pytest

from pyemu.config import MachineConfig, UserError
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.program import Program, Segment, start_program
from pyemu.machine import Machine
from tests.firmware.blobs import FIRMWARE
from tests.kernel.hosted import DATA, RW, RX, TEXT, program, run_program

SVC, LOOP = 0xEF000000, 0xEAFFFFFE
ELF = (FIRMWARE / "elf/hosted-touch.elf").read_bytes()


def mov(register: int, value: int) -> tuple[int, int]:
    """MOVW and MOVT."""
    words = []
    for opcode, half in ((0xE3000000, value & 0xFFFF), (0xE3400000, value >> 16)):
        words.append(opcode | register << 12 | (half >> 12) << 16 | half & 0xFFF)
    return words[0], words[1]


def call(number: int, *arguments: int) -> list[int]:
    """A system call with constant arguments."""
    words = [word for register, value in enumerate(arguments) for word in mov(register, value)]
    return [*words, *mov(7, number), SVC]


EXIT_R0 = [*mov(7, 1), SVC]


def test_it_exits_with_its_status_and_writes_to_the_console() -> None:
    ran = run_program(program(*call(4, 1, DATA, 6), *call(1, 42), data=b"hello\n"))
    assert (ran.stop.reason.name, ran.stop.status, ran.output) == ("EXIT", 42, "hello\n")
    assert ran.before == ran.after


def test_arguments_lie_on_the_stack() -> None:
    argc = [0xE59D0000, *EXIT_R0]  # ldr r0, [sp]
    assert run_program(program(*argc), "a", "b c").stop.status == 3
    second = [0xE59D2008, 0xE5D20000, *EXIT_R0]  # ldr r2, [sp, #8]; ldrb r0, [r2]
    assert run_program(program(*second), "xyz").stop.status == ord("x")
    aligned = [0xE1A0000D, 0xE2000007, *EXIT_R0]  # mov r0, sp; and r0, r0, #7
    for arguments in (["a"], ["a", "b"], ["abcdefgh"]):
        assert run_program(program(*aligned), *arguments).stop.status == 0


def test_thumb_programs_run() -> None:
    code = struct.pack("<HHH", 0x2011, 0x2701, 0xDF00)  # movs r0, #17; movs r7, #1; svc 0
    ran = run_program(Program("thumb", TEXT | 1, (Segment(TEXT, code, len(code), RX),)))
    assert ran.stop.status == 17


def test_registers_survive_a_fork_and_a_fault() -> None:
    code = [*mov(4, 7), *mov(7, 2), SVC, 0xE3500000, 0]  # fork; cmp r0, #0; beq child
    child = [0xE2840005, *EXIT_R0]  # r4 + 5
    # mvn r0, #0; mov r1, #0x20000; mov r2, #0; mov r7, #114; svc; ldr r0, [r1 -> DATA]; lsr r0, r0, #8
    rest = [0xE3E00000, 0xE3A01802, 0xE3A02000, 0xE3A07072, SVC, 0xE3A01802, 0xE5910000, 0xE1A00420]
    code[-1] = 0x0A000000 | (len(rest) + len(EXIT_R0) - 1)
    assert run_program(program(*code, *rest, *EXIT_R0, *child)).stop.status == 12


def test_unknown_system_calls_are_answered_and_named() -> None:
    ran = run_program(program(*call(77), *call(399), *call(77), 0xE2600000, *EXIT_R0))
    assert ran.stop.status == 38  # ENOSYS
    assert ran.unknown == [77, 399]


def test_a_program_without_end_stops_at_the_limit_and_two_share_the_cpu() -> None:
    ran = run_program(program(LOOP), max_insns=100_000)
    assert ran.stop.reason.name == "LIMIT"
    # The child spins; the parent still comes to its end.
    fork = [*mov(7, 2), SVC, 0xE3500000, 0x0AFFFFFE]
    counted = [*mov(5, 3_000_000), 0xE2555001, 0x1AFFFFFD]
    ran = run_program(program(*fork, *counted, *call(1, 9)))
    assert (ran.stop.reason.name, ran.stop.status) == ("EXIT", 9)
    assert ran.before == ran.after


def test_fork_until_there_is_no_memory_is_an_error_of_the_program() -> None:
    """Each parent waits for its child, which forks; who gets an error exits, and then all the others do."""
    fork = [*mov(7, 2), SVC, 0xE3500000, 0x0AFFFFFA, 0x4A000008]  # 0: fork; cmp r0, #0; beq 0; bmi failed
    wait = [0xE3E00000, 0xE3A01000, 0xE3A02000, 0xE3A07072, SVC, 0xE3A00003]  # wait4(-1, 0, 0); mov r0, #3
    ran = run_program(program(*fork, *wait, *EXIT_R0, 0xE3A00005, *EXIT_R0), memory_bytes=64 << 20)
    assert (ran.stop.reason.name, ran.stop.status) == ("EXIT", 3)
    assert 100 < ran.stats["forks"] < 10_000
    assert ran.stats["forks"] == ran.stats["exits"] - 1
    assert ran.before == ran.after


@pytest.mark.parametrize(
    ("segments", "part"),
    [
        ([Segment(0, b"", 4096, RX)], "addresses from 0x2000"),
        ([Segment(0xBF000000, b"", 4096, RX)], "addresses from 0x2000"),
        ([Segment(0xC0008000, b"", 4096, RX)], "does not fit"),
        ([Segment(TEXT, b"", 0xFFFFFFFF, RX)], "does not fit"),
        ([Segment(TEXT, b"", 8192, RX), Segment(TEXT + 4096, b"", 4096, RW)], "segments overlap"),
        ([Segment(TEXT, bytes(60 << 20), 60 << 20, RW)], "no memory for"),
    ],
)
def test_segments_that_do_not_fit_are_refused(segments: list[Segment], part: str) -> None:
    with Machine(MachineConfig(memory_bytes=64 << 20)) as machine:
        machine.reset(0)
        kernel = Kernel(KernelConfig(memory_bytes=64 << 20), machine=machine)
        with kernel, pytest.raises(UserError, match=part):
            start_program(kernel, Program("bad", TEXT, tuple(segments)))


def test_segments_may_share_a_page_which_both_of_them_find_as_they_need_it() -> None:
    code = struct.pack("<7I", *mov(1, TEXT + 0x800), 0xE5910000, 0xE5810004, *EXIT_R0)  # ldr, str [r1, #4]
    text = Segment(TEXT, code, len(code), RX)
    data = Segment(TEXT + 0x800, struct.pack("<I", 21), 0x2000, RW)
    ran = run_program(Program("shared", TEXT, (text, data)))
    assert (ran.stop.reason.name, ran.stop.status, ran.deaths) == ("EXIT", 21, [])


def test_a_program_needs_a_machine_that_was_reset_and_there_is_one_of_it() -> None:
    with Kernel(KernelConfig(memory_bytes=64 << 20)) as kernel, pytest.raises(UserError, match="was reset"):
        start_program(kernel, program(LOOP))
    with Machine(MachineConfig(memory_bytes=64 << 20)) as machine:
        machine.reset(0)
        with Kernel(KernelConfig(memory_bytes=64 << 20), machine=machine) as kernel:
            start_program(kernel, program(LOOP))
            with pytest.raises(UserError, match="started already"):
                start_program(kernel, program(LOOP))


def test_a_machine_may_go_before_its_kernel() -> None:
    machine = Machine(MachineConfig(memory_bytes=64 << 20))
    machine.reset(0)
    kernel = Kernel(KernelConfig(memory_bytes=64 << 20), machine=machine)
    start_program(kernel, program(LOOP))
    machine.close()
    kernel.close()


def damaged(at: int, value: bytes) -> bytes:
    return ELF[:at] + value + ELF[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "truncated ELF"),
        (ELF[:60], "truncated ELF"),
        (ELF[: len(ELF) // 2], "truncated"),
        (damaged(4, b"\2"), "64-bit"),
        (damaged(18, b"\x3e\0"), "not ARM"),
        (damaged(24, struct.pack("<I", 0x70000000)), "no executable segment"),
        (damaged(16, b"\3\0"), "position independent"),
    ],
    ids=range(7),
)
def test_a_file_that_is_no_program_is_refused(data: bytes, part: str) -> None:
    with pytest.raises(UserError, match=part):
        Program.from_bytes(data, "bad")


def test_a_program_for_another_loader_is_refused() -> None:
    interpreter = damaged(52, struct.pack("<I", 3))
    with pytest.raises(UserError, match="-static"):
        Program.from_bytes(interpreter, "dynamic")


@pytest.mark.parametrize("seed", range(40))
def test_random_code_ends_somehow_and_nothing_is_lost(seed: int) -> None:
    """Random words with many system calls of random arguments among them."""
    rng = random.Random(seed)
    numbers = (2, 3, 4, 5, 6, 45, 54, 91, 114, 120, 125, 163, 192, 220, 263, 0xF0005)
    interesting = (0, 1, 3, 4096, DATA, TEXT, 0xBF000000 - 4096, 0xFFFFFFFF, 0x80000000, 0xC0000000)
    words: list[int] = []
    for _ in range(120):
        if rng.random() < 0.6:
            arguments = [
                rng.choice((*interesting, rng.getrandbits(32), rng.getrandbits(12))) for _ in range(6)
            ]
            words += call(rng.choice(numbers), *arguments)
        elif rng.random() < 0.5:
            words.append(rng.getrandbits(32))
        else:
            words += [*mov(1, rng.choice(interesting)), rng.choice((0xE5910000, 0xE5810000, 0xE8B10FF0))]
    ran = run_program(
        program(*words, *call(1, 0)),
        memory_bytes=rng.choice((64 << 20, 1 << 30)),
        highpte=rng.choice((None, False)),
        tables=rng.choice(("lpae", "classic")),
        max_insns=300_000,
    )
    assert ran.stop.reason.name in ("EXIT", "LIMIT", "IDLE", "DEADLOCK")
    if ran.stop.reason.name == "EXIT":
        assert ran.before == ran.after
