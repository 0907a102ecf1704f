"""What a guest is waited for to say, and what is typed to it then, whatever the host's speed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyemu.config import UserError

__all__ = ["WINDOW_BYTES", "Dialogue", "Step", "console_pattern", "unescape"]

# Console text that is kept for a pattern to match; older text cannot match any more.
WINDOW_BYTES = 1 << 20

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "e": b"\x1b", "a": b"\a", "b": b"\b", "\\": b"\\"}


def unescape(text: str) -> bytes:
    r"""The bytes that TEXT stands for: ``\n \r \t \e \a \b \\ \xNN``, all else as UTF-8."""
    typed, end = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        if match[2] and match[2] not in _ESCAPES:
            raise UserError(
                f"{text!r}: unknown escape \\{match[2]}; \\n, \\r, \\t, \\e, \\a, \\b, \\xNN exist"
            )
        typed += text[end : match.start()].encode("utf-8", "surrogateescape")
        typed += _ESCAPES[match[2]] if match[2] else bytes.fromhex(match[1])
        end = match.end()
    return bytes(typed + text[end:].encode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class Step:
    """One step: wait for ``pattern`` (None: at once), then type ``send``, then end the run if ``last``."""

    pattern: re.Pattern[bytes] | None
    send: bytes
    last: bool = False


def console_pattern(text: str) -> re.Pattern[bytes]:
    """A regular expression for what the console shows; ``^`` and ``$`` match at lines."""
    try:
        return re.compile(text.encode("utf-8", "surrogateescape"), re.MULTILINE)
    except re.error as error:
        raise UserError(f"{text!r} is not a regular expression: {error}") from None


class Dialogue:
    """Follows the console and answers what to type; a pattern is searched behind the match before it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)
        self._at = 0
        self._text = bytearray()
        self._from = 0  # where the next pattern is searched: ^ must know what stands before
        self.ended = False

    @property
    def total(self) -> int:
        """How many steps there are."""
        return len(self._steps)

    @property
    def matched(self) -> int:
        """How many steps are done."""
        return self._at

    @property
    def waiting_for(self) -> str | None:
        """The pattern that has not matched yet."""
        if self._at == len(self._steps):
            return None
        pattern = self._steps[self._at].pattern
        return "" if pattern is None else pattern.pattern.decode("utf-8", "replace")

    def hear(self, output: bytes) -> bytes:
        """Take in console output; returns what is to be typed now."""
        answer = bytearray()
        if self._at < len(self._steps):
            self._text += output
        while self._at < len(self._steps) and not self.ended:
            step = self._steps[self._at]
            if step.pattern is not None:
                match = step.pattern.search(self._text, self._from)
                if match is None:
                    break
                self._from = match.end()
            answer += step.send
            self._at += 1
            self.ended = step.last
        old = max(0, len(self._text) - WINDOW_BYTES)
        del self._text[:old]
        self._from = max(0, self._from - old)
        return bytes(answer)
