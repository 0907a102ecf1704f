"""What a regime maps in one piece: ranges whose neighbours go on both virtually and physically."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.mem import Memory
from pyemu.mmu import Prot, Regime, mapped_ranges

__all__ = ["Extent", "extents"]


@dataclass(frozen=True)
class Extent:
    """``size`` bytes at ``va`` map to ``pa``; ``user``: PL0 has access. Other attributes may differ."""

    va: int
    pa: int
    size: int
    user: bool


def extents(memory: Memory, regime: Regime) -> list[Extent]:
    """All that is mapped, ascending."""
    found: list[Extent] = []
    for each in mapped_ranges(memory, regime, contiguous=True):
        if each.outside:
            continue
        last, user = (found[-1] if found else None), each.prot_user is not Prot.NONE
        if last and (last.va + last.size, last.pa + last.size, last.user) == (each.va, each.pa, user):
            found[-1] = Extent(last.va, last.pa, last.size + each.size, user)
        else:
            found.append(Extent(each.va, each.pa, each.size, user))
    return found
