"""Linux: where kernel, device tree and initrd go, and what the kernel finds in r0 to r2.

Source: Documentation/arch/arm/booting.rst.
"""

from __future__ import annotations

from pyemu.config import MIB, MachineConfig, UserError, format_size
from pyemu.machine import board
from pyemu.machine.loaders import zimage
from pyemu.machine.loaders.dtb import make_tree
from pyemu.machine.loaders.plan import LoadOptions, LoadPlan, place

MACHINE_TYPE_NONE = 0xFFFF_FFFF
ZIMAGE_OFFSET = 32 * MIB  # above this the decompressor need not move itself
ZIMAGE_OFFSET_SMALL = 64 * 1024
LOW_BYTES = 128 * MIB  # everything that the kernel reads early lies within lowmem
PAGE = 4096


def load(data: bytes, config: MachineConfig, options: LoadOptions) -> LoadPlan:
    """The plan for a zImage: the unpacked kernel at its TEXT_OFFSET, or the zImage itself."""
    header = zimage.parse(data)
    text = board.RAM_BASE + header.text_offset
    if options.host_decompress:
        kernel, compression = zimage.decompress(data, header)
        image = place("kernel", text, kernel, len(kernel) + header.bss_bytes)
        notes = (f"kernel of {len(kernel)} bytes ({compression}) unpacked to {text:#x}",)
        kernel_end = image.end
    else:
        roomy = config.memory_bytes >= 2 * LOW_BYTES
        address = board.RAM_BASE + (ZIMAGE_OFFSET if roomy else ZIMAGE_OFFSET_SMALL)
        image = place("zImage", address, data[: header.size])
        notes = (f"zImage at {address:#x}, unpacked by the guest",)
        kernel_end = max(image.end, text + _unpacked_bytes(data, header) + header.bss_bytes + header.size)
    if kernel_end > board.RAM_BASE + config.memory_bytes:
        raise UserError(
            f"{image} does not fit: with the room that it needs it ends at {kernel_end:#x}, and memory of "
            f"{format_size(config.memory_bytes)} at {board.RAM_BASE + config.memory_bytes:#x}"
        )
    placements = [image]
    start = max(kernel_end, board.RAM_BASE + min(config.memory_bytes // 2, LOW_BYTES))
    start = -(-start // PAGE) * PAGE
    initrd = None
    if options.initrd is not None:
        placements.append(place("initrd", start, options.initrd))
        initrd = (start, placements[-1].end)
        start = -(-initrd[1] // PAGE) * PAGE
    tree = place("device tree", start, make_tree(config, options, initrd))
    registers = {"r0": 0, "r1": MACHINE_TYPE_NONE, "r2": start}
    return LoadPlan("linux", image.address, (*placements, tree), registers, notes=notes)


def _unpacked_bytes(data: bytes, header: zimage.ZImage) -> int:
    if header.payload_end is None:
        return 4 * header.size
    return int.from_bytes(data[header.payload_end : header.payload_end + 4], "little")
