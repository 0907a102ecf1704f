/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a leaf descriptor grants and which memory it names: permissions, memory type, shareability. */
#ifndef PYEMU_MMU_ATTRIBUTES_H
#define PYEMU_MMU_ATTRIBUTES_H

#include "mmu/descriptors.h"
#include "pyemu.h"

/* PE_PROT_* of both privileges: PL0 in bits 2:0, PL1 in bits 6:4. */
typedef uint8_t pe_prot_pair;

#define PE_PROT_ALL      (PE_PROT_READ | PE_PROT_WRITE | PE_PROT_EXEC)
#define PE_PROT_EVERYONE (PE_PROT_ALL << 4 | PE_PROT_ALL)

/* Every combination of what decides permissions.  The key holds PXN, XN, not AP[1], AP[2], AP[0], SCTLR.WXN and
 * SCTLR.UWXN from bit 0 up: with AP[1] inverted all that a table descriptor of the long format can do is to set bits.
 */
extern const pe_prot_pair pe_prot_table[128];

#define PE_PROT_KEY_NOT_AP1    4u
#define PE_PROT_KEY_AP0        16u
#define PE_PROT_KEY_WXN(sctlr) (SCTLR_WXN_UWXN(sctlr) << 5)

static inline uint8_t pe_prot_of(pe_prot_pair pair, bool privileged)
{
    return privileged ? pair >> 4 : pair & PE_PROT_ALL;
}

static inline pe_fault pe_prot_check(pe_prot_pair pair, pe_access access, bool privileged)
{
    return pe_prot_of(pair, privileged) >> access & 1 ? PE_FAULT_NONE : PE_FAULT_PERMISSION;
}

/* What a leaf of the long format grants.  tables is the OR of the table descriptors above it (B3.6.3, hierarchical
 * control); its bits 62:59 and the leaf's bits 7:6 and 54:53 stand in the order of the key. */
static inline pe_prot_pair pe_prot_long(uint32_t sctlr, uint64_t leaf, uint64_t tables)
{
    unsigned own = (unsigned)(leaf >> 53 & 3u) | (unsigned)(leaf >> 4 & 12u);
    unsigned above = (unsigned)(tables >> LD_TABLE_SHIFT) & 15u;
    return pe_prot_table[(own ^ PE_PROT_KEY_NOT_AP1) | above | PE_PROT_KEY_AP0 | PE_PROT_KEY_WXN(sctlr)];
}

/* The checks on a valid leaf, in the order of B3.13. */
static inline pe_fault pe_check_long(uint64_t leaf, pe_prot_pair prot, pe_access access, bool privileged)
{
    return LD_AF(leaf) ? pe_prot_check(prot, access, privileged) : PE_FAULT_ACCESS_FLAG;
}

/* The same for the short format.  SCTLR.AFE makes AP[0] the access flag and leaves the simplified model AP[2:1], which
 * is the full one with AP[0] = 1 (B3.7.1).  domain_access is the field of DACR: a manager is not checked, 0 and the
 * reserved 2 grant nothing. */
static inline pe_prot_pair pe_prot_short(uint32_t sctlr, unsigned ap, unsigned xn, unsigned pxn, unsigned domain_access)
{
    unsigned ap0 = (ap & 1u) | (sctlr & SCTLR_AFE ? 1u : 0u);
    unsigned key = pxn | xn << 1 | (ap & 2u) << 1 | (ap & 4u) << 1 | ap0 << 4;
    switch (domain_access) {
    case DOMAIN_CLIENT: return pe_prot_table[(key ^ PE_PROT_KEY_NOT_AP1) | PE_PROT_KEY_WXN(sctlr)];
    case DOMAIN_MANAGER: return PE_PROT_EVERYONE;
    default: return 0;
    }
}

static inline pe_fault pe_check_short(uint32_t sctlr, unsigned ap, unsigned domain_access, pe_prot_pair prot,
                                      pe_access access, bool privileged)
{
    if ((sctlr & SCTLR_AFE) && !(ap & 1u)) {
        return PE_FAULT_ACCESS_FLAG;
    }
    if (!(domain_access & 1u)) {
        return PE_FAULT_DOMAIN;
    }
    return pe_prot_check(prot, access, privileged);
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
