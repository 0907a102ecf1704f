"""Flash images: firmware such as U-Boot in bank 0, where the CPU starts; the device tree is in RAM."""

from __future__ import annotations

from pyemu.config import UserError, format_size
from pyemu.machine import board
from pyemu.machine.loaders.plan import LoadPlan, Placement, place


def placement(flash: bytes) -> Placement:
    """The content of bank 0."""
    if not flash:
        raise UserError("empty flash image")
    if len(flash) > board.FLASH_BANK_BYTES:
        raise UserError(
            f"flash image of {len(flash)} bytes: the bank has {format_size(board.FLASH_BANK_BYTES)}"
        )
    return place("flash image", board.FLASH_BASES[0], flash)


def load(flash: bytes) -> LoadPlan:
    """The plan for firmware in flash: it starts at 0x0, as after a reset."""
    return LoadPlan("flash", board.FLASH_BASES[0], (placement(flash),))
