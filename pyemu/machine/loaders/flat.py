"""Flat binaries: the bytes of the file at one address, which is also where the CPU starts."""

from __future__ import annotations

from pyemu.config import UserError
from pyemu.machine import board
from pyemu.machine.loaders.plan import LoadOptions, LoadPlan, place

DEFAULT_OFFSET = 0x8000


def load(data: bytes, options: LoadOptions) -> LoadPlan:
    """The plan for a flat binary; an odd load address starts it in Thumb state."""
    address = board.RAM_BASE + DEFAULT_OFFSET if options.load_address is None else options.load_address
    if not 0 <= address <= 0xFFFF_FFFF:
        raise UserError(f"load address {address:#x} is not a 32-bit address, where a CPU can start")
    if address % 4 > 1:
        raise UserError(f"load address {address:#x} is not a multiple of 4 (ARM), nor that plus 1 (Thumb)")
    return LoadPlan("flat", address, (place("image", address & ~1, data),))
