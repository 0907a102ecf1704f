"""Random ARM instructions: real encodings (ARM DDI 0406C A5) with fields of noise, and short sequences."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from tests.fuzz.values import DEVICES, RAM, RAM_BYTES, address, value

AL = 0xE << 28


def fields(pattern: int, mask: int, rng: random.Random, condition: int = AL) -> int:
    """Noise but for the bits of `mask`, which come from `pattern`; the condition is mostly AL."""
    word = (rng.getrandbits(28) & ~mask | pattern) & 0x0FFF_FFFF
    return word | (rng.randrange(15) << 28 if rng.randrange(8) == 0 else condition)


def arm_constant(rd: int, number: int) -> list[int]:
    """movw, movt."""
    parts = (0xE3000000, number & 0xFFFF), (0xE3400000, number >> 16)
    return [op | (half >> 12) << 16 | rd << 12 | half & 0xFFF for op, half in parts]


def _arm_load_store(rng: random.Random) -> list[int]:
    rn, rt = rng.randrange(13), rng.randrange(16)
    word = rng.choice(
        (
            AL | 0x04000000 | rng.getrandbits(25) & 0x01FF0FFF,  # LDR, STR, B, T
            AL | 0x06000000 | rng.getrandbits(25) & 0x01FF0FEF,  # register offset
            AL
            | 0x00000090
            | rng.choice((0x20, 0x40, 0x60))
            | rng.getrandbits(25) & 0x01F00F0F,  # H, SB, SH, D
            AL | 0x08000000 | rng.getrandbits(25) & 0x01F0FFFF,  # LDM, STM
            AL | 0x01800090 | rng.getrandbits(23) & 0x00700F0F | 0xF00,  # exclusives
            AL | 0x0C000A00 | rng.getrandbits(25) & 0x01F0F1FF,  # VLDM, VSTR
            0xF4000000 | rng.getrandbits(24) & 0x00B0FFFF,  # NEON structures
        )
    )
    word = word & ~0x000F0000 | rn << 16
    if word & 0x0E000000 not in (0x08000000, 0x0C000000) and word >> 28 != 0xF:
        word = word & ~0xF000 | rt << 12
    return [*(arm_constant(rn, address(rng)) if rng.randrange(3) else []), word]


def _arm_branch(rng: random.Random) -> list[int]:
    kind = rng.randrange(6)
    offset = rng.randrange(-64, 64) & 0xFFFFFF
    if kind < 3:
        return [rng.randrange(15) << 28 | 0x0A000000 | rng.getrandbits(1) << 24 | offset]
    if kind == 3:
        return [0xFA000000 | rng.getrandbits(1) << 24 | offset]  # BLX
    rm = rng.randrange(13)
    jump = AL | 0x012FFF10 | rng.choice((0, 0x20)) | rm  # BX, BLX
    return [*arm_constant(rm, address(rng)), jump]


def _arm_status(rng: random.Random) -> list[int]:
    return [
        rng.choice(
            (
                fields(0x0128F000, 0x0FB0F000, rng),  # MSR CPSR_x, #imm; hints
                fields(0x0120F000, 0x0FB0FFF0, rng),  # MSR
                fields(0x010F0000, 0x0FBF0FFF, rng),  # MRS
                0xF1000000 | rng.getrandbits(20) & 0xE01DF,  # CPS
                0xF1010000 | rng.getrandbits(1) << 9,  # SETEND
                0xF8000000 | rng.getrandbits(25) & 0x01FFFFFF,  # RFE, SRS
                fields(0x01000000, 0x0F900010, rng),  # miscellaneous; banked MRS and MSR
                0xE1B0F00E,  # movs pc, lr
                0xE25EF004,  # subs pc, lr, #4
                0xE320F000 | rng.randrange(6),  # NOP, YIELD, WFE, WFI, SEV, SEVL
                0xF57FF010 | rng.getrandbits(7),  # CLREX, DSB, DMB, ISB
            )
        )
    ]


def _arm_call(rng: random.Random) -> list[int]:
    return [
        rng.choice(
            (
                AL | 0x0F000000 | rng.choice((0x123456, 0, rng.getrandbits(24))),  # SVC
                AL | 0x01400070 | rng.getrandbits(20) & 0xFFF0F,  # HVC
                AL | 0x01600070 | rng.getrandbits(4),  # SMC
                AL | 0x01200070 | rng.getrandbits(20) & 0xFFF0F,  # BKPT
                AL | 0x01000070 | rng.getrandbits(4),  # HLT
                0xE7F000F0 | rng.getrandbits(20) & 0xFFF0F,  # UDF
            )
        )
    ]


def _arm_compute(rng: random.Random) -> list[int]:
    return [
        rng.choice(
            (
                fields(0x00000000, 0x0E000010, rng),
                fields(0x02000000, 0x0E000000, rng),
                fields(0x00000090, 0x0F0000F0, rng),  # multiplies
                fields(0x06000010, 0x0E000010, rng),  # media
                fields(0x0E000A00, 0x0F000E10, rng),  # VFP
                0xF2000000 | rng.getrandbits(25),  # NEON
                fields(0x0E000A10, 0x0F000E10, rng),  # VMOV, VMRS
            )
        )
    ]


def arm_cp15(rng: random.Random, rt: int | None = None) -> int:
    """MCR, MRC, MCRR or MRRC p15 (rarely p14), biased to registers that exist."""
    crn = rng.choice((0, 1, 1, 2, 2, 3, 5, 6, 7, 7, 8, 8, 9, 10, 12, 13, 14, 14, 15, rng.randrange(16)))
    crm = rng.choice((0, 0, 0, 1, 2, 3, 5, 6, 7, 8, 10, 14, rng.randrange(16)))
    opc1 = rng.choice((0, 0, 0, 0, 4, rng.randrange(8)))
    opc2 = rng.randrange(8) if rng.getrandbits(1) else rng.randrange(3)
    rt = rng.randrange(15) if rt is None else rt
    cp = 14 if rng.randrange(16) == 0 else 15
    if rng.randrange(5) == 0:
        crm = rng.choice((2, 7, 14, 9, crm))
        return (
            0xEC400000
            | rng.getrandbits(1) << 20
            | rng.randrange(15) << 16
            | rt << 12
            | cp << 8
            | opc1 << 4
            | crm
        )
    read = (
        rng.getrandbits(1) or (crn in (1, 2, 3) and rng.randrange(5) > 0)
    ) << 20  # few end the translation
    return 0xEE000010 | read | opc1 << 21 | crn << 16 | rt << 12 | cp << 8 | opc2 << 5 | crm


def _arm_system(rng: random.Random) -> list[int]:
    rt = rng.randrange(13)
    return [*(arm_constant(rt, value(rng)) if rng.getrandbits(1) else []), arm_cp15(rng, rt)]


def _arm_psci(rng: random.Random) -> list[int]:
    """PSCI CPU_ON comes often: more CPUs, more trouble."""
    function = 0x84000000 + rng.choice((3, 3, 0, 1, 2, 4, 6, 8, 9, 10, rng.randrange(32)))
    code = arm_constant(0, function) + arm_constant(1, rng.choice((rng.randrange(9), value(rng))))
    code += arm_constant(2, address(rng)) + arm_constant(3, value(rng))
    return [*code, rng.choice((0xE1400070, 0xE1600070))]


def _arm_semihosting(rng: random.Random) -> list[int]:
    """A block of three wild words in memory, and a call on it."""
    call = rng.choice(
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0xC, 0x10, 0x11, 0x13, 0x15, 0x16, 0x30, 0x31, rng.randrange(64))
    )
    code = arm_constant(1, rng.choice((RAM + RAM_BYTES // 2, address(rng))))
    for word in range(3):
        code += [*arm_constant(2, value(rng)), 0xE5812000 | 4 * word]
    return [*code, *arm_constant(0, call), 0xEF123456]


def _arm_device(rng: random.Random) -> list[int]:
    """Stores and loads of every size on a device's registers."""
    code = arm_constant(0, rng.choice(DEVICES) + rng.randrange(0, rng.choice((0x40, 0x400, 0x1000)), 4))
    code += arm_constant(1, value(rng))
    accesses = (
        0xE5801000,  # str
        0xE5802004,
        0xE5C01000,  # strb
        0xE1C010B0,  # strh
        0xE1C020F0,  # strd
        0xE880000E,  # stm {r1-r3}
        0xE5903000,  # ldr
        0xE5D03001,  # ldrb
        0xE1D030B2,  # ldrh
        0xE1C040D0,  # ldrd
        0xE8900070,  # ldm {r4-r6}
        0xE5903001,  # ldr, unaligned
        0xE1D030B3,  # ldrh, unaligned
        0xE1903F9F,  # ldrex
        0xE1B04F9F,  # ldrexd
        0xE1802F91,  # strex r2, r1
        0xED900B00,  # vldr d0
        0xED800B00,  # vstr d0
        0xF420078F,  # vld1
        0xF400078F,  # vst1
        0xE1003091,  # swp
    )
    return code + [rng.choice(accesses) for _ in range(rng.randrange(1, 4))]


