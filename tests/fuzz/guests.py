"""Random guests: 4 KB blobs from pure noise to nearly sensible system code, each a function of its seed.

Noise dies within a few instructions.  So most guests get exception vectors that go on behind a fault, code
that ends with a branch to its start, and page tables that are flat but for some entries.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from tests.fuzz.arm import ARM_COMMON, ARM_SYSTEM, arm_constant, arm_fragments
from tests.fuzz.thumb import thumb_fragments
from tests.fuzz.values import BLOB_BYTES, PLACES, RAM, RAM_BYTES, address, value

TABLES = RAM + 0x4000
"""16 KB, aligned to 16 KB."""


@dataclass
class Guest:
    """A blob, where it lies, how it starts, and what else is in memory."""

    mix: str
    data: bytes
    address: int
    thumb: bool
    more: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def entry(self) -> int:
        """What ``Machine.reset`` takes."""
        return self.address | self.thumb


# ---- what surrounds the code ----

MOVS_PC_LR, SUBS_4, SUBS_6, SUBS_8 = 0xE1B0F00E, 0xE25EF004, 0xE25EF006, 0xE25EF008
LDR_LR_NEXT_BUT_ONE, BRANCH_TO_SELF = 0xE51FE000, 0xEAFFFFFE


def resuming_vectors(rng: random.Random, base: int) -> bytes:
    """Vectors that go on behind a faulting instruction, and somewhere in the blob after a wild jump."""
    target = base + rng.randrange(0, BLOB_BYTES, 4)
    skip = rng.choice((SUBS_4, SUBS_4, SUBS_6))
    return struct.pack(
        "<11I",
        BRANCH_TO_SELF,
        MOVS_PC_LR,  # undefined
        MOVS_PC_LR,  # SVC
        0xEA000003,  # prefetch abort: to 0x20
        skip,  # data abort
        MOVS_PC_LR,
        SUBS_4,  # IRQ
        SUBS_4,  # FIQ
        0xE59FE000,  # ldr lr, [pc]: the target
        MOVS_PC_LR,
        target,
    )


def _spared(rng: random.Random, at: int, entries: tuple[int, ...]) -> bool:
    """Entries that the vectors and the code need are mostly left alone."""
    return at in entries and rng.randrange(40) > 0


def _short_tables(rng: random.Random) -> bytes:
    """Flat sections, some of them of odd attributes, some entries noise or pointers to tables anywhere."""
    attributes = rng.choice((0xC02, 0xC0E, 0x1C0E, 0x20C0E, rng.getrandbits(18) & 0x3F1EC | 0xC02))
    entries = [megabyte << 20 | attributes for megabyte in range(4096)]
    for _ in range(rng.randrange(64)):
        at = rng.choice((rng.randrange(16), 0x400 + rng.randrange(16), rng.randrange(4096)))
        flip, table = entries[at] ^ 1 << rng.randrange(20), address(rng) & ~3 | 1
        if not _spared(rng, at, (0, 0x400)):
            entries[at] = rng.choice((rng.getrandbits(32), flip, table, 0))
    return struct.pack("<4096I", *entries)


def _long_tables(rng: random.Random) -> bytes:
    """A first level of 1 GB blocks, or of four tables of flat 2 MB blocks (ARM DDI 0406C B3.6.1)."""
    attributes = 0x701 | rng.choice((0, 0, 4, 8, rng.getrandbits(12) & 0xB7C))
    first = [gigabyte << 30 | attributes for gigabyte in range(4)]
    for gigabyte in range(4):
        if rng.getrandbits(1):
            first[gigabyte] = TABLES + 0x1000 * (1 + gigabyte % 3) | 3
    entries = first + [0] * 508
    for table in range(3):
        entries += [(table << 30) + (block << 21) | attributes for block in range(512)]
    for _ in range(rng.randrange(64)):
        at = rng.choice((rng.randrange(4), 512 + rng.randrange(1536)))
        flip, table = entries[at] ^ 1 << rng.randrange(64), address(rng) & ~0xFFF | 3
        if not _spared(rng, at, (0, 1, 512, 1024)):
            entries[at] = rng.choice((rng.getrandbits(64), flip, table, TABLES | 3, 0))
    return struct.pack("<2048Q", *entries)


# CP15 writes from r0 (ARM DDI 0406C B3.17)
VBAR, DACR, TTBCR, TTBR0, TTBR1, SCTLR, CPACR, CNTKCTL, MAIR0, MAIR1 = (
    *(0xEE0C0F10, 0xEE030F10, 0xEE020F50, 0xEE020F10, 0xEE020F30),
    *(0xEE010F10, 0xEE010F50, 0xEE0E0F11, 0xEE0A0F12, 0xEE0A0F32),
)


def _set_cp15(register: int, number: int) -> list[int]:
    return [*arm_constant(0, number & 0xFFFF_FFFF), register]


def _mmu_preamble(rng: random.Random, base: int, long: bool) -> list[int]:
    """Registers that turn translation on: our tables, or the blob as one, RAM, a device, nowhere."""
    table = TABLES if rng.randrange(8) else rng.choice((base, base & ~0x3FFF, address(rng), value(rng)))
    code = _set_cp15(DACR, rng.choice((0x5555_5555, 0xFFFF_FFFF, value(rng) | 1)))
    code += _set_cp15(
        TTBCR, long << 31 | rng.choice((0, 0, 0, 0, 0, rng.randrange(8), value(rng) & 0x7FFF_FFFF))
    )
    code += _set_cp15(TTBR0, table) + _set_cp15(TTBR1, rng.choice((table, table, value(rng))))
    code += _set_cp15(MAIR0, rng.choice((0xFF440400, 0x000A81A4, value(rng)))) + _set_cp15(MAIR1, value(rng))
    bits = rng.choice(
        (1, 1, 1, 1, 1, 1, 1, 1, 3, 0x1001, 0x2001, 0x20000001, 0x40000001, 0x02000001, value(rng) | 1)
    )
    return code + _set_cp15(SCTLR, 0x00C50078 | bits)


def _interrupts(rng: random.Random) -> list[int]:
    """The GIC lets everything through, and so does the CPU."""
    code = [*arm_constant(0, 0x0801_0000), 0xE3A010FF, 0xE5801004, 0xE3A01001, 0xE5801000]
    code += [*arm_constant(0, 0x0800_0000), 0xE3A01003, 0xE5801000, 0xE3E01000, 0xE5801100]
    return [*code, rng.choice((0xF1080080, 0xF10800C0))]


def _system_preamble(rng: random.Random, base: int, long: bool) -> list[int]:
    code: list[int] = []
    if rng.randrange(16) == 0:
        code += _set_cp15(VBAR, address(rng))
    if rng.getrandbits(1):
        code += [*_set_cp15(CPACR, 0x00F00000), 0xE3A00101, 0xEEE80A10]  # VFP on
    if rng.getrandbits(1):
        code += _set_cp15(CNTKCTL, 0x303)
    code += arm_constant(13, rng.choice((RAM + RAM_BYTES // 2, address(rng))))
    if rng.randrange(3):
        code += _mmu_preamble(rng, base, long)
    if rng.randrange(3) == 0:
        code += _interrupts(rng)
    if rng.randrange(8) == 0:
        code.append(0xF1020010)  # CPS #USR
    return code


# ---- mixes ----

POOL_GUESTS, POOL_FRAGMENTS = 64, 1024


@lru_cache(maxsize=8)
def _pool(kind: str, seed: int, number: int) -> list[bytes]:
    """Fragments that POOL_GUESTS guests in a row are put together of; making them takes most of the time."""
    rng = random.Random(f"{kind}/{seed}/{number}")
    if kind == "thumb":
        return thumb_fragments(rng, POOL_FRAGMENTS)
    return arm_fragments(rng, POOL_FRAGMENTS, ARM_SYSTEM if kind == "system" else ARM_COMMON)


@dataclass(frozen=True)
class Source:
    """Where a guest's code comes from."""

    rng: random.Random
    seed: int
    pool: int

    def code(self, kind: str, size: int) -> bytes:
        """`size` bytes of fragments."""
        return b"".join(self.rng.choices(_pool(kind, self.seed, self.pool), k=size // 2))[:size]

    def loop(self, kind: str, size: int) -> bytes:
        """`size` bytes of ARM code; the last instruction goes back to the first."""
        return self.code(kind, size - 4) + struct.pack("<I", 0xEA000000 | -(size // 4 + 1) & 0xFFFFFF)


def _random(source: Source, guest: Guest) -> None:
    guest.data, guest.thumb = source.rng.randbytes(BLOB_BYTES), bool(source.rng.getrandbits(1))


def _arm(source: Source, guest: Guest) -> None:
    guest.data = source.loop("arm", BLOB_BYTES)


def _thumb(source: Source, guest: Guest) -> None:
    guest.data, guest.thumb = source.code("thumb", BLOB_BYTES), True


def _system(source: Source, guest: Guest) -> None:
    """A preamble, then system code, looping, in ARM or Thumb state."""
    rng = source.rng
    long = bool(rng.getrandbits(1))
    guest.more.append((TABLES, _long_tables(rng) if long else _short_tables(rng)))
    preamble = _system_preamble(rng, guest.address, long)
    head = struct.pack(f"<{len(preamble)}I", *preamble)
    rest = BLOB_BYTES - len(head)
    if rng.randrange(4) == 0:
        switch = struct.pack("<2I", 0xE28F0001, 0xE12FFF10)  # add r0, pc, #1; bx r0
        guest.data = head + switch + source.code("thumb", rest - len(switch))
    else:
        guest.data = head + source.loop("system", rest)


MIXES: dict[str, Callable[[Source, Guest], None]] = {
    "random": _random,
    "arm": _arm,
    "thumb": _thumb,
    "system": _system,
}


def make_guest(seed: int, index: int, mix: str | None = None) -> Guest:
    """Guest number `index` of a seed; the mixes take turns unless one is asked for."""
    rng = random.Random(f"{seed}/{index}")
    name = mix or tuple(MIXES)[index % len(MIXES)]
    guest = Guest(name, b"", rng.choice(PLACES), False)
    MIXES[name](Source(rng, seed, index // POOL_GUESTS), guest)
    if guest.address and rng.randrange(4):
        guest.more.append((0, resuming_vectors(rng, guest.address)))
    return guest
