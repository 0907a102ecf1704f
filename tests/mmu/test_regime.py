"""Regimes from register dumps."""

from __future__ import annotations

import pytest

from pyemu.mmu import Regime


def test_a_regime_is_read_from_hexadecimal_registers_of_any_case() -> None:
    regime = Regime.from_registers(
        {
            "SCTLR": "0x30c5387d",
            "ttbcr": "b5023500",
            "TTBR0": "0x330000425963c0",
            "TTBR1": 0x40207000,
            "MAIR0": "0xeeaa4400",
            "CONTEXTIDR_EL1": "0x12",
            "r0": "not looked at",
        }
    )
    assert regime == Regime(
        sctlr=0x30C5387D,
        ttbcr=0xB5023500,
        ttbr0=0x330000425963C0,
        ttbr1=0x40207000,
        mair0=0xEEAA4400,
        contextidr=0x12,
    )
    assert regime.mmu_on
    assert regime.long_format


def test_prrr_and_nmrr_are_mair0_and_mair1() -> None:
    regime = Regime.from_registers(
        {"sctlr": 0, "ttbcr": 0, "ttbr0": 0, "prrr": "ff0a81a8", "nmrr": "40e040e0"}
    )
    assert (regime.mair0, regime.mair1) == (0xFF0A81A8, 0x40E040E0)
    assert not regime.mmu_on
    assert not regime.long_format


@pytest.mark.parametrize(
    ("registers", "text"),
    [
        ({"ttbcr": 0, "ttbr0": 0}, "register SCTLR is missing"),
        ({"sctlr": 1, "ttbcr": 0}, "register TTBR0 is missing"),
        ({"sctlr": "zz", "ttbcr": 0, "ttbr0": 0}, "register SCTLR = 'zz' is not a hexadecimal number"),
        ({"sctlr": 1 << 32, "ttbcr": 0, "ttbr0": 0}, "register SCTLR = 0x100000000 does not fit its 32 bits"),
        ({"sctlr": 1, "ttbcr": 0, "ttbr0": 1 << 64}, "TTBR0 = 0x10000000000000000 does not fit its 64 bits"),
        ({"sctlr": -1, "ttbcr": 0, "ttbr0": 0}, "SCTLR = -0x1 does not fit"),
    ],
)
def test_what_is_no_regime_is_refused_by_register(registers: dict[str, str | int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Regime.from_registers(registers)
