"""The doors for people: scripts, lines from a pipe, and a prompt in a terminal.

prompt_toolkit gives completion, history and editing where it is installed; the prompt works without.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from pyemu.config import UserError
from pyemu.debug.live import Live
from pyemu.debug.parameters import Choice, Flag, Option
from pyemu.debug.registry import commands, find
from pyemu.debug.render import as_json, as_text
from pyemu.debug.session import Session

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Script", "completions", "interact"]

PROMPT = "(pyemu) "
_QUIT = ("quit", "q", "exit")
_STATUS_REFUSED = 2
_COMMENT = "#"


class Script:
    """Lines one after the other; results go to ``out``, refusals to ``err``.

    ``status`` is 0, or 2 once a command was refused.
    """

    def __init__(
        self, session: Session, *, json: bool = False, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.session = session
        self.status = 0
        self._json = json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._colour = colours(self._out) and not json

    def run(self, line: str) -> bool:
        """Carry out a line; False when it asks to quit."""
        if line.strip() in _QUIT:
            return False
        try:
            with self._live(), _interruptible(self.session):
                result = self.session.execute(line)
        except UserError as problem:
            self.status = _STATUS_REFUSED
            self._out.flush()
            print(f"pyemu: {problem}", file=self._err, flush=True)
            return True
        if result is not None:
            text = as_json(result) if self._json else as_text(result, colour=self._colour)
            print(text, file=self._out)
        return True

    @contextmanager
    def _live(self) -> Iterator[None]:
        """What the guest writes is shown as it comes; in JSON it is in the result."""
        machine = self.session.target.machine
        if machine is None or self._json:
            yield
            return
        live = Live(machine, self._out, terminal=_is_terminal(self._out))
        self.session.listener = live
        try:
            yield
        finally:
            self.session.listener = None
            live.close()


def colours(out: TextIO) -> bool:
    """Whether escape sequences are welcome: on a terminal, unless NO_COLOR is set."""
    return _is_terminal(out) and not os.environ.get("NO_COLOR")


def _is_terminal(out: TextIO) -> bool:
    """Whether it is one that can clear a line."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def _interruptible(session: Session) -> Iterator[None]:
    """Ctrl-C stops a guest that runs, and a command that does not run it."""
    machine = session.target.machine
    if machine is None:
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    machine.asked_to_stop()  # what came too late for the command before

    def interrupt(number: int, frame: FrameType | None) -> None:
        machine.stop()
        signal.signal(signal.SIGINT, before)

    try:
        signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # not the main thread: nobody types Ctrl-C to it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interact(session: Session, *, json: bool = False) -> int:
    """Lines from standard input to its end; with a prompt where both ends are a terminal.

    Returns the exit status: in a terminal 0, else that of a script.
    """
    script = Script(session, json=json)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        for line in sys.stdin:
            if not script.run(line):
                break
        return script.status
    read = _reader(session)
    while True:
        try:
            line = read()
        except KeyboardInterrupt:
            continue
        except EOFError:
            print()
            return 0
        try:
            if not script.run(line):
                return 0
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)


def _reader(session: Session) -> Any:
    try:
        from pyemu.debug.terminal import reader
    except ImportError:
        return lambda: input(PROMPT)
    return reader(session, PROMPT)


def completions(session: Session, text: str) -> list[str]:
    """Words that may stand where ``text``, the line so far, ends; sorted."""
    head, _, last = text.rpartition(" ")
    if not head.strip():
        return sorted(name for name in commands() if name.startswith(text.lstrip()))
    names = sorted(
        name.split(" ", 1)[1] for name in commands() if " " in name and name.split(" ", 1)[0] == head.strip()
    )
    try:
        found, _ = find(head)
    except UserError:
        return [name for name in names if name.startswith(last)]
    words: set[str] = set(names)
    if found.name == "help":
        words |= set(commands())
    for parameter in found.parameters:
        marked = isinstance(parameter, (Flag, Option))
        if marked == last.startswith("-") or isinstance(parameter, Choice):
            words |= set(parameter.words(session))
    return sorted(word for word in words if word.startswith(last))
