"""What a person sees while a command runs the guest: its console as it writes, and how far it is."""

from __future__ import annotations

import codecs
import re
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pyemu.machine import Machine

__all__ = ["Live"]

SILENT_SECONDS = 1.0
STATUS_SECONDS = 0.5
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
"""A whole escape sequence (ECMA-48 5.4): what one asks of the terminal would be answered to the prompt."""
_BEGUN = re.compile(r"(?:\r|\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,200}\x1b?|[ -/]*)?)\Z")
"""A text's end that may go on as one, or as CR LF; a title of 200 characters is not waited for."""
_CONTROL = re.compile(r"[^\t\n -~\x80-\U0010ffff]|[\x80-\x9f]")
_CLEAR = "\r\x1b[K"


class Live:
    """A listener of a :class:`~pyemu.debug.session.Session`, for one command.

    Escape sequences of the guest are left out. ``terminal``: ``out`` is one, so how far the run is may be
    said there, in a line that goes away again.
    """

    def __init__(self, machine: Machine, out: TextIO, *, terminal: bool) -> None:
        self._machine, self._out, self._terminal = machine, out, terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        """What may go on as an escape sequence."""
        self._open = False
        """A line is written in part."""
        self._status = False
        self._next = time.monotonic() + SILENT_SECONDS

    def __call__(self, output: bytes) -> None:
        """The guest has run for a while and written this."""
        now = time.monotonic()
        if output:
            self._clear()
            self._write(self._decoder.decode(output))
            self._next = now + SILENT_SECONDS
        elif self._terminal and not self._open and now >= self._next:
            self._clear()
            self._out.write(f"{self._progress()}  (Ctrl-C stops it)")
            self._out.flush()
            self._status = True
            self._next = now + STATUS_SECONDS

    def close(self) -> None:
        """The command is over: what comes next begins a line."""
        self._clear()
        self._write(self._decoder.decode(b"", final=True), final=True)
        if self._open:
            self._out.write("\n")
            self._open = False

    def _write(self, text: str, *, final: bool = False) -> None:
        text = self._held + text
        begun = None if final else _BEGUN.search(text)
        self._held = "" if begun is None else begun[0]
        text = _CONTROL.sub("", _ESCAPE.sub("", text[: len(text) - len(self._held)]))
        if text:
            self._out.write(text)
            self._out.flush()
            self._open = not text.endswith("\n")

    def _clear(self) -> None:
        if self._status:
            self._out.write(_CLEAR)
            self._out.flush()
            self._status = False

    def _progress(self) -> str:
        seconds = self._machine.time_ns / 1e9
        return f"instruction {self._machine.stats().insns:,}, {seconds:.3f} s of guest time"
