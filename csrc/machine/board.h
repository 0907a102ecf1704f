/* SPDX-License-Identifier: GPL-2.0-or-later
 * The physical map of the board, unsigned for arithmetic; what loaders must know of it is in abi/board.h. */
#ifndef PYEMU_BOARD_H
#define PYEMU_BOARD_H

#include "pyemu.h"

#define BOARD_FLASH0_BASE ((uint32_t)PE_BOARD_FLASH0_BASE)
#define BOARD_FLASH1_BASE ((uint32_t)PE_BOARD_FLASH1_BASE)
#define BOARD_FLASH_SIZE  ((uint32_t)PE_BOARD_FLASH_SIZE)
#define BOARD_FLASH_END   (2ull * BOARD_FLASH_SIZE) /* of both banks, which begin at 0 */

#define BOARD_DEVICES_BASE 0x08000000u /* everything below is reached through one MMIO window */
#define BOARD_DEVICES_END  BOARD_RAM_BASE
#define BOARD_GICD_BASE    ((uint32_t)PE_BOARD_GICD_BASE)
#define BOARD_GICC_BASE    ((uint32_t)PE_BOARD_GICC_BASE)
#define BOARD_GICV2M_BASE  0x08020000u
#define BOARD_UART_BASE    ((uint32_t)PE_BOARD_UART_BASE)
#define BOARD_RTC_BASE     ((uint32_t)PE_BOARD_RTC_BASE)
#define BOARD_FW_CFG_BASE  0x09020000u
#define BOARD_GPIO_BASE    ((uint32_t)PE_BOARD_GPIO_BASE)
#define BOARD_VIRTIO_BASE  ((uint32_t)PE_BOARD_VIRTIO_BASE)
#define BOARD_VIRTIO_SIZE  ((uint32_t)(PE_BOARD_VIRTIO_STRIDE * PE_BOARD_VIRTIO_COUNT))
#define BOARD_PCIE_MMIO    0x10000000u
#define BOARD_PCIE_PIO     0x3eff0000u
#define BOARD_PCIE_ECAM    0x3f000000u

#define BOARD_PCIE_ECAM_HIGH      0x4010000000ull
#define BOARD_PCIE_ECAM_HIGH_SIZE 0x10000000ull

#define BOARD_RAM_BASE ((uint32_t)PE_BOARD_RAM_BASE)

/* A bank of flash that does not show its array is reached here by the engine; above any 40-bit address. */
#define BOARD_FLASH_WINDOW 0x20000000000ull

static inline bool is_flash(uint64_t pa)
{
    return pa < BOARD_FLASH_END;
}

#define BOARD_IRQ_PMU        23 /* hw/arm/virt.h, VIRTUAL_PMU_IRQ: PPI 7; the board's device tree does not list it */
#define BOARD_IRQ_HYP_TIMER  PE_BOARD_IRQ_HYP_TIMER
#define BOARD_IRQ_VIRT_TIMER PE_BOARD_IRQ_VIRT_TIMER
#define BOARD_IRQ_SEC_TIMER  PE_BOARD_IRQ_SEC_TIMER
#define BOARD_IRQ_PHYS_TIMER PE_BOARD_IRQ_PHYS_TIMER
#define BOARD_IRQ_UART       PE_BOARD_IRQ_UART
#define BOARD_IRQ_RTC        PE_BOARD_IRQ_RTC
#define BOARD_IRQ_GPIO       PE_BOARD_IRQ_GPIO

#define BOARD_COUNTER_HZ 62500000u

#endif
