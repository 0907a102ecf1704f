/* SPDX-License-Identifier: GPL-2.0-or-later
 * GICv2 of the board (ARM IHI 0048B).
 */
#ifndef FW_GIC_H
#define FW_GIC_H

#include <stdbool.h>
#include <stdint.h>

#define GICD 0x08000000u
#define GICC 0x08010000u

#define INTID_TIMER_VIRTUAL  27u /* PPI 11 */
#define INTID_TIMER_PHYSICAL 30u /* PPI 14, non-secure */
#define INTID_UART           33u /* SPI 1 */
#define INTID_SPURIOUS       1023u

static inline volatile uint32_t *gicd(uint32_t offset)
{
    return (volatile uint32_t *)(GICD + offset);
}

static inline volatile uint32_t *gicc(uint32_t offset)
{
    return (volatile uint32_t *)(GICC + offset);
}

#define GICD_CTLR       0x000u
#define GICD_TYPER      0x004u
#define GICD_ISENABLER  0x100u
#define GICD_ICENABLER  0x180u
#define GICD_ISPENDR    0x200u
#define GICD_ICPENDR    0x280u
#define GICD_ISACTIVER  0x300u
#define GICD_ICACTIVER  0x380u
#define GICD_IPRIORITYR 0x400u
#define GICD_ITARGETSR  0x800u
#define GICD_SGIR       0xf00u
#define GICC_CTLR       0x000u
#define GICC_PMR        0x004u
#define GICC_BPR        0x008u
#define GICC_IAR        0x00cu
#define GICC_EOIR       0x010u
#define GICC_RPR        0x014u
#define GICC_HPPIR      0x018u

/* Distributor (once) and CPU interface (each CPU), every priority let through. */
void gic_init(void);
void gic_enable(uint32_t intid);
void gic_disable(uint32_t intid);
void gic_set_priority(uint32_t intid, uint32_t priority);
void gic_set_target(uint32_t intid, uint32_t cpu_mask);
bool gic_is_pending(uint32_t intid);
bool gic_is_active(uint32_t intid);
void gic_send_sgi(uint32_t intid, uint32_t cpu_mask);

#endif
