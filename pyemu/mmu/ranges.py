"""What a regime maps, merged: ranges of leaves that follow one another and are alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyemu.mem import Memory
from pyemu.mmu.regime import Regime, native_regime
from pyemu.mmu.translate import Fault, Flag, Prot, from_native
from pyemu.native import ffi, lib

__all__ = ["MappedRange", "mapped_ranges"]

_BATCH = 4096
_SPACE = 1 << 32


@dataclass(frozen=True)
class MappedRange:
    """``size`` bytes at ``va``, the first of which is at ``pa``, in leaves of ``leaf_size`` bytes.

    ``prot`` is what PL1 may do, ``prot_user`` PL0; ``attr`` and ``shareability`` are as in
    :class:`~pyemu.mmu.Translation`. ``accessed`` is False where the access flag is clear. ``descriptor`` is
    the first of ``descriptors`` leaves. ``outside``: a table here lies outside memory, and nothing is mapped.
    """

    va: int
    size: int
    pa: int
    leaf_size: int
    level: int
    prot: Prot
    prot_user: Prot
    attr: int
    shareability: int
    domain: int
    flags: Flag
    accessed: bool
    outside: bool
    descriptor: int
    descriptor_pa: int
    descriptors: int

    @property
    def end(self) -> int:
        """The address behind the last byte; 2**32 at the end."""
        return self.va + self.size


def mapped_ranges(
    memory: Memory,
    regime: Regime,
    start: int = 0,
    end: int = _SPACE,
    *,
    contiguous: bool = False,
    descriptor_mask: int = 0,
    pa: tuple[int, int] | None = None,
) -> Iterator[MappedRange]:
    """The ranges in [start, end), ascending.

    ``contiguous``: a range is also one physically. ``descriptor_mask``: bits of descriptors, those of
    software for example, that must be the same in a range. ``pa``: only leaves that map some of (address,
    size).
    """
    target, size = pa or (0, 0)
    query = ffi.new(
        "pe_range_query *",
        {
            "start": start,
            "end": min(end, _SPACE),
            "descriptor_mask": descriptor_mask,
            "pa": target,
            "pa_size": size,
            "contiguous": contiguous,
        },
    )
    out, at = ffi.new("pe_range[]", _BATCH), ffi.new("uint64_t *")
    while query.start < query.end:
        count = lib.pe_ranges(memory.handle, native_regime(regime), query, out, _BATCH, at)
        for each in out[0:count]:
            t = from_native(each.first)
            yield MappedRange(
                va=each.va,
                size=each.size,
                pa=t.pa,
                leaf_size=t.size,
                level=t.level,
                prot=t.prot,
                prot_user=t.prot_other,
                attr=t.attr,
                shareability=t.shareability,
                domain=t.domain,
                flags=t.flags,
                accessed=t.fault is not Fault.ACCESS_FLAG,
                outside=t.fault is Fault.EXTERNAL_WALK,
                descriptor=t.descriptor,
                descriptor_pa=t.descriptor_pa,
                descriptors=each.descriptors,
            )
        query.start = at[0]
