"""Whether the guest's tables are those of Linux, and what Linux keeps in them.

Read from the tables alone, with the addresses of arch/arm (asm/memory.h, asm/pgtable.h, asm/fixmap.h,
mm/mmu.c).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyemu.debug.fields import layouts
from pyemu.mem import PAGE_SIZE, Memory
from pyemu.mmu import DescriptorKind, Regime, Step, mapped_ranges, translate
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = [
    "LINUX_COPY",
    "LinuxLayout",
    "SoftwareBits",
    "layout_of",
    "linux_layout",
    "software_bits",
    "undenied",
    "user_closed",
    "user_opened",
]

_MIB = 1 << 20
# PAGE_OFFSET of CONFIG_VMSPLIT_3G, 3G_OPT, 2G, 1G (arch/arm/Kconfig)
_PAGE_OFFSETS = (0xC000_0000, 0xB000_0000, 0x8000_0000, 0x4000_0000)
_VECTORS = 0xFFFF_0000
_VMALLOC_END = 0xFF80_0000
_FDT = 0xFF80_0000
_FIXMAP = 0xFFC8_0000
_VMALLOC_OFFSET = 8 * _MIB
_MODULES = 16 * _MIB
_LOWMEM_MIN = 16 * _MIB
_PKMAP = 2 * _MIB
LINUX_COPY = 2048  # of a small page's entry, below the hardware's (asm/pgtable-2level.h)
_DACR_CLIENT = 1
# TTBCR.A1, EPD0 and T0SZ in kernel mode outside of uaccess (asm/uaccess-asm.h, CONFIG_CPU_TTBR0_PAN)
_TTBR0_PAN = 1 << 22 | 1 << 7 | 7


@dataclass(frozen=True)
class LinuxLayout:
    """Where a 32-bit ARM Linux keeps what. ``lowmem_end`` is the virtual end of the linear map."""

    page_offset: int
    phys_offset: int
    lowmem_end: int
    long_format: bool

    @property
    def task_size(self) -> int:
        return self.page_offset - _MODULES

    @property
    def vmalloc_start(self) -> int:
        return min(self.lowmem_end + _VMALLOC_OFFSET, _VMALLOC_END) & -_VMALLOC_OFFSET

    @property
    def markers(self) -> tuple[tuple[int, str], ...]:
        """Areas by their start, as arch/arm/mm/dump.c names them."""
        return (
            (self.page_offset - _MODULES, "Modules"),
            (self.page_offset, "Kernel Mapping"),
            (self.vmalloc_start, "vmalloc() Area"),
            (_FDT, "FDT Area"),
            (_FIXMAP, "Fixmap Area"),
            (_VECTORS, "Vectors"),
            (_VECTORS + 0x2000, "Vectors End"),
        )

    def area(self, va: int) -> str:
        """The name of the area that an address is in."""
        if va < self.task_size:
            return "user"
        if self.page_offset - _PKMAP <= va < self.page_offset:
            return "PKMAP"
        return next(name for start, name in reversed(self.markers) if va >= start)


@dataclass(frozen=True)
class SoftwareBits:
    """What Linux keeps with a leaf. ``at`` is where, ``value`` the entry that holds them.

    ``swap`` is (type, offset) of a page that is swapped out, or of another non-present entry.
    """

    at: int
    value: int
    present: bool
    young: bool
    dirty: bool
    readonly: bool
    none: bool
    special: bool
    swap: tuple[int, int] | None

    @property
    def names(self) -> tuple[str, ...]:
        """Bits that are set, by their names in asm/pgtable-*level.h."""
        bits = {
            "YOUNG": self.young,
            "DIRTY": self.dirty,
            "SPECIAL": self.special,
            "NONE": self.none,
            "RDONLY": self.readonly,
        }
        return tuple(name for name, on in bits.items() if on)


def linux_layout(session: Session) -> LinuxLayout | None:
    """The layout of the Linux whose tables the current CPU uses; None for another guest."""
    return layout_of(session.memory, session.regime)


def layout_of(memory: Memory, regime: Regime) -> LinuxLayout | None:
    """The layout of the Linux whose tables a regime names; None for other tables.

    That is a linear map of at least 16 MB at one of Linux's offsets, in sections, that ends below the FDT's
    place, and a page of vectors at the top.
    """
    regime = undenied(regime)
    if not regime.mmu_on or translate(memory, regime, _VECTORS).size != PAGE_SIZE:
        return None
    for offset in _PAGE_OFFSETS:
        first = translate(memory, regime, offset)
        if not _MIB <= first.size <= _LOWMEM_MIN or first.pa % (2 * _MIB):
            continue
        end = _linear_end(memory, regime, offset, first.pa)
        if offset + _LOWMEM_MIN <= end < _VMALLOC_END:
            return LinuxLayout(offset, first.pa, end, regime.long_format)
    return None


def _linear_end(memory: Memory, regime: Regime, offset: int, phys: int) -> int:
    va = offset
    for r in mapped_ranges(memory, regime, offset, _VMALLOC_END, contiguous=True):
        if r.outside or r.va != va or r.pa != va - offset + phys:
            break
        va = r.end
    return va


def undenied(regime: Regime) -> Regime:
    """The regime with no domain denied: what entries themselves grant."""
    if regime.long_format:
        return regime
    dacr = sum(_client(regime.dacr >> 2 * n & 3) << 2 * n for n in range(16))
    return replace(regime, dacr=dacr)


def user_closed(regime: Regime) -> bool:
    """Whether TTBCR keeps kernel mode from TTBR0, as Linux does with long descriptors since 6.10."""
    return regime.long_format and regime.ttbcr & _TTBR0_PAN == _TTBR0_PAN


def user_opened(regime: Regime) -> Regime:
    """The regime with no domain denied, and with the tables of user mode where Linux closes them."""
    if user_closed(regime):
        return replace(regime, ttbcr=regime.ttbcr & ~_TTBR0_PAN)
    return undenied(regime)


def _client(access: int) -> int:
    return access if access & 1 else _DACR_CLIENT


def software_bits(memory: Memory, regime: Regime, step: Step) -> SoftwareBits | None:
    """Linux's bits of the leaf, or of the entry that should be one, that a walk ended with."""
    if regime.long_format:
        return _long(step)
    if step.level == 2:
        return _short(memory, step)
    return None


