"""What a micro-benchmark prints, and nothing else: points of a curve, one a line, then ``@ end``.

    @ chase bytes=4096 cycles=40960 count=10240
    @ end

A line that begins with ``@`` is read strictly; any other is a remark and is skipped. ``cycles`` and ``count``
are the last two keys; those before them say which point it is. The guest is not trusted: whatever is wrong is
a :class:`ProtocolError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pyemu.config import UserError

__all__ = ["MAX_POINTS", "MAX_TEXT_BYTES", "Point", "ProtocolError", "format_points", "parse_points"]

MAX_POINTS = 4096
MAX_TEXT_BYTES = 1 << 20
MAX_KEYS = 16
MAX_VALUE = (1 << 64) - 1

_WORD = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
_LAST = ("cycles", "count")
_END = "@ end"
_MAX_SHOWN = 60


class ProtocolError(UserError):
    """A benchmark's output is not what the protocol says: the line, what is wrong, what would be right."""


@dataclass(frozen=True)
class Point:
    """A point of a curve: ``count`` operations took ``cycles`` cycles, at the place that ``keys`` names.

    A key's value is a number or a word (``pages=64``, ``state=cold``).
    """

    benchmark: str
    keys: Mapping[str, int | str]
    cycles: int
    count: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))

    def __reduce__(self) -> tuple[type[Point], tuple[str, dict[str, int | str], int, int]]:
        return Point, (self.benchmark, dict(self.keys), self.cycles, self.count)

    @property
    def each(self) -> float:
        """Cycles of one operation."""
        return self.cycles / self.count

    @property
    def place(self) -> tuple[object, ...]:
        """What no two points of a run share."""
        return (self.benchmark, *sorted(self.keys.items()))


def format_points(points: Iterable[Point]) -> str:
    """The lines that :func:`parse_points` reads back."""
    lines = []
    for point in points:
        keys = "".join(f"{key}={value} " for key, value in point.keys.items())
        lines.append(f"@ {point.benchmark} {keys}cycles={point.cycles} count={point.count}\n")
    return "".join(lines) + f"{_END}\n"


def parse_points(text: str | bytes) -> list[Point]:
    """The points in what a benchmark printed, in its order; raises :class:`ProtocolError`.

    Wrong are: an unknown form of a line that begins with ``@``, a place that comes twice, a count of 0, no
    point at all, anything with ``@`` behind ``@ end``, and an ``@ end`` that is missing.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    points: list[Point] = []
    seen: set[tuple[object, ...]] = set()
    ended = False
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.removesuffix("\r")
        if not line.startswith("@"):
            continue
        if ended:
            raise _wrong(number, line, f"behind '{_END}' there is nothing more")
        if line == _END:
            ended = True
            continue
        point = _parse_line(number, line)
        if point.place in seen:
            raise _wrong(number, line, "this point came before: each has a place of its own")
        seen.add(point.place)
        points.append(point)
        if len(points) > MAX_POINTS:
            raise _wrong(number, line, f"more than {MAX_POINTS} points")
    if not ended:
        after = f"after {len(points)} points" if points else "no point came either"
        raise ProtocolError(f"the output ends without '{_END}', {after}: the benchmark was cut off")
    if not points:
        raise ProtocolError(f"no point before '{_END}': a line such as '@ chase bytes=4096 cycles=8 count=2'")
    return points


def _parse_line(number: int, line: str) -> Point:
    words = line.split(" ")
    if words[0] != "@" or len(words) < 2 or not _WORD.fullmatch(words[1]):
        raise _wrong(number, line, "'@ BENCHMARK KEY=VALUE ... cycles=N count=N' would be right")
    values: dict[str, int | str] = {}
    for word in words[2:]:
        key, equals, value = word.partition("=")
        if not equals or not _WORD.fullmatch(key):
            raise _wrong(
                number, line, f"{_shorten(word)} is no KEY=VALUE with a word of lower case as its key"
            )
        if key in values:
            raise _wrong(number, line, f"{key} is there twice")
        values[key] = _parse_value(number, line, key, value)
    if len(values) > MAX_KEYS:
        raise _wrong(number, line, f"more than {MAX_KEYS} keys")
    if tuple(values)[-2:] != _LAST:
        raise _wrong(number, line, "the last two keys are cycles and count")
    cycles, count = values.pop("cycles"), values.pop("count")
    if not isinstance(cycles, int) or not isinstance(count, int):
        raise _wrong(number, line, "cycles and count are decimal numbers")
    if count == 0:
        raise _wrong(number, line, "count is 0: a point counts one operation or more")
    return Point(words[1], values, cycles, count)


def _parse_value(number: int, line: str, key: str, value: str) -> int | str:
    if _NUMBER.fullmatch(value) and int(value) <= MAX_VALUE:
        return int(value)
    if _WORD.fullmatch(value):
        return value
    raise _wrong(
        number, line, f"{key} is {_shorten(value)}: a decimal number below 2^64 or a word would be right"
    )


def _wrong(number: int, line: str, what: str) -> ProtocolError:
    return ProtocolError(f"line {number}, {_shorten(line)}: {what}")


def _shorten(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")
