/* SPDX-License-Identifier: GPL-2.0-or-later
 * Translation: pure functions of memory, registers and address. */
#ifndef PYEMU_ABI_MMU_H
#define PYEMU_ABI_MMU_H

#include "abi/mem.h"

#define PE_PAGE_SIZE 4096

typedef enum pe_access {
    PE_READ = 0,
    PE_WRITE = 1,
    PE_FETCH = 2,
} pe_access;

/* Order is the order of the architecture's checks (ARM DDI 0406C B3.13). */
typedef enum pe_fault {
    PE_FAULT_NONE = 0,
    PE_FAULT_ALIGNMENT = 1,
    PE_FAULT_EXTERNAL_WALK = 2, /* the descriptor lies outside memory */
    PE_FAULT_TRANSLATION = 3,
    PE_FAULT_ACCESS_FLAG = 4,
    PE_FAULT_DOMAIN = 5,
    PE_FAULT_PERMISSION = 6,
    PE_FAULT_EXTERNAL = 7, /* the output address lies outside memory: never set by pe_translate */
    PE_FAULT_DEBUG = 8,    /* BKPT */
} pe_fault;

/* Everything that a stage-1 translation of PL1&0 depends on, as the CP15 registers hold it. */
typedef struct pe_regime {
    uint32_t sctlr;
    uint32_t ttbcr;
    uint64_t ttbr0;
    uint64_t ttbr1;
    uint32_t dacr;
    uint32_t mair0; /* PRRR when TTBCR.EAE = 0 */
    uint32_t mair1; /* NMRR when TTBCR.EAE = 0 */
    uint32_t contextidr;
} pe_regime;

/* pe_translation.prot, for the privilege that was asked */
#define PE_PROT_READ  1
#define PE_PROT_WRITE 2
#define PE_PROT_EXEC  4

/* pe_translation.flags */
#define PE_TF_NG             1  /* not global */
#define PE_TF_NS             2  /* non-secure output */
#define PE_TF_CONTIGUOUS     4  /* contiguous hint */
#define PE_TF_SUPERSECTION   8  /* 16 MB short-descriptor entry */
#define PE_TF_LARGE          16 /* 64 KB short-descriptor entry */
#define PE_TF_TTBR1          32 /* walked from TTBR1 */
#define PE_TF_MMU_OFF        64 /* SCTLR.M = 0: flat */
#define PE_TF_DOMAIN_MANAGER 128

/* Memory type of the leaf: MAIR encoding (also for short descriptors, converted; ARM DDI 0406C B4.1.104). */
typedef struct pe_translation {
    uint64_t pa;
    uint64_t descriptor;    /* the leaf, or the one that faults */
    uint64_t descriptor_pa; /* 0 when none was read */
    pe_fault fault;
    uint8_t level;        /* of the leaf or the fault: 1 to 3 (long), 1 to 2 (short); 0 with the MMU off */
    uint8_t prot;         /* PE_PROT_* granted to the privilege that was asked */
    uint8_t prot_other;   /* the same for the other privilege */
    uint8_t attr;         /* memory type, MAIR encoding */
    uint8_t shareability; /* 0 none, 2 outer, 3 inner */
    uint8_t domain;       /* short format */
    uint8_t size_log2;    /* of the leaf: 12, 16, 20, 21, 24, 30 */
    uint8_t flags;        /* PE_TF_* */
} pe_translation;

/* One descriptor read of a walk. */
typedef struct pe_step {
    uint64_t table_pa;
    uint64_t descriptor_pa;
    uint64_t descriptor;
    uint32_t index;
    uint8_t level;
    uint8_t kind; /* pe_descriptor_kind */
    uint8_t ttbr; /* 0 or 1 */
    uint8_t reserved;
} pe_step;

typedef enum pe_descriptor_kind {
    PE_DESC_INVALID = 0,
    PE_DESC_TABLE = 1,
    PE_DESC_BLOCK = 2, /* 1 GB, 2 MB; short: section, supersection */
    PE_DESC_PAGE = 3,  /* 4 KB; short: small or large page */
    PE_DESC_UNREADABLE = 4,
    PE_DESC_RESERVED = 5,
} pe_descriptor_kind;

#define PE_MAX_STEPS 4
typedef struct pe_walk {
    pe_translation result;
    pe_step steps[4];
    uint32_t nsteps;
} pe_walk;

/* Pure functions of memory, regime, address, access and privilege: nothing is cached. */
void pe_translate(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                  pe_translation *out);
/* The same, recording each descriptor read. */
void pe_translate_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                        pe_walk *out);
/* One sentence for the result of a walk, e.g. "level 2 table not present: L2[3] @0x40208018 = 0x0". */
void pe_walk_describe(const pe_regime *regime, uint32_t va, const pe_walk *walk, char *text, size_t size);

/* n translations; pa[i] is the output address, or ~0 where the access faults.  status may be NULL; otherwise
 * status[i] = pe_fault | level << 4.  Returns how many translated. */
size_t pe_translate_batch(const pe_mem *mem, const pe_regime *regime, const uint32_t *va, uint64_t *pa, uint8_t *status,
                          size_t n, pe_access access, bool privileged);

/* Leaves that follow one another and are alike: in level, size, permissions, memory type, shareability, domain, flags
 * and access flag, and in what query.descriptor_mask selects of the descriptor. */
typedef struct pe_range {
    pe_translation first; /* of the first byte; PE_FAULT_EXTERNAL_WALK: a table here lies outside memory */
    uint64_t size;
    uint32_t va;
    uint32_t descriptors;
} pe_range;

typedef struct pe_range_query {
    uint64_t start; /* virtual, [start, end) */
    uint64_t end;
    uint64_t descriptor_mask;
    uint64_t pa; /* only leaves that map some of [pa, pa + pa_size); pa_size 0: all */
    uint64_t pa_size;
    bool contiguous; /* physical addresses go on too */
} pe_range_query;

/* The ranges of a regime in ascending order, up to max; returns how many.  *next is where to start again: query->end
 * (at most 2^32) when nothing is left.  Permissions are those of PL1, prot_other those of PL0. */
size_t pe_ranges(const pe_mem *mem, const pe_regime *regime, const pe_range_query *query, pe_range *out, size_t max,
                 uint64_t *next);

/* DFSR or IFSR for a fault: long format when ttbcr.EAE, else short (ARM DDI 0406C B3.13.3, B3.13.4). */
uint32_t pe_fault_status(const pe_regime *regime, const pe_translation *t, pe_access access, bool cache_maintenance);
/* PAR of an ATS1C{P,U}{R,W}: 64 bits wide when TTBCR.EAE, else 32. */
uint64_t pe_ats(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged);
/* For mmu.check: how many VA bits does each TTBR translate, and from which level (0: never used). */
const char *pe_fault_name(pe_fault fault);

#endif
