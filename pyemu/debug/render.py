"""Results as text and as JSON.

A result is a frozen dataclass that has its text as ``lines``; colours are put on top by what a word is. JSON
has the fields: addresses and registers as numbers, members of an enumeration as lower-case names, bytes as
hexadecimal text; a field with ``repr=False`` is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, Flag
from typing import Any

from pyemu.config import printable

__all__ = ["as_json", "as_text", "plain"]

_COLOURS = (
    (re.compile(r"\b0x[0-9a-f]+(?:-0x[0-9a-f]+)?\b"), "36"),
    (re.compile(r"\b(?:faults?|stale|error|wrong|never|not present|invalid|missing)\b"), "31"),
    (re.compile(r"\b(?:ok|allowed|works|no finding)\b"), "32"),
    (re.compile(r"(?<=\()[A-Za-z_][\w.]*(?:\+0x[0-9a-f]+)?(?=\))"), "33"),
)
_ANY = re.compile("|".join(f"({pattern.pattern})" for pattern, _ in _COLOURS))


def as_text(result: Any, *, colour: bool = False) -> str:
    """The lines of a result, without a newline at the end; empty for None.

    Names come from guests and files: what would move a terminal is escaped.
    """
    if result is None:
        return ""
    lines: Iterable[str] = [result] if isinstance(result, str) else result.lines
    text = "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)
    return _ANY.sub(_paint, text) if colour else text


def _paint(match: re.Match[str]) -> str:
    code = _COLOURS[(match.lastindex or 1) - 1][1]
    return f"\x1b[{code}m{match[0]}\x1b[0m"


def as_json(result: Any) -> str:
    """One line of JSON."""
    return json.dumps(plain(result), separators=(", ", ": "), ensure_ascii=False)


def plain(value: Any) -> Any:
    """The same of dictionaries, lists, numbers, text and None alone."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.repr}
    if isinstance(value, Flag):
        return [str(member.name).lower() for member in type(value) if member and member in value]
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    return value
