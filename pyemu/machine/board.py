"""The board's address map: QEMU's ``virt`` machine, which firmware and kernels already know.

The devices themselves are csrc/machine; here is what loaders and the device tree must agree on with them.
"""

from __future__ import annotations

RAM_BASE = 0x4000_0000

FLASH_BANK_BYTES = 0x0400_0000
FLASH_BASES = (0x0000_0000, 0x0400_0000)

GIC_DISTRIBUTOR = 0x0800_0000
GIC_CPU_INTERFACE = 0x0801_0000
GIC_REGION_BYTES = 0x1_0000

UART = 0x0900_0000
RTC = 0x0901_0000
GPIO = 0x0903_0000
DEVICE_BYTES = 0x1000
APB_CLOCK_HZ = 24_000_000

VIRTIO = 0x0A00_0000
VIRTIO_BYTES = 0x200
VIRTIO_COUNT = 32

# Shared peripheral interrupts (GIC interrupt number - 32).
SPI_UART = 1
SPI_RTC = 2
SPI_GPIO = 7
SPI_VIRTIO = 16

# Private peripheral interrupts (GIC interrupt number - 16) of the generic timer.
PPI_TIMER_SECURE = 13
PPI_TIMER_PHYSICAL = 14
PPI_TIMER_VIRTUAL = 11
PPI_TIMER_HYP = 10