def _long(step: Step) -> SoftwareBits | None:
    if step.kind is DescriptorKind.TABLE or step.level == 1:
        return None
    d = step.descriptor
    named = {field.name: bool(field.of(d)) for field in layouts("descriptors")["linux-long"].fields}
    present = bool(d & 3)
    swap = None if present or not d or named["NONE"] else (d >> 2 & 31, d >> 8 & 0xFF_FFFF)
    return SoftwareBits(
        at=step.descriptor_pa,
        value=d,
        present=present,
        young=bool(d & 1 << 10),
        dirty=named["DIRTY"],
        readonly=named["RDONLY"],
        none=named["NONE"],
        special=named["SPECIAL"],
        swap=swap,
    )


def _short(memory: Memory, step: Step) -> SoftwareBits | None:
    at = step.descriptor_pa - LINUX_COPY
    if not step.descriptor_pa & LINUX_COPY:
        return None
    try:
        value = int.from_bytes(memory.read(at, 4), "little")
    except NativeError:
        return None
    named = {field.name: bool(field.of(value)) for field in layouts("descriptors")["linux-short"].fields}
    return SoftwareBits(
        at=at,
        value=value,
        present=named["PRESENT"],
        young=named["YOUNG"],
        dirty=named["DIRTY"],
        readonly=named["RDONLY"],
        none=named["NONE"],
        special=False,
        swap=None if named["PRESENT"] or not value else (value >> 2 & 31, value >> 8),
    )
