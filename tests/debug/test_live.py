"""What a person sees while a command runs the guest."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import MachineConfig
from pyemu.debug import LiveTarget, Session, live
from pyemu.debug.live import Live
from pyemu.debug.prompt import Script
from pyemu.machine import Machine
from tests.debug.bring_up import controlled
from tests.machine.traps.guest import ELF, SMALL


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(*pieces: bytes) -> str:
    out = io.StringIO()
    with Machine(SMALL) as machine:
        seen = Live(machine, out, terminal=False)
        for piece in pieces:
            seen(piece)
        seen.close()
    return out.getvalue()


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"one\r\ntwo\r\n", "one\ntwo\n"),
        (b"guest# \x1b[6n", "guest# \n"),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b(B\x1bcend\n", "red end\n"),
        (b"tab\tbell\a nul\0 \x7f\xc2\x9bdel\n", "tab\tbell nul del\n"),
        ("Grüße, €\n".encode(), "Grüße, €\n"),
        (b"\xff\n", "\ufffd\n"),
        (b"", ""),
    ],
)
def test_the_console_is_shown_without_what_moves_a_terminal(said: bytes, seen: str) -> None:
    assert shown(said) == seen
    assert shown(*(said[at : at + 1] for at in range(len(said)))) == seen


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=6))
def test_pieces_are_shown_as_the_whole(pieces: list[bytes]) -> None:
    text = shown(*pieces)
    assert text == shown(b"".join(pieces))
    assert all(c in "\n\t" or c >= " " for c in text)


def test_the_guest_is_heard_while_it_runs() -> None:
    machine = Machine(MachineConfig(64 << 20))
    machine.load(ELF / "hello.elf")
    out = io.StringIO()
    with Session(LiveTarget(machine, owned=True)) as session:
        script = Script(session, out=out, err=out)
        script.run("c")
        assert session.listener is None
    lines = out.getvalue().splitlines()
    assert lines[0] == "Hello from ARM: this line went through the PL011."
    assert lines[-2] == "the guest has ended with status 0"


def test_a_silent_run_says_on_a_terminal_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(live, "STATUS_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    machine = Machine(SMALL)
    machine.load((0xEAFFFFFE).to_bytes(4, "little"))  # b .
    for out, said in ((Terminal(), True), (io.StringIO(), False)):
        session, _ = controlled(machine)
        Script(session, out=out, err=out).run("c 9000000")
        text = out.getvalue()
        assert ("(Ctrl-C stops it)" in text) == said
        assert text.rpartition("\x1b[K")[2].startswith("the number of instructions is over")


def test_what_is_typed_reaches_the_guest_and_its_answer_ends_the_run() -> None:
    machine = Machine(MachineConfig(64 << 20))
    machine.load(ELF / "uart.elf")
    with Session(LiveTarget(machine, owned=True)) as session:
        asked = session.execute("c --until '^type a .*stop:'  # a comment")
        assert asked.reason == "console"
        assert session.execute(r"type  a #'b \x21\\.").data == b" a #'b !\\."
        found = session.execute(r"c --until '!\\\.'")
        assert found.reason == "exit"  # which is more than the text
        assert " a #'b !\\." in found.output
        assert "ok 10 - what is typed arrives by interrupt: 10 characters\n" in found.output
        session.execute("rc")
        assert session.execute("c").output.count("SKIP no input") == 1  # nothing was typed before it
