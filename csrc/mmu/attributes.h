/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a leaf descriptor grants and which memory it names: permissions, memory type, shareability. */
#ifndef PYEMU_MMU_ATTRIBUTES_H
#define PYEMU_MMU_ATTRIBUTES_H

#include "mmu/descriptors.h"
#include "pyemu.h"

/* PE_PROT_* of both privileges; indexed by `privileged`. */
typedef struct pe_prot_pair {
    uint8_t of[2];
} pe_prot_pair;

static inline uint8_t pe_prot_needed(pe_access access)
{
    return (uint8_t)(1u << access);
}

/* Execution from a readable and perhaps writable region, B3.7.2.  Arguments are 0 or 1. */
static inline pe_prot_pair pe_prot_make(uint32_t sctlr, unsigned user_r, unsigned user_w, unsigned priv_r,
                                        unsigned priv_w, unsigned xn, unsigned pxn)
{
    unsigned wxn = (sctlr & SCTLR_WXN) != 0, uwxn = (sctlr & SCTLR_UWXN) != 0;
    unsigned user_x = user_r & ~(xn | (wxn & user_w)) & 1u;
    unsigned priv_x = priv_r & ~(xn | pxn | (wxn & priv_w) | (uwxn & user_w)) & 1u;
    return (pe_prot_pair){{
        (uint8_t)(user_r | user_w << 1 | user_x << 2),
        (uint8_t)(priv_r | priv_w << 1 | priv_x << 2),
    }};
}

/* AP[2:1] model, B3.7.1: the only one of the long format, and that of the short format with SCTLR.AFE = 1. */
static inline pe_prot_pair pe_prot_simple(uint32_t sctlr, unsigned ap1, unsigned ap2, unsigned xn, unsigned pxn)
{
    unsigned writable = ap2 ^ 1u;
    return pe_prot_make(sctlr, ap1, ap1 & writable, 1, writable, xn, pxn);
}

/* AP[2:0] model of the short format, B3.7.1 table B3-8.  Bit n of a constant answers for AP = n; AP = 0b100 is
 * reserved and grants nothing. */
static inline pe_prot_pair pe_prot_full(uint32_t sctlr, unsigned ap, unsigned xn, unsigned pxn)
{
    const unsigned user_r = 0xccu, user_w = 0x08u, priv_r = 0xeeu, priv_w = 0x0eu;
    return pe_prot_make(sctlr, (user_r >> ap) & 1u, (user_w >> ap) & 1u, (priv_r >> ap) & 1u, (priv_w >> ap) & 1u, xn,
                        pxn);
}

static inline pe_prot_pair pe_prot_short(uint32_t sctlr, unsigned ap, unsigned xn, unsigned pxn)
{
    if (sctlr & SCTLR_AFE) {
        return pe_prot_simple(sctlr, (ap >> 1) & 1u, ap >> 2, xn, pxn);
    }
    return pe_prot_full(sctlr, ap, xn, pxn);
}

static inline pe_prot_pair pe_prot_manager(void)
{
    const uint8_t all = PE_PROT_READ | PE_PROT_WRITE | PE_PROT_EXEC;
    return (pe_prot_pair){{all, all}};
}

/* The checks on a valid leaf, in the order of B3.13, and what it grants.  tables is the OR of the table descriptors
 * above the leaf (B3.6.3, hierarchical control). */
static inline pe_fault pe_check_long(uint32_t sctlr, uint64_t leaf, uint64_t tables, pe_access access, bool privileged,
                                     pe_prot_pair *prot)
{
    unsigned ap1 = (leaf & LD_AP1) && !(tables & LD_AP_TABLE0);
    unsigned ap2 = (leaf & LD_AP2) || (tables & LD_AP_TABLE1);
    unsigned xn = (leaf & LD_XN) || (tables & LD_XN_TABLE);
    unsigned pxn = (leaf & LD_PXN) || (tables & LD_PXN_TABLE);
    *prot = pe_prot_simple(sctlr, ap1, ap2, xn, pxn);
    if (!(leaf & LD_AF)) {
        return PE_FAULT_ACCESS_FLAG;
    }
    return prot->of[privileged] & pe_prot_needed(access) ? PE_FAULT_NONE : PE_FAULT_PERMISSION;
}

/* domain_access is the field of DACR: a manager is not checked, 0 and the reserved 2 grant nothing. */
static inline pe_fault pe_check_short(uint32_t sctlr, unsigned ap, unsigned xn, unsigned pxn, unsigned domain_access,
                                      pe_access access, bool privileged, pe_prot_pair *prot)
{
    switch (domain_access) {
    case DOMAIN_CLIENT: *prot = pe_prot_short(sctlr, ap, xn, pxn); break;
    case DOMAIN_MANAGER: *prot = pe_prot_manager(); break;
    default: *prot = (pe_prot_pair){{0, 0}}; break;
    }
    if ((sctlr & SCTLR_AFE) && !(ap & 1u)) {
        return PE_FAULT_ACCESS_FLAG;
    }
    if (domain_access != DOMAIN_CLIENT && domain_access != DOMAIN_MANAGER) {
        return PE_FAULT_DOMAIN;
    }
    return prot->of[privileged] & pe_prot_needed(access) ? PE_FAULT_NONE : PE_FAULT_PERMISSION;
}

typedef struct pe_memory_type {
    uint8_t attr; /* MAIR encoding */
    uint8_t shareability;
} pe_memory_type;

static inline pe_memory_type pe_attr_long(const pe_regime *regime, uint64_t descriptor)
{
    uint64_t mair = (uint64_t)regime->mair1 << 32 | regime->mair0;
    return (pe_memory_type){(uint8_t)(mair >> (8 * LD_ATTRINDX(descriptor))), (uint8_t)LD_SH(descriptor)};
}

/* Memory type of a short descriptor from TEX:C:B and S. */
pe_memory_type pe_attr_short(const pe_regime *regime, unsigned texcb, unsigned s);

#endif
