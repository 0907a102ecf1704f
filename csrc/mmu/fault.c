/* SPDX-License-Identifier: GPL-2.0-or-later
 * Fault status and PAR, in both formats (ARM DDI 0406C B3.13, B4.1.112). */
#include "mmu/walk.h"

#define FSR_DOMAIN_SHIFT 4
#define FSR_LPAE         (UINT32_C(1) << 9)
#define FSR_WNR          (UINT32_C(1) << 11)
#define FSR_EXT          (UINT32_C(1) << 12)
#define FSR_CM           (UINT32_C(1) << 13)

#define PAR_F                      UINT64_C(1)
#define PAR_SS                     (UINT64_C(1) << 1)
#define PAR_INNER_STRONGLY_ORDERED (UINT64_C(1) << 4)
#define PAR_INNER_DEVICE           (UINT64_C(3) << 4)
#define PAR_SH                     (UINT64_C(1) << 7)
#define PAR_NS                     (UINT64_C(1) << 9)
#define PAR_NOS                    (UINT64_C(1) << 10)
#define PAR_LPAE                   (UINT64_C(1) << 11)

/* By pe_fault; short status of a first-level and of a second-level fault (table B3-23), long status without its
 * level (table B3-24). */
static const struct {
    const char *name;
    uint8_t short_first;
    uint8_t short_second;
    uint8_t long_status;
    bool long_has_level;
} faults[] = {
    [PE_FAULT_NONE] = {"none", 0x00, 0x00, 0x00, false},
    [PE_FAULT_ALIGNMENT] = {"alignment", 0x01, 0x01, 0x21, false},
    [PE_FAULT_EXTERNAL_WALK] = {"external abort on walk", 0x0c, 0x0e, 0x14, true},
    [PE_FAULT_TRANSLATION] = {"translation", 0x05, 0x07, 0x04, true},
    [PE_FAULT_ACCESS_FLAG] = {"access flag", 0x03, 0x06, 0x08, true},
    [PE_FAULT_DOMAIN] = {"domain", 0x09, 0x0b, 0x00, false}, /* not in the long format */
    [PE_FAULT_PERMISSION] = {"permission", 0x0d, 0x0f, 0x0c, true},
    [PE_FAULT_EXTERNAL] = {"external abort", 0x08, 0x08, 0x10, false},
    [PE_FAULT_DEBUG] = {"debug", 0x02, 0x02, 0x22, false},
};

#define FAULTS (sizeof faults / sizeof faults[0])

const char *pe_fault_name(pe_fault fault)
{
    return (size_t)fault < FAULTS ? faults[fault].name : "unknown";
}

static uint32_t short_status(const pe_translation *t)
{
    return t->level <= 1 ? faults[t->fault].short_first : faults[t->fault].short_second;
}

static uint32_t long_status(const pe_translation *t)
{
    return faults[t->fault].long_status | (faults[t->fault].long_has_level ? t->level & 3u : 0u);
}

/* The domain of a first-level translation fault and of an external abort on the first level is unknown: 0. */
uint32_t pe_fault_status(const pe_regime *regime, const pe_translation *t, pe_access access, bool cache_maintenance)
{
    if (t->fault == PE_FAULT_NONE || (size_t)t->fault >= FAULTS) {
        return 0;
    }
    bool is_long = regime->ttbcr & TTBCR_EAE;
    uint32_t status = is_long ? FSR_LPAE | long_status(t) : short_status(t);
    if (access == PE_FETCH) {
        return status;
    }
    if (!is_long) {
        status |= (uint32_t)(t->domain & 15u) << FSR_DOMAIN_SHIFT;
    }
    if (cache_maintenance) {
        return status | FSR_CM | FSR_WNR;
    }
    return status | (access == PE_WRITE ? FSR_WNR : 0);
}

/* Outer[1:0] of PAR for a nibble of the attributes that the short format can name; Inner[2:0] is the same code, with
 * bit 2 set unless it is 0. */
static unsigned par_cacheability(unsigned nibble)
{
    switch (nibble) {
    case 0xf: return 1;
    case 0xa: return 2;
    case 0xe: return 3;
    default: return 0;
    }
}

static uint64_t par_short(const pe_translation *t)
{
    uint64_t par = PAR_NS;
    unsigned outer = par_cacheability(t->attr >> 4), inner = par_cacheability(t->attr & 15u);
    if (t->attr == ATTR_STRONGLY_ORDERED) {
        par |= PAR_INNER_STRONGLY_ORDERED;
    } else if (t->attr == ATTR_DEVICE) {
        par |= PAR_INNER_DEVICE;
    } else {
        par |= outer << 2 | (uint64_t)(inner ? inner | 4u : 0u) << 4;
    }
    if (t->shareability != SH_NONE) {
        par |= PAR_SH;
    }
    if (t->shareability == SH_INNER) {
        par |= PAR_NOS;
    }
    if (t->flags & PE_TF_SUPERSECTION) {
        return par | PAR_SS | (t->pa & 0xff000000u) | (t->pa >> 32 & 0xffu) << 16;
    }
    return par | (t->pa & 0xfffff000u);
}

static uint64_t par_long(const pe_translation *t)
{
    return PAR_LPAE | PAR_NS | (uint64_t)t->attr << 56 | (t->pa & LD_ADDRESS) | (uint64_t)t->shareability << 7;
}

uint64_t pe_ats(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged)
{
    pe_translation t;
    bool is_long = regime->ttbcr & TTBCR_EAE;
    pe_translate(mem, regime, va, access, privileged, &t);
    if (t.fault != PE_FAULT_NONE) {
        return is_long ? PAR_LPAE | (uint64_t)long_status(&t) << 1 | PAR_F : (uint64_t)short_status(&t) << 1 | PAR_F;
    }
    return is_long ? par_long(&t) : par_short(&t);
}
