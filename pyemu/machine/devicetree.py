"""The board's device tree, and what a boot loader writes into anybody's: memory, command line, initrd.

Bindings are those of the kernel's Documentation/devicetree; the nodes are the devices of csrc/machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.config import MachineConfig, UserError
from pyemu.machine import board
from pyemu.machine.fdt import Node, Tree, cells

GIC, CLOCK, GPIO = 1, 2, 3  # phandles
SPI, PPI = 0, 1
EDGE, LEVEL = 1, 4
KEY_POWER = 116


@dataclass(frozen=True)
class TreeOptions:
    """What the tree lists beyond the devices that every guest needs.

    ``all_timers``  the virtual and hypervisor timer's interrupts too; without them Linux takes the physical
                    timer, which costs less to emulate.
    ``gpio``        the PL061 and the power key on it.
    ``virtio``      the 32 empty virtio-mmio slots.
    """

    all_timers: bool = False
    gpio: bool = True
    virtio: bool = False


def _reg(*ranges: tuple[int, int]) -> list[int]:
    return [cell for address, size in ranges for cell in cells(address, 2) + cells(size, 2)]


def build(config: MachineConfig, options: TreeOptions = TreeOptions()) -> Tree:
    """The tree of a board; :func:`set_boot` adds what the boot needs."""
    root = Node("").set(
        {
            "#address-cells": 2,
            "#size-cells": 2,
            "compatible": "linux,dummy-virt",
            "model": "linux,dummy-virt",
            "interrupt-parent": GIC,
        }
    )
    root.add("chosen", {"stdout-path": f"/pl011@{board.UART:x}"})
    root.add(f"memory@{board.RAM_BASE:x}", {"device_type": "memory"})
    _add_cpus(root, config)
    _add_timer(root, config, options)
    root.add("psci", {"compatible": ["arm,psci-1.0", "arm,psci-0.2"], "method": "hvc"})
    root.add(
        "apb-pclk",
        {
            "compatible": "fixed-clock",
            "#clock-cells": 0,
            "clock-frequency": board.APB_CLOCK_HZ,
            "clock-output-names": "clk24mhz",
            "phandle": CLOCK,
        },
    )
    root.add(
        "flash@0",
        {
            "compatible": "cfi-flash",
            "bank-width": 4,
            "reg": _reg(*((base, board.FLASH_BANK_BYTES) for base in board.FLASH_BASES)),
        },
    )
    root.add(
        f"intc@{board.GIC_DISTRIBUTOR:x}",
        {
            "compatible": "arm,cortex-a15-gic",
            "#interrupt-cells": 3,
            "#address-cells": 0,
            "interrupt-controller": True,
            "phandle": GIC,
            "reg": _reg(
                (board.GIC_DISTRIBUTOR, board.GIC_REGION_BYTES),
                (board.GIC_CPU_INTERFACE, board.GIC_REGION_BYTES),
            ),
        },
    )
    uart = _add_primecell(root, "pl011", board.UART, board.SPI_UART)
    uart.set({"clocks": [CLOCK, CLOCK], "clock-names": ["uartclk", "apb_pclk"]})
    _add_primecell(root, "pl031", board.RTC, board.SPI_RTC)
    if options.gpio:
        _add_gpio(root)
    if options.virtio:
        _add_virtio(root)
    tree = Tree(root)
    _set_memory(tree, config.memory_bytes)
    return tree


def _add_cpus(root: Node, config: MachineConfig) -> None:
    cpus = root.add("cpus", {"#address-cells": 1, "#size-cells": 0})
    for number in range(config.smp):
        cpus.add(
            f"cpu@{number:x}",
            {"device_type": "cpu", "compatible": f"arm,{config.cpu}", "reg": number, "enable-method": "psci"},
        )


def _add_timer(root: Node, config: MachineConfig, options: TreeOptions) -> None:
    flags = LEVEL | ((1 << config.smp) - 1) << 8
    ppis = [board.PPI_TIMER_SECURE, board.PPI_TIMER_PHYSICAL]
    if options.all_timers:
        ppis += [board.PPI_TIMER_VIRTUAL, board.PPI_TIMER_HYP]
    root.add(
        "timer",
        {
            "compatible": "arm,armv7-timer",
            "always-on": True,
            "interrupts": [cell for ppi in ppis for cell in (PPI, ppi, flags)],
        },
    )


def _add_primecell(root: Node, kind: str, base: int, spi: int) -> Node:
    return root.add(
        f"{kind}@{base:x}",
        {
            "compatible": [f"arm,{kind}", "arm,primecell"],
            "reg": _reg((base, board.DEVICE_BYTES)),
            "interrupts": [SPI, spi, LEVEL],
            "clocks": CLOCK,
            "clock-names": "apb_pclk",
        },
    )


def _add_gpio(root: Node) -> None:
    pl061 = _add_primecell(root, "pl061", board.GPIO, board.SPI_GPIO)
    pl061.set({"gpio-controller": True, "#gpio-cells": 2, "phandle": GPIO})
    keys = root.add("gpio-keys", {"compatible": "gpio-keys"})
    keys.add("poweroff", {"label": "GPIO Key Poweroff", "linux,code": KEY_POWER, "gpios": [GPIO, 3, 0]})


def _add_virtio(root: Node) -> None:
    for slot in range(board.VIRTIO_COUNT):
        base = board.VIRTIO + slot * board.VIRTIO_BYTES
        root.add(
            f"virtio_mmio@{base:x}",
            {
                "compatible": "virtio,mmio",
                "reg": _reg((base, board.VIRTIO_BYTES)),
                "interrupts": [SPI, board.SPI_VIRTIO + slot, EDGE],
            },
        )


def _set_memory(tree: Tree, size: int) -> None:
    root = tree.root
    address_cells, size_cells = root.u32("#address-cells", 2), root.u32("#size-cells", 1)
    if address_cells not in (1, 2) or size_cells not in (1, 2):
        raise UserError(
            f"#address-cells {address_cells} and #size-cells {size_cells} of the root must be 1 or 2"
        )
    if size >> (32 * size_cells) or (board.RAM_BASE + size - 1) >> (32 * address_cells):
        raise UserError(
            f"{size:#x} bytes of memory need #address-cells and #size-cells of 2 in the root node"
        )
    nodes = [node for node in root.children if node.text("device_type") == "memory"]
    first = nodes[0] if nodes else root.add(f"memory@{board.RAM_BASE:x}", {})
    root.children = [node for node in root.children if node is first or node not in nodes]
    first.set(
        {"device_type": "memory", "reg": cells(board.RAM_BASE, address_cells) + cells(size, size_cells)}
    )


def set_boot(tree: Tree, config: MachineConfig, append: str | None, initrd: tuple[int, int] | None) -> None:
    """Write memory, the command line (None: leave it) and the initrd's [start, end) as boot loaders do."""
    _set_memory(tree, config.memory_bytes)
    chosen = tree.root.child("chosen") or tree.root.add("chosen", {})
    if append is not None:
        if "\0" in append:
            raise UserError("the kernel command line has a NUL character in it")
        chosen.set({"bootargs": append})
    if initrd is not None:
        chosen.set({"linux,initrd-start": initrd[0], "linux,initrd-end": initrd[1]})
