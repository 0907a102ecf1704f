"""Memory types of the short format: TEX remap and the plain encoding, ARM DDI 0406C B3.8."""

from __future__ import annotations

import pytest

from pyemu.mem import Memory
from pyemu.mmu import Access, Regime, translate
from tests.mmu.guest_tables import (
    LARGE,
    SCTLR_I,
    SCTLR_TRE,
    SECTION,
    SHORT_PA,
    SMALL,
    SUPERSECTION,
    VA,
    page_ap,
    section_ap,
    short_guest,
)

RW = 0b011
NONE, OUTER, INNER = 0, 2, 3
SO, DEVICE, NC, WT, WB, WBWA = 0x00, 0x04, 0x44, 0xAA, 0xEE, 0xFF


def with_type(kind: str, texcb: int, s: int) -> dict[str, int]:
    """A leaf with TEX[2:0]:C:B and S in the places that its kind has for them."""
    tex, cb = texcb >> 2, texcb & 3
    if kind == "section":
        return {"l1": SHORT_PA | SECTION | section_ap(RW) | tex << 12 | cb << 2 | s << 16}
    if kind == "supersection":
        return {"l1": SHORT_PA | SUPERSECTION | section_ap(RW) | tex << 12 | cb << 2 | s << 16}
    if kind == "large":
        return {"l2": SHORT_PA | LARGE | page_ap(RW) | tex << 12 | cb << 2 | s << 10}
    return {"l2": SHORT_PA | SMALL | page_ap(RW) | tex << 6 | cb << 2 | s << 10}


def type_of(kind: str, texcb: int, s: int, **guest_options: int) -> tuple[int, int]:
    guest = short_guest(**with_type(kind, texcb, s), **guest_options)
    t = translate(guest.memory, guest.regime, VA)
    return t.attr, t.shareability


# B3.8.2: TEX:C:B -> memory type; device and strongly-ordered memory is always shareable with LPAE.
PLAIN = {
    0b000_00: SO,
    0b000_01: DEVICE,
    0b000_10: WT,
    0b000_11: WB,
    0b001_00: NC,
    0b001_11: WBWA,
    0b010_00: DEVICE,
    0b100_00: 0x44,
    0b100_01: 0x4F,
    0b100_10: 0x4A,
    0b100_11: 0x4E,
    0b101_00: 0xF4,
    0b101_01: 0xFF,
    0b110_10: 0xAA,
    0b110_11: 0xAE,
    0b111_00: 0xE4,
    0b111_11: 0xEE,
}


@pytest.mark.parametrize("kind", ["section", "supersection", "large", "small"])
@pytest.mark.parametrize("s", [0, 1])
def test_without_remap_tex_c_and_b_name_the_type(kind: str, s: int) -> None:
    for texcb, attr in PLAIN.items():
        shared = attr in (SO, DEVICE) or s
        assert type_of(kind, texcb, s) == (attr, OUTER if shared else NONE), f"TEX:C:B = {texcb:05b}"


@pytest.mark.parametrize("texcb", sorted(set(range(16)) - set(PLAIN)))
def test_reserved_encodings_count_as_strongly_ordered(texcb: int) -> None:
    assert type_of("small", texcb, 0) == (SO, OUTER)


LINUX_PRRR, LINUX_NMRR = 0xFF0A81A8, 0x40E040E0


@pytest.mark.parametrize("kind", ["section", "supersection", "large", "small"])
def test_the_remap_of_linux_gives_its_six_types(kind: str) -> None:
    expected = {0: SO, 1: NC, 2: WT, 3: WB, 4: DEVICE, 7: WBWA}
    for n, attr in expected.items():
        for s in (0, 1):
            for ignored_tex in (0, 0b110):
                found = type_of(
                    kind,
                    (n >> 2 | ignored_tex) << 2 | n & 3,
                    s,
                    sctlr=SCTLR_TRE,
                    prrr=LINUX_PRRR,
                    nmrr=LINUX_NMRR,
                )
                shareability = OUTER if attr in (SO, DEVICE) else INNER if s else NONE
                assert found == (attr, shareability)


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("inner", range(4))
@pytest.mark.parametrize("outer", range(4))
def test_nmrr_gives_inner_and_outer_cacheability_of_normal_memory(n: int, inner: int, outer: int) -> None:
    nibble = (0x4, 0xF, 0xA, 0xE)
    attr, _ = type_of(
        "small",
        n,
        0,
        sctlr=SCTLR_TRE,
        prrr=0b10 << 2 * n,
        nmrr=inner << 2 * n | outer << (16 + 2 * n),
    )
    assert attr == nibble[outer] << 4 | nibble[inner]


@pytest.mark.parametrize("s", [0, 1])
@pytest.mark.parametrize("ns0", [0, 1])
@pytest.mark.parametrize("ns1", [0, 1])
@pytest.mark.parametrize("nos", [0, 1])
def test_prrr_maps_s_and_says_whether_shared_means_inner(s: int, ns0: int, ns1: int, nos: int) -> None:
    n = 5
    prrr = 0b10 << 2 * n | ns0 << 18 | ns1 << 19 | nos << (24 + n)
    _, shareability = type_of("small", n, s, sctlr=SCTLR_TRE, prrr=prrr)
    shared = ns1 if s else ns0
    assert shareability == (NONE if not shared else INNER if nos else OUTER)


def test_a_disabled_mmu_is_strongly_ordered_for_data_and_normal_for_fetches() -> None:
    with Memory() as memory:
        assert translate(memory, Regime(), VA).attr == SO
        assert translate(memory, Regime(), VA, Access.FETCH).attr == NC
        assert translate(memory, Regime(sctlr=SCTLR_I), VA, Access.FETCH).attr == WT
