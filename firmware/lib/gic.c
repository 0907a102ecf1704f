/* SPDX-License-Identifier: GPL-2.0-or-later
 * GICv2: set-up and the few operations that the blobs need.
 */
#include "gic.h"

#include "cp15.h"

void gic_init(void)
{
    *gicd(GICD_CTLR) = 1;
    *gicc(GICC_PMR) = 0xff;
    *gicc(GICC_BPR) = 0;
    *gicc(GICC_CTLR) = 1;
    dsb();
}

static void set_bit(uint32_t offset, uint32_t intid)
{
    *gicd(offset + intid / 32 * 4) = 1u << intid % 32;
    dsb();
}

static bool get_bit(uint32_t offset, uint32_t intid)
{
    return *gicd(offset + intid / 32 * 4) >> intid % 32 & 1;
}

void gic_enable(uint32_t intid)
{
    set_bit(GICD_ISENABLER, intid);
}

void gic_disable(uint32_t intid)
{
    set_bit(GICD_ICENABLER, intid);
}

void gic_set_priority(uint32_t intid, uint32_t priority)
{
    *(volatile uint8_t *)(GICD + GICD_IPRIORITYR + intid) = (uint8_t)priority;
}

void gic_set_target(uint32_t intid, uint32_t cpu_mask)
{
    *(volatile uint8_t *)(GICD + GICD_ITARGETSR + intid) = (uint8_t)cpu_mask;
}

bool gic_is_pending(uint32_t intid)
{
    return get_bit(GICD_ISPENDR, intid);
}

bool gic_is_active(uint32_t intid)
{
    return get_bit(GICD_ISACTIVER, intid);
}

void gic_send_sgi(uint32_t intid, uint32_t cpu_mask)
{
    dsb();
    *gicd(GICD_SGIR) = cpu_mask << 16 | intid;
}
