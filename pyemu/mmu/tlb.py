"""Modelled TLBs of a core: micro-TLBs for fetches, loads and stores inside a main TLB, and a walk cache.

They keep translations that the caller supplies, with ASIDs and global entries, and may be older than the
tables: what is stale and when it is noticed is the point.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pyemu.mem import Memory
from pyemu.mmu.regime import Regime, native_regime
from pyemu.mmu.translate import Access, Fault, Flag, Prot, Translation
from pyemu.native import Face, check_handle, error, ffi, lib
from pyemu.timing.cores import Core

__all__ = ["StaleHit", "Tlb", "TlbArray", "TlbEntry", "TlbInvalidate", "TlbLevel", "TlbResult", "TlbStats"]


class TlbLevel(IntEnum):
    """Where an access found its translation."""

    MICRO = lib.PE_TLB_MICRO
    MAIN = lib.PE_TLB_MAIN
    MISS = lib.PE_TLB_MISS
    OFF = lib.PE_TLB_OFF


class TlbArray(IntEnum):
    """One array of a core; STORE is empty where stores use the one of loads."""

    INSTRUCTION = lib.PE_TLB_ARRAY_INSTRUCTION
    LOAD = lib.PE_TLB_ARRAY_LOAD
    STORE = lib.PE_TLB_ARRAY_STORE
    MAIN = lib.PE_TLB_ARRAY_MAIN
    WALK = lib.PE_TLB_ARRAY_WALK


class TlbInvalidate(IntEnum):
    """TLBIALL, TLBIASID, TLBIMVA, TLBIMVAA (ARM DDI 0406C B4.2.2)."""

    ALL = lib.PE_TLBI_ALL
    ASID = lib.PE_TLBI_ASID
    MVA = lib.PE_TLBI_MVA
    MVAA = lib.PE_TLBI_MVAA


@dataclass(frozen=True)
class TlbResult:
    """What an access cost: ``cycles`` without the descriptor reads of a walk, of which ``walk_cached`` leaves
    only the last. ``stale``: of a hit, if that is watched: the fresh translation says something else."""

    level: TlbLevel
    cycles: int
    walk_cached: bool
    stale: bool


@dataclass(frozen=True)
class TlbEntry:
    """``size`` bytes at ``va`` map to ``pa``; ``leaf_size`` is that of the descriptor it is, or a piece of.

    ``prot`` is what PL1 may do, ``prot_user`` PL0. Entries of the walk cache have the table's ``pa``.
    """

    va: int
    pa: int
    size: int
    leaf_size: int
    asid: int
    is_global: bool
    level: int
    prot: Prot
    prot_user: Prot
    attr: int
    shareability: int
    domain: int
    flags: Flag
    descriptor: int
    descriptor_pa: int


@dataclass(frozen=True)
class StaleHit:
    """A hit that a fresh walk contradicts; ``ordinal`` counts lookups from 1. ``fault`` and ``new_pa`` are
    those of the fresh walk."""

    ordinal: int
    va: int
    asid: int
    access: Access
    old_descriptor: int
    new_descriptor: int
    descriptor_pa: int
    old_pa: int
    new_pa: int
    fault: Fault


@dataclass(frozen=True)
class TlbStats:
    """Counters since the TLBs were made; tuples are indexed by :class:`Access` (``invalidates`` by
    :class:`TlbInvalidate`). ``faults``: walks that made no entry. ``evictions``: entries of the main TLB that
    made room; ``invalidated``: those that maintenance removed."""

    lookups: tuple[int, ...]
    micro_misses: tuple[int, ...]
    main_misses: tuple[int, ...]
    walk_cache_hits: int
    walk_cache_misses: int
    faults: int
    evictions: int
    invalidates: tuple[int, ...]
    invalidated: int
    asid_switches: int
    stale: int


class Tlb(Face):
    """The TLBs of one CPU of ``core``. Those of a machine (``cpu.tlb``) can only be looked at."""

    def __init__(self, core: Core) -> None:
        err = error()
        super().__init__(check_handle(lib.pe_tlb_new(core.native(), err), err), lib.pe_tlb_free)

    def access(
        self,
        va: int,
        fresh: Translation,
        *,
        asid: int = 0,
        access: Access = Access.READ,
        privileged: bool = True,
    ) -> TlbResult:
        """Look an address up, and fill from ``fresh`` when it misses.

        ``fresh`` is the translation that a walk gives now, for ``privileged``. A fault other than one of
        permission or domain makes no entry.
        """
        result = ffi.new("pe_tlb_result *")
        native = _native_translation(fresh)
        lib.pe_tlb_access(self.own_handle, va, asid, int(access), privileged, native, result)
        return TlbResult(TlbLevel(result.level), result.cycles, result.walk_cached, result.stale)

    def replay(
        self,
        memory: Memory,
        regime: Regime,
        addresses: Iterable[int],
        *,
        asids: Iterable[int] | None = None,
        accesses: Iterable[int] | None = None,
        privileged: bool = True,
    ) -> tuple[bytes, int]:
        """Run n accesses; returns n bytes of :class:`TlbLevel`, and the cycles of all together.

        ``asids``: n values of 0 to 255, by default that of the regime. ``accesses``: n of :class:`Access`, by
        default all read. Walks are made under ``regime``.
        """
        va = _array("I", addresses)
        ids = None if asids is None else _array("B", asids)
        kinds = None if accesses is None else _array("B", accesses)
        for name, values in (("asids", ids), ("accesses", kinds)):
            if values is not None and len(values) != len(va):
                raise ValueError(f"{name}: {len(values)} values for {len(va)} addresses")
        if kinds is not None and any(kind > Access.FETCH for kind in set(kinds)):
            raise ValueError("accesses: only values of Access are accesses")
        levels = ffi.new("uint8_t[]", len(va))
        cycles = lib.pe_tlb_replay(
            self.own_handle,
            memory.handle,
            native_regime(regime),
            privileged,
            ffi.from_buffer("uint32_t[]", va),
            ffi.NULL if ids is None else ffi.from_buffer("uint8_t[]", ids),
            ffi.NULL if kinds is None else ffi.from_buffer("uint8_t[]", kinds),
            levels,
            len(va),
        )
        return bytes(ffi.buffer(levels)), int(cycles)

    def invalidate(self, operation: TlbInvalidate, va: int = 0, asid: int = 0) -> int:
        """Maintenance as the guest asks for it; returns how many entries of the main TLB went."""
        return int(lib.pe_tlb_invalidate(self.own_handle, int(operation), va, asid))

    def context_changed(self) -> None:
        """CONTEXTIDR, DACR, PRRR, NMRR or a TTBR changed: empties the micro-TLBs of a core that does so."""
        lib.pe_tlb_context_changed(self.own_handle)

    def holds(self, which: TlbArray, va: int, asid: int = 0) -> bool:
        """Whether an access would hit; changes nothing. STORE is LOAD where loads and stores share one."""
        return bool(lib.pe_tlb_holds(self.handle, int(which), va, asid))

    def detect_stale(self, on: bool = True) -> None:
        """Whether each hit is compared with the fresh translation; off at first."""
        lib.pe_tlb_detect_stale(self.handle, on)

    def stale_hits(self) -> list[StaleHit]:
        """The latest stale hits, oldest first; all are counted in :meth:`stats`."""
        out = ffi.new("pe_tlb_stale[]", lib.PE_TLB_STALE_KEPT)
        n = lib.pe_tlb_stale_hits(self.handle, out, lib.PE_TLB_STALE_KEPT)
        return [
            StaleHit(
                s.ordinal,
                s.va,
                s.asid,
                Access(s.access),
                s.old_descriptor,
                s.new_descriptor,
                s.descriptor_pa,
                s.old_pa,
                s.new_pa,
                Fault(s.fault),
            )
            for s in out[0:n]
        ]

    def entries(self, which: TlbArray = TlbArray.MAIN) -> list[TlbEntry]:
        """What an array holds."""
        count = lib.pe_tlb_list(self.handle, int(which), ffi.NULL, 0)
        out = ffi.new("pe_tlb_entry[]", max(count, 1))
        lib.pe_tlb_list(self.handle, int(which), out, count)
        return [_entry(e) for e in out[0:count]]

    def stats(self) -> TlbStats:
        """Counters since the TLBs were made."""
        out = ffi.new("pe_tlb_stats *")
        lib.pe_tlb_read_stats(self.handle, out)
        return TlbStats(
            lookups=tuple(out.lookups),
            micro_misses=tuple(out.micro_misses),
            main_misses=tuple(out.main_misses),
            walk_cache_hits=out.walk_cache_hits,
            walk_cache_misses=out.walk_cache_misses,
            faults=out.faults,
            evictions=out.evictions,
            invalidates=tuple(out.invalidates),
            invalidated=out.invalidated,
            asid_switches=out.asid_switches,
            stale=out.stale,
        )


def _entry(e: Any) -> TlbEntry:
    return TlbEntry(
        va=e.va,
        pa=e.pa,
        size=1 << e.size_log2,
        leaf_size=1 << e.leaf_size_log2,
        asid=e.asid,
        is_global=not e.flags & lib.PE_TF_NG,
        level=e.level,
        prot=Prot(e.prot),
        prot_user=Prot(e.prot_user),
        attr=e.attr,
        shareability=e.shareability,
        domain=e.domain,
        flags=Flag(e.flags),
        descriptor=e.descriptor,
        descriptor_pa=e.descriptor_pa,
    )


def _native_translation(t: Translation) -> Any:
    return ffi.new(
        "pe_translation *",
        {
            "pa": t.pa,
            "descriptor": t.descriptor,
            "descriptor_pa": t.descriptor_pa,
            "fault": int(t.fault),
            "level": t.level,
            "prot": int(t.prot),
            "prot_other": int(t.prot_other),
            "attr": t.attr,
            "shareability": t.shareability,
            "domain": t.domain,
            "size_log2": max(t.size.bit_length() - 1, 0),
            "flags": int(t.flags),
        },
    )


def _array(code: str, values: Iterable[int]) -> array[int]:
    return values if isinstance(values, array) and values.typecode == code else array(code, values)
