"""Kconfig's rules: what cannot be is refused with the rule that forbids it."""

from __future__ import annotations

from typing import Any

import pytest

from pyemu.config import GIB, MIB, UserError
from pyemu.kernel import KernelConfig
from pyemu.kernel.layout import Layout

FORBIDDEN = [
    ({"vmsplit": "3g_opt"}, "VMSPLIT_3G_OPT depends on !ARM_LPAE"),
    ({"highmem": False, "highpte": True}, "HIGHPTE depends on HIGHMEM: highmem on, or highpte off"),
    ({"highpte": True, "preemption": "rt"}, "HIGHPTE depends on HIGHMEM && !PREEMPT_RT"),
    ({"tables": "classic", "memory_bytes": 16 * GIB}, "RAM above 4 GB depends on ARM_LPAE"),
    ({"tables": "classic", "memory_bytes": 3 * GIB + 2 * MIB}, "RAM above 4 GB depends on ARM_LPAE"),
    ({"tables": "classic", "thp": True}, "HAVE_ARCH_TRANSPARENT_HUGEPAGE depends on ARM_LPAE"),
    ({"tables": "classic", "ttbr0_pan": True}, "CPU_TTBR0_PAN depends on ARM_LPAE"),
    ({"debug_kmap_local": True, "nr_cpus": 17}, "NR_CPUS is at most 16 with DEBUG_KMAP_LOCAL"),
    ({"high_get": "debug", "nr_cpus": 17}, "NR_CPUS is at most 16 with DEBUG_KMAP_LOCAL"),
    ({"high_get": "debug", "highmem": False}, "DEBUG_HIGHMEM depends on HIGHMEM"),
]

ALLOWED = [
    {"tables": "classic", "vmsplit": "3g_opt"},
    {"tables": "classic", "memory_bytes": 3 * GIB},
    {"preemption": "rt", "highpte": False},
    {"preemption": "rt", "highpte": True, "remedy": "trylock"},
    {"preemption": "full", "highpte": True},
    {"debug_kmap_local": True, "nr_cpus": 16},
    {"highmem": False, "memory_bytes": 16 * GIB},
    {"vmsplit": "1g", "memory_bytes": 16 * GIB},
]

OUT_OF_RANGE = [
    ({"memory_bytes": 63 * MIB}, "a multiple of 2M from 64M to 64G"),
    ({"memory_bytes": GIB + MIB}, "a multiple of 2M from 64M to 64G"),
    ({"memory_bytes": 65 * GIB}, "a multiple of 2M from 64M to 64G"),
    ({"memory_bytes": -1}, "memory_bytes of -1 is no size"),
    ({"vmalloc_bytes": 8 * MIB}, "a multiple of 2M from 16M to 976M"),
    ({"vmalloc_bytes": 978 * MIB}, "a multiple of 2M from 16M to 976M"),
    ({"cpus": 0}, "cpus: 0 CPUs: 1 to 8"),
    ({"cpus": 4, "nr_cpus": 2}, "cpus: 4 CPUs: 1 to 2"),
    ({"nr_cpus": 33}, "nr_cpus: 33 windows' worth of CPUs: 1 to 32"),
    ({"vmsplit": "4g"}, "vmsplit '4g' is not known: 3g, 3g_opt, 2g, 1g are"),
    ({"timing": "cache"}, "timing cache needs a core"),
    ({"core": "cortex-a99"}, "no core 'cortex-a99'"),
    ({"boot": "windows"}, "no boot 'windows'"),
]


@pytest.mark.parametrize(("options", "rule"), FORBIDDEN)
def test_a_forbidden_combination_is_refused_with_its_rule(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(UserError) as refusal:
        KernelConfig(**options)
    assert rule in str(refusal.value)
    assert "would be right" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("options", ALLOWED)
def test_what_kconfig_allows_is_built(options: dict[str, Any]) -> None:
    assert KernelConfig(**options).rules() == []


@pytest.mark.parametrize(("options", "text"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_with_what_would_be_right(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as refusal:
        KernelConfig(**options)
    assert text in str(refusal.value)


def test_force_builds_highpte_under_preempt_rt_and_says_what_it_set_aside() -> None:
    forced = KernelConfig(highpte=True, preemption="rt", force=True)
    (rule,) = forced.rules()
    assert (rule.symbol, rule.rule) == ("HIGHPTE", "HIGHPTE depends on HIGHMEM && !PREEMPT_RT")
    assert rule.forceable


@pytest.mark.parametrize(("options", "rule"), [entry for entry in FORBIDDEN if "PREEMPT_RT" not in entry[1]])
def test_force_does_not_build_what_cannot_work(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(UserError, match=r"would be right$"):
        KernelConfig(**options, force=True)


def test_highpte_is_by_default_what_kconfig_makes_it() -> None:
    assert KernelConfig().uses_highpte
    assert not KernelConfig(preemption="rt").uses_highpte
    assert not KernelConfig(highmem=False).uses_highpte


def test_lowmem_that_does_not_hold_mem_map_is_refused() -> None:
    with pytest.raises(Exception, match=r"lowmem of 240 MB does not hold the kernel and 144 MB of mem_map"):
        Layout.of(KernelConfig(memory_bytes=16 * GIB, vmalloc_bytes=768 * MIB))
