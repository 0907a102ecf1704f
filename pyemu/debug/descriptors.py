"""Descriptors of a walk decoded by name."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug.fields import FieldValue, Layout, layouts
from pyemu.debug.words import size_text
from pyemu.mmu import DescriptorKind, Regime, Step

__all__ = ["Decoded", "decode"]

_ADDRESS = 0xFF_FFFF_F000


@dataclass(frozen=True)
class Decoded:
    """``kind`` in words ("block", "table", "invalid"), ``size`` what it maps, ``output`` where it leads.

    ``size`` is 0 and ``output`` None where it leads nowhere.
    """

    kind: str
    size: int
    output: int | None
    fields: tuple[FieldValue, ...]

    @property
    def text(self) -> str:
        """``block, 2 MB at 0x40000000: XN=0 AF=1 ...``"""
        what = self.kind if not self.size else f"{self.kind}, {size_text(self.size)}"
        what += "" if self.output is None else f" at {self.output:#x}"
        fields = " ".join(each.short for each in self.fields)
        return f"{what}: {fields}" if fields else what


def decode(regime: Regime, step: Step) -> Decoded:
    """What a descriptor that a walk read says."""
    if step.kind is DescriptorKind.UNREADABLE:
        return Decoded("outside memory", 0, None, ())
    if step.kind in (DescriptorKind.INVALID, DescriptorKind.RESERVED):
        return Decoded(step.kind.name.lower(), 0, None, ())
    found = layouts("descriptors")
    layout, size, output = (_long if regime.long_format else _short)(found, step)
    fields = layout.decode(step.descriptor)
    return Decoded(layout.title, size, output, tuple(each for each in fields if not _is_output(layout, each)))


def _is_output(layout: Layout, each: FieldValue) -> bool:
    return layout[each.name].address or each.name.startswith("PA[")


def _long(found: dict[str, Layout], step: Step) -> tuple[Layout, int, int]:
    d = step.descriptor
    if step.kind is DescriptorKind.TABLE:
        return found["long-table"], 0, d & _ADDRESS
    size = 1 << 12 + 9 * (3 - step.level)
    return found["long-page" if step.level == 3 else "long-block"], size, d & _ADDRESS & -size


def _short(found: dict[str, Layout], step: Step) -> tuple[Layout, int, int]:
    d = step.descriptor
    if step.kind is DescriptorKind.TABLE:
        return found["short-table"], 0, d & 0xFFFF_FC00
    if step.level == 1 and d & 1 << 18:
        return (
            found["short-supersection"],
            1 << 24,
            d & 0xFF00_0000 | (d >> 20 & 15) << 32 | (d >> 5 & 15) << 36,
        )
    if step.level == 1:
        return found["short-section"], 1 << 20, d & 0xFFF0_0000
    if d & 3 == 1:
        return found["short-large"], 1 << 16, d & 0xFFFF_0000
    return found["short-small"], 1 << 12, d & 0xFFFF_F000
