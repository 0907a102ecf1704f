"""DFSR and IFSR in words: what the core encodes is decoded to the same fault."""

from __future__ import annotations

import pytest

from pyemu.mmu import Access, Fault, Flag, Prot, Regime, Translation, decode_fault_status, fault_status

LEVELLED = {Fault.EXTERNAL_WALK, Fault.TRANSLATION, Fault.ACCESS_FLAG, Fault.DOMAIN, Fault.PERMISSION}


def faulting(fault: Fault, level: int, domain: int = 0) -> Translation:
    return Translation(0, fault, level, Prot.NONE, Prot.NONE, 0, 0, domain, 0, Flag.NONE, 0, 0)


FAULTS = [fault for fault in Fault if fault is not Fault.NONE]


@pytest.mark.parametrize(
    ("fault", "long_format"),
    [(fault, False) for fault in FAULTS] + [(fault, True) for fault in FAULTS if fault is not Fault.DOMAIN],
)
@pytest.mark.parametrize("access", list(Access))
def test_what_the_core_encodes_is_decoded(fault: Fault, access: Access, long_format: bool) -> None:
    regime = Regime(ttbcr=long_format << 31)
    for level in (1, 2, 3) if long_format else (1, 2):
        domain = 0 if long_format else 9
        status = decode_fault_status(fault_status(regime, faulting(fault, level, domain), access))
        assert (status.fault, status.long_format) == (fault, long_format)
        assert status.level == (level if fault in LEVELLED else None)
        assert status.write == (access is Access.WRITE)
        if access is not Access.FETCH:
            assert status.domain == (None if long_format else 9)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0x005, "level 1 translation fault"),
        (0x80F, "level 2 permission fault"),
        (0x00B, "level 2 domain fault"),
        (0x001, "alignment fault"),
        (0x008, "external abort"),
        (0x00C, "level 1 external abort on walk"),
        (0x207, "level 3 translation fault"),
        (0x221, "alignment fault"),
        (0x20A, "level 2 access flag fault"),
        (0x400, "unknown fault"),
        (0x23F, "unknown fault"),
    ],
)
def test_a_status_reads_as_words(value: int, text: str) -> None:
    assert decode_fault_status(value).text == text


def test_cache_maintenance_is_told_from_a_store() -> None:
    value = fault_status(Regime(), faulting(Fault.TRANSLATION, 2), Access.WRITE, cache_maintenance=True)
    assert decode_fault_status(value).cache_maintenance
    assert not decode_fault_status(value & ~(1 << 13)).cache_maintenance
