"""Zones of a model against those of real kernels with the same memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pyemu.config import parse_size
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.memory import Zone
from pyemu.kernel.views import buddyinfo, meminfo, pagetypeinfo, zoneinfo
from tests.conftest import DATA

TOTALS = json.loads((DATA / "linux-memory.json").read_text())
ZONES = json.loads((DATA / "linux-zones.json").read_text())["kernels"]
PROC = (DATA / "proc/armmp-lpae-4G.txt").read_text()

FLAVOURS: dict[str, dict[str, Any]] = {
    "armmp-lpae": {},
    "rt-armmp": {"tables": "classic", "preemption": "rt"},
}


def model(flavour: str, size: str) -> Kernel:
    return Kernel(KernelConfig(memory_bytes=parse_size(size), functional=True, **FLAVOURS[flavour]))


@pytest.mark.parametrize(("flavour", "size"), [(f, size) for f in FLAVOURS for size in TOTALS[f]])
def test_low_and_high_total_are_those_of_the_real_kernel(flavour: str, size: str) -> None:
    with model(flavour, size) as kernel:
        info = kernel.meminfo
        assert info.low_total * 4 == pytest.approx(TOTALS[flavour][size]["LowTotal"], rel=2e-4)
        assert info.high_total * 4 == TOTALS[flavour][size]["HighTotal"]
        kernel.check()


@pytest.mark.parametrize(("flavour", "size"), [(f, size) for f in FLAVOURS for size in ZONES[f]])
def test_watermarks_and_reserves_are_those_of_the_real_kernel(flavour: str, size: str) -> None:
    """Those kernels ran with a smaller device tree, which is 1 MB of lowmem."""
    with model(flavour, size) as kernel:
        for index, name in ((Zone.DMA, "DMA"), (Zone.NORMAL, "Normal"), (Zone.HIGHMEM, "HighMem")):
            ours, real = kernel.zone(index), ZONES[flavour][size][name]
            assert (ours.spanned, ours.cma) == (real["spanned"], real["cma"])
            assert ours.managed == pytest.approx(real["managed"], abs=280)
            assert list(ours.protection) == real["protection"]
            if ours.managed:
                for mark in ("min", "low", "high"):
                    assert getattr(ours, mark) == pytest.approx(real[mark], rel=0.005)


@pytest.mark.parametrize("view", [meminfo, zoneinfo, buddyinfo, pagetypeinfo])
def test_a_view_has_the_lines_of_the_real_one_in_their_order(view: Callable[[Kernel], str]) -> None:
    def shape(line: str) -> str:
        line = re.sub(r" +\d+", " 0", line)
        return re.sub(r"\d+", "0", line.rstrip())

    real = iter([shape(line) for line in PROC.splitlines()])
    with model("armmp-lpae", "4G") as kernel:
        text = view(kernel)
    for line in text.splitlines():
        assert shape(line) in real, line


def test_numbers_are_as_wide_as_in_the_real_files() -> None:
    with model("armmp-lpae", "4G") as kernel:
        lines = (meminfo(kernel) + buddyinfo(kernel) + pagetypeinfo(kernel)).splitlines()
    widths = {(re.sub(r"\d+| ", "", line), len(line)) for line in PROC.splitlines()}
    for line in lines:
        assert (re.sub(r"\d+| ", "", line), len(line)) in widths, line


def test_meminfo_without_highmem_has_no_low_and_high() -> None:
    with Kernel(KernelConfig(highmem=False, functional=True)) as kernel:
        assert "HighTotal" not in meminfo(kernel)
        assert kernel.meminfo.high_total == 0
