"""Loaders: each turns a file into a :class:`LoadPlan`, pure data that ``Machine.load`` carries out."""

from __future__ import annotations

from dataclasses import replace

from pyemu.config import MachineConfig, UserError, format_size
from pyemu.machine import board
from pyemu.machine.loaders import elf, flash, flat, linux, zimage
from pyemu.machine.loaders.dtb import make_tree
from pyemu.machine.loaders.elf import Symbols
from pyemu.machine.loaders.plan import LoadOptions, LoadPlan, Placement, check_placements, place

__all__ = ["LoadOptions", "LoadPlan", "Placement", "Symbols", "detect", "plan_load"]


def detect(image: bytes) -> str:
    """The kind of an image by its first bytes: "elf", "linux" or "flat" (what is left)."""
    if not image:
        raise UserError("empty file: nothing to load")
    if image.startswith(elf.MAGIC) or elf.MAGIC.startswith(image):
        return "elf"
    return "linux" if zimage.is_zimage(image) else "flat"


def plan_load(config: MachineConfig, image: bytes | None, options: LoadOptions) -> LoadPlan:
    """What a machine of this configuration must hold to start an image (None: to start from flash).

    Raises :class:`UserError` for a file or an option that cannot be.
    """
    if image is None:
        if options.flash is None:
            raise UserError("nothing to load: give an image, or --flash")
        plan = flash.load(options.flash)
    else:
        _check_options(detect(image), image, config, options)
        plan = _load_image(detect(image), image, config, options)
        if options.flash is not None:
            plan = replace(plan, placements=(flash.placement(options.flash), *plan.placements))
    if plan.kind != "linux" and options.device_tree:
        tree = place("device tree", board.RAM_BASE, make_tree(config, options))
        registers = (
            {} if plan.kind == "flash" else {"r0": 0, "r1": linux.MACHINE_TYPE_NONE, "r2": board.RAM_BASE}
        )
        plan = replace(plan, placements=(*plan.placements, tree), registers=registers)
    return check_placements(plan, config)


def _check_options(kind: str, image: bytes, config: MachineConfig, options: LoadOptions) -> None:
    if kind != "linux" and options.initrd is not None:
        raise UserError(
            f"--initrd needs a Linux zImage; this is {'an ELF file' if kind == 'elf' else 'a flat binary'}"
        )
    if kind != "flat" and options.load_address is not None:
        raise UserError("--load-address is for flat binaries; this file says itself where it goes")
    if kind == "linux" and not options.device_tree:
        raise UserError("Linux needs a device tree: --no-dtb is for ELF and flat images")
    if kind == "flat" and len(image) > config.memory_bytes:
        raise UserError(
            f"image of {len(image)} bytes is larger than the memory of {format_size(config.memory_bytes)}: "
            "a larger --mem would hold it"
        )


def _load_image(kind: str, image: bytes, config: MachineConfig, options: LoadOptions) -> LoadPlan:
    if kind == "elf":
        return elf.load(image)
    return linux.load(image, config, options) if kind == "linux" else flat.load(image, options)
