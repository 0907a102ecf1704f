"""The board's address map: QEMU's ``virt`` machine, which firmware and kernels already know.

The numbers are those of csrc/abi/board.h: what loaders and the device tree must agree on with
the devices of csrc/machine.
"""

from __future__ import annotations

from pyemu.native import lib

RAM_BASE: int = lib.PE_BOARD_RAM_BASE

FLASH_BANK_BYTES: int = lib.PE_BOARD_FLASH_SIZE
FLASH_BASES: tuple[int, int] = (lib.PE_BOARD_FLASH0_BASE, lib.PE_BOARD_FLASH1_BASE)

GIC_DISTRIBUTOR: int = lib.PE_BOARD_GICD_BASE
GIC_CPU_INTERFACE: int = lib.PE_BOARD_GICC_BASE
GIC_REGION_BYTES: int = lib.PE_BOARD_GIC_SIZE

UART: int = lib.PE_BOARD_UART_BASE
RTC: int = lib.PE_BOARD_RTC_BASE
GPIO: int = lib.PE_BOARD_GPIO_BASE
DEVICE_BYTES: int = lib.PE_BOARD_DEVICE_SIZE
APB_CLOCK_HZ: int = lib.PE_BOARD_APB_HZ

VIRTIO: int = lib.PE_BOARD_VIRTIO_BASE
VIRTIO_BYTES: int = lib.PE_BOARD_VIRTIO_STRIDE
VIRTIO_COUNT: int = lib.PE_BOARD_VIRTIO_COUNT

# Device trees count shared peripheral interrupts from GIC interrupt 32 on, private ones from 16.
_FIRST_PPI, _FIRST_SPI = 16, 32

SPI_UART: int = lib.PE_BOARD_IRQ_UART - _FIRST_SPI
SPI_RTC: int = lib.PE_BOARD_IRQ_RTC - _FIRST_SPI
SPI_GPIO: int = lib.PE_BOARD_IRQ_GPIO - _FIRST_SPI
SPI_VIRTIO: int = lib.PE_BOARD_IRQ_VIRTIO - _FIRST_SPI

PPI_TIMER_SECURE: int = lib.PE_BOARD_IRQ_SEC_TIMER - _FIRST_PPI
PPI_TIMER_PHYSICAL: int = lib.PE_BOARD_IRQ_PHYS_TIMER - _FIRST_PPI
PPI_TIMER_VIRTUAL: int = lib.PE_BOARD_IRQ_VIRT_TIMER - _FIRST_PPI
PPI_TIMER_HYP: int = lib.PE_BOARD_IRQ_HYP_TIMER - _FIRST_PPI
