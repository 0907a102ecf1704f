"""`pyemu kernel`: layout and /proc views of a configuration."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.conftest import Completed

Run = Callable[..., Completed]


def test_meminfo_says_what_the_real_kernel_said_at_4g(run_pyemu: Run) -> None:
    done = run_pyemu("kernel", "meminfo", "--mem", "4G")
    assert (done.status, done.stderr) == (0, "")
    found = dict(re.findall(r"^(\w+): +(\d+) kB$", done.stdout, re.M))
    assert int(found["LowTotal"]) == pytest.approx(663060, rel=0.01)
    assert int(found["HighTotal"]) == pytest.approx(3391488, rel=0.01)


def test_layout_lists_areas_and_reservations_in_order(run_pyemu: Run) -> None:
    text = run_pyemu("kernel", "layout").stdout
    virtual, physical = text.split("physical\n")
    for part in (virtual, physical):
        starts = [int(start, 16) for start in re.findall(r"^  (0x[0-9a-f]+)-", part, re.M)]
        assert starts == sorted(starts)
        assert len(starts) > 5
    assert re.search(r"0xbfe00000-0xbfffffff +2,048 kB  PKMAP$", virtual, re.M)
    assert "lowmem 768 MB, highmem 256 MB" in physical


@pytest.mark.parametrize("view", ["zoneinfo", "buddyinfo", "pagetypes"])
def test_proc_views_have_both_zones(run_pyemu: Run, view: str) -> None:
    text = run_pyemu("kernel", view).stdout
    assert re.search(r"zone +DMA", text)
    assert re.search(r"zone +HighMem", text)


def test_json_is_one_object_with_all_views(run_pyemu: Run) -> None:
    found = run_pyemu("kernel", "layout", "--mem", "512M", "--json").json
    assert found["meminfo_pages"]["high_total"] == 0
    assert found["layout"]["areas"][-1]["name"] == "vectors"
    assert sum(zone["managed"] for zone in found["zones"]) == found["meminfo_pages"]["mem_total"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["layout", "--vmsplit", "3g_opt"], "VMSPLIT_3G_OPT depends on !ARM_LPAE"),
        (["layout", "--highpte", "--preempt-rt"], "HIGHPTE depends on HIGHMEM && !PREEMPT_RT"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_with_status_2(run_pyemu: Run, options: list[str], part: str) -> None:
    done = run_pyemu("kernel", *options)
    assert (done.status, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert part in done.stderr
