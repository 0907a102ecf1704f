"""The device tree of a load: the board's own, or the user's with memory, command line and initrd set."""

from __future__ import annotations

from pyemu.config import MachineConfig, UserError
from pyemu.machine import devicetree
from pyemu.machine.fdt import Tree
from pyemu.machine.loaders.plan import LoadOptions


def make_tree(config: MachineConfig, options: LoadOptions, initrd: tuple[int, int] | None = None) -> bytes:
    """The blob for a machine; ``initrd`` is its [start, end)."""
    if options.dtb is None:
        tree = devicetree.build(config, options.tree)
    else:
        try:
            tree = Tree.from_bytes(options.dtb)
        except UserError as error:
            raise UserError(f"bad device tree: {error}") from None
    devicetree.set_boot(tree, config, options.append, initrd)
    return tree.to_bytes()
