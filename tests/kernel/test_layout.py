"""The address space by configuration, against figures of arch/arm's headers and documentation."""

from __future__ import annotations

import itertools

import pytest

from pyemu.config import GIB, MIB, parse_size
from pyemu.kernel import Kernel, KernelConfig, Layout
from pyemu.kernel.config import Tables, VmSplit
from pyemu.kernel.memory import PageFlag

# RAM: MB of lowmem and highmem by split, vmalloc of 240 MB.
LOWMEM = {
    "512M": {"3g": (512, 0), "2g": (512, 0), "1g": (512, 0)},
    "1G": {"3g": (768, 256), "2g": (1024, 0), "1g": (1024, 0)},
    "2G": {"3g": (768, 1280), "2g": (1792, 256), "1g": (2048, 0)},
    "4G": {"3g": (768, 3328), "2g": (1792, 2304), "1g": (2816, 1280)},
    "8G": {"3g": (768, 7424), "2g": (1792, 6400), "1g": (2816, 5376)},
    "16G": {"3g": (768, 15616), "2g": (1792, 14592), "1g": (2816, 13568)},
}


@pytest.mark.parametrize("size", LOWMEM)
@pytest.mark.parametrize("split", ["3g", "2g", "1g"])
def test_lowmem_ends_where_split_and_vmalloc_leave_no_more(size: str, split: VmSplit) -> None:
    layout = Layout.of(KernelConfig(memory_bytes=parse_size(size), vmsplit=split))
    low, high = LOWMEM[size][split]
    assert (layout.lowmem_bytes, layout.highmem_bytes) == (low * MIB, high * MIB)
    assert layout.high_memory == layout.page_offset + low * MIB
    assert layout.vmalloc_start == (layout.high_memory + 8 * MIB) & -8 * MIB
    assert layout.vmalloc_end == 0xFF800000


def test_3g_opt_maps_a_gigabyte() -> None:
    layout = Layout.of(KernelConfig(memory_bytes=2 * GIB, tables="classic", vmsplit="3g_opt"))
    assert (layout.page_offset, layout.lowmem_bytes) == (0xB0000000, 1024 * MIB)


def test_each_megabyte_of_vmalloc_costs_one_of_lowmem() -> None:
    layout = Layout.of(KernelConfig(memory_bytes=GIB, vmalloc_bytes=340 * MIB))
    assert layout.lowmem_bytes == 668 * MIB


def test_without_highmem_ram_beyond_lowmem_is_dropped() -> None:
    layout = Layout.of(KernelConfig(memory_bytes=4 * GIB, highmem=False))
    assert layout.ram_end == layout.lowmem_limit == 0x40000000 + 768 * MIB
    assert (layout.pkmap_base, layout.modules_end) == (0, layout.page_offset)


@pytest.mark.parametrize(
    ("split", "offset", "task", "unmapped"),
    [
        ("3g", 0xC0000000, 0xBF000000, 0x40000000),
        ("2g", 0x80000000, 0x7F000000, 0x2B000000),
        ("1g", 0x40000000, 0x3F000000, 0x15000000),
    ],
)
def test_fixed_points_follow_the_split(split: VmSplit, offset: int, task: int, unmapped: int) -> None:
    layout = Layout.of(KernelConfig(vmsplit=split))
    assert (layout.page_offset, layout.task_size, layout.modules_start) == (offset, task, task)
    assert layout.pkmap_base == layout.modules_end == offset - 2 * MIB
    assert layout.task_unmapped_base == unmapped


def test_the_top_of_the_address_space_does_not_move() -> None:
    layout = Layout.of(KernelConfig())
    assert (layout.fixaddr_start, layout.fixaddr_top) == (0xFFC80000, 0xFFEFF000)
    assert (layout.fdt_base, layout.vectors_base) == (0xFF800000, 0xFFFF0000)
    assert (layout.kmap_slots, layout.struct_page_bytes) == (16, 36)
    debug = Layout.of(KernelConfig(debug_kmap_local=True, memcg=False))
    assert (debug.kmap_slots, debug.struct_page_bytes) == (33, 32)


@pytest.mark.parametrize("tables", ["lpae", "classic"])
@pytest.mark.parametrize("highmem", [True, False])
def test_areas_are_in_order_and_apart(tables: Tables, highmem: bool) -> None:
    config = KernelConfig(tables=tables, highmem=highmem)
    areas = Layout.of(config).areas
    assert len(areas) == (8 if highmem else 7)
    for area, after in itertools.pairwise(areas):
        assert area.start <= area.end < after.start


@pytest.mark.parametrize("size", ["64M", "512M", "1G", "3G", "4G", "16G", "64G"])
def test_what_the_boot_takes_is_apart_and_inside_ram(size: str) -> None:
    split: VmSplit = "1g" if size == "64G" else "3g"
    config = KernelConfig(memory_bytes=parse_size(size), vmsplit=split, functional=True)
    with Kernel(config) as kernel:
        taken = kernel.reservations
        layout = kernel.layout
        assert {"kernel text", "kernel data", "mem_map", "swapper_pg_dir", "device tree"} <= {
            r.name for r in taken
        }
        for one, after in itertools.pairwise(taken):
            assert one.end < after.start
        assert taken[0].start >= layout.phys_offset
        assert taken[-1].end < layout.ram_end
        mem_map = next(r for r in taken if r.name == "mem_map")
        assert mem_map.size == (layout.ram_end - layout.phys_offset) // 4096 * 36
        assert mem_map.end < layout.lowmem_limit
        assert layout.mem_map_va == mem_map.start - layout.phys_offset + layout.page_offset
        for one in (taken[0], mem_map):
            assert kernel.page(one.start >> 12).flags & PageFlag.RESERVED
            assert not kernel.page(one.end >> 12).free
