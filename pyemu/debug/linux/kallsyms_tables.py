"""Takes apart the tables of kallsyms, which nothing points to: they are known by how they fit together.

scripts/kallsyms.c writes them into .rodata, each aligned to 4 bytes, or to 16 by a gas that reads `.align 4`
so (before 6.0):

    to 6.3      addresses, or offsets and relative_base; num_syms; names; markers; token_table; token_index
    since 6.4   num_syms; names; markers; token_table; token_index; addresses, or offsets and relative_base

seqs_of_names, of 4 bytes and later of 3 for each symbol, lies before token_table in 6.2, 6.3 and stable
kernels of that time, and behind all else since 6.4. Addresses are absolute before 4.6 and again, as
"offsets", since 7.0. Names are bytes that stand for tokens, behind their count, which has two bytes from 128
on since 6.1.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import le

__all__ = ["DIGITS", "MAX_BEHIND", "TOKEN_BYTES", "WITHIN", "Tables", "take_apart", "token_table"]

# Characters that a symbol has keep their own token, and all digits occur.
DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
MAX_SYMBOLS = 1 << 19
WITHIN = (4 << 20, 16 << 20)  # before the token table: there most kernels, and all, have the other tables
MAX_BEHIND = 4 << 20
_TOKENS = 256
_MAX_TOKEN = 64
TOKEN_BYTES = _TOKENS * (_MAX_TOKEN + 1 + 2) + 16  # of both tables of tokens at most
_FIRST_DIGIT = ord("0")
_BLOCK = 256  # symbols to a marker
_NAME_BYTES = range(2, 132)  # of a symbol on the average of a block: count and tokens
_MAX_NAME = 512  # KSYM_NAME_LEN
_MARKERS_WITHIN = (1 << 16, 1 << 20, 1 << 22)  # before the token table
_ALIGNMENTS = (4, 16)
_TRIES = 4  # of what fits at first sight and is costly to check
_CHEAP_TRIES = 512
_ZERO_RUNS = 1 << 15


@dataclass(frozen=True)
class Tables:
    """Symbols in the order of their addresses; the name of one is ``tokens`` of names[starts[i]:ends[i]]."""

    addresses: array[int]
    names: bytes
    starts: array[int]
    ends: array[int]
    tokens: tuple[bytes, ...]


@dataclass(frozen=True)
class _Markers:
    """``count`` markers at ``at``; names end before them."""

    at: int
    values: tuple[int, ...]


def take_apart(data: bytes, digits: int, low: int, high: int) -> Tables | None:
    """The tables around ``digits``, a place of DIGITS in a piece of the image that starts at a page.

    ``low`` and ``high`` are bounds of the kernel's linear map, where most of its symbols are.
    """
    found = token_table(data, digits)
    if found is None:
        return None
    start, end, tokens = found
    for markers in islice(_markers(data, start), _TRIES):
        for count_at, names_at, count in islice(_counts(data, markers), _TRIES):
            names = _names(data, names_at, count, markers)
            if names is None:
                continue
            for at, base in _address_tables(data, count_at, end, count):
                addresses = _addresses(data, at, count, base, low, high)
                if addresses is not None:
                    return Tables(addresses, data[names_at : markers.at], *names, tokens)
    return None


def _up(value: int, alignment: int) -> int:
    return (value + alignment - 1) & -alignment


def _word(data: bytes, at: int) -> int:
    """The word at a place, or 0 outside."""
    return int.from_bytes(data[at : at + 4], "little") if at >= 0 else 0


def token_table(data: bytes, digits: int) -> tuple[int, int, tuple[bytes, ...]] | None:
    """(start, end of token_index, tokens); the index tells where each token begins."""
    end = digits
    for _ in range(_TOKENS - _FIRST_DIGIT):
        end = data.find(b"\0", end, end + _MAX_TOKEN + 1) + 1
        if not end:
            return None
    for alignment in _ALIGNMENTS:
        at = _up(end, alignment)
        index = data[at : at + 2 * _TOKENS]
        if len(index) < 2 * _TOKENS:
            continue
        offsets = struct.unpack(f"<{_TOKENS}H", index)
        start = digits - offsets[_FIRST_DIGIT]
        if start < 0 or offsets[0]:
            continue
        tokens = tuple(data[start : end - 1].split(b"\0"))
        if len(tokens) == _TOKENS and _begin_at(tokens, offsets) and max(map(len, tokens)) <= _MAX_TOKEN:
            return start, at + 2 * _TOKENS, tokens
    return None


def _begin_at(tokens: tuple[bytes, ...], offsets: tuple[int, ...]) -> bool:
    at = 0
    for token, offset in zip(tokens, offsets, strict=True):
        if at != offset:
            return False
        at += len(token) + 1
    return True


def _markers(data: bytes, tokens_at: int) -> Iterator[_Markers]:
    """Words 0, a, b... that ascend as markers do, as many as leave room for seqs_of_names or for nothing."""
    behind = tokens_at
    for within in _MARKERS_WITHIN:
        before = max(0, tokens_at - within)
        runs = list(re.finditer(rb"\0{4,}", data[before:behind]))
        for zeros in reversed(runs[-_ZERO_RUNS:]):
            at = ((before + zeros.end()) & -4) - 4
            run = _ascending(data, at, tokens_at)
            for count in range(len(run), max(2, len(run) - 3), -1):
                if _fits(tokens_at - at - 4 * count, count):
                    yield _Markers(at, run[:count])
        behind = min(behind, before + 64)


def _ascending(data: bytes, at: int, end: int) -> tuple[int, ...]:
    """Offsets of blocks of names, from the word 0 at a place on."""
    run = [_word(data, at)]
    if run[0]:
        return ()
    least, most = _NAME_BYTES.start * _BLOCK, _NAME_BYTES.stop * _BLOCK
    for place in range(at + 4, min(at + 4 + 4 * MAX_SYMBOLS // _BLOCK, end & -4), 4):
        value = _word(data, place)
        if not least <= value - run[-1] < most:
            break
        run.append(value)
    return tuple(run)


def _fits(gap: int, markers: int) -> bool:
    """Whether padding, or seqs_of_names of 3 or 4 bytes, fill the gap between markers and tokens."""
    return any(
        unit * (_BLOCK * (markers - 1) + 1) <= gap < unit * _BLOCK * markers + _ALIGNMENTS[-1]
        for unit in (0, 3, 4)
    )


def _counts(data: bytes, markers: _Markers) -> Iterator[tuple[int, int, int]]:
    """(place of num_syms, of names, number of symbols) that the markers and the first names allow."""
    for at, names_at, count in islice(_plausible_counts(data, markers), _CHEAP_TRIES):
        if _names(data, names_at, _BLOCK + 1, markers) is not None:
            yield at, names_at, count


def _plausible_counts(data: bytes, markers: _Markers) -> Iterator[tuple[int, int, int]]:
    blocks, last = len(markers.values), markers.values[-1]
    first = max(0, _up(markers.at - last - _BLOCK * _NAME_BYTES.stop - 32, 4))
    words = array("I", data[first : max(first, (markers.at - last) & -4)])
    for i in range(len(words) - 1, -1, -1):
        count, at = words[i], first + 4 * i
        if not _BLOCK * (blocks - 1) < count <= _BLOCK * blocks:
            continue
        for alignment in _ALIGNMENTS:
            if not at % alignment and not any(data[at + 4 : at + alignment]):
                yield at, at + alignment, count


def _names(data: bytes, at: int, count: int, markers: _Markers) -> tuple[array[int], array[int]] | None:
    """Where each name begins and ends, from ``at``; None unless they agree with the markers."""
    for two_bytes in (True, False):
        found = _walk(data, at, count, markers, two_bytes)
        if found is not None:
            return found
    return None


def _walk(
    data: bytes, first: int, count: int, markers: _Markers, two_bytes: bool
) -> tuple[array[int], array[int]] | None:
    starts, ends = array("I"), array("I")
    at, limit = first, markers.at
    for i in range(count):
        if not i % _BLOCK and at - first != markers.values[i // _BLOCK]:
            return None
        if at + 1 >= limit:
            return None
        length = data[at]
        at += 1
        if length & 0x80 and two_bytes:
            length = length & 0x7F | data[at] << 7
            at += 1
        if not 0 < length <= _MAX_NAME:
            return None
        starts.append(at - first)
        at += length
        ends.append(at - first)
    last = len(markers.values) == (count + _BLOCK - 1) // _BLOCK
    if last and all(_up(at, alignment) != limit for alignment in _ALIGNMENTS):
        return None
    return starts, ends


def _address_tables(data: bytes, count_at: int, index_end: int, count: int) -> Iterator[tuple[int, int]]:
    """(place, base) of what may be the addresses."""
    for alignment in _ALIGNMENTS:
        size = _up(4 * count, alignment)
        at = _up(index_end, alignment)
        yield at, 0
        yield at, _word(data, at + size)
        base_at = count_at - alignment
        yield base_at - size, _word(data, base_at)
        yield count_at - size, 0


def _addresses(data: bytes, at: int, count: int, base: int, low: int, high: int) -> array[int] | None:
    """Addresses of symbols; None unless they ascend and mostly lie in the linear map.

    32-bit vectors may lie below, at 0, or above.
    """
    if at < 0 or at + 4 * count > len(data):
        return None
    offsets = array("I", data[at : at + 4 * count])
    if offsets[-1] + base >= 1 << 32 or (base and offsets[0]):
        return None
    if not all(low <= offsets[count * part // 4] + base < high for part in (1, 2, 3)):
        return None
    if not all(map(le, offsets, islice(offsets, 1, None))):
        return None
    return array("I", [base + offset for offset in offsets]) if base else offsets
