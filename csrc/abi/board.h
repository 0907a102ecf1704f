/* SPDX-License-Identifier: GPL-2.0-or-later
 * The board's physical map, that of QEMU's `virt` (hw/arm/virt.c, base_memmap and a15irqmap). */
#ifndef PYEMU_ABI_BOARD_H
#define PYEMU_ABI_BOARD_H

#define PE_BOARD_FLASH0_BASE   0x00000000
#define PE_BOARD_FLASH1_BASE   0x04000000
#define PE_BOARD_FLASH_SIZE    0x04000000 /* of a bank */
#define PE_BOARD_GICD_BASE     0x08000000
#define PE_BOARD_GICC_BASE     0x08010000
#define PE_BOARD_GIC_SIZE      0x10000 /* of each of the two */
#define PE_BOARD_UART_BASE     0x09000000
#define PE_BOARD_RTC_BASE      0x09010000
#define PE_BOARD_GPIO_BASE     0x09030000
#define PE_BOARD_DEVICE_SIZE   0x1000 /* of UART, RTC, GPIO */
#define PE_BOARD_VIRTIO_BASE   0x0a000000
#define PE_BOARD_VIRTIO_STRIDE 0x200
#define PE_BOARD_VIRTIO_COUNT  32
#define PE_BOARD_RAM_BASE      0x40000000

/* GIC interrupt numbers: from 16 private to a CPU, from 32 shared. */
#define PE_BOARD_IRQ_HYP_TIMER  26
#define PE_BOARD_IRQ_VIRT_TIMER 27
#define PE_BOARD_IRQ_SEC_TIMER  29
#define PE_BOARD_IRQ_PHYS_TIMER 30
#define PE_BOARD_IRQ_UART       33
#define PE_BOARD_IRQ_RTC        34
#define PE_BOARD_IRQ_GPIO       39
#define PE_BOARD_IRQ_VIRTIO     48 /* of the first slot */

#define PE_BOARD_APB_HZ 24000000 /* the clock of the UART */

#endif
