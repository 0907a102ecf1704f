"""/proc/meminfo, zoneinfo, buddyinfo and pagetypeinfo of a model, as the kernel prints them.

Lines for things that the model does not have (swap, page cache, per-CPU lists) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyemu.kernel.kernel import Kernel
from pyemu.kernel.memory import MigrateType, Zone, ZoneInfo

__all__ = ["buddyinfo", "meminfo", "pagetypeinfo", "zoneinfo"]

_KIB_PER_PAGE = 4
# In the kernel's order; the model uses neither HighAtomic nor Isolate.
_TYPES: dict[str, MigrateType | None] = {
    "Unmovable": MigrateType.UNMOVABLE,
    "Movable": MigrateType.MOVABLE,
    "Reclaimable": MigrateType.RECLAIMABLE,
    "HighAtomic": None,
    "CMA": MigrateType.CMA,
    "Isolate": None,
}


def meminfo(kernel: Kernel) -> str:
    """/proc/meminfo; kB."""
    info = kernel.meminfo
    pages = {
        "MemTotal": info.mem_total,
        "MemFree": info.mem_free,
        "MemAvailable": info.mem_available,
        "HighTotal": info.high_total,
        "HighFree": info.high_free,
        "LowTotal": info.low_total,
        "LowFree": info.low_free,
        "AnonPages": info.anon_pages,
        "Mapped": info.mapped,
        "Shmem": info.shmem,
        "Slab": info.slab,
        "KernelStack": info.kernel_stack,
        "PageTables": info.page_tables,
        "VmallocTotal": info.vmalloc_total,
        "AnonHugePages": info.anon_huge_pages,
        "CmaTotal": info.cma_total,
        "CmaFree": info.cma_free,
    }
    if not kernel.config.highmem:
        pages = {name: count for name, count in pages.items() if not name.startswith(("High", "Low"))}
    return "".join(f"{name + ':':<16}{count * _KIB_PER_PAGE:>8} kB\n" for name, count in pages.items())


def buddyinfo(kernel: Kernel) -> str:
    """/proc/buddyinfo: free blocks of each zone by order."""
    lines = []
    for _, zone in _zones(kernel):
        if zone.managed:
            blocks = [sum(column) for column in zip(*zone.free_blocks, strict=True)]
            lines.append(f"Node 0, zone {zone.name:>8} " + "".join(f"{count:6} " for count in blocks))
    return "".join(line + "\n" for line in lines)


def pagetypeinfo(kernel: Kernel) -> str:
    """/proc/pagetypeinfo: free blocks by migrate type and order, and pageblocks by type."""
    zones = [zone for _, zone in _zones(kernel) if zone.managed]
    order = kernel.pageblock_order
    orders = range(len(zones[0].free_blocks[0]))
    lines = [f"Page block order: {order}", f"Pages per block:  {1 << order}", ""]
    lines.append(f"{'Free pages count per migrate type at order':<43} " + "".join(f"{n:6} " for n in orders))
    for zone in zones:
        for name, kind in _TYPES.items():
            blocks = [0 for _ in orders] if kind is None else zone.free_blocks[kind]
            counts = "".join(f"{count:6} " for count in blocks)
            lines.append(f"Node {0:4}, zone {zone.name:>8}, type {name:>12} {counts}")
    lines += ["", f"{'Number of blocks type ':<23}" + "".join(f"{name:>12} " for name in _TYPES)]
    for zone in zones:
        counts = "".join(f"{0 if kind is None else zone.pageblocks[kind]:12} " for kind in _TYPES.values())
        lines.append(f"Node 0, zone {zone.name:>8} {counts}")
    return "".join(line + "\n" for line in lines)


def zoneinfo(kernel: Kernel) -> str:
    """/proc/zoneinfo; pages."""
    lines: list[str] = []
    first = True
    for index, zone in _zones(kernel):
        lines.append(f"Node 0, zone {zone.name:>8}")
        if zone.managed and first:
            lines += _node(kernel)
            first = False
        lines += _zone(kernel, index, zone)
    return "".join(line + "\n" for line in lines)


def _zones(kernel: Kernel) -> Iterator[tuple[Zone, ZoneInfo]]:
    """Zones that the kernel is configured with, whether they hold pages or not."""
    for index in Zone:
        if index is Zone.DMA and not kernel.config.zone_dma:
            continue
        if index is Zone.HIGHMEM and not kernel.config.highmem:
            continue
        yield index, kernel.zone(index)


def _node(kernel: Kernel) -> Iterator[str]:
    info = kernel.meminfo
    counters = {
        "nr_anon_pages": info.anon_pages,
        "nr_mapped": info.mapped,
        "nr_shmem": info.shmem,
        "nr_anon_transparent_hugepages": info.anon_huge_pages // 512,
        "nr_kernel_stack": info.kernel_stack * _KIB_PER_PAGE,
        "nr_page_table_pages": info.page_tables,
    }
    yield "  per-node stats"
    for name, count in counters.items():
        yield f"      {name:<12} {count}"


def _zone(kernel: Kernel, index: Zone, zone: ZoneInfo) -> Iterator[str]:
    # ZONE_MOVABLE, which the model has not, comes last and is protected as HighMem is.
    protection = [zone.protection[other] for other, _ in _zones(kernel)]
    protection.append(max(zone.protection[index:], default=0))
    yield f"  pages free     {zone.free}"
    yield f"        min      {zone.min}"
    yield f"        low      {zone.low}"
    yield f"        high     {zone.high}"
    yield f"        spanned  {zone.spanned}"
    yield f"        present  {zone.present}"
    yield f"        managed  {zone.managed}"
    yield f"        cma      {zone.cma}"
    yield f"        protection: ({', '.join(str(pages) for pages in protection)})"
    if zone.managed:
        yield f"      nr_free_pages {zone.free}"
        yield f"      nr_free_cma  {zone.free_cma}"
        yield f"  start_pfn:           {zone.start_pfn}"
