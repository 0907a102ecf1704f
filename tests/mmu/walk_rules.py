"""Translation rules, one at a time, as tables of registers, descriptors and the expected answer.

Section numbers are those of ARM DDI 0406C.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from pyemu.mmu.reference import Access, Fault

RAM, HIGH = 0x40000000, 0x08_0000_0000
READ, WRITE, FETCH = Access.READ, Access.WRITE, Access.FETCH
PL1, PL0 = True, False
M, WXN, UWXN, EE, TRE, AFE = (1 << n for n in (0, 19, 20, 25, 28, 29))
EAE, EPD1, EPD0 = 1 << 31, 1 << 23, 1 << 7


@dataclass(frozen=True)
class Regs:
    sctlr: int = M
    ttbcr: int = EAE
    ttbr0: int = RAM
    ttbr1: int = RAM + 0x1000
    dacr: int = 0x55555555
    mair0: int = 0x04FF4400
    mair1: int = 0


class Row(NamedTuple):
    """``words`` puts descriptors at addresses; ``expect`` is an output address or (fault, level)."""

    name: str
    va: int
    words: dict[int, int]
    expect: int | tuple[Fault, int]
    regs: Regs = Regs()
    access: Access = READ
    privileged: bool = PL1


def memory(regs: Regs, words: dict[int, int]) -> list[tuple[int, bytes]]:
    """64 KB at RAM and 4 KB at HIGH with descriptors of the regime's size and byte order."""
    areas = {RAM: bytearray(0x10000), HIGH: bytearray(0x1000)}
    size = 8 if regs.ttbcr & EAE else 4
    for address, value in words.items():
        base = HIGH if address >= HIGH else RAM
        order = "big" if regs.sctlr & EE else "little"
        areas[base][address - base : address - base + size] = value.to_bytes(size, order)  # type: ignore[arg-type]
    return [(base, bytes(data)) for base, data in areas.items()]


# ---- long descriptors ----

AF, RO, USER, NG = 1 << 10, 1 << 7, 1 << 6, 1 << 11
XN, PXN = 1 << 54, 1 << 53
TABLE, BLOCK, PAGE = 0b11, 0b01, 0b11
XN_TABLE, PXN_TABLE, AP_TABLE_NO_USER, AP_TABLE_RO = 1 << 60, 1 << 59, 1 << 61, 1 << 62
L1, L2, L3 = RAM, RAM + 0x2000, RAM + 0x3000


def chain(leaf: int, *, first: int = 0, second: int = 0) -> dict[int, int]:
    """Entry 0 of three tables: level 1 and 2 point on (with extra bits), level 3 holds ``leaf``."""
    return {L1: L2 | TABLE | first, L2: L3 | TABLE | second, L3: leaf}


def t_size(t0: int, t1: int, extra: int = 0) -> Regs:
    return Regs(ttbcr=EAE | t1 << 16 | t0 | extra)


RW_PAGE = 0x80001000 | AF | PAGE
USER_PAGE = RW_PAGE | USER
BLOCK_1G = 0x80000000 | AF | BLOCK

