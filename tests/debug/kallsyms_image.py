"""Writes the tables of kallsyms as the kernel's builds of the years have them: a plain encoder.

Facts: scripts/kallsyms.c (write_src) of the releases that `LAYOUTS` names.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# (address, type, name)
Symbol = tuple[int, str, str]

PHYS, VIRT = 0x4000_0000, 0xC000_0000


@dataclass(frozen=True)
class Layout:
    """``names_first``: addresses are behind the tokens. ``seqs``: bytes of an entry of seqs_of_names.

    ``uleb128``: a count of 128 tokens and more has two bytes.
    """

    names_first: bool = False
    relative: bool = True
    seqs: int = 0
    align: int = 4
    uleb128: bool = False


LAYOUTS = {
    "4.4": Layout(relative=False, align=16),
    "4.5, aligned to 4": Layout(relative=False),
    "4.6": Layout(align=16),
    "5.10": Layout(),
    "6.1": Layout(uleb128=True),
    "6.1, stable": Layout(uleb128=True, seqs=3),
    "6.2": Layout(uleb128=True, seqs=4),
    "6.3": Layout(uleb128=True, seqs=3),
    "6.4, absolute": Layout(names_first=True, relative=False, seqs=3, uleb128=True),
    "6.6": Layout(names_first=True, seqs=3, uleb128=True),
    "7.0": Layout(names_first=True, relative=False, seqs=3, uleb128=True),
}


def _tokens(texts: Sequence[str]) -> list[str]:
    """A token for each byte: characters that occur stand for themselves, others for frequent pieces."""
    used = set("".join(texts))
    cuts = [
        (text, at, at + n) for text in texts[:300] for n in (2, 4, 8, 60) for at in range(0, len(text), n)
    ]
    pieces = Counter(text[start:end] for text, start, end in cuts)
    frequent = iter([piece for piece, _ in pieces.most_common(256) if len(piece) > 1])
    return [chr(code) if chr(code) in used else next(frequent, "") for code in range(256)]


def _compressed(text: str, codes: dict[str, int], lengths: list[int]) -> bytes:
    out, at = bytearray(), 0
    while at < len(text):
        length = next(n for n in lengths if text[at : at + n] in codes)
        out.append(codes[text[at : at + length]])
        at += length
    return bytes(out)


def _count(length: int, layout: Layout) -> bytes:
    if length < 128 or not layout.uleb128:
        return bytes([length])
    return bytes([length & 127 | 128, length >> 7])


def token_tables(tokens: Sequence[str]) -> tuple[bytes, bytes]:
    """token_table and token_index."""
    places = [sum(len(token) + 1 for token in tokens[:i]) for i in range(256)]
    return b"".join(token.encode() + b"\0" for token in tokens), struct.pack("<256H", *places)


def encode(symbols: Sequence[Symbol], layout: Layout, before: bytes = b"", behind: bytes = b"") -> bytes:
    """The tables, between other data; the piece begins at a multiple of 16."""
    texts = [kind + name for _, kind, name in symbols]
    tokens = _tokens(texts)
    codes = {token: code for code, token in reversed(list(enumerate(tokens))) if token}
    lengths = sorted({len(token) for token in codes}, reverse=True)
    names, markers = bytearray(), []
    for i, text in enumerate(texts):
        if not i % 256:
            markers.append(len(names))
        data = _compressed(text, codes, lengths)
        names += _count(len(data), layout) + data
    base = symbols[0][0] if layout.relative else 0
    addresses = [struct.pack(f"<{len(symbols)}I", *(address - base for address, _, _ in symbols))]
    if layout.relative:
        addresses.append(struct.pack("<I", base))
    order = sorted(range(len(symbols)), key=lambda i: (symbols[i][2], i))
    form = "little" if layout.seqs == 4 else "big"
    seqs = b"".join(i.to_bytes(layout.seqs, form) for i in order) if layout.seqs else None
    parts = [
        struct.pack("<I", len(symbols)),
        bytes(names),
        struct.pack(f"<{len(markers)}I", *markers),
        *token_tables(tokens),
    ]
    if layout.names_first:
        parts += addresses
    else:
        parts = addresses + parts
    if seqs is not None:
        parts.insert(len(parts) if layout.names_first else -2, seqs)
    out = bytearray(before)
    for part in parts:
        out += bytes(-len(out) % layout.align) + part
    return bytes(out) + behind


def some_symbols(rng: random.Random, count: int, longest: int = 60) -> list[Symbol]:
    """Symbols of a made-up kernel: many at one address, some names twice, vectors at the top."""
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz_.", k=rng.randint(1, 9))) for _ in range(60)]
    address, found = VIRT + rng.randrange(0, 1 << 21, 4), []
    for i in range(count - 2):
        name = "_".join(rng.choices(words, k=rng.randint(1, 5)))[:longest] + str(rng.randrange(2000))
        found.append((address, rng.choice("TtWDdRrBb"), name if i else "_text0123456789"))
        address += rng.choice((0, 0, 4, 16, 100, 1000))
    return [*found, (0xFFFF_0000, "t", "__vectors_start"), (0xFFFF_1000, "t", "vector_rst")]


def other_data(rng: random.Random, length: int) -> bytes:
    """What .rodata has besides: words, pointers, texts and zeros."""
    out = bytearray()
    while len(out) < length:
        out += rng.choice(
            (
                rng.randbytes(rng.randrange(64)),
                bytes(rng.randrange(200)),
                struct.pack("<4I", *(VIRT + rng.randrange(1 << 24) for _ in range(4))),
                b"0\x001\x002\x003\0 some text\0",
                struct.pack("<8I", *(1000 * i for i in range(8))),
            )
        )
    return bytes(out[:length])
