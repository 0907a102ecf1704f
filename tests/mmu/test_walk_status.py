"""Fault status and PAR in both formats: ARM DDI 0406C B3.13, B4.1.112."""

from __future__ import annotations

import pytest

from pyemu.mmu import Access, Fault, Flag, Prot, Regime, Translation, ats, fault_status, translate
from tests.mmu.guest_tables import (
    AF,
    AP1,
    CLIENT_ALL,
    COARSE,
    EAE,
    OUTSIDE,
    PA,
    PAGE,
    SCTLR_AFE,
    SCTLR_TRE,
    SECTION,
    SHORT_L2,
    SHORT_PA,
    SMALL,
    SUPERSECTION,
    TABLE,
    VA,
    Guest,
    long_guest,
    page_ap,
    section_ap,
    short_guest,
)

READ, WRITE, FETCH = Access.READ, Access.WRITE, Access.FETCH
NS, LPAE, F = 1 << 9, 1 << 11, 1
DOMAIN5 = 5 << 5
NO_DOMAIN5 = CLIENT_ALL & ~(3 << 10)

# Guest whose access faults, the access, DFSR or IFSR.
SHORT = {
    "translation 1": (short_guest(l1=0), READ, 0x005),
    "translation 2": (short_guest(0, l1=SHORT_L2 | COARSE | DOMAIN5), READ, 0x057),
    "translation 2 write": (short_guest(0, l1=SHORT_L2 | COARSE | DOMAIN5), WRITE, 0x857),
    "translation 2 fetch": (short_guest(0, l1=SHORT_L2 | COARSE | DOMAIN5), FETCH, 0x007),
    "access flag 1": (short_guest(l1=SHORT_PA | SECTION | DOMAIN5, sctlr=SCTLR_AFE), READ, 0x053),
    "access flag 2": (short_guest(SHORT_PA | SMALL, sctlr=SCTLR_AFE), READ, 0x006),
    "domain 1": (short_guest(l1=SHORT_PA | SECTION | DOMAIN5, dacr=NO_DOMAIN5), WRITE, 0x859),
    "domain 2": (short_guest(l1=SHORT_L2 | COARSE | DOMAIN5, dacr=NO_DOMAIN5), READ, 0x05B),
    "domain 2 fetch": (short_guest(l1=SHORT_L2 | COARSE | DOMAIN5, dacr=NO_DOMAIN5), FETCH, 0x00B),
    "permission 1": (short_guest(l1=SHORT_PA | SECTION | DOMAIN5), READ, 0x05D),
    "permission 2": (short_guest(SHORT_PA | SMALL | page_ap(5)), WRITE, 0x80F),
    "permission 2 fetch": (short_guest(SHORT_PA | SMALL | page_ap(3) | 1), FETCH, 0x00F),
    "external 1": (Guest(short_guest().memory, Regime(sctlr=1, ttbr0=OUTSIDE)), READ, 0x00C),
    "external 2": (short_guest(l1=OUTSIDE | COARSE | DOMAIN5), READ, 0x05E),
}

LONG = {
    "translation 1": (long_guest(l1=0), READ, 0x205),
    "translation 2": (long_guest(l2=0), WRITE, 0xA06),
    "translation 3": (long_guest(0), FETCH, 0x207),
    "access flag 1": (long_guest(l1=1), READ, 0x209),
    "access flag 2": (long_guest(l2=1), WRITE, 0xA0A),
    "access flag 3": (long_guest(3), FETCH, 0x20B),
    "permission 1": (long_guest(l1=1 | AF | 1 << 7), WRITE, 0xA0D),
    "permission 2": (long_guest(l2=1 | AF | 1 << 54), FETCH, 0x20E),
    "permission 3": (long_guest(PA | PAGE | 1 << 7), WRITE, 0xA0F),
    "external 1": (Guest(long_guest().memory, Regime(sctlr=1, ttbcr=EAE, ttbr0=OUTSIDE)), READ, 0x215),
    "external 2": (long_guest(l1=OUTSIDE | TABLE), READ, 0x216),
    "external 3": (long_guest(l2=OUTSIDE | TABLE), WRITE, 0xA17),
}


