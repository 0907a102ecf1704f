"""Numbers and files that are wrong in the ways that matter."""

from __future__ import annotations

import random

__all__ = ["damage", "hostile_number"]


def damage(rng: random.Random, data: bytes, first: int = 0) -> bytes:
    """A few bytes or words changed, mostly to extremes; sometimes cut, grown or with a part twice."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(first, len(content))
        width = rng.choice((1, 1, 2, 4, 8))
        extreme = rng.choice((0, 1, (1 << 8 * width) - 1, 1 << 8 * width - 1, rng.getrandbits(8 * width)))
        content[at : at + width] = extreme.to_bytes(width, rng.choice(("little", "big")))
    kind = rng.randrange(12)
    if kind == 0:
        del content[rng.randrange(len(content)) :]
    elif kind == 1:
        content += rng.randbytes(rng.randrange(1, 64))
    elif kind == 2:
        at, size = rng.randrange(len(content)), rng.randrange(64)
        content[at:at] = content[at : at + size]
    return bytes(content)


_SMALL = (0, 1, 2, 3, 4, 7, 8, 12, 16, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x1001)
_PLACES = (0x4000_0000, 0x4010_0000, 0xC000_0000, 0xFFFF_0000, 0x0800_0000)


def hostile_number(rng: random.Random, bits: int) -> int:
    """An unsigned number of so many bits, mostly at an edge of something."""
    top = (1 << bits) - 1
    kind = rng.randrange(8)
    if kind < 2:
        number = rng.choice(_SMALL)
    elif kind < 4:
        number = (1 << rng.randrange(bits + 1)) + rng.choice((-4096, -4, -1, 0, 0, 1, 4, 4096))
    elif kind == 4:
        number = top - rng.choice((0, 1, 3, 7, 0xFFE, 0xFFF, 0x1000))
    elif kind == 5:
        number = rng.choice(_PLACES) + rng.randrange(0x4000)
    else:
        number = rng.getrandbits(bits)
    return number & top
