"""A real kernel under the cycle model: Debian LPAE at 1 GB, to its first program and to power-off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import boot_twice
from tests.acceptance.guest import Guest

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("level", ["tlb", "cache"])
def test_a_real_kernel_has_a_plausible_bill_that_is_the_same_in_each_run(
    level: str, debian: Callable[..., Guest], tmp_path: Path
) -> None:
    guest = replace(debian("armmp-lpae", "1G"), append="console=ttyAMA0 rdinit=/boot-only", timing=level)
    run = boot_twice(guest, [], tmp_path)
    assert "init: up" in run.console
    assert run.summary["reason"] == "poweroff"
    bill = run.summary["timing"]
    (cpu,) = bill["cpus"]
    assert 0.5 < bill["cpi"] < 3
    charges = [charge for who in ("user", "kernel") for charge in cpu[who]["categories"].values()]
    assert sum(charge["cycles"] for charge in charges) == cpu["cycles"] == bill["cycles"]
    # A CPU that waits spends time and no cycles.
    assert run.summary["guest_seconds"] > bill["cycles"] / bill["clock_hz"]
    assert cpu["instructions"] == run.summary["instructions"]
    assert 0 < cpu["tlb"]["main_misses"]["read"] < cpu["tlb"]["micro_misses"]["read"]
    if level == "cache":
        for name, most in (("l1i", 0.05), ("l1d", 0.05)):
            cache = cpu[name]
            assert 0 < cache["read_misses"] < most * cache["reads"]
        assert 0 < bill["l2"]["read_misses"] < bill["l2"]["reads"]
    else:
        assert cpu["l1d"] is None