LONG = [
    Row("level 1 block maps 1 GB", 0x12345678, {L1: 0x80000000 | AF | BLOCK}, 0x92345678),
    Row("level 2 block maps 2 MB", 0x00123456, {L1: L2 | TABLE, L2: 0x8000200000 | AF | BLOCK}, 0x8000323456),
    Row("level 3 page maps 4 KB", 0x456, chain(0xFF_FFFF_F000 | AF | PAGE), 0xFF_FFFF_F456),
    Row("a table above 4 GB is read", 0x456, {L1: HIGH | TABLE, HIGH: 0x200000 | AF | BLOCK}, 0x200456),
    Row("level 1 invalid", 0x456, {}, (Fault.TRANSLATION, 1)),
    Row("level 1 with only bit 1 is invalid", 0x456, {L1: 0x80000000 | AF | 0b10}, (Fault.TRANSLATION, 1)),
    Row("level 2 invalid", 0x456, {L1: L2 | TABLE}, (Fault.TRANSLATION, 2)),
    Row("level 3 invalid", 0x456, {L1: L2 | TABLE, L2: L3 | TABLE}, (Fault.TRANSLATION, 3)),
    Row("level 3 block encoding is reserved", 0x456, chain(0x1000 | AF | 0b01), (Fault.TRANSLATION, 3)),
    Row("level 2 table outside memory", 0x456, {L1: 0x20000000 | TABLE}, (Fault.EXTERNAL_WALK, 2)),
    Row("level 3 table outside memory", 0x456, {L1: L2 | TABLE, L2: 0x9_0000_0003}, (Fault.EXTERNAL_WALK, 3)),
    Row("TTBR outside memory", 0x456, {}, (Fault.EXTERNAL_WALK, 1), Regs(ttbr0=0)),
    Row("a table that points at itself ends at level 3", 0x0, {L1: L1 | TABLE | AF}, L1),
    Row("access flag fault at level 1", 0, {L1: 0x80000000 | BLOCK}, (Fault.ACCESS_FLAG, 1)),
    Row("access flag fault at level 3", 0, chain(RW_PAGE & ~AF), (Fault.ACCESS_FLAG, 3)),
    Row(
        "access flag before permission",
        0,
        chain(RW_PAGE & ~AF),
        (Fault.ACCESS_FLAG, 3),
        access=WRITE,
        privileged=PL0,
    ),
    Row("AP 00: PL1 writes", 0, chain(RW_PAGE), 0x80001000, access=WRITE),
    Row("AP 00: PL0 does not read", 0, chain(RW_PAGE), (Fault.PERMISSION, 3), privileged=PL0),
    Row("AP 01: PL0 writes", 0, chain(USER_PAGE), 0x80001000, access=WRITE, privileged=PL0),
    Row("AP 10: PL1 does not write", 0, chain(RW_PAGE | RO), (Fault.PERMISSION, 3), access=WRITE),
    Row("AP 11: PL0 reads", 0, chain(USER_PAGE | RO), 0x80001000, privileged=PL0),
    Row(
        "AP 11: PL0 does not write",
        0,
        chain(USER_PAGE | RO),
        (Fault.PERMISSION, 3),
        access=WRITE,
        privileged=PL0,
    ),
    Row("XN stops both: PL1", 0, chain(USER_PAGE | XN), (Fault.PERMISSION, 3), access=FETCH),
    Row("XN stops both: PL0", 0, chain(USER_PAGE | XN), (Fault.PERMISSION, 3), access=FETCH, privileged=PL0),
    Row("PXN stops PL1", 0, chain(USER_PAGE | PXN), (Fault.PERMISSION, 3), access=FETCH),
    Row("PXN leaves PL0", 0, chain(USER_PAGE | PXN), 0x80001000, access=FETCH, privileged=PL0),
    Row(
        "PL0 fetches only what it can read",
        0,
        chain(RW_PAGE),
        (Fault.PERMISSION, 3),
        access=FETCH,
        privileged=PL0,
    ),
    Row("XNTable of level 1", 0, chain(USER_PAGE, first=XN_TABLE), (Fault.PERMISSION, 3), access=FETCH),
    Row("PXNTable of level 2", 0, chain(USER_PAGE, second=PXN_TABLE), (Fault.PERMISSION, 3), access=FETCH),
    Row(
        "APTable[0] takes PL0's access",
        0,
        chain(USER_PAGE, first=AP_TABLE_NO_USER),
        (Fault.PERMISSION, 3),
        privileged=PL0,
    ),
    Row("APTable[0] leaves PL1's", 0, chain(USER_PAGE, first=AP_TABLE_NO_USER), 0x80001000, access=WRITE),
    Row(
        "APTable[1] forces read-only",
        0,
        chain(RW_PAGE, second=AP_TABLE_RO),
        (Fault.PERMISSION, 3),
        access=WRITE,
    ),
    Row("WXN: writable is not executable", 0, chain(RW_PAGE), (Fault.PERMISSION, 3), Regs(M | WXN), FETCH),
    Row("WXN: read-only is executable", 0, chain(RW_PAGE | RO), 0x80001000, Regs(M | WXN), FETCH),
    Row("WXN holds at PL0", 0, chain(USER_PAGE), (Fault.PERMISSION, 3), Regs(M | WXN), FETCH, PL0),
    Row(
        "UWXN: what PL0 writes, PL1 does not execute",
        0,
        chain(USER_PAGE),
        (Fault.PERMISSION, 3),
        Regs(M | UWXN),
        FETCH,
    ),
    Row("UWXN leaves PL0", 0, chain(USER_PAGE), 0x80001000, Regs(M | UWXN), FETCH, PL0),
    Row("UWXN leaves pages of PL1 alone", 0, chain(RW_PAGE), 0x80001000, Regs(M | UWXN), FETCH),
    Row("EE: descriptors are big-endian", 0x456, chain(RW_PAGE), 0x80001456, Regs(M | EE)),
    Row("MMU off: flat", 0xDEADBEEF, {}, 0xDEADBEEF, Regs(sctlr=0), FETCH, PL0),
    # B3.6.4: which TTBR
    Row("T0SZ = T1SZ = 0: TTBR0 has all", 0xC0000000, {L1 + 24: BLOCK_1G}, 0x80000000, t_size(0, 0)),
    Row("T0SZ = 1: TTBR0 ends at 2 GB", 0x7FFFFFFF, {L1 + 8: BLOCK_1G}, 0xBFFFFFFF, t_size(1, 0)),
    Row(
        "T0SZ = 1, T1SZ = 0: above it TTBR1, whole index",
        0x80000000,
        {RAM + 0x1010: BLOCK_1G},
        0x80000000,
        t_size(1, 0),
    ),
    Row(
        "T1SZ = 2: TTBR1 starts at 3 GB, level 2",
        0xC0200000,
        {RAM + 0x1008: BLOCK_1G},
        0x80000000,
        t_size(0, 2),
    ),
    Row("T1SZ = 2: below it TTBR0", 0xBFFFFFFF, {L1 + 16: BLOCK_1G}, 0xBFFFFFFF, t_size(0, 2)),
    Row(
        "T1SZ = 1: TTBR1 starts at level 1 with one index bit",
        0xC0000000,
        {RAM + 0x1008: BLOCK_1G},
        0x80000000,
        t_size(0, 1),
    ),
    Row("between the two ranges", 0x80000000, {}, (Fault.TRANSLATION, 1), t_size(2, 2)),
    Row(
        "T0SZ = 7: TTBR0 has 32 MB, 16 entries of level 2",
        0x01FFFFFF,
        {L1 + 120: BLOCK_1G},
        0x801FFFFF,
        t_size(7, 7),
    ),
    Row("T0SZ = 7: just above", 0x02000000, {}, (Fault.TRANSLATION, 1), t_size(7, 7)),
    Row("EPD0", 0, chain(RW_PAGE), (Fault.TRANSLATION, 1), t_size(0, 0, EPD0)),
    Row(
        "EPD0 reports level 1 also where the walk starts at level 2",
        0,
        {},
        (Fault.TRANSLATION, 1),
        t_size(3, 0, EPD0),
    ),
    Row("EPD1", 0xF0000000, {RAM + 0x1000: BLOCK_1G}, (Fault.TRANSLATION, 1), t_size(0, 1, EPD1)),
    Row("EPD1 leaves TTBR0", 0x456, chain(RW_PAGE), 0x80001456, t_size(0, 1, EPD1)),
    # B4.1.154: the base ends where the table's alignment begins; above bit 39 there is the ASID.
    Row(
        "TTBR0's ASID is not part of the base",
        0x456,
        chain(RW_PAGE),
        0x80001456,
        Regs(ttbr0=0xAA << 48 | RAM),
    ),
    Row("bits below the base are ignored", 0x456, chain(RW_PAGE), 0x80001456, Regs(ttbr0=RAM | 0x1F)),
    Row(
        "bit 5 is part of a full table's base", 0x456, {L1 + 32: BLOCK_1G}, 0x80000456, Regs(ttbr0=RAM | 0x20)
    ),
    Row("bits 47:40 of a descriptor are ignored", 0x456, chain(RW_PAGE | 0xFF << 40), 0x80001456),
    Row("address bits below a block's size are ignored", 0x456, {L1: BLOCK_1G | 0x1FFFF000}, 0x80000456),
    Row("the contiguous hint changes nothing", 0x456, chain(RW_PAGE | 1 << 52), 0x80001456),
    Row("software bits change nothing", 0x456, chain(RW_PAGE | 0xF << 55), 0x80001456),
]

