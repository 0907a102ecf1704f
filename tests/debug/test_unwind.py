"""Backtraces of what a real compiler makes: at every instruction of a run they are beside the truth."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyemu.debug.commands.run import backtrace
from pyemu.debug.control import Control
from pyemu.debug.unwind import walk
from tests.debug.targets import run_image
from tests.debug.unwind.oracle import Truth, build, compare, session_of

TABLES = "-funwind-tables"
FRAMES = "-fno-omit-frame-pointer"
VFP = ("-mfpu=vfpv3-d16", "-mfloat-abi=hard")
PROGRAMS = {
    "arm-O2-tables": ("-O2", "-marm", TABLES),
    "arm-O2": ("-O2", "-marm"),
    "arm-O0": ("-O0", "-marm"),
    "arm-frames": ("-O1", "-marm", FRAMES),
    "arm-apcs": ("-O1", "-marm", FRAMES, "-mapcs-frame"),
    "arm-apcs-tables": ("-O1", "-marm", FRAMES, "-mapcs-frame", TABLES),
    "arm-vfp-tables": ("-O2", "-marm", *VFP, TABLES),
    "thumb-O2-tables": ("-O2", "-mthumb", TABLES),
    "thumb-O2": ("-O2", "-mthumb"),
    "thumb-O0": ("-O0", "-mthumb"),
    "thumb-vfp-Os": ("-Os", "-mthumb", *VFP),
    "thumb-frames": ("-O1", "-mthumb", FRAMES),
    "arm-and-thumb": ("-O2", "-marm", '-DOTHER_STATE="thumb"'),
    "thumb-and-arm-tables": ("-O2", "-mthumb", '-DOTHER_STATE="arm"', TABLES),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_chain_of_calls_is_right_at_every_instruction(name: str, tmp_path: Path) -> None:
    with session_of(build(tmp_path, *PROGRAMS[name])) as session:
        score = compare(session)
        assert score.right > 500
        assert not score.wrong, score.report(session)


@pytest.mark.parametrize("name", ["arm-O2", "thumb-O0"])
def test_without_symbols_and_tables_only_calls_that_never_return_lead_astray(
    name: str, tmp_path: Path
) -> None:
    elf = build(tmp_path, *PROGRAMS[name])
    with session_of(elf) as session:
        score = compare(session)
        functions = [session.target.symbols.addresses[name] for name in ("gives_up", "ends")]
    bare = tmp_path / "bare.elf"
    subprocess.run(["arm-none-eabi-strip", "-s", str(elf), "-o", str(bare)], check=True)
    with session_of(bare) as session:
        without = compare(session)
    assert without.right / score.right > 0.95
    # In Thumb code also where a computed jump is next.
    inside = [any(f <= pc < f + 0x100 for pc in true for f in functions) for _, _, true in without.wrong]
    assert sum(inside) >= len(inside) // 2


@pytest.fixture
def _only_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Code is not followed."""
    monkeypatch.setattr(walk, "exit_of", lambda *_, **__: None)
    monkeypatch.setattr(walk, "entry_of", lambda *_, **__: None)
    return


@pytest.mark.usefixtures("_only_tables")
@pytest.mark.parametrize(
    "name", ["arm-O2-tables", "arm-vfp-tables", "thumb-O2-tables", "thumb-and-arm-tables"]
)
def test_tables_alone_lead_from_a_leaf_to_the_beginning(name: str, tmp_path: Path) -> None:
    places = set()
    with session_of(build(tmp_path, *PROGRAMS[name])) as session:
        leaf = session.target.symbols.addresses["leaf"]
        for true in Truth(session):
            if true[0] == leaf:
                found = backtrace(session).frames
                assert [frame.pc for frame in found][: len(true)] == true
                assert {frame.how for frame in found[2 : len(true)]} <= {"exidx"}
                places |= {(session.symbol(pc) or "").partition("+")[0] for pc in true}
    assert places >= {
        "by_hand",
        "routine_two",
        "frame_of_hundreds",
        "frame_of_thousands",
        "frame_of_a_size_that_is_computed",
        "many_registers",
        "variadic",
        "recursive",
    }


