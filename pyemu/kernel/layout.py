"""Where things are: virtual areas and physical reservations of a kernel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pyemu.kernel.config import KernelConfig
from pyemu.native import check, error, ffi, lib

__all__ = ["Layout", "Range", "ranges"]


@dataclass(frozen=True)
class Range:
    """Addresses from ``start`` to ``end``, which is the last byte."""

    name: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start + 1


@dataclass(frozen=True)
class Layout:
    """Addresses of a configuration (arch/arm/include/asm/memory.h, pgtable.h, highmem.h, fixmap.h).

    ``*_pa`` and ``phys_offset``, ``ram_end``, ``lowmem_limit`` are physical, the others virtual.
    """

    phys_offset: int
    ram_end: int
    lowmem_limit: int
    page_offset: int
    task_size: int
    task_unmapped_base: int
    modules_start: int
    modules_end: int
    pkmap_base: int
    high_memory: int
    vmalloc_start: int
    vmalloc_end: int
    fdt_base: int
    fdt_bytes: int
    fixaddr_start: int
    fixaddr_top: int
    vectors_base: int
    kmap_slots: int
    struct_page_bytes: int
    fdt_pa: int
    swapper_pa: int
    mem_map_pa: int
    mem_map_va: int
    mem_map_bytes: int

    @classmethod
    def of(cls, config: KernelConfig) -> Layout:
        """The layout of a configuration, without a model."""
        err = error()
        out = ffi.new("pe_kernel_layout *")
        native, _keep = config.native()
        check(lib.pe_kernel_layout_of(native, out, err), err)
        return cls.from_native(out)

    @classmethod
    def from_native(cls, native: Any) -> Layout:
        """The Python form of a ``pe_kernel_layout``."""
        return cls(**{field.name: getattr(native, field.name) for field in fields(cls)})

    @property
    def lowmem_bytes(self) -> int:
        """RAM that the kernel maps for good."""
        return self.lowmem_limit - self.phys_offset

    @property
    def highmem_bytes(self) -> int:
        """RAM that it maps by the page."""
        return self.ram_end - self.lowmem_limit

    @property
    def areas(self) -> list[Range]:
        """Virtual areas, ordered by start."""
        native = ffi.new("pe_kernel_layout *", {f.name: getattr(self, f.name) for f in fields(self)})
        return ranges(lambda out, count: int(lib.pe_kernel_layout_areas(native, out, count)))


def ranges(ask: Any) -> list[Range]:
    """What a function of ``pe_kernel_range *, size_t`` lists."""
    count = ask(ffi.NULL, 0)
    out = ffi.new("pe_kernel_range[]", count)
    ask(out, count)
    return [Range(ffi.string(r.name).decode(), r.start, r.end) for r in out]