def _arm_timer(rng: random.Random) -> list[int]:
    """A timer that fires soon, late, never or in the past, and a wait."""
    crm, rt = rng.choice((2, 3)), 4
    code = arm_constant(rt, value(rng))
    if rng.getrandbits(1):
        code.append(0xEE0E0F10 | crm | rt << 12)  # TVAL
    else:
        code += [
            *arm_constant(5, rng.choice((0, value(rng)))),
            0xEC450F00 | rt << 12 | rng.choice((2, 3)) << 4 | 14,
        ]
    code += [0xE3A04001, 0xEE0E0F30 | crm | rt << 12]  # CTL = 1
    return [*code, rng.choice((0xE320F003, 0xE320F002, 0xE320F001, 0xE320F000))]


ARM_COMMON: Sequence[tuple[int, Callable[[random.Random], list[int]]]] = (
    (30, _arm_compute),
    (25, _arm_load_store),
    (10, _arm_branch),
    (6, _arm_status),
    (3, _arm_call),
    (4, _arm_system),
)
ARM_SYSTEM: Sequence[tuple[int, Callable[[random.Random], list[int]]]] = (
    (4, _arm_compute),
    (10, _arm_load_store),
    (4, _arm_branch),
    (10, _arm_status),
    (4, _arm_call),
    (30, _arm_system),
    (12, _arm_device),
    (4, _arm_psci),
    (4, _arm_semihosting),
    (6, _arm_timer),
)


def arm_fragments(
    rng: random.Random, count: int, parts: Sequence[tuple[int, Callable[[random.Random], list[int]]]]
) -> list[bytes]:
    """Instructions and short sequences drawn from weighted makers."""
    makers = rng.choices([maker for _, maker in parts], [weight for weight, _ in parts], k=count)
    made = ([word & 0xFFFF_FFFF for word in maker(rng)] for maker in makers)
    return [struct.pack(f"<{len(words)}I", *words) for words in made]
