"""The terminal as the guest's console: raw while the guest runs, as it was before in every other case.

Ctrl-A is the escape: then x quits, i says where the guest is, h helps, Ctrl-A types Ctrl-A.  Input that is no
terminal (a file, a pipe) goes to the guest as it is.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import termios
from types import FrameType, TracebackType
from typing import Any, BinaryIO

ESCAPE = 0x01
HELP = b"""
Ctrl-A x       quit
Ctrl-A i       where the guest is, and the fault that it handles
Ctrl-A h       this help
Ctrl-A Ctrl-A  type Ctrl-A
"""
READ_BYTES = 4096
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """Standard input and output of a run; a context manager that gives the terminal back.

    ``output``  where the guest's console goes, a binary file.
    """

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._input = _input_descriptor()
        self.interactive = self._input is not None and os.isatty(self._input)
        self._escaped = False
        self._line_open = False
        self._saved: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self.quit = False
        self.asked = False

    def __enter__(self) -> Terminal:
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, self._end)
        if self.interactive:
            self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
            self._make_raw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._line_open and self._output.isatty():
            self.write(b"\n")
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _make_raw(self) -> None:
        assert self._input is not None
        self._saved = termios.tcgetattr(self._input)
        mode = termios.tcgetattr(self._input)
        mode[0] &= ~(
            termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP
        )
        # Output processing stays on: guests that end lines with a bare \n stay readable.
        mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._input, termios.TCSADRAIN, mode)

    def _restore(self) -> None:
        if self._saved is not None and self._input is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._saved)
            self._saved = None

    def _end(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._make_raw()

    @property
    def open(self) -> bool:
        """Whether more input can come."""
        return self._input is not None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to wait for when something else is waited for too."""
        return () if self._input is None else (self._input,)

    def read(self, wait_s: float | None = 0.0) -> bytes:
        """What was typed for the guest; waits for it up to ``wait_s`` seconds (None: until there is some).

        Sets ``quit`` at Ctrl-A x, ``asked`` at Ctrl-A i.  Empty at the end of the input, after which ``open``
        is False.
        """
        if self._input is None or not select.select([self._input], [], [], wait_s)[0]:
            return b""
        data = os.read(self._input, READ_BYTES)
        if not data:
            self._input = None
            return b""
        return self._filter(data) if self.interactive else data

    def read_all(self) -> bytes:
        """The whole of an input that is a regular file, at once: a run must not depend on speed."""
        if self._input is None or not stat.S_ISREG(os.fstat(self._input).st_mode):
            return b""
        data = b""
        while chunk := os.read(self._input, 1 << 20):
            data += chunk
        self._input = None
        return data

    def _filter(self, data: bytes) -> bytes:
        typed = bytearray()
        for byte in data:
            if not self._escaped:
                self._escaped = byte == ESCAPE
                if not self._escaped:
                    typed.append(byte)
                continue
            self._escaped = False
            if byte in b"xX":
                self.quit = True
            elif byte in b"iI":
                self.asked = True
            elif byte in b"hH?":
                self.write(HELP)
            elif byte == ESCAPE:
                typed.append(byte)
        return bytes(typed)

    def write(self, data: bytes) -> None:
        """Show console output."""
        if data:
            self._output.write(data)
            self._output.flush()
            self._line_open = not data.endswith(b"\n")


def _input_descriptor() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
        os.fstat(descriptor)
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something that is no file
        return None
    return descriptor