# ---- short descriptors ----

SECTION, COARSE, SMALL, LARGE = 0b10, 0b01, 0b10, 0b01
AP_RW, AP_USER_RO, AP_USER, AP_RO = 0b01, 0b10, 0b11, 0b101
TT0, TT1, S2 = RAM, RAM + 0x4000, RAM + 0x8000


def short(n: int = 0, extra: int = 0, sctlr: int = M, dacr: int = 1) -> Regs:
    """Registers of the short format; all domains no access but the client domain 0."""
    return Regs(sctlr, n | extra, TT0, TT1, dacr, 0, 0)


def section(ap: int = AP_RW, base: int = 0x80000000, domain: int = 0, extra: int = 0) -> int:
    return base | (ap & 3) << 10 | (ap >> 2) << 15 | domain << 5 | SECTION | extra


def small(ap: int = AP_RW, base: int = 0x80001000, extra: int = 0) -> int:
    return base | (ap & 3) << 4 | (ap >> 2) << 9 | SMALL | extra


def second(entry: int, first: int = 0, index: int = 0) -> dict[int, int]:
    """First-level entry 0 points to a second-level table with ``entry`` at ``index``."""
    return {TT0: S2 | COARSE | first, S2 + 4 * index: entry}


SUPER = 1 << 18
SUPERSECTION = 0x9A000000 | 0xB << 20 | 0xC << 5 | AP_RW << 10 | SUPER | SECTION

