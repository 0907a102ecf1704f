"""Linux' PTEs and what the hardware sees of them: software young and dirty, in both formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.native import lib
from tests.mmu.dump_cases import PAGE, dump

LPAE, CLASSIC = lib.PE_TABLES_LPAE, lib.PE_TABLES_CLASSIC

# asm/pgtable-3level.h
L3_VALID, L3_AP2, L3_NG = 1 << 0, 1 << 7, 1 << 11
L3_DIRTY, L3_NONE, L3_RDONLY = 1 << 55, 1 << 57, 1 << 58
# asm/pgtable-2level.h
L2_PRESENT, L2_YOUNG, L2_DIRTY, L2_RDONLY = 0x1, 0x2, 0x40, 0x80
L2_USER, L2_XN, L2_SHARED, L2_NONE = 0x100, 0x200, 0x400, 0x800


def hardware(tables: int, pte: int, *, user: bool) -> int:
    return int(lib.pe_kernel_hardware_pte(tables, pte, not user))


@given(st.integers(0, (1 << 64) - 1), st.booleans())
def test_lpae_entries_are_read_only_until_dirty_and_invalid_where_nobody_may(pte: int, user: bool) -> None:
    """FACTS of cpu_v7_set_pte_ext, arch/arm/mm/proc-v7-3level.S."""
    stored = hardware(LPAE, pte, user=user)
    none = pte & L3_VALID and pte & L3_NONE
    assert bool(stored & L3_VALID) == bool(pte & L3_VALID and not none)
    assert bool(stored & L3_AP2) == (not pte & L3_DIRTY or bool(pte & L3_RDONLY))
    assert bool(stored & L3_NG) == (user or bool(pte & L3_NG))
    assert not (stored ^ pte) & ~(L3_VALID | L3_AP2 | L3_NG)


@given(st.integers(0, (1 << 32) - 1), st.booleans())
def test_a_short_descriptor_faults_until_young_and_is_read_only_until_dirty(pte: int, user: bool) -> None:
    """FACTS of cpu_v7_set_pte_ext, arch/arm/mm/proc-v7-2level.S."""
    entry = hardware(CLASSIC, pte, user=user)
    if not (pte & L2_PRESENT and pte & L2_YOUNG) or pte & L2_NONE:
        assert entry == 0
        return
    assert entry & ~0xFFF == pte & ~0xFFF
    assert entry & 2, "a small page"
    assert bool(entry & 1) == bool(pte & L2_XN)
    assert bool(entry >> 9 & 1) == (not pte & L2_DIRTY or bool(pte & L2_RDONLY))
    assert entry >> 4 & 3 == (3 if pte & L2_USER else 1)
    assert bool(entry >> 10 & 1) == bool(pte & L2_SHARED)
    assert bool(entry >> 11 & 1) == user
    assert (entry >> 2 & 3, entry >> 6 & 7) == (pte >> 2 & 3, pte >> 4 & 1), "C, B and TEX"


@pytest.mark.parametrize("case", ["rt-armmp-1G-usr", "rt-armmp-1G-svc"])
def test_hardware_copies_are_those_of_the_real_kernel(case: str) -> None:
    """Every entry of every PTE page: the Linux half in front, the hardware's half behind it."""
    compared = 0
    tables = {entry & ~(PAGE - 1) for entry in first_level(case) if entry & 3 == 1}
    user_tables = {entry & ~(PAGE - 1) for entry in first_level(case)[: 0xBF000000 >> 20] if entry & 3 == 1}
    for pa in tables:
        words = memoryview(dump(case).pages[pa]).cast("I")
        for linux, real in zip(words[:512], words[512:], strict=True):
            if linux:
                assert hardware(CLASSIC, linux, user=pa in user_tables) == real, f"{linux:#x}"
                compared += 1
    assert compared > 500


def first_level(case: str) -> list[int]:
    base = dump(case).regime.ttbr0 & ~0x3FFF
    return [word for i in range(4) for word in memoryview(dump(case).pages[base + i * PAGE]).cast("I")]


@pytest.mark.parametrize("case", ["512M-usr", "1G-usr", "1G-svc", "8G-usr"])
def test_pages_of_the_real_lpae_kernel_are_what_set_pte_stores(case: str) -> None:
    compared = 0
    for _, va, level, entry, kind in dump(case).mappings:
        if level == 3 and kind == "page":
            assert hardware(LPAE, entry, user=va < 0xBF000000) == entry, f"{va:#x}: {entry:#x}"
            compared += 1
    assert compared > 500