@pytest.mark.parametrize(
    ("guest", "access", "status"),
    [*SHORT.values(), *LONG.values()],
    ids=[*(f"short {name}" for name in SHORT), *(f"long {name}" for name in LONG)],
)
def test_every_fault_has_its_status_in_fsr_and_par(guest: Guest, access: Access, status: int) -> None:
    t = translate(guest.memory, guest.regime, VA, access)
    assert fault_status(guest.regime, t, access) == status
    par = ats(guest.memory, guest.regime, VA, access)
    if guest.regime.long_format:
        assert par == LPAE | (status & 0x3F) << 1 | F
    else:
        assert par == (status & 0xF) << 1 | F


def plain(fault: Fault) -> Translation:
    """A fault that is none of a walk."""
    return Translation(0, fault, 0, Prot.NONE, Prot.NONE, 0, 0, 0, 0, Flag.NONE, 0, 0)


@pytest.mark.parametrize(
    ("fault", "short", "long"),
    [
        (Fault.NONE, 0x000, 0x000),
        (Fault.ALIGNMENT, 0x001, 0x221),
        (Fault.DEBUG, 0x002, 0x222),
        (Fault.EXTERNAL, 0x008, 0x210),
    ],
)
def test_faults_without_a_level(fault: Fault, short: int, long: int) -> None:
    assert fault_status(Regime(), plain(fault), READ) == short
    assert fault_status(Regime(ttbcr=EAE), plain(fault), READ) == long


def test_cache_maintenance_counts_as_a_write_and_sets_cm() -> None:
    guest, access, status = SHORT["translation 2"]
    t = translate(guest.memory, guest.regime, VA, access)
    assert fault_status(guest.regime, t, access, cache_maintenance=True) == status | 1 << 13 | 1 << 11
    guest, access, status = LONG["translation 1"]
    t = translate(guest.memory, guest.regime, VA, access)
    assert fault_status(guest.regime, t, access, cache_maintenance=True) == status | 1 << 13 | 1 << 11


def test_a_long_par_has_the_address_the_mair_byte_and_the_shareability() -> None:
    guest = long_guest(PA | PAGE | AP1 | 3 << 2 | 3 << 8, mair=0xA5 << 24)
    assert ats(guest.memory, guest.regime, VA) == 0xA5 << 56 | PA | LPAE | NS | 3 << 7


@pytest.mark.parametrize(
    ("prrr", "nmrr", "n", "s", "bits"),
    [
        (0xFF0A81A8, 0x40E040E0, 0, 0, 0b001 << 4 | 1 << 7),  # strongly-ordered
        (0xFF0A81A8, 0x40E040E0, 4, 0, 0b011 << 4 | 1 << 7),  # device
        (0xFF0A81A8, 0x40E040E0, 1, 0, 0),  # not cached
        (0xFF0A81A8, 0x40E040E0, 2, 0, 0b110 << 4 | 0b10 << 2),  # write-through
        (0xFF0A81A8, 0x40E040E0, 3, 0, 0b111 << 4 | 0b11 << 2),  # write-back
        (
            0xFF0A81A8,
            0x40E040E0,
            7,
            1,
            0b101 << 4 | 0b01 << 2 | 1 << 7 | 1 << 10,
        ),  # write-allocate, inner shared
        (0x000A81A8, 0x40E040E0, 7, 1, 0b101 << 4 | 0b01 << 2 | 1 << 7),  # the same, outer shared
    ],
)
def test_a_short_par_has_the_address_and_the_remapped_attributes(
    prrr: int, nmrr: int, n: int, s: int, bits: int
) -> None:
    descriptor = SHORT_PA | SMALL | page_ap(3) | (n >> 2) << 6 | (n & 3) << 2 | s << 10
    guest = short_guest(descriptor, sctlr=SCTLR_TRE, prrr=prrr, nmrr=nmrr)
    assert ats(guest.memory, guest.regime, VA) == SHORT_PA | NS | bits


def test_a_supersection_sets_ss_and_gives_the_upper_address_bits() -> None:
    guest = short_guest(l1=0x8A00_0000 | SUPERSECTION | section_ap(3) | 0xC << 20 | 0x5 << 5)
    so = 0b001 << 4 | 1 << 7
    assert ats(guest.memory, guest.regime, VA) == 0x8A00_0000 | 0x5C << 16 | NS | so | 1 << 1


def test_a_section_gives_the_page_of_the_address() -> None:
    guest = short_guest(l1=0x8A00_0000 | SECTION | section_ap(3))
    assert ats(guest.memory, guest.regime, VA) & ~0xFFF == 0x8A04_5000
