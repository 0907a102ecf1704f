"""Random Thumb and Thumb-2 instructions (ARM DDI 0406C A6)."""

from __future__ import annotations

import random
import struct

from tests.fuzz.arm import arm_cp15
from tests.fuzz.values import address


def _thumb_constant(rd: int, number: int) -> list[int]:
    code = []
    for op, half in ((0xF240, number & 0xFFFF), (0xF2C0, number >> 16)):
        code += [op | (half >> 11 & 1) << 10 | half >> 12, (half >> 8 & 7) << 12 | rd << 8 | half & 0xFF]
    return code


def _thumb_wide(rng: random.Random) -> list[int]:
    return [
        0xE800 | rng.getrandbits(13) & ~0x1000 if rng.getrandbits(1) else 0xF000 | rng.getrandbits(12),
        rng.getrandbits(16),
    ]


def _thumb_cp15(rng: random.Random) -> list[int]:
    word = arm_cp15(rng)
    return [word >> 16, word & 0xFFFF]


def _thumb_it(rng: random.Random) -> list[int]:
    """An IT block around loads and stores, whose fills come in the middle of it."""
    return [
        0xBF00 | rng.randrange(15) << 4 | rng.randrange(1, 16),
        *(0x6000 | rng.getrandbits(12) for _ in range(4)),
    ]


def _thumb_load_store(rng: random.Random) -> list[int]:
    rn = rng.randrange(8)
    narrow = rng.choice((0x6000, 0x7000, 0x8000, 0x5000, 0xC000)) | rng.getrandbits(12) & ~0x38 | rn << 3
    wide = [0xF800 | rng.getrandbits(9) & 0x1F0 | rn, rng.getrandbits(16)]
    pair = [
        rng.choice((0xE840, 0xE880, 0xE900, 0xED00, 0xF900)) | rng.getrandbits(6) & 0x30 | rn,
        rng.getrandbits(16),
    ]
    return _thumb_constant(rn, address(rng)) + rng.choice(([narrow], wide, pair))


def _thumb_narrow(rng: random.Random) -> list[int]:
    return [rng.randrange(0xE000)]


def _thumb_status(rng: random.Random) -> list[int]:
    return rng.choice(
        (
            [0xB660 | rng.getrandbits(5)],  # CPS
            [0xB650 | rng.getrandbits(1) << 3],  # SETEND
            [0xBF00 | rng.randrange(6) << 4],  # hints
            [0xBE00 | rng.getrandbits(8)],  # BKPT
            [0xDF00 | rng.choice((0xAB, rng.getrandbits(8)))],  # SVC
            [0xBABC],  # HLT
            [0xF380 | rng.randrange(16), 0x8000 | rng.getrandbits(12)],  # MSR
            [0xF3DE, 0x8F00 | rng.getrandbits(8)],  # SUBS PC, LR
            [0xE990 | rng.randrange(8), 0xC000],  # RFE
            [0xF7E0 | rng.randrange(16), 0x8000 | rng.getrandbits(12)],  # HVC
            [0xF7F0 | rng.randrange(16), 0x8000],  # SMC
            [0xE8D0 | rng.randrange(16), 0xF000 | rng.getrandbits(5)],  # TBB, TBH
        )
    )


_THUMB = (
    (30, _thumb_narrow),
    (20, _thumb_wide),
    (20, _thumb_load_store),
    (5, _thumb_it),
    (5, _thumb_cp15),
    (6, _thumb_status),
)


def thumb_fragments(rng: random.Random, count: int) -> list[bytes]:
    """Instructions and short sequences of Thumb and Thumb-2."""
    makers = rng.choices([maker for _, maker in _THUMB], [weight for weight, _ in _THUMB], k=count)
    made = ([half & 0xFFFF for half in maker(rng)] for maker in makers)
    return [struct.pack(f"<{len(halves)}H", *halves) for halves in made]
