/* SPDX-License-Identifier: GPL-2.0-or-later
 * The physical map of the board: that of QEMU's `virt` (hw/arm/virt.c, base_memmap and a15irqmap). */
#ifndef PYEMU_BOARD_H
#define PYEMU_BOARD_H

#define BOARD_FLASH0_BASE 0x00000000u
#define BOARD_FLASH1_BASE 0x04000000u
#define BOARD_FLASH_SIZE  0x04000000u

#define BOARD_DEVICES_BASE 0x08000000u /* everything below is reached through one MMIO window */
#define BOARD_DEVICES_END  0x40000000u
#define BOARD_GICD_BASE    0x08000000u
#define BOARD_GICC_BASE    0x08010000u
#define BOARD_GICV2M_BASE  0x08020000u
#define BOARD_UART_BASE    0x09000000u
#define BOARD_RTC_BASE     0x09010000u
#define BOARD_FW_CFG_BASE  0x09020000u
#define BOARD_GPIO_BASE    0x09030000u
#define BOARD_VIRTIO_BASE  0x0a000000u
#define BOARD_VIRTIO_SIZE  0x4000u
#define BOARD_PCIE_MMIO    0x10000000u
#define BOARD_PCIE_PIO     0x3eff0000u
#define BOARD_PCIE_ECAM    0x3f000000u

#define BOARD_PCIE_ECAM_HIGH      0x4010000000ull
#define BOARD_PCIE_ECAM_HIGH_SIZE 0x10000000ull

#define BOARD_RAM_BASE 0x40000000u

/* A bank of flash that does not show its array is reached here by the engine; above any 40-bit address. */
#define BOARD_FLASH_WINDOW 0x20000000000ull

/* GIC interrupt numbers */
#define BOARD_IRQ_HYP_TIMER  26
#define BOARD_IRQ_VIRT_TIMER 27
#define BOARD_IRQ_SEC_TIMER  29
#define BOARD_IRQ_PHYS_TIMER 30
#define BOARD_IRQ_UART       33
#define BOARD_IRQ_RTC        34
#define BOARD_IRQ_GPIO       39

#define BOARD_COUNTER_HZ 62500000u

#endif