SHORT = [
    Row("section maps 1 MB", 0x00054321, {TT0: section()}, 0x80054321, short()),
    Row("supersection maps 16 MB at 40 bits", 0x00F54321, {TT0 + 60: SUPERSECTION}, 0xCB_9AF5_4321, short()),
    Row("a supersection is in domain 0", 0, {TT0: SUPERSECTION}, (Fault.DOMAIN, 1), short(dacr=0x55555554)),
    Row("small page maps 4 KB", 0x3456, second(small(), index=3), 0x80001456, short()),
    Row("large page maps 64 KB", 0x1A456, second(0x80550010 | LARGE, index=0x1A), 0x8055A456, short()),
    Row("first level invalid", 0, {}, (Fault.TRANSLATION, 1), short()),
    Row("first level 11 is a section with PXN", 0x21, {TT0: section() | 1}, 0x80000021, short()),
    Row("second level invalid", 0, second(0), (Fault.TRANSLATION, 2), short()),
    Row(
        "second-level table outside memory", 0, {TT0: 0x20000000 | COARSE}, (Fault.EXTERNAL_WALK, 2), short()
    ),
    Row("TTBR outside memory", 0, {}, (Fault.EXTERNAL_WALK, 1), replace(short(), ttbr0=0)),
    Row("MMU off: flat", 0xDEADBEEF, {}, 0xDEADBEEF, short(sctlr=0), WRITE, PL0),
    Row("EE: descriptors are big-endian", 0x456, second(small()), 0x80001456, short(sctlr=M | EE)),
    # B3.5.4: TTBCR.N
    Row("N = 0: TTBR0 has all", 0xFFF00000, {TT0 + 0x3FFC: section()}, 0x80000000, short()),
    Row("N = 1: TTBR0 below 2 GB", 0x7FF00000, {TT0 + 0x1FFC: section()}, 0x80000000, short(1)),
    Row("N = 1: TTBR1 from 2 GB, whole index", 0x80000000, {TT1 + 0x2000: section()}, 0x80000000, short(1)),
    Row("N = 7: TTBR0 has 32 MB", 0x01F00000, {TT0 + 0x7C: section()}, 0x80000000, short(7)),
    Row("N = 7: TTBR1 from 32 MB", 0x02000000, {TT1 + 0x80: section()}, 0x80000000, short(7)),
    Row(
        "N = 7: base bits down to 7",
        0,
        {TT0 + 0x80: section()},
        0x80000000,
        replace(short(7), ttbr0=TT0 | 0xFF),
    ),
    Row(
        "walk attributes are not the base",
        0,
        {TT0: section()},
        0x80000000,
        replace(short(), ttbr0=TT0 | 0x6A),
    ),
    Row("PD0", 0, {TT0: section()}, (Fault.TRANSLATION, 1), short(0, 1 << 4)),
    Row("PD1", 0x80000000, {TT1 + 0x2000: section()}, (Fault.TRANSLATION, 1), short(1, 1 << 5)),
    Row("PD1 leaves TTBR0", 0, {TT0: section()}, 0x80000000, short(1, 1 << 5)),
    # B3.7.1: AP
    Row("AP 000: nothing", 0, {TT0: section(0)}, (Fault.PERMISSION, 1), short()),
    Row("AP 001: PL1 writes", 0, {TT0: section(AP_RW)}, 0x80000000, short(), WRITE),
    Row("AP 001: PL0 nothing", 0, {TT0: section(AP_RW)}, (Fault.PERMISSION, 1), short(), READ, PL0),
    Row("AP 010: PL0 reads", 0, {TT0: section(AP_USER_RO)}, 0x80000000, short(), READ, PL0),
    Row(
        "AP 010: PL0 does not write",
        0,
        {TT0: section(AP_USER_RO)},
        (Fault.PERMISSION, 1),
        short(),
        WRITE,
        PL0,
    ),
    Row("AP 010: PL1 writes", 0, {TT0: section(AP_USER_RO)}, 0x80000000, short(), WRITE),
    Row("AP 011: PL0 writes", 0, second(small(AP_USER)), 0x80001000, short(), WRITE, PL0),
    Row("AP 100 is reserved: nothing", 0, second(small(0b100)), (Fault.PERMISSION, 2), short()),
    Row("AP 101: PL1 reads", 0, second(small(AP_RO)), 0x80001000, short()),
    Row("AP 101: PL1 does not write", 0, second(small(AP_RO)), (Fault.PERMISSION, 2), short(), WRITE),
    Row("AP 110: PL0 reads", 0, second(small(0b110)), 0x80001000, short(), READ, PL0),
    Row("AP 111: PL0 reads", 0, second(small(0b111)), 0x80001000, short(), READ, PL0),
    Row("AP 111: PL1 does not write", 0, second(small(0b111)), (Fault.PERMISSION, 2), short(), WRITE),
    # B3.7.2: XN, PXN
    Row("XN of a section", 0, {TT0: section(extra=1 << 4)}, (Fault.PERMISSION, 1), short(), FETCH),
    Row("XN of a small page", 0, second(small(extra=1)), (Fault.PERMISSION, 2), short(), FETCH),
    Row("XN of a large page", 0, second(0x80008010 | LARGE), (Fault.PERMISSION, 2), short(), FETCH),
    Row("PXN of a section stops PL1", 0, {TT0: section(AP_USER) | 1}, (Fault.PERMISSION, 1), short(), FETCH),
    Row("PXN of a section leaves PL0", 0, {TT0: section(AP_USER) | 1}, 0x80000000, short(), FETCH, PL0),
    Row("PXN of a table stops PL1", 0, second(small(), 1 << 2), (Fault.PERMISSION, 2), short(), FETCH),
    Row("WXN holds here too", 0, second(small()), (Fault.PERMISSION, 2), short(sctlr=M | WXN), FETCH),
    Row(
        "UWXN holds here too", 0, second(small(AP_USER)), (Fault.PERMISSION, 2), short(sctlr=M | UWXN), FETCH
    ),
    # B3.7.4: AFE
    Row(
        "AFE: AP[0] = 0 is an access flag fault",
        0,
        {TT0: section(0b10)},
        (Fault.ACCESS_FLAG, 1),
        short(sctlr=M | AFE),
    ),
    Row("AFE at the second level", 0, second(small(0b110)), (Fault.ACCESS_FLAG, 2), short(sctlr=M | AFE)),
    Row(
        "AFE: AP[2:1] = 00 is for PL1",
        0,
        second(small(0b001)),
        (Fault.PERMISSION, 2),
        short(sctlr=M | AFE),
        READ,
        PL0,
    ),
    Row(
        "AFE: AP[2:1] = 11 is read-only", 0, second(small(0b111)), 0x80001000, short(sctlr=M | AFE), READ, PL0
    ),
    Row(
        "AFE before XN", 0, second(small(0b110, extra=1)), (Fault.ACCESS_FLAG, 2), short(sctlr=M | AFE), FETCH
    ),
    # B3.12.3: domains
    Row("no access", 0, {TT0: section(domain=5)}, (Fault.DOMAIN, 1), short()),
    Row("no access at the second level", 0, second(small(), 5 << 5), (Fault.DOMAIN, 2), short()),
    Row("the reserved DACR value 2", 0, {TT0: section(domain=5)}, (Fault.DOMAIN, 1), short(dacr=2 << 10)),
    Row("client", 0, {TT0: section(domain=5)}, 0x80000000, short(dacr=1 << 10)),
    Row("manager ignores AP", 0, {TT0: section(0, domain=5)}, 0x80000000, short(dacr=3 << 10), WRITE, PL0),
    Row("manager ignores XN", 0, second(small(extra=1), 5 << 5), 0x80001000, short(dacr=3 << 10), FETCH),
    Row("manager ignores WXN", 0, second(small()), 0x80001000, short(sctlr=M | WXN, dacr=3), FETCH),
    Row("translation before domain", 0, second(0, 5 << 5), (Fault.TRANSLATION, 2), short()),
    Row(
        "access flag before domain",
        0,
        {TT0: section(0, domain=5)},
        (Fault.ACCESS_FLAG, 1),
        short(sctlr=M | AFE),
    ),
    Row(
        "a manager still meets the access flag",
        0,
        {TT0: section(0)},
        (Fault.ACCESS_FLAG, 1),
        short(sctlr=M | AFE, dacr=3),
    ),
    Row("domain before permission", 0, {TT0: section(0, domain=5)}, (Fault.DOMAIN, 1), short()),
]
