"""The sentence that explains a walk."""

from __future__ import annotations

import pytest

from pyemu.mem import Memory
from pyemu.mmu import Access, Regime, walk
from tests.mmu.guest_tables import (
    AF,
    AP1,
    CLIENT_ALL,
    COARSE,
    EAE,
    LARGE,
    OUTSIDE,
    PA,
    PAGE,
    SCTLR_AFE,
    SCTLR_M,
    SECTION,
    SHORT_L2,
    SHORT_PA,
    SMALL,
    SUPERSECTION,
    TABLE,
    VA,
    XN,
    Guest,
    long_guest,
    page_ap,
    section_ap,
    short_guest,
)

READ, WRITE, FETCH = Access.READ, Access.WRITE, Access.FETCH


def nowhere(**registers: int) -> Guest:
    return Guest(Memory(), Regime(sctlr=SCTLR_M, **registers))


CASES = [
    (
        long_guest(),
        READ,
        "0x52345678 is 0xabcde00678, level 3 page permits everything: L3[325] @0x40003a28 = 0xabcde00403",
    ),
    (
        long_guest(l2=PA | 1 | AF | AP1 | XN | 1 << 7),
        READ,
        "0x52345678 is 0xabcdf45678, level 2 block permits read only: L2[145] @0x40002488 = 0x4000abcde004c1",
    ),
    (long_guest(l1=0), READ, "level 1 table not present: L1[1] @0x40001008 = 0x0"),
    (long_guest(l2=2), READ, "level 2 table not present: L2[145] @0x40002488 = 0x2"),
    (long_guest(PA), READ, "level 3 page not present: L3[325] @0x40003a28 = 0xabcde00000"),
    (long_guest(PA | 1), READ, "level 3 descriptor is reserved: L3[325] @0x40003a28 = 0xabcde00001"),
    (long_guest(PA | 3), READ, "level 3 page has its access flag clear: L3[325] @0x40003a28 = 0xabcde00003"),
    (
        long_guest(PA | PAGE | 1 << 7),
        WRITE,
        "level 3 page permits read and execute: L3[325] @0x40003a28 = 0xabcde00483",
    ),
    (
        long_guest(PA | PAGE | XN),
        FETCH,
        "level 3 page permits read and write: L3[325] @0x40003a28 = 0x4000abcde00403",
    ),
    (
        long_guest(l2=OUTSIDE | TABLE),
        READ,
        "level 3 table outside memory: L3[325] @0x90000a28 cannot be read, "
        "table from L2[145] @0x40002488 = 0x90000003",
    ),
    (
        nowhere(ttbcr=EAE, ttbr0=OUTSIDE),
        READ,
        "level 1 table outside memory: L1[1] @0x90000008 cannot be read, table from TTBR0 = 0x90000000",
    ),
    (
        nowhere(ttbcr=EAE | 2 | 2 << 16),
        READ,
        "level 1 translation fault: 0x52345678 lies between the range of TTBR0 (up to 0x3fffffff, T0SZ = 2) "
        "and that of TTBR1 (from 0xc0000000, T1SZ = 2)",
    ),
    (
        nowhere(ttbcr=EAE | 1 << 7),
        READ,
        "level 1 translation fault: walks from TTBR0 are disabled by TTBCR.EPD0",
    ),
    (nowhere(ttbcr=1 << 4), READ, "level 1 translation fault: walks from TTBR0 are disabled by TTBCR.PD0"),
    (
        nowhere(ttbcr=2 | 1 << 5),
        READ,
        "level 1 translation fault: walks from TTBR1 are disabled by TTBCR.PD1",
    ),
    (
        short_guest(),
        READ,
        "0x52345678 is 0x8a000678, level 2 small page permits everything: L2[69] @0x40008114 = 0x8a000032",
    ),
    (
        short_guest(SHORT_PA | LARGE | page_ap(3)),
        READ,
        "0x52345678 is 0x8a005678, level 2 large page permits everything: L2[69] @0x40008114 = 0x8a000031",
    ),
    (
        short_guest(l1=SHORT_PA | SECTION | section_ap(1)),
        READ,
        "0x52345678 is 0x8a045678, level 1 section permits everything: L1[1315] @0x4000548c = 0x8a000402",
    ),
    (
        short_guest(l1=SHORT_PA | SUPERSECTION | section_ap(0)),
        READ,
        "level 1 supersection permits no access: L1[1315] @0x4000548c = 0x8a040002",
    ),
    (
        short_guest(l1=SHORT_L2 | COARSE | 5 << 5, dacr=CLIENT_ALL & ~(3 << 10)),
        READ,
        "level 2 small page is in domain 5, to which DACR 0x55555155 gives no access: "
        "L2[69] @0x40008114 = 0x8a000032",
    ),
    (
        short_guest(SHORT_PA | SMALL, sctlr=SCTLR_AFE),
        READ,
        "level 2 small page has its access flag clear: L2[69] @0x40008114 = 0x8a000002",
    ),
    (Guest(Memory(), Regime()), READ, "MMU off: 0x52345678 is physical"),
]


@pytest.mark.parametrize(("guest", "access", "text"), CASES)
def test_the_result_of_a_walk_in_one_sentence(guest: Guest, access: Access, text: str) -> None:
    assert walk(guest.memory, guest.regime, VA, access).text == text