@pytest.mark.usefixtures("_only_tables")
@pytest.mark.parametrize("name", ["arm-frames", "arm-apcs"])
def test_frame_pointers_alone_lead_through_functions_that_have_a_frame(name: str, tmp_path: Path) -> None:
    right = total = 0
    with session_of(build(tmp_path, *PROGRAMS[name])) as session:
        for true in Truth(session):
            if (session.symbol(true[0]) or "").startswith("recursive+") and len(true) > 4:
                found = [frame.pc for frame in backtrace(session).frames]
                total += 1
                right += found[: len(true) - 1] == true[:-1]  # to main, whose caller has no frame
    assert right / total > 0.5, (right, total)


# ---- exceptions ----

EXCEPTIONS = ("exceptions.S", "exceptions.c")


@pytest.mark.parametrize("options", [("-O2", "-marm"), ("-O0", "-marm", TABLES), ("-O2", "-mthumb", TABLES)])
def test_handlers_are_left_to_what_they_have_interrupted(options: tuple[str, ...], tmp_path: Path) -> None:
    with session_of(build(tmp_path, *options, sources=EXCEPTIONS)) as session:
        score = compare(session, ("leave_user_mode",))
        assert score.right > 500
        # Between CPS to System mode and back its own LR is in another mode's stack.
        elsewhere = [each for each in score.wrong if "in_user_mode" not in (session.symbol(each[0]) or "")]
        assert not elsewhere, score.report(session)
        assert len(score.wrong) <= 2


def test_an_exception_has_a_line_with_its_kind(tmp_path: Path) -> None:
    with session_of(build(tmp_path, "-O2", "-marm", sources=EXCEPTIONS)) as session:
        kinds = set()
        for _ in Truth(session, ("in_user_mode", "leave_user_mode")):
            found = backtrace(session)
            kinds |= {frame.exception for frame in found.frames}
            if len([frame for frame in found.frames if frame.exception]) == 2:
                nested = found.lines
        assert kinds == {None, "SVC", "data abort", "prefetch abort", "IRQ", "undefined instruction"}
        text = "\n".join(nested)
        assert "    <exception: data abort taken from 0x" in text
        assert "(reads_absent_memory+" in text
        assert "    <exception: SVC taken from 0x" in text
        assert text.index("data abort") < text.index("(svc_handler+") < text.index("SVC")
        assert text.endswith("(_start+0x30)")


def test_a_vector_that_hangs_says_where_the_exception_came_from(tmp_path: Path) -> None:
    source = tmp_path / "hang.S"
    source.write_text(
        """
        .arch armv7-a
        .arm
        .global _start
        .type _start, %function
    _start: ldr sp, =0x40800000
        ldr r0, =vectors
        mcr p15, 0, r0, c12, c0, 0
        isb
        bl f
        b .
        .size _start, . - _start
        .type f, %function
    f:  push {r4, lr}
        .global bad
    bad: udf #0
        pop {r4, pc}
        .size f, . - f
        .balign 32
    vectors: .rept 8
        b .
        .endr
    """
    )
    with session_of(build(tmp_path, "-marm", sources=(str(source),))) as session:
        session.part(Control).resume(1000)
        assert backtrace(session).lines[1:] == [
            f"    <exception: undefined instruction taken from {session.place(session.value('bad'))}>",
            f"#1  {session.place(session.value('bad'))}",
            f"#2  {session.place(session.value('f') - 4)}",
        ]


def test_a_bring_up_whose_vector_cannot_be_fetched_ends_with_the_vector() -> None:
    session, _ = run_image("broken-no_identity", max_insns=100_000)
    with session:
        lines = backtrace(session).lines
        assert len(lines) == 3
        assert "<exception: prefetch abort taken from" in lines[1]


def test_a_call_of_no_code_was_made_by_who_is_in_lr(tmp_path: Path) -> None:
    with session_of(build(tmp_path, "-O2", "-marm", sources=EXCEPTIONS)) as session:
        chain = next(true for true in Truth(session) if true[0] == 0x5000_0000)
        assert [frame.pc for frame in backtrace(session).frames] == chain
        assert backtrace(session).frames[1].how == "lr"
