"""Frames and zones of a model, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import Any

from pyemu.native import ffi, lib

__all__ = ["Gfp", "MemInfo", "MigrateType", "PageFlag", "PageInfo", "Zone", "ZoneInfo"]


class Zone(IntEnum):
    """Zones, lowest first."""

    DMA = lib.PE_ZONE_DMA
    NORMAL = lib.PE_ZONE_NORMAL
    HIGHMEM = lib.PE_ZONE_HIGHMEM


class MigrateType(IntEnum):
    """What a pageblock is used for."""

    UNMOVABLE = lib.PE_MIGRATE_UNMOVABLE
    MOVABLE = lib.PE_MIGRATE_MOVABLE
    RECLAIMABLE = lib.PE_MIGRATE_RECLAIMABLE
    CMA = lib.PE_MIGRATE_CMA


class Gfp(IntFlag):
    """Which memory an allocation may take."""

    KERNEL = 0
    HIGHMEM = lib.PE_GFP_HIGHMEM
    MOVABLE = lib.PE_GFP_MOVABLE
    RECLAIMABLE = lib.PE_GFP_RECLAIMABLE
    ZERO = lib.PE_GFP_ZERO
    HIGH = lib.PE_GFP_HIGH
    COMP = lib.PE_GFP_COMP
    DMA = lib.PE_GFP_DMA


class PageFlag(IntFlag):
    """Flags of a frame."""

    RESERVED = lib.PE_PG_RESERVED
    BUDDY = lib.PE_PG_BUDDY
    HEAD = lib.PE_PG_HEAD
    TAIL = lib.PE_PG_TAIL
    TABLE = lib.PE_PG_TABLE
    ANON = lib.PE_PG_ANON
    EXCLUSIVE = lib.PE_PG_EXCLUSIVE
    REFERENCED = lib.PE_PG_REFERENCED
    DIRTY = lib.PE_PG_DIRTY
    PINNABLE = lib.PE_PG_PINNABLE
    BACKED = lib.PE_PG_BACKED
    ZERO = lib.PE_PG_ZERO
    SLAB = lib.PE_PG_SLAB


@dataclass(frozen=True)
class PageInfo:
    """What struct page says of a frame; ``order`` of the free block or folio that begins there."""

    pfn: int
    refcount: int
    mapcount: int
    pincount: int
    flags: PageFlag
    order: int
    head: int
    zone: Zone
    migrate_type: MigrateType
    free: bool

    @classmethod
    def from_native(cls, native: Any) -> PageInfo:
        """The Python form of a ``pe_page_info``."""
        values = {field.name: getattr(native, field.name) for field in fields(cls)}
        values["flags"] = PageFlag(native.flags)
        values["zone"] = Zone(native.zone)
        values["migrate_type"] = MigrateType(native.migrate_type)
        return cls(**values)


@dataclass(frozen=True)
class ZoneInfo:
    """A zone, in pages.  ``free_blocks`` counts blocks by migrate type and order."""

    name: str
    start_pfn: int
    spanned: int
    present: int
    managed: int
    cma: int
    free: int
    free_cma: int
    min: int
    low: int
    high: int
    protection: tuple[int, ...]
    free_blocks: tuple[tuple[int, ...], ...]
    pageblocks: tuple[int, ...]
    page_tables: int
    kernel_stack: int
    slab: int
    anon: int
    shmem: int

    @classmethod
    def from_native(cls, native: Any) -> ZoneInfo:
        """The Python form of a ``pe_zone_info``."""
        values = {field.name: getattr(native, field.name) for field in fields(cls)}
        values["name"] = ffi.string(native.name).decode()
        values["protection"] = tuple(native.protection)
        values["pageblocks"] = tuple(native.pageblocks)
        values["free_blocks"] = tuple(tuple(row) for row in native.free_blocks)
        return cls(**values)


@dataclass(frozen=True)
class MemInfo:
    """/proc/meminfo, in pages."""

    mem_total: int
    mem_free: int
    mem_available: int
    high_total: int
    high_free: int
    low_total: int
    low_free: int
    cma_total: int
    cma_free: int
    page_tables: int
    kernel_stack: int
    slab: int
    anon_pages: int
    anon_huge_pages: int
    mapped: int
    shmem: int
    vmalloc_total: int
    min_free: int

    @classmethod
    def from_native(cls, native: Any) -> MemInfo:
        """The Python form of a ``pe_meminfo``."""
        return cls(**{field.name: getattr(native, field.name) for field in fields(cls)})
