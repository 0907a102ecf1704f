"""What a loader answers: which bytes go where and how the first CPU starts.

Pure data, checked before anything is written.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyemu.config import MachineConfig, UserError, format_size
from pyemu.machine import board
from pyemu.machine.devicetree import TreeOptions


@dataclass(frozen=True)
class LoadOptions:
    """What a user can say about a load.

    ``dtb``              a device tree blob instead of the generated one; patched as boot loaders do.
    ``device_tree``      False: no device tree in memory at all.
    ``tree``             what the generated device tree lists.
    ``initrd``           an initial ramdisk for Linux.
    ``append``           the kernel command line (None: the one in the device tree).
    ``load_address``     where a flat binary goes and starts (None: 32 KB into RAM).
    ``flash``            the content of flash bank 0, at 0x0.
    ``host_decompress``  unpack a zImage on the host instead of running its decompressor.
    """

    dtb: bytes | None = None
    device_tree: bool = True
    tree: TreeOptions = field(default_factory=TreeOptions)
    initrd: bytes | None = None
    append: str | None = None
    load_address: int | None = None
    flash: bytes | None = None
    host_decompress: bool = True


@dataclass(frozen=True)
class Placement:
    """``data`` at physical ``address``, followed by zeros up to ``size`` bytes."""

    what: str
    address: int
    data: bytes
    size: int

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + self.size

    def __str__(self) -> str:
        return f"{self.what} [{self.address:#x}, {self.end:#x})"


def place(what: str, address: int, data: bytes, size: int | None = None) -> Placement:
    """A placement; ``size`` is that of the data unless it is larger in memory."""
    return Placement(what, address, data, len(data) if size is None else size)


@dataclass(frozen=True)
class LoadPlan:
    """The answer of a loader.

    ``kind``        "elf", "linux", "flat" or "flash".
    ``entry``       physical address at which CPU 0 starts; bit 0 selects Thumb.
    ``placements``  what is written, the device tree included.
    ``registers``   values of CPU 0's registers at entry (others are zero).
    ``elf``         the ELF file when there is one: symbols are read from it on demand.
    ``notes``       what a user may want to know of decisions taken, a line each.
    """

    kind: str
    entry: int
    placements: tuple[Placement, ...]
    registers: Mapping[str, int] = field(default_factory=dict)
    elf: bytes | None = None
    notes: tuple[str, ...] = ()


def check_placements(plan: LoadPlan, config: MachineConfig) -> LoadPlan:
    """The plan, or :class:`UserError` when something lies outside RAM and flash or on something else."""
    ram_end = board.RAM_BASE + config.memory_bytes
    for item in plan.placements:
        in_ram = item.address >= board.RAM_BASE and item.end <= ram_end
        in_flash = any(
            base <= item.address and item.end <= base + board.FLASH_BANK_BYTES for base in board.FLASH_BASES
        )
        if not in_ram and not in_flash:
            raise UserError(_outside(item, config))
    ordered = sorted((item for item in plan.placements if item.size), key=lambda item: item.address)
    for low, high in itertools.pairwise(ordered):
        if low.end > high.address:
            raise UserError(_overlap(low, high))
    return plan


def _outside(item: Placement, config: MachineConfig) -> str:
    ram = f"RAM [{board.RAM_BASE:#x}, {board.RAM_BASE + config.memory_bytes:#x})"
    if item.size > config.memory_bytes:
        return (
            f"{item} is larger than the memory of {format_size(config.memory_bytes)}: "
            "a larger --mem would hold it"
        )
    if item.address >= board.RAM_BASE and item.end > board.RAM_BASE + config.memory_bytes:
        return f"{item} reaches past the end of {ram}: a larger --mem or a lower address would hold it"
    return f"{item} lies outside {ram}: link it at {board.RAM_BASE + 0x8000:#x} or above"


def _overlap(low: Placement, high: Placement) -> str:
    text = f"{low} overlaps {high}"
    if "device tree" in (low.what, high.what):
        text += f": link or load it at {board.RAM_BASE + 0x8000:#x} or above, or give --no-dtb"
    return text
