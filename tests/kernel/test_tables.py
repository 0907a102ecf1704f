"""init_mm's tables in guest RAM: what they translate, and how they compare with those of real kernels."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import pytest

from pyemu.config import GIB, MIB, parse_size
from pyemu.kernel import Kernel, KernelConfig
from pyemu.mmu import Access, Fault, Prot, translate
from pyemu.mmu.batch import translate_many
from tests.mmu.dump_cases import dump

PAGE = 4096
NOWHERE = (1 << 64) - 1

CONFIGS: dict[str, dict[str, Any]] = {
    "lpae 3g 512M": {"memory_bytes": 512 * MIB},
    "lpae 3g 1G": {},
    "lpae 3g 8G": {"memory_bytes": 8 * GIB},
    "lpae 2g 4G": {"memory_bytes": 4 * GIB, "vmsplit": "2g"},
    "lpae 1g 4G": {"memory_bytes": 4 * GIB, "vmsplit": "1g"},
    "lpae pan": {"ttbr0_pan": True},
    "lpae no highmem": {"highmem": False},
    "classic 3g": {"tables": "classic"},
    "classic 3g_opt": {"tables": "classic", "vmsplit": "3g_opt", "memory_bytes": 2 * GIB},
    "classic 1g": {"tables": "classic", "vmsplit": "1g", "memory_bytes": 3 * GIB},
}


def model(name: str) -> Kernel:
    return Kernel(KernelConfig(functional=True, **CONFIGS[name]))


def translate_pages(kernel: Kernel, vas: Iterable[int]) -> list[int]:
    """Physical addresses for PL1, or NOWHERE."""
    pages = array("I", vas)
    out = array("Q", bytes(8 * len(pages)))
    translate_many(kernel.memory, kernel.regime(), pages, out, privileged=True)
    return out.tolist()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_page_of_lowmem_translates_to_its_linear_address(name: str) -> None:
    with model(name) as kernel:
        layout = kernel.layout
        vas = range(layout.page_offset, layout.high_memory, PAGE)
        pas = translate_pages(kernel, vas)
        assert pas == [va - layout.page_offset + layout.phys_offset for va in vas]


@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_else_is_mapped_than_what_the_boot_maps(name: str) -> None:
    with model(name) as kernel:
        layout = kernel.layout
        vas = [va for va in range(0, 1 << 32, PAGE) if not layout.page_offset <= va < layout.high_memory]
        pas = translate_pages(kernel, vas)
        mapped = {va for va, pa in zip(vas, pas, strict=True) if pa != NOWHERE}
        devices = {va for va in mapped if layout.vmalloc_start <= va < layout.vmalloc_end}
        fdt = set(range(layout.fdt_base, layout.fdt_base + layout.fdt_bytes, PAGE))
        vectors = {layout.vectors_base, layout.vectors_base + PAGE}
        assert mapped == devices | fdt | vectors
        assert len(devices) == 2 * 16 + 3 + 2, "GIC, UART, RTC, GPIO, and a stack of two pages"


@pytest.mark.parametrize("name", CONFIGS)
def test_permissions_are_those_of_strict_kernel_rwx(name: str) -> None:
    with model(name) as kernel:
        names = {r.name: r for r in kernel.reservations}
        offset = kernel.layout.page_offset - kernel.layout.phys_offset

        def prot(pa: int) -> Prot:
            return translate(kernel.memory, kernel.regime(), pa + offset, privileged=True).prot

        text, data = names["kernel text"], names["kernel data"]
        assert prot(text.start) == Prot.READ | Prot.EXEC
        assert prot(text.end) == Prot.READ, "read-only data"
        assert prot(data.start) == prot(data.end) == Prot.READ | Prot.WRITE
        assert prot(kernel.layout.lowmem_limit - 1) == Prot.READ | Prot.WRITE
        for va in (text.start + offset, kernel.layout.fdt_base, kernel.layout.lowmem_limit - 1 + offset):
            user = translate(kernel.memory, kernel.regime(), va, privileged=False)
            assert user.fault is Fault.PERMISSION


@pytest.mark.parametrize("name", CONFIGS)
def test_vectors_are_executable_for_users_and_their_stubs_are_not(name: str) -> None:
    with model(name) as kernel:
        vectors = kernel.layout.vectors_base
        for va, allowed in ((vectors, True), (vectors + PAGE, False)):
            for access in (Access.READ, Access.FETCH):
                found = translate(kernel.memory, kernel.regime(), va, access, privileged=False)
                assert found.ok == allowed
        assert not translate(kernel.memory, kernel.regime(), vectors, Access.WRITE, privileged=True).ok


REAL = {
    "512M-usr": {"memory_bytes": parse_size("512M")},
    "1G-usr": {"memory_bytes": parse_size("1G")},
    "8G-usr": {"memory_bytes": parse_size("8G")},
    "rt-armmp-1G-usr": {"memory_bytes": parse_size("1G"), "tables": "classic", "preemption": "rt"},
}


@pytest.mark.parametrize("case", REAL)
def test_registers_are_those_of_the_real_kernel(case: str) -> None:
    real = dump(case).regime
    with Kernel(KernelConfig(functional=True, **REAL[case])) as kernel:  # type: ignore[arg-type]
        ours = kernel.regime()
        for field in ("sctlr", "ttbcr", "ttbr1", "mair0", "mair1"):
            assert getattr(ours, field) == getattr(real, field), field
        if dump(case).long_format:
            assert ours.dacr == real.dacr


@pytest.mark.parametrize("case", REAL)
def test_descriptors_of_lowmem_device_tree_and_vectors_are_those_of_the_real_kernel(case: str) -> None:
    """All leaves of the linear map and the device tree bit for bit; of vectors all but the address."""
    compared = 0
    with Kernel(KernelConfig(functional=True, **REAL[case])) as kernel:  # type: ignore[arg-type]
        layout = kernel.layout
        address = 0xFFFFFFF000 if dump(case).long_format else 0xFFFFF000
        for _, va, level, descriptor, kind in dump(case).mappings:
            linear = layout.page_offset <= va < layout.high_memory
            vectors = va >= layout.vectors_base
            fdt = layout.fdt_base <= va < layout.fdt_base + layout.fdt_bytes
            if kind not in ("block", "section", "page", "small") or not (linear or vectors or fdt):
                continue
            if kernel.layout.high_memory - 16 * MIB <= va < kernel.layout.high_memory and kind == "page":
                continue  # CMA pages that a driver has mapped uncached
            ours = translate(kernel.memory, kernel.regime(), va, privileged=True)
            if fdt and not ours.ok:
                continue
            mask = ~address if vectors else ~0
            if fdt and kind == "section":
                mask = ~0xFFF00000  # its loader put it elsewhere
            assert ours.level == level, hex(va)
            assert ours.descriptor & mask == descriptor & mask, hex(va)
            compared += 1
    assert compared >= (250 if "512M" in case else 380)
