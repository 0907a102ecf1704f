"""Random guests for the cycle model: pages of every size and right, two address spaces, code in many pages.

They read no time, and their tables lie in flash that they do not map: whatever a TLB keeps, what they compute
is the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from tests.machine.images import RAM, words
from tests.machine.small_guests import DACR, SCTLR, SVC, TTBR0, VBAR, VECTORS, cp15, load

TABLE, SECOND = 0x0400_0000, 0x0400_4000
"""Flash bank 1: the first level, and tables of the second for `SMALL_MEGABYTES` megabytes."""
CODE, FRAMES, FUNCTIONS = RAM + 0x1_0000, RAM + 4 * MIB, RAM + 12 * MIB
SMALL, FUNCTION_VA, LARGE = 0x8000_0000, 0x9000_0000, 0xA000_0000
SMALL_MEGABYTES, FUNCTION_PAGES = 3, 192

# Short descriptors (ARM DDI 0406C B3.5.1): normal memory, write-back, write-allocate
_SECTION, _PAGE = 0x100E | 2 << 10, 0x4E
_NOT_GLOBAL_PAGE, _NOT_GLOBAL_SECTION = 1 << 11, 1 << 17
_RIGHTS = (0x30, 0x30, 0x30, 0x30, 0x10, 0x20, 0x210, 0x230, 0)  # AP[2:0] of a page
_UNCACHED = 0x40  # TEX = 1, C = B = 0: Normal, not cacheable

TLBI = (0xEE080F17, 0xEE080F37, 0xEE080F57, 0xEE080F77)
CONTEXTIDR, DSB, ISB = 0xEE0D0F30, 0xF57FF04F, 0xF57FF06F
CACHE = (0xEE070F15, 0xEE070F35, 0xEE070F3E, 0xEE070F3A, 0xEE070F3B)
"""ICIALLU, ICIMVAU, DCCIMVAC, DCCMVAC, DCCMVAU of r0."""
MOVS_PC_R11, MOVS_PC_LR, SUBS_PC_LR_4, BLX_R12 = 0xE1B0F00B, 0xE1B0F00E, 0xE25EF004, 0xE12FFF3C
REGISTERS = (0, 1, 2, 3, 4, 6)
"""They hold data; r5 is an address, r7 belongs to the handlers."""
_VECTORS = (
    *(MOVS_PC_LR, MOVS_PC_LR, MOVS_PC_LR, 0xEA000003, 0xEA000006, MOVS_PC_LR, SUBS_PC_LR_4, SUBS_PC_LR_4),
    # prefetch aborts, and data aborts in Thumb state: on behind the call, in ARM state
    *(0xE14F7000, 0xE3C77020, 0xE161F007, MOVS_PC_R11),  # mrs r7, spsr; bic r7, #0x20; msr spsr_c, r7
    # data aborts: on behind the instruction
    *(0xE14F7000, 0xE3170020, 0x1AFFFFF8, SUBS_PC_LR_4),  # mrs r7, spsr; tst r7, #0x20; bne back
)


def _second_level(rng: random.Random) -> list[int]:
    """Small and large pages over random frames, some without rights, some missing."""
    entries: list[int] = []
    while len(entries) < 256 * SMALL_MEGABYTES:
        frame = FRAMES + rng.randrange(8 * MIB // 0x1_0000) * 0x1_0000
        rest = rng.choice(_RIGHTS) | rng.choice((0, _NOT_GLOBAL_PAGE))
        if len(entries) % 16 == 0 and rng.randrange(6) == 0:
            entries += [frame | 0x0E - 1 | 0x1000 | rest] * 16  # a large page, TEX[0] in bit 12
        elif rng.randrange(12) == 0:
            entries.append(0)
        else:
            memory = _UNCACHED if rng.randrange(10) == 0 else _PAGE
            entries.append(frame + rng.randrange(16) * 0x1000 | memory | 2 | rest)
    return entries


def _first_level(rng: random.Random) -> list[int]:
    entries = [0] * 4096
    for megabyte in range(16):
        entries[(RAM >> 20) + megabyte] = RAM + (megabyte << 20) | _SECTION
    for megabyte in range(SMALL_MEGABYTES):
        entries[(SMALL >> 20) + megabyte] = SECOND + 0x400 * megabyte | 1
    entries[FUNCTION_VA >> 20] = SECOND + 0x400 * SMALL_MEGABYTES | 1
    for megabyte in range(32):
        place = FRAMES + rng.randrange(8) * MIB
        entries[(LARGE >> 20) + megabyte] = place | _SECTION | rng.choice((0, _NOT_GLOBAL_SECTION))
    return entries


def _function_pages(rng: random.Random) -> list[int]:
    entries = [0] * 256
    for page in range(FUNCTION_PAGES):
        if rng.randrange(10):
            entries[page] = FUNCTIONS + page * 0x1000 | _PAGE | 2 | 0x30 | rng.choice((0, _NOT_GLOBAL_PAGE))
    return entries


def _tables(rng: random.Random) -> bytes:
    return words(*_first_level(rng), *_second_level(rng), *_function_pages(rng))


# ---- code ----

_ARM_FUNCTION = words(0xE2811001, 0xE5952000, 0xE1510002, 0x35851004, 0x10811002, 0xE12FFF1E)
# add r1, #1; ldr r2, [r5]; cmp r1, r2; strcc r1, [r5, #4]; addne r1, r2; bx lr
_THUMB_FUNCTION = bytes.fromhex("0131 2a68 9142 38bf 6960 18bf 8918 2b78 7047".replace(" ", ""))
# adds r1, #1; ldr r2, [r5]; cmp r1, r2; it cc; strcc r1, [r5, #20]; it ne; addne r1, r2; ldrb r3, [r5]; bx lr


def _functions(rng: random.Random) -> tuple[bytes, list[int]]:
    """A page each; addresses with the Thumb bit."""
    memory, entries = bytearray(FUNCTION_PAGES * 0x1000), []
    for page in range(FUNCTION_PAGES):
        thumb = bool(rng.getrandbits(1))
        code = _THUMB_FUNCTION if thumb else _ARM_FUNCTION
        over_the_end = thumb and rng.randrange(8) == 0
        at = 0xFF8 if over_the_end else rng.randrange(0, 0x1000 - len(code), 4)
        memory[page * 0x1000 + at : page * 0x1000 + at + len(code)] = code
        entries.append(FUNCTION_VA + page * 0x1000 + at | thumb)
    del memory[FUNCTION_PAGES * 0x1000 :]
    return bytes(memory), entries


def _place(rng: random.Random, align: int) -> int:
    kind = rng.randrange(8)
    if kind < 5:
        base = SMALL + rng.randrange(SMALL_MEGABYTES * 256) * 0x1000
    elif kind < 7:
        base = LARGE + rng.randrange(32 * 256) * 0x1000
    else:
        base = rng.choice((FRAMES, 0xC000_0000, SMALL + SMALL_MEGABYTES * MIB - 0x1000))
    offset = rng.choice((rng.randrange(0x1000), rng.randrange(0x40), 0xFFC, 0xFFE))
    return base + offset // align * align


def _access(rng: random.Random) -> list[int]:
    """One load or store, of any kind, some conditional, some over the end of a page."""
    rt, wide = rng.choice(REGISTERS), rng.choice((0, 2, 6))
    registers = sum(1 << n for n in rng.sample(REGISTERS, rng.randrange(1, 6)))
    offset = rng.randrange(0, 256)
    single = rng.choice((0xE5950000, 0xE5850000, 0xE5D50000, 0xE5C50000)) | rt << 12 | offset
    choices = [
        (1, single),
        (1, single),
        (4, single & ~3),
        (4, rng.choice((0xE1C500D0, 0xE1C500F0)) | wide << 12),
        (4, rng.choice((0xE8950000, 0xE8850000, 0xE9150000, 0xE9050000)) | registers),
        (4, rng.choice((0xE4B50000, 0xE4A50000)) | rt << 12),  # LDRT, STRT
        (4, 0xE1950F9F & ~0xF000 | rt << 12),  # LDREX
    ]
    align, instruction = rng.choice(choices)
    if rng.randrange(4) == 0:
        instruction = instruction & 0x0FFF_FFFF | rng.randrange(14) << 28
    return [*load(5, _place(rng, align)), instruction]


def _sweep(rng: random.Random) -> list[int]:
    """Loads a step apart; r9 counts."""
    step = rng.choice((64, 0x1000, 0x1000, 0x1040, 0x1_0000))
    count = rng.randrange(2, 60)
    start = SMALL + rng.randrange(256) * 0x1000 if rng.getrandbits(1) else LARGE
    kind = rng.choice((0xE5952000, 0xE5851000))
    return [*load(5, start), *load(9, count), *load(10, step), kind, 0xE085500A, 0xE2599001, 0x1AFFFFFB]


def _call(rng: random.Random, functions: list[int]) -> list[int]:
    """r11: where the handler of prefetch aborts goes on; `make` knows the address."""
    return [*load(5, _place(rng, 4)), *load(12, rng.choice(functions)), 0xE28FB000, BLX_R12]


def _system(rng: random.Random) -> list[int]:
    kind = rng.randrange(10)
    if kind < 4:
        return [*load(0, _place(rng, 0x1000) & ~0xFF | rng.randrange(2)), rng.choice(TLBI), DSB, ISB]
    if kind < 6:
        return [*load(0, rng.randrange(2)), CONTEXTIDR, ISB]
    if kind < 8:
        return [*load(0, FRAMES + rng.randrange(8 * MIB)), rng.choice(CACHE), DSB]
    return rng.choice(([SVC], cp15(DACR, rng.choice((1, 1, 3))), cp15(TTBR0, TABLE)))


def _compute(rng: random.Random) -> list[int]:
    add = 0xE0800001 | rng.choice(REGISTERS) << 16 | rng.choice(REGISTERS) << 12
    return [add, 0xE1500000 | rng.choice(REGISTERS) << 16 | rng.choice(REGISTERS)]  # and a comparison


def body(rng: random.Random, functions: list[int], pieces: int) -> list[int]:
    """Pieces of code; all registers but r5 and r8 to r12 hold data."""
    kinds: list[Callable[[random.Random], list[int]]] = [*[_access] * 6, _sweep, _system, _compute, _compute]
    code: list[int] = []
    for _ in range(pieces):
        code += _call(rng, functions) if rng.randrange(4) == 0 else rng.choice(kinds)(rng)
    return code


def make(config: MachineConfig, core: object, seed: int, pieces: int = 120) -> Machine:
    """A machine that is about to run guest number ``seed``; the caller closes it."""
    rng = random.Random(seed)
    machine = Machine(config, core)  # type: ignore[arg-type]
    machine.write_phys(TABLE, _tables(rng))
    memory, functions = _functions(rng)
    machine.write_phys(FUNCTIONS, memory)
    machine.write_phys(FRAMES, rng.randbytes(64 * 1024))
    machine.write_phys(VECTORS, words(*_VECTORS))
    on = 0x00C50078 | 1 | 1 << 2 | 1 << 11 | 1 << 12
    start = [*cp15(VBAR, VECTORS), *cp15(DACR, 1), *cp15(TTBR0, TABLE), *cp15(SCTLR, on), ISB]
    loop = body(rng, functions, pieces)
    back = 0xEA000000 | -(len(loop) + 2) & 0xFFFFFF
    machine.write_phys(CODE, words(*start, *loop, back))
    machine.reset(CODE)
    return machine
