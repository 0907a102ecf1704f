/* SPDX-License-Identifier: GPL-2.0-or-later
 * The C ABI of pyemu.  cffi reads this file as it is: no declaration is repeated in Python.
 *
 * Conventions
 *   pe_<noun>_<verb>      functions; a handle comes first, the error slot last.
 *   pe_error *err         filled when a call fails (status other than PE_OK, or a NULL handle); may be NULL.
 *   Ownership             pe_X_new gives the caller a handle that pe_X_free takes back; a pointer returned by any
 *                         other function is borrowed and lives as long as the handle that it came from.
 *   Units                 sizes in bytes, addresses as integers, time in nanoseconds of guest time.
 *   No global state       two handles never share anything that changes.
 */
#ifndef PYEMU_H
#define PYEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- errors ------------------------------------------------------------------------------------------------ */

typedef enum pe_status {
    PE_OK = 0,
    PE_ERR_ARGUMENT = 1, /* a value that the function does not accept */
    PE_ERR_RANGE = 2,    /* outside guest memory */
    PE_ERR_OVERLAP = 3,  /* two segments would share an address */
    PE_ERR_MEMORY = 4,   /* the host has no memory left */
    PE_ERR_IO = 5,       /* a file of the host cannot be read */
    PE_ERR_ENGINE = 6,   /* libunicorn is absent, or not one that this code knows */
    PE_ERR_STATE = 7,    /* not allowed now (a running machine, a broken-off snapshot) */
    PE_ERR_FAULT = 8,    /* the guest's own translation faults: the text names level, index and descriptor */
} pe_status;

#define PE_ERROR_TEXT 248
typedef struct pe_error {
    pe_status status;
    char text[248];
} pe_error;

/* ---- mem: guest physical memory ---------------------------------------------------------------------------- */

#define PE_MEM_READONLY 1 /* the guest cannot write: flash */

typedef struct pe_mem pe_mem;
typedef struct pe_segment {
    uint64_t base;
    uint64_t size;
    uint32_t flags; /* PE_MEM_* */
} pe_segment;

pe_mem *pe_mem_new(pe_error *err);
void pe_mem_free(pe_mem *mem);
/* Sparse zero-filled RAM: costs what is touched.  base and size are multiples of 4096. */
pe_status pe_mem_add_ram(pe_mem *mem, uint64_t base, uint64_t size, uint32_t flags, pe_error *err);
/* A private (copy-on-write) view of a file; the tail of the last page reads as zero. */
pe_status pe_mem_add_file(pe_mem *mem, uint64_t base, const char *path, uint64_t offset, uint64_t size, uint32_t flags,
                          pe_error *err);
/* Up to max segments, ordered by base; returns how many there are. */
size_t pe_mem_segments(const pe_mem *mem, pe_segment *out, size_t max);
/* Host access: ignores PE_MEM_READONLY, may cross segments that touch.  PE_ERR_RANGE leaves buf or memory unchanged. */
pe_status pe_mem_read(const pe_mem *mem, uint64_t pa, void *buf, uint64_t len, pe_error *err);
pe_status pe_mem_write(pe_mem *mem, uint64_t pa, const void *buf, uint64_t len, pe_error *err);
/* Host pointer to [pa, pa+len), or NULL where that is not inside one segment. */
uint8_t *pe_mem_host(const pe_mem *mem, uint64_t pa, uint64_t len);
/* Addresses of pages at or above `from` that the host has backed (written at least once, or read), ascending; returns
 * the number stored, 0 at the end. */
size_t pe_mem_touched(const pe_mem *mem, uint64_t from, uint64_t *pages, size_t max);
/* Gives every touched page back to the host: all of RAM reads as zero again, file views as the file. */
pe_status pe_mem_reset(pe_mem *mem, pe_error *err);

/* ---- mmu: translation -------------------------------------------------------------------------------------- */

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

/* ---- timing: a core's parameters --------------------------------------------------------------------------- */

/* Names of fields are the keys of pyemu/timing/data/cores.toml, which gives each value with its source; the end of a
 * name says the unit. */
typedef enum pe_replacement {
    PE_REPLACE_LRU = 0,
    PE_REPLACE_ROUND_ROBIN = 1,
    PE_REPLACE_RANDOM = 2, /* pseudo-random: the same sequence in each run */
} pe_replacement;

typedef struct pe_cache_params {
    uint32_t size_bytes; /* ways * sets * line, the sets a power of two */
    uint32_t ways;
    uint32_t line_bytes;
    uint32_t hit_cycles; /* from the access to the data, upper levels included */
    pe_replacement replacement;
    bool write_allocate; /* a store that misses fetches the line; otherwise it goes to the next level */
} pe_cache_params;

typedef struct pe_tlb_params {
    uint32_t entries;    /* 0: the core has no such TLB */
    uint32_t ways;       /* entries: fully associative */
    uint32_t page_bytes; /* the sizes that an entry can have, added up; a larger leaf is kept in pieces */
    pe_replacement replacement;
    uint32_t miss_cycles; /* micro-TLB: of a hit in the main TLB; main TLB: of a walk without its descriptor reads */
} pe_tlb_params;

/* What empties every micro-TLB. */
typedef struct pe_micro_params {
    bool flushed_by_maintenance; /* any TLB maintenance */
    bool flushed_by_context;     /* a change of CONTEXTIDR, DACR, PRRR, NMRR, TTBR0 or TTBR1 */
} pe_micro_params;

/* Keeps where the last-level table of a stretch of addresses is. */
typedef struct pe_walk_params {
    uint32_t cache_entries; /* fully associative, LRU; 0: none */
    uint32_t cache_reach_bytes;
    bool through_l1d; /* descriptor reads look in L1D before L2 */
} pe_walk_params;

/* Cycles from an instruction's operands to its result, by class. */
typedef struct pe_latency_params {
    uint32_t alu_cycles;
    uint32_t shift_cycles; /* shift by register, or a shifted operand */
    uint32_t multiply_cycles;
    uint32_t multiply_long_cycles;
    uint32_t divide_cycles;
    uint32_t vfp_add_cycles;
    uint32_t vfp_multiply_cycles;
    uint32_t vfp_multiply_add_cycles;
    uint32_t vfp_divide_cycles;
    uint32_t vfp_sqrt_cycles;
    uint32_t vfp_move_cycles; /* between core and VFP registers, conversions, comparisons */
    uint32_t neon_add_cycles;
    uint32_t neon_multiply_cycles;
    uint32_t coprocessor_cycles; /* MRC and MRRC of plain registers */
} pe_latency_params;

typedef struct pe_pipeline_params {
    uint32_t issue_width;        /* instructions a cycle */
    uint32_t window_entries;     /* instructions in flight that latency can hide behind; 0: in order */
    uint32_t loads_width;        /* loads a cycle */
    uint32_t stores_width;       /* stores a cycle */
    uint32_t multiple_registers; /* registers a cycle of LDM and STM */
    uint32_t taken_branch_cycles;
    uint32_t mispredict_cycles;
    uint32_t history_entries; /* two-bit counters of the branch predictor; a power of two */
    uint32_t return_entries;  /* of the return stack */
} pe_pipeline_params;

typedef struct pe_memory_params {
    uint32_t dram_ns;              /* on top of an access that misses L2 */
    uint32_t line_fill_entries;    /* of L1D, that can be on their way at the same time */
    uint32_t line_transfer_cycles; /* between two lines that come from L2 to L1D */
    uint32_t store_entries;        /* stores that can wait for their line while the core goes on */
} pe_memory_params;

typedef struct pe_system_params {
    uint32_t exception_entry_cycles;
    uint32_t exception_return_cycles;
    uint32_t tlbi_cycles;           /* TLB maintenance on this CPU */
    uint32_t tlbi_broadcast_cycles; /* of the Inner Shareable forms */
    uint32_t dsb_cycles;
    uint32_t dmb_cycles;
    uint32_t isb_cycles;
    uint32_t mcr_cycles;        /* MCR and MCRR of other CP15 registers */
    uint32_t exclusive_cycles;  /* LDREX and STREX, on top of a load or store */
    uint32_t cache_line_cycles; /* cache maintenance of one line by address */
} pe_system_params;

typedef struct pe_core {
    uint64_t clock_hz;
    pe_pipeline_params pipeline;
    pe_latency_params latency;
    pe_cache_params l1i;
    pe_cache_params l1d;
    pe_cache_params l2;
    pe_memory_params memory;
    pe_tlb_params micro_instruction;
    pe_tlb_params micro_load;
    pe_tlb_params micro_store; /* 0 entries: stores use micro_load */
    pe_micro_params micro_tlbs;
    pe_tlb_params main_tlb;
    pe_walk_params walk;
    pe_system_params system;
} pe_core;

/* Whether a core can be built so.  The text names the key and what would be right: "l1d.size_bytes: 30000 ...". */
pe_status pe_core_check(const pe_core *core, pe_error *err);
/* DRAM latency in cycles of this core's clock, rounded to the nearest. */
uint32_t pe_core_dram_cycles(const pe_core *core);

/* ---- timing: caches ---------------------------------------------------------------------------------------- */

/* Tags only: memory is always coherent, a cache decides what an access costs. */
typedef struct pe_cache pe_cache;

typedef struct pe_cache_stats {
    uint64_t reads;
    uint64_t writes;
    uint64_t read_misses;
    uint64_t write_misses;
    uint64_t fills;
    uint64_t evictions;     /* valid lines that made room */
    uint64_t write_backs;   /* dirty lines written to the next level, by eviction or maintenance */
    uint64_t invalidations; /* lines dropped: by maintenance, by another CPU's store, by eviction from L2 */
} pe_cache_stats;

pe_cache *pe_cache_new(const pe_cache_params *params, pe_error *err);
void pe_cache_free(pe_cache *cache);
/* One access after the other.  write: n flags, or NULL (all are reads); hit: n results, or NULL.  Returns the misses.
 */
size_t pe_cache_access_batch(pe_cache *cache, const uint64_t *pa, const uint8_t *write, uint8_t *hit, size_t n);
bool pe_cache_holds(const pe_cache *cache, uint64_t pa, bool *dirty);
/* Maintenance of the line that holds pa; returns whether the line was here. */
bool pe_cache_clean(pe_cache *cache, uint64_t pa);
bool pe_cache_invalidate(pe_cache *cache, uint64_t pa);
void pe_cache_clean_all(pe_cache *cache);
void pe_cache_invalidate_all(pe_cache *cache);
void pe_cache_read_stats(const pe_cache *cache, pe_cache_stats *out);

/* L1I and L1D of each CPU, one L2 for all, DRAM.  Lines of L1D are in L2 too; a store takes the line from other CPUs.
 */
typedef struct pe_caches pe_caches;

typedef enum pe_cache_level {
    PE_CACHE_L1I = 0,
    PE_CACHE_L1D = 1,
    PE_CACHE_L2 = 2,
} pe_cache_level;

/* As pe_access, and a table walk's descriptor read. */
typedef enum pe_cache_use {
    PE_CACHE_READ = 0,
    PE_CACHE_WRITE = 1,
    PE_CACHE_FETCH = 2,
    PE_CACHE_WALK = 3,
} pe_cache_use;

typedef enum pe_cache_operation {
    PE_CACHE_CLEAN = 0,
    PE_CACHE_INVALIDATE = 1,
    PE_CACHE_CLEAN_INVALIDATE = 2,
} pe_cache_operation;

/* ncpus: 1 to PE_MAX_CPUS.  The core is copied. */
pe_caches *pe_caches_new(const pe_core *core, uint32_t ncpus, pe_error *err);
void pe_caches_free(pe_caches *caches);
/* Cycles from the access to its data, by the level that holds the line: hit_cycles of L1, of L2, or those and DRAM. */
uint32_t pe_caches_access(pe_caches *caches, uint32_t cpu, pe_cache_use use, uint64_t pa);
/* cycles: n results, or NULL.  use: n of pe_cache_use, or NULL (all are reads).  Returns the sum of cycles. */
uint64_t pe_caches_access_batch(pe_caches *caches, uint32_t cpu, const uint64_t *pa, const uint8_t *use,
                                uint32_t *cycles, size_t n);
/* The line of pa in L1D of every CPU and in L2 (to the point of coherency); fetched lines only by the two below. */
void pe_caches_maintain(pe_caches *caches, pe_cache_operation operation, uint64_t pa);
void pe_caches_maintain_fetch(pe_caches *caches, uint32_t cpu);     /* ICIALLU */
void pe_caches_maintain_fetch_line(pe_caches *caches, uint64_t pa); /* ICIMVAU: on every CPU */
void pe_caches_maintain_all(pe_caches *caches, pe_cache_operation operation);
pe_status pe_caches_holds(const pe_caches *caches, uint32_t cpu, pe_cache_level level, uint64_t pa, bool *holds,
                          bool *dirty, pe_error *err);
/* cpu is ignored for L2. */
pe_status pe_caches_read_stats(const pe_caches *caches, uint32_t cpu, pe_cache_level level, pe_cache_stats *out,
                               pe_error *err);

/* ---- mmu: modelled TLBs ------------------------------------------------------------------------------------ */

/* Micro-TLBs for fetches, loads and stores, a main TLB and a walk cache, by the parameters of a core.  Every entry of a
 * micro-TLB lies in the main TLB.  Translations come from the caller; what is kept here may be older than the tables.
 */
typedef struct pe_tlb pe_tlb;

typedef enum pe_tlb_level {
    PE_TLB_MICRO = 0, /* hit in a micro-TLB */
    PE_TLB_MAIN = 1,  /* hit in the main TLB */
    PE_TLB_MISS = 2,  /* a walk was needed */
    PE_TLB_OFF = 3,   /* the MMU is off: no TLB is asked */
} pe_tlb_level;

typedef enum pe_tlb_array {
    PE_TLB_ARRAY_INSTRUCTION = 0,
    PE_TLB_ARRAY_LOAD = 1,
    PE_TLB_ARRAY_STORE = 2, /* empty where stores use the one of loads */
    PE_TLB_ARRAY_MAIN = 3,
    PE_TLB_ARRAY_WALK = 4, /* pa is that of the last-level table */
} pe_tlb_array;

typedef struct pe_tlb_entry {
    uint64_t pa; /* of the first byte */
    uint64_t descriptor;
    uint64_t descriptor_pa;
    uint32_t va; /* of the first byte */
    uint8_t asid;
    uint8_t size_log2;      /* of this entry */
    uint8_t leaf_size_log2; /* of the leaf that it is, or is a piece of */
    uint8_t level;
    uint8_t prot;      /* PE_PROT_* of PL1 */
    uint8_t prot_user; /* of PL0 */
    uint8_t attr;
    uint8_t shareability;
    uint8_t domain;
    uint8_t flags; /* PE_TF_*; without PE_TF_NG any ASID matches */
} pe_tlb_entry;

typedef struct pe_tlb_result {
    pe_tlb_level level;
    uint32_t cycles;  /* without the descriptor reads of a walk */
    bool walk_cached; /* of a walk: only its last descriptor is read */
    bool stale;       /* of a hit: the fresh translation says something else */
} pe_tlb_result;

/* Arrays are indexed by pe_access, invalidates by pe_tlbi. */
typedef struct pe_tlb_stats {
    uint64_t lookups[3];
    uint64_t micro_misses[3];
    uint64_t main_misses[3];
    uint64_t walk_cache_hits;
    uint64_t walk_cache_misses;
    uint64_t faults;    /* walks that made no entry */
    uint64_t evictions; /* entries of the main TLB that made room */
    uint64_t invalidates[4];
    uint64_t invalidated; /* entries of the main TLB that they removed */
    uint64_t asid_switches;
    uint64_t stale;
} pe_tlb_stats;

/* A hit that a fresh walk contradicts. */
typedef struct pe_tlb_stale {
    uint64_t ordinal; /* of the lookup, from 1 */
    uint64_t old_descriptor;
    uint64_t new_descriptor;
    uint64_t descriptor_pa; /* of the new one */
    uint64_t old_pa;        /* of va */
    uint64_t new_pa;        /* where fault is PE_FAULT_NONE */
    uint32_t va;
    pe_access access;
    pe_fault fault; /* of the fresh walk */
    uint8_t asid;
} pe_tlb_stale;

typedef enum pe_tlbi {
    PE_TLBI_ALL = 0,
    PE_TLBI_ASID = 1, /* entries of an ASID that are not global */
    PE_TLBI_MVA = 2,  /* entries of an address, of an ASID or global */
    PE_TLBI_MVAA = 3, /* entries of an address, of any ASID */
} pe_tlbi;

pe_tlb *pe_tlb_new(const pe_core *core, pe_error *err);
void pe_tlb_free(pe_tlb *tlb);
/* Called for each entry that leaves a micro-TLB, after it has: to make room, with its main entry, or because the core
 * empties it.  Not where pe_tlb_invalidate names it: all, its ASID, or an address in it.  Must not change the TLBs. */
typedef void (*pe_tlb_dropped)(void *user, pe_tlb_array array, const pe_tlb_entry *entry);
void pe_tlb_on_drop(pe_tlb *tlb, pe_tlb_dropped dropped, void *user);
/* Whether pe_tlb_access compares each hit with the fresh translation; off at first. */
void pe_tlb_detect_stale(pe_tlb *tlb, bool on);

/* The entry that an access hits, or NULL: then pe_tlb_fill is due with the walk's result.  The pointer is good until
 * the next call. */
const pe_tlb_entry *pe_tlb_lookup(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, pe_tlb_result *result);
/* privileged: the privilege that t was asked for.  A translation that faults makes no entry, unless the fault is one of
 * permission or domain: then its leaf was found (ARM DDI 0406C B3.9). */
void pe_tlb_fill(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, bool privileged, const pe_translation *t,
                 pe_tlb_result *result);
/* Both in one, for a caller that has the fresh translation at hand. */
void pe_tlb_access(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, bool privileged,
                   const pe_translation *fresh, pe_tlb_result *result);
/* n accesses under one regime.  asid: n values, or NULL (that of the regime); access: n of pe_access, or NULL (reads);
 * level: n of pe_tlb_level, or NULL.  Returns the sum of cycles. */
uint64_t pe_tlb_replay(pe_tlb *tlb, const pe_mem *mem, const pe_regime *regime, bool privileged, const uint32_t *va,
                       const uint8_t *asid, const uint8_t *access, uint8_t *level, size_t n);
/* Returns how many entries of the main TLB went. */
uint32_t pe_tlb_invalidate(pe_tlb *tlb, pe_tlbi operation, uint32_t va, uint8_t asid);
/* CONTEXTIDR, DACR, PRRR, NMRR, TTBR0 or TTBR1 changed. */
void pe_tlb_context_changed(pe_tlb *tlb);

/* Whether an access would hit; changes nothing.  PE_TLB_ARRAY_STORE: that of loads where they share one. */
bool pe_tlb_holds(const pe_tlb *tlb, pe_tlb_array array, uint32_t va, uint8_t asid);

/* Up to max valid entries; returns how many there are. */
size_t pe_tlb_list(const pe_tlb *tlb, pe_tlb_array array, pe_tlb_entry *out, size_t max);
/* The latest stale hits, oldest first, up to max of at most PE_TLB_STALE_KEPT; returns how many were stored. */
#define PE_TLB_STALE_KEPT 64
size_t pe_tlb_stale_hits(const pe_tlb *tlb, pe_tlb_stale *out, size_t max);
void pe_tlb_read_stats(const pe_tlb *tlb, pe_tlb_stats *out);
/* TTBR0 or TTBR1 by TTBCR.A1 (long format), else CONTEXTIDR. */
uint8_t pe_regime_asid(const pe_regime *regime);

/* ---- timing: blocks ---------------------------------------------------------------------------------------- */

/* Decodes code and says what it costs when nothing misses.  Uses libcapstone, which the process has loaded before. */
typedef struct pe_blocks pe_blocks;

typedef enum pe_branch {
    PE_BRANCH_NONE = 0,        /* falls through */
    PE_BRANCH_DIRECT = 1,      /* always taken, to `target` */
    PE_BRANCH_CONDITIONAL = 2, /* to `target` or falls through */
    PE_BRANCH_INDIRECT = 3,
    PE_BRANCH_CALL = 4, /* to `target` */
    PE_BRANCH_CALL_INDIRECT = 5,
    PE_BRANCH_RETURN = 6,
    PE_BRANCH_EXCEPTION_RETURN = 7,
} pe_branch;

/* System operations are counted, not costed: they go to categories of their own. */
typedef struct pe_block_cost {
    uint32_t insns;
    uint32_t cycles_x16; /* in sixteenths of a cycle: issue, dependencies, L1 hits */
    uint32_t l1_x16;     /* the part of it that waiting for L1 hits adds */
    uint32_t taken_x16;  /* on top when its branch is taken */
    uint32_t loads;      /* instructions that load, and below that store */
    uint32_t stores;
    uint32_t exclusives;
    uint32_t dsb;
    uint32_t dmb;
    uint32_t isb;
    uint32_t system_writes; /* MCR and MCRR of CP15 */
    uint32_t exceptions;    /* SVC, HVC, SMC, BKPT */
    uint32_t unknown;       /* not decoded: costed as one simple instruction each */
    pe_branch branch;       /* of the last instruction */
    uint32_t target;
    uint32_t accesses;    /* loads and stores one by one: an LDM of four registers has four */
    uint32_t loaded_regs; /* r0 to r14, a bit each: at the end they hold what was loaded, or was reckoned from it */
} pe_block_cost;

/* One load or store of a block as the engine makes it, in the order of execution when every condition holds; a word of
 * LDM and LDRD is one, an element of VLD2 to VLD4 too, and STREX loads before it stores.  A condition is a part of the
 * address: it too must be known first. */
typedef struct pe_block_access {
    uint16_t address_regs; /* r0 to r14, a bit each: registers at the start of the block that the address depends on */
    uint16_t offset;       /* of its instruction in the block, bytes */
    bool store;
    bool after_load; /* the address depends on an earlier load of the same block */
} pe_block_access;

#define PE_BLOCK_MAX_BYTES 4096

pe_blocks *pe_blocks_new(const pe_core *core, pe_error *err);
void pe_blocks_free(pe_blocks *blocks);
/* len bytes of code at an address, 1 to PE_BLOCK_MAX_BYTES. */
pe_status pe_blocks_cost(pe_blocks *blocks, const void *code, size_t len, uint32_t address, bool thumb,
                         pe_block_cost *out, pe_error *err);
/* Those of the block that was costed last: pe_block_cost.accesses of them. */
const pe_block_access *pe_blocks_accesses(const pe_blocks *blocks);

/* ---- timing: branch prediction ----------------------------------------------------------------------------- */

/* Two-bit counters chosen by address and global history, a stack of return addresses, and the last target of each
 * indirect branch in each history. */
typedef struct pe_predictor pe_predictor;

/* Indexed by pe_branch. */
typedef struct pe_predictor_stats {
    uint64_t branches[8];
    uint64_t mispredicted[8];
} pe_predictor_stats;

pe_predictor *pe_predictor_new(const pe_core *core, pe_error *err);
void pe_predictor_free(pe_predictor *predictor);
/* A branch at an address was followed by the instruction at `next`; `after` is the one behind the branch.  Returns
 * whether that had been predicted wrongly, and learns. */
bool pe_predictor_resolve(pe_predictor *predictor, pe_branch branch, uint32_t address, uint32_t next, uint32_t after);
/* n of them; mispredicted: n results, or NULL.  Returns how many were wrong. */
size_t pe_predictor_replay(pe_predictor *predictor, const uint8_t *branch, const uint32_t *address,
                           const uint32_t *next, const uint32_t *after, uint8_t *mispredicted, size_t n);
void pe_predictor_read_stats(const pe_predictor *predictor, pe_predictor_stats *out);

/* ---- timing: the ledger ------------------------------------------------------------------------------------ */

/* What cycles were spent on.  Each cycle of a CPU is in one category and under one privilege. */
typedef enum pe_cost {
    PE_COST_INSTRUCTIONS = 0, /* issue, latencies, dependencies */
    PE_COST_BRANCHES = 1,     /* mispredicted */
    PE_COST_L1 = 2,           /* waiting for L1 hits */
    PE_COST_L2 = 3,           /* waiting for L2, by accesses that missed L1 */
    PE_COST_DRAM = 4,         /* waiting for memory, by accesses that missed L2 */
    PE_COST_MICRO_TLB = 5,    /* micro-TLB misses */
    PE_COST_MAIN_TLB = 6,     /* main TLB misses, without the walk's descriptor reads */
    PE_COST_WALK = 7,         /* descriptor reads */
    PE_COST_TLB_MAINTENANCE = 8,
    PE_COST_CACHE_MAINTENANCE = 9,
    PE_COST_BARRIERS = 10,
    PE_COST_SYSTEM = 11, /* CP15 reads and writes */
    PE_COST_EXCEPTIONS = 12,
    PE_COST_LOCKS = 13, /* exclusives, and locks of the kernel model */
} pe_cost;

#define PE_COSTS 14

typedef struct pe_ledger pe_ledger;

typedef struct pe_bill {
    uint64_t cycles[14]; /* by pe_cost */
    uint64_t events[14]; /* how many times each was billed; of PE_COST_INSTRUCTIONS: instructions */
} pe_bill;

pe_ledger *pe_ledger_new(uint32_t ncpus, pe_error *err);
void pe_ledger_free(pe_ledger *ledger);
/* Nothing where there is no such CPU or category. */
void pe_ledger_add(pe_ledger *ledger, uint32_t cpu, bool privileged, pe_cost cost, uint64_t cycles);
/* An access that took `cycles` by pe_caches_access: what lies behind L1 goes to L2 and DRAM. */
void pe_ledger_add_access(pe_ledger *ledger, uint32_t cpu, bool privileged, const pe_caches *caches, pe_cache_use use,
                          uint32_t cycles);
/* A lookup of the modelled TLBs. */
void pe_ledger_add_tlb(pe_ledger *ledger, uint32_t cpu, bool privileged, const pe_core *core,
                       const pe_tlb_result *result, pe_access access);
/* All cycles of a CPU: a clock that only goes forward. */
uint64_t pe_ledger_cycles(const pe_ledger *ledger, uint32_t cpu);
pe_status pe_ledger_read(const pe_ledger *ledger, uint32_t cpu, bool privileged, pe_bill *out, pe_error *err);
const char *pe_cost_name(pe_cost cost); /* "main TLB"; NULL past the end */

/* ---- board: the physical map, that of QEMU's `virt` (hw/arm/virt.c, base_memmap and a15irqmap) -------------- */

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

/* ---- machine: the board and its CPUs ----------------------------------------------------------------------- */

typedef struct pe_machine pe_machine;

typedef enum pe_cpu_model {
    PE_CPU_CORTEX_A15 = 0,
    PE_CPU_CORTEX_A7 = 1,
} pe_cpu_model;

#define PE_MAX_CPUS            8
#define PE_MACHINE_SEMIHOSTING 1 /* SVC 0x123456 / 0xab and HLT from PL1 are host calls */
/* Also with SCTLR.A = 0: alignment faults of LDM, LDRD, VLDR and of any access to Device or Strongly-ordered memory.
 * Costs a hook on every instruction. */
#define PE_MACHINE_STRICT_ALIGNMENT 2

typedef enum pe_timing {
    PE_TIMING_OFF = 0,   /* an instruction takes a nanosecond */
    PE_TIMING_TLB = 1,   /* instructions, branches, TLBs; each cache access hits L1, each descriptor read L2 */
    PE_TIMING_CACHE = 2, /* caches too */
} pe_timing;

typedef struct pe_machine_config {
    uint64_t ram_base;
    uint64_t ram_size;
    uint32_t ncpus;
    pe_cpu_model cpu_model;
    uint32_t flags;   /* PE_MACHINE_* */
    uint32_t quantum; /* instructions a CPU runs before the next one's turn */
    pe_timing timing;
    const pe_core *core; /* whose cycles are counted; copied.  May be NULL with PE_TIMING_OFF. */
} pe_machine_config;

typedef enum pe_stop_reason {
    PE_STOP_LIMIT = 0,       /* max_insns executed */
    PE_STOP_TIME = 1,        /* guest time reached max_time_ns */
    PE_STOP_BREAKPOINT = 2,  /* `address` is about to be executed on `cpu` */
    PE_STOP_EXIT = 3,        /* semihosting SYS_EXIT; `status` is the exit status */
    PE_STOP_POWEROFF = 4,    /* PSCI SYSTEM_OFF, or CPU_OFF of the last CPU */
    PE_STOP_RESET = 5,       /* PSCI SYSTEM_RESET */
    PE_STOP_IDLE = 6,        /* every CPU waits (WFI/WFE); see idle in pe_run */
    PE_STOP_DEADLOCK = 7,    /* every CPU waits and no timer is armed: only input could wake the guest */
    PE_STOP_LOCKUP = 8,      /* an exception whose vector cannot be fetched: `address` is the vector */
    PE_STOP_OUTPUT = 9,      /* the console's output buffer is full: read it and run on */
    PE_STOP_REQUESTED = 10,  /* pe_machine_stop was called */
    PE_STOP_CONSOLE = 11,    /* the guest wrote console_until */
    PE_STOP_STEP = 12,       /* the step that was asked for is done */
    PE_STOP_WATCHPOINT = 13, /* watched memory was reached: pe_machine_watch_hit */
    PE_STOP_POSITION = 14,   /* stop_at was reached */
} pe_stop_reason;

typedef struct pe_run {
    uint64_t max_insns;        /* of all CPUs together in this call; 0: no limit */
    uint64_t max_time_ns;      /* absolute guest time; 0: no limit */
    bool stop_when_idle;       /* return PE_STOP_IDLE instead of passing to the next timer event */
    const char *console_until; /* stop when the console's output ends with this text; NULL: never */
    /* For debuggers; 0 each: not asked.  Stops by these, by breakpoints and watchpoints do not change what the guest
     * does when it runs on. */
    uint32_t step;  /* 1 + the CPU of which one instruction, or one entry of an exception, is wanted; or PE_STEP_ANY */
    uint32_t flags; /* PE_RUN_* */
    uint64_t stop_at; /* PE_STOP_POSITION when this many instructions have been executed since the machine was made */
} pe_run;

#define PE_STEP_ANY    0xffffffff
#define PE_RUN_LEAVE   1 /* breakpoints at the instructions where the CPUs are now do not count */
#define PE_RUN_THROUGH 2 /* no breakpoints and watchpoints count */

typedef struct pe_stop {
    pe_stop_reason reason;
    uint32_t cpu;
    int32_t status;         /* PE_STOP_EXIT */
    uint32_t address;       /* PE_STOP_BREAKPOINT, PE_STOP_LOCKUP */
    uint32_t origin;        /* PE_STOP_LOCKUP: the instruction with whose exception it began */
    uint64_t insns;         /* executed in this call */
    uint64_t next_event_ns; /* PE_STOP_IDLE: guest time of the next timer event */
} pe_stop;

/* Counters since the machine was made, all CPUs together. */
typedef struct pe_stats {
    uint64_t insns;
    uint64_t time_ns;
    uint64_t walks; /* table walks: soft-TLB misses that needed one, and ATS operations */
    uint64_t descriptor_reads;
    uint64_t fills; /* soft-TLB entries made */
    uint64_t data_aborts;
    uint64_t prefetch_aborts;
    uint64_t undefs;
    uint64_t svcs;
    uint64_t hypercalls; /* HVC and SMC */
    uint64_t irqs;
    uint64_t fiqs;
    uint64_t cp15_traps;
    uint64_t code_invalidations; /* pages whose translated code was dropped */
    uint64_t tlb_flushes;        /* whole soft-TLB flushes made by us */
    uint64_t wfi;
    uint64_t switches; /* from one CPU to the next */
    uint64_t semihosting;
    uint64_t mmio;
} pe_stats;

pe_machine *pe_machine_new(const pe_machine_config *config, pe_error *err);
void pe_machine_free(pe_machine *machine);
pe_mem *pe_machine_mem(pe_machine *machine);
/* Puts an image into flash bank 0 (at 0x0) or 1 (at 0x04000000); at most 64 MB. */
pe_status pe_machine_set_flash(pe_machine *machine, uint32_t bank, const void *image, uint64_t size, pe_error *err);
/* Where and how CPU 0 starts: SVC mode, interrupts masked, MMU off; bit 0 of pc selects Thumb. */
pe_status pe_machine_reset(pe_machine *machine, uint32_t pc, pe_error *err);
pe_status pe_machine_run(pe_machine *machine, const pe_run *run, pe_stop *stop, pe_error *err);
/* Asks a running machine to return; may be called from a signal handler or another thread. */
void pe_machine_stop(pe_machine *machine);
void pe_machine_stats(const pe_machine *machine, pe_stats *out);

/* The cycle model of a running machine: what each part has seen since the machine was reset.  Borrowed; all of them
 * NULL with PE_TIMING_OFF, the caches also with PE_TIMING_TLB.  Between two runs the categories of the ledger add up to
 * its cycles, and those are the time of the guest. */
pe_timing pe_machine_timing(const pe_machine *machine);
const pe_ledger *pe_machine_ledger(const pe_machine *machine);
const pe_caches *pe_machine_caches(const pe_machine *machine);
pe_tlb *pe_machine_tlb(pe_machine *machine, uint32_t cpu);
const pe_predictor *pe_machine_predictor(const pe_machine *machine, uint32_t cpu);

/* What the ledger does not say about one CPU.  Arrays are indexed by privilege: PL0, PL1. */
typedef struct pe_executed {
    uint64_t insns[2];
    uint64_t blocks[2];
    uint64_t loads[2]; /* load instructions, whether their condition holds or not */
    uint64_t stores[2];
    uint64_t exceptions; /* taken */
    uint64_t exception_returns;
    uint64_t code_decoded; /* blocks whose cost had to be found */
    uint64_t uncached;     /* accesses to memory that is not cacheable, or with the caches off */
} pe_executed;
pe_status pe_machine_executed(const pe_machine *machine, uint32_t cpu, pe_executed *out, pe_error *err);

/* Writes from outside the guest: as pe_mem_*, and code that was translated from these bytes is dropped. */
pe_status pe_machine_write(pe_machine *machine, uint64_t pa, const void *buf, uint64_t len, pe_error *err);
/* Drops soft-TLB entries, and those of modelled TLBs, of all CPUs, as a TLBIALLIS would. */
void pe_machine_tlb_flush(pe_machine *machine);

/* The registers that decide translation on a CPU now, and its privilege. */
pe_status pe_machine_regime(pe_machine *machine, uint32_t cpu, pe_regime *out, bool *privileged, pe_error *err);

/* Registers by index: core (r0..r15, cpsr, spsr and banked ones), VFP (d0..d31, fpscr, fpexc) and CP15 by name. */
typedef struct pe_register {
    const char *name;  /* lower case: "r0", "lr_irq", "sctlr" */
    const char *group; /* "core", "banked", "vfp", "cp15" */
    uint32_t width;    /* bits */
} pe_register;
uint32_t pe_register_count(void);
const pe_register *pe_register_info(uint32_t index); /* NULL past the end */
pe_status pe_machine_reg_read(pe_machine *machine, uint32_t cpu, uint32_t index, uint64_t *value, pe_error *err);
pe_status pe_machine_reg_write(pe_machine *machine, uint32_t cpu, uint32_t index, uint64_t value, pe_error *err);

/* Breakpoints stop before the instruction at a virtual address, on any CPU.  At most PE_MAX_BREAKPOINTS. */
#define PE_MAX_BREAKPOINTS 64
pe_status pe_machine_break_add(pe_machine *machine, uint32_t va, pe_error *err);
pe_status pe_machine_break_remove(pe_machine *machine, uint32_t va, pe_error *err);

/* ---- machine: debugging ------------------------------------------------------------------------------------ */

/* Watchpoints stop after the instruction that reached [address, address + size), by its virtual address, or by physical
 * address through any mapping.  They cost a microsecond for each access to the rest of the page. */
#define PE_MAX_WATCHPOINTS 16
#define PE_WATCH_READ      1
#define PE_WATCH_WRITE     2
typedef struct pe_watch {
    uint64_t address;
    uint32_t size;   /* 1 to 4096, within a page */
    uint32_t access; /* PE_WATCH_* together */
    bool physical;
} pe_watch;
typedef struct pe_watch_hit {
    pe_watch watch;
    uint64_t pa;
    uint64_t old_value, new_value; /* of the `size` bytes that were reached; equal for a load */
    uint64_t insns;                /* executed before the instruction, all CPUs together */
    uint32_t va, pc;
    uint32_t size;
    uint32_t cpu;
    bool write;
} pe_watch_hit;
pe_status pe_machine_watch_add(pe_machine *machine, const pe_watch *watch, pe_error *err);
pe_status pe_machine_watch_remove(pe_machine *machine, const pe_watch *watch, pe_error *err);
/* The access of the latest PE_STOP_WATCHPOINT; false: there was none. */
bool pe_machine_watch_hit(const pe_machine *machine, pe_watch_hit *out);

/* A store to a page from which a table walk has read before: to a descriptor, mostly. */
typedef struct pe_table_write {
    uint64_t insns; /* executed before the instruction, all CPUs together */
    uint64_t pa;
    uint64_t old_value, new_value; /* of `size` bytes */
    uint32_t pc, va;
    uint8_t size; /* 1, 2, 4; 8: two stores of one instruction */
    uint8_t cpu;
    uint8_t privileged;
    uint8_t reserved;
} pe_table_write;
/* Keeps the latest `room` of them from now on; 0: no more.  Costs half a microsecond for each such store. */
pe_status pe_machine_record_tables(pe_machine *machine, uint64_t room, pe_error *err);
/* The kept ones from number `from` on (they are numbered from 0), oldest first, up to max; *first is the number of the
 * first.  Returns how many. */
size_t pe_machine_table_writes(const pe_machine *machine, uint64_t from, pe_table_write *out, size_t max,
                               uint64_t *first);

/* Checkpoints: the machine as it was, for going back.  Pages are copied when they are first written after one, so one
 * costs what the guest writes until the next.  Not with a cycle model, whose caches they do not hold. */
typedef struct pe_checkpoint {
    uint64_t id;         /* ascending */
    uint64_t insns;      /* executed, all CPUs together */
    uint64_t exceptions; /* taken */
    uint64_t bytes;      /* of host memory */
} pe_checkpoint;
pe_status pe_machine_checkpoint(pe_machine *machine, uint64_t *id, pe_error *err);
/* Up to max of them, oldest first; returns how many there are. */
size_t pe_machine_checkpoints(const pe_machine *machine, pe_checkpoint *out, size_t max);
/* The machine is as it was; later checkpoints are gone.  Console output that was not read is lost. */
pe_status pe_machine_rewind(pe_machine *machine, uint64_t id, pe_error *err);
/* Forgets one; those before and behind it stay whole. */
pe_status pe_machine_checkpoint_drop(pe_machine *machine, uint64_t id, pe_error *err);
/* Exceptions taken by all CPUs: with the count of instructions, the place of a stop in the run. */
uint64_t pe_machine_exceptions(const pe_machine *machine);

/* ---- machine: console, state ------------------------------------------------------------------------------- */

/* The PL011's two ends.  Output: up to size bytes move to buf, the number is returned.  Input: queued without limit. */
size_t pe_machine_console_read(pe_machine *machine, void *buf, size_t size);
pe_status pe_machine_console_write(pe_machine *machine, const void *buf, size_t len, pe_error *err);
/* No more input will come: a semihosting read of the guest gets an end of file instead of waiting.  Returns whether a
 * CPU waits in such a read. */
bool pe_machine_console_close(pe_machine *machine);

/* CPU and device state (not RAM) as one versioned blob.  save: NULL buf asks for the size. */
size_t pe_machine_state_save(pe_machine *machine, void *buf, size_t size, pe_error *err);
pe_status pe_machine_state_load(pe_machine *machine, const void *buf, size_t size, pe_error *err);

/* The engine's own handle of a CPU (uc_engine *), for hooks of a test or a debugger; NULL: there is no such CPU.
 * Borrowed.  Registers and memory are better reached by the calls above. */
void *pe_machine_engine(pe_machine *machine, uint32_t cpu);

/* What the engine is and which of its optional internals were found: "unicorn 2.1.4; tlb_flush_page_arm ..." */
pe_status pe_engine_describe(char *text, size_t size, pe_error *err);

/* ---- kernel: configuration --------------------------------------------------------------------------------- */

/* The memory management of 32-bit ARM Linux on guest memory: names are the kernel's. */
typedef struct pe_kernel pe_kernel;

typedef enum pe_kernel_tables {
    PE_TABLES_LPAE = 0,
    PE_TABLES_CLASSIC = 1, /* short descriptors, a Linux and a hardware half in each PTE page */
} pe_kernel_tables;

typedef enum pe_vmsplit {
    PE_VMSPLIT_3G = 0,
    PE_VMSPLIT_3G_OPT = 1,
    PE_VMSPLIT_2G = 2,
    PE_VMSPLIT_1G = 3,
} pe_vmsplit;

typedef enum pe_preemption {
    PE_PREEMPT_NONE = 0,
    PE_PREEMPT_VOLUNTARY = 1,
    PE_PREEMPT_FULL = 2,
    PE_PREEMPT_RT = 3,
} pe_preemption;

/* ARCH_NEEDS_KMAP_HIGH_GET (arch/arm/include/asm/highmem.h) */
typedef enum pe_high_get {
    PE_HIGH_GET_ON = 0,
    PE_HIGH_GET_ERRATUM = 1, /* not defined: ARM_ERRATA_798181 */
    PE_HIGH_GET_DEBUG = 2,   /* answers NULL without a lock: DEBUG_HIGHMEM with a cache that does not alias */
} pe_high_get;

/* What is done about a sleeping lock below gup_fast. */
typedef enum pe_remedy {
    PE_REMEDY_NONE = 0,
    PE_REMEDY_NO_HIGHPTE = 1,    /* HIGHPTE depends on !PREEMPT_RT (fedadc413723) */
    PE_REMEDY_NO_FAST_GUP = 2,   /* no HAVE_GUP_FAST with both (the -rt patch queue) */
    PE_REMEDY_TRYLOCK = 3,       /* a lock that is not free ends gup_fast, and the slow path does the rest */
    PE_REMEDY_SKIP_HIGH_GET = 4, /* PIPT caches need no kmap_high_get */
} pe_remedy;

/* pe_kernel_config.flags */
#define PE_KERNEL_HIGHMEM          0x0001
#define PE_KERNEL_HIGHPTE          0x0002
#define PE_KERNEL_THP              0x0004 /* TRANSPARENT_HUGEPAGE */
#define PE_KERNEL_MEMCG            0x0008 /* struct page is 36 bytes, not 32 */
#define PE_KERNEL_ZONE_DMA         0x0010 /* lowmem is ZONE_DMA, ZONE_NORMAL is empty */
#define PE_KERNEL_SWIOTLB          0x0020 /* its buffer is taken when RAM reaches above 4 GB */
#define PE_KERNEL_DEBUG_KMAP_LOCAL 0x0040 /* guard slots: 33 windows a CPU, every second one used */
#define PE_KERNEL_TTBR0_PAN        0x0080 /* CPU_TTBR0_PAN: TTBR1 translates the kernel's half alone never */
#define PE_KERNEL_FORCE            0x1000 /* build what Kconfig forbids, where the model can */
#define PE_KERNEL_FUNCTIONAL       0x2000 /* nothing is billed */

/* What a boot takes from memory before the allocator gets it; bytes.  mem_map, hash tables and page tables follow from
 * the rest of the configuration. */
typedef struct pe_kernel_boot {
    uint64_t image_offset;  /* of _stext from PHYS_OFFSET */
    uint64_t image_bytes;   /* _stext to _end */
    uint64_t rodata_offset; /* of __start_rodata from PHYS_OFFSET: text ends, read-only data begins */
    uint64_t init_offset;   /* of __init_begin from PHYS_OFFSET: read-only data ends */
    uint64_t init_bytes;    /* given back after the boot */
    uint64_t fdt_bytes;
    uint64_t percpu_bytes;  /* of each CPU */
    uint64_t swiotlb_bytes; /* of the buffer, without its slots */
    uint64_t cma_bytes;     /* for DMA, lent to movable pages; counts as memory.  Where RAM reaches above 4 GB as many
                             * bytes of highmem are lost (mm/cma.c tries there first and never gives them back) */
} pe_kernel_boot;

/* ---- kernel: instructions of its paths ---------------------------------------------------------------------- */

/* Instructions in sixteenths.  The fields are the keys of pyemu/kernel/data/costs.toml, which gives each value with its
 * source.  Memory touches, TLB maintenance and barriers are billed on top, by the core's parameters. */
typedef struct pe_memory_costs {
    uint32_t alloc_page;  /* alloc_pages of order 0, by way of the per-CPU lists */
    uint32_t alloc_order; /* on top, for each order above 0 */
    uint32_t free_page;
    uint32_t clear_page; /* clear_page of 4 KB; 8 bytes are touched at a time */
    uint32_t copy_page;
} pe_memory_costs;

typedef struct pe_kmap_costs {
    uint32_t local_page_prot; /* __kmap_local_page_prot */
    uint32_t local_pfn_prot;  /* __kmap_local_pfn_prot, without what is below */
    uint32_t local_unmap;     /* kunmap_local_indexed of a window */
    uint32_t local_unmap_low; /* of a lowmem address */
    uint32_t set_pte;         /* set_pte_at and cpu_v7_set_pte_ext */
    uint32_t migrate_disable;
    uint32_t migrate_enable;
    uint32_t high_get;        /* kmap_high_get, without its locks */
    uint32_t page_address;    /* of a highmem page: the bucket and its list, without the lock */
    uint32_t map_new_virtual; /* one slot looked at */
    uint32_t high_unmap;      /* kunmap_high */
    uint32_t switch_slot;     /* kmap_local_sched_out or _in of one window */
} pe_kmap_costs;

typedef struct pe_lock_costs {
    uint32_t spin_lock; /* uncontended pair of lock and unlock; the exclusives are billed as locks */
    uint32_t rt_lock;   /* the same of a sleeping spinlock_t */
    uint32_t irqsave;   /* local_irq_save and _restore */
    uint32_t rcu_read;  /* rcu_read_lock and _unlock */
    uint32_t preempt;   /* preempt_disable and _enable */
} pe_lock_costs;

typedef struct pe_gup_costs {
    uint32_t fast_call;      /* get_user_pages_fast to the first page and back, one PMD */
    uint32_t fast_table;     /* each further PTE table */
    uint32_t fast_page;      /* gup_fast_pte_range, a page */
    uint32_t fast_pin_page;  /* on top, with FOLL_PIN */
    uint32_t fast_leaf_call; /* as fast_call, where the first PMD is a block */
    uint32_t fast_leaf_page; /* a page of a block */
    uint32_t slow_call;      /* __gup_longterm_locked to the first page and back */
    uint32_t slow_page;      /* follow_page_pte, without its window */
    uint32_t slow_pin_page;  /* on top, with FOLL_PIN */
    uint32_t put_page;
    uint32_t unpin_page;
} pe_gup_costs;

typedef struct pe_process_costs {
    uint32_t fault;       /* exception entry to handle_mm_fault and back */
    uint32_t anon_page;   /* do_anonymous_page, without allocation, clearing and windows */
    uint32_t cow_page;    /* do_wp_page, without allocation, copying and windows */
    uint32_t flags_fault; /* access flag or dirty */
    uint32_t pte_alloc;   /* __pte_alloc, without the page */
    uint32_t pte_map;     /* pte_offset_map_lock and pte_unmap_unlock, without a window */
    uint32_t pmd_walk;    /* a step from one PMD entry to the next */
    uint32_t fork_call;   /* dup_mm, without VMAs and tables */
    uint32_t fork_vma;
    uint32_t fork_pte;      /* copy_present_pte */
    uint32_t zap_pte;       /* zap_pte_range, a present entry */
    uint32_t protect_pte;   /* change_pte_range */
    uint32_t move_pte;      /* move_ptes */
    uint32_t vma_operation; /* find, split, merge or insert one */
    uint32_t switch_mm;     /* context_switch with a change of address space */
    uint32_t table_free;    /* tlb_remove_table of one page */
    uint32_t system_call;   /* entry and exit */
} pe_process_costs;

typedef struct pe_kernel_costs {
    uint32_t cycles_per_insn; /* in 256ths: of kernel code whose loads all hit L1 */
    pe_memory_costs memory;
    pe_kmap_costs kmap;
    pe_lock_costs locks;
    pe_gup_costs gup;
    pe_process_costs process;
} pe_kernel_costs;

/* ---- kernel: a model ---------------------------------------------------------------------------------------- */

typedef struct pe_kernel_config {
    uint64_t ram_bytes; /* from PHYS_OFFSET on, which is PE_BOARD_RAM_BASE */
    pe_kernel_tables tables;
    pe_vmsplit vmsplit;
    pe_preemption preemption;
    pe_high_get high_get;
    pe_remedy remedy;
    uint32_t flags;         /* PE_KERNEL_* */
    uint32_t cpus;          /* that are online: 1 to PE_MAX_CPUS */
    uint32_t nr_cpus;       /* NR_CPUS: windows are laid out for so many */
    uint64_t vmalloc_bytes; /* `vmalloc=`; 0: 240 MB */
    pe_kernel_boot boot;
    pe_timing timing;             /* of the bill; without a core an instruction takes one cycle */
    const pe_core *core;          /* copied; may be NULL with PE_TIMING_OFF */
    const pe_kernel_costs *costs; /* copied; may be NULL with PE_KERNEL_FUNCTIONAL */
} pe_kernel_config;

/* What Kconfig or arithmetic says against a configuration. */
typedef struct pe_kernel_rule {
    const char *symbol; /* "HIGHPTE" */
    const char *rule;   /* "HIGHPTE depends on HIGHMEM && !PREEMPT_RT" */
    const char *remedy; /* what would be right, in words */
    bool forceable;     /* PE_KERNEL_FORCE builds it all the same */
} pe_kernel_rule;

/* The broken rules of a configuration, PE_KERNEL_FORCE ignored: up to max; returns how many there are. */
size_t pe_kernel_config_rules(const pe_kernel_config *config, pe_kernel_rule *out, size_t max);
/* PE_ERR_ARGUMENT with the first rule that stands against it, or with a value that is out of range. */
pe_status pe_kernel_config_check(const pe_kernel_config *config, pe_error *err);

/* Something that the boot took, or that has a fixed place; ends are the last byte. */
typedef struct pe_kernel_range {
    const char *name;
    uint64_t start; /* physical, or virtual in pe_kernel_layout_areas */
    uint64_t end;
} pe_kernel_range;

/* Addresses by configuration (FACTS of arch/arm/include/asm/memory.h, pgtable.h, highmem.h, fixmap.h). */
typedef struct pe_kernel_layout {
    uint64_t phys_offset;
    uint64_t ram_end;      /* first byte behind RAM */
    uint64_t lowmem_limit; /* first physical byte behind lowmem */
    uint32_t page_offset;
    uint32_t task_size;
    uint32_t task_unmapped_base;
    uint32_t modules_start, modules_end;
    uint32_t pkmap_base;  /* 0 without highmem */
    uint32_t high_memory; /* first virtual byte behind lowmem */
    uint32_t vmalloc_start, vmalloc_end;
    uint32_t fdt_base, fdt_bytes;
    uint32_t fixaddr_start, fixaddr_top;
    uint32_t vectors_base;
    uint32_t kmap_slots; /* KM_MAX_IDX */
    uint32_t struct_page_bytes;
    uint64_t fdt_pa;     /* of the device tree */
    uint64_t swapper_pa; /* swapper_pg_dir */
    uint64_t mem_map_pa;
    uint32_t mem_map_va;
    uint64_t mem_map_bytes;
} pe_kernel_layout;

/* Without a model: what the configuration makes of the address space and of lowmem. */
pe_status pe_kernel_layout_of(const pe_kernel_config *config, pe_kernel_layout *out, pe_error *err);
/* Virtual areas, ordered by start ("modules", "PKMAP", "lowmem", "vmalloc", ...); up to max, returns how many. */
size_t pe_kernel_layout_areas(const pe_kernel_layout *layout, pe_kernel_range *out, size_t max);

/* RAM of mem has to cover ram_bytes from PHYS_OFFSET on, in one segment, all zero.  mem is borrowed, and must live as
 * long as the model; machine may be NULL, otherwise mem is its memory and hosted programs run on its CPUs: the bill
 * then goes to its ledger, caches and TLBs. */
pe_kernel *pe_kernel_new(const pe_kernel_config *config, pe_mem *mem, pe_machine *machine, pe_error *err);
void pe_kernel_free(pe_kernel *kernel);
/* The configuration in force: remedies applied, defaults filled in.  Borrowed. */
const pe_kernel_config *pe_kernel_configuration(const pe_kernel *kernel);
const pe_kernel_layout *pe_kernel_layout_read(const pe_kernel *kernel);
/* The registers with which a CPU translates now: those of its task, or of init_mm alone. */
pe_status pe_kernel_cpu_regime(const pe_kernel *kernel, uint32_t cpu, pe_regime *out, pe_error *err);
uint32_t pe_kernel_pageblock_order(const pe_kernel *kernel);
/* What the boot took from memory, ordered by start; up to max, returns how many there are. */
size_t pe_kernel_reservations(const pe_kernel *kernel, pe_kernel_range *out, size_t max);

/* What the hardware is to see of a Linux PTE: the entry as it is stored (LPAE), or its copy at +2048 (classic). global:
 * an address of the kernel. */
uint64_t pe_kernel_hardware_pte(pe_kernel_tables tables, uint64_t pte, bool global);

/* ---- kernel: the bill --------------------------------------------------------------------------------------- */

/* NULL with PE_KERNEL_FUNCTIONAL; borrowed.  Those of the machine where there is one with a cycle model. */
const pe_ledger *pe_kernel_ledger(const pe_kernel *kernel);
const pe_caches *pe_kernel_caches(const pe_kernel *kernel);
pe_tlb *pe_kernel_tlb(pe_kernel *kernel, uint32_t cpu);

/* Operations since the model was made, all CPUs together. */
typedef struct pe_kernel_stats {
    uint64_t pages_allocated; /* frames, by alloc_pages */
    uint64_t pages_freed;
    uint64_t alloc_failures;
    uint64_t alloc_fallback_zone; /* from a lower zone than the first of the zonelist */
    uint64_t alloc_fallback_type; /* from the free lists of another migrate type */
    uint64_t pageblocks_stolen;   /* pageblocks that changed their migrate type */
    uint64_t pages_cleared;
    uint64_t pages_copied;
    uint64_t pte_tables_low; /* PTE pages made, by zone */
    uint64_t pte_tables_high;
    uint64_t pte_maps;    /* pte_offset_map */
    uint64_t pte_windows; /* of them through a kmap_local window */
    uint64_t kmap_local;  /* windows made */
    uint64_t kmap_local_depth_max;
    uint64_t kmap_high;         /* kmap() of a highmem page */
    uint64_t kmap_high_new;     /* of them that took a new slot */
    uint64_t kmap_high_flushes; /* wrap-arounds */
    uint64_t kmap_high_waits;
    uint64_t kmap_high_get;
    uint64_t kmap_high_get_hits;
    uint64_t tlbi_local;
    uint64_t tlbi_broadcast;
    uint64_t dsb;
    uint64_t isb;
    uint64_t lock_acquisitions;
    uint64_t lock_contended;
    uint64_t faults;
    uint64_t faults_anon;
    uint64_t faults_huge;
    uint64_t faults_cow;
    uint64_t faults_cow_reused; /* the last user writes in place */
    uint64_t faults_flags;      /* young or dirty */
    uint64_t faults_bad;        /* ended in a signal */
    uint64_t forks;
    uint64_t exits;
    uint64_t gup_fast_pages;
    uint64_t gup_slow_pages;
    uint64_t gup_fast_stops; /* calls that went on by the slow path */
    uint64_t unpinned_pages;
    uint64_t thp_splits;
    uint64_t tables_freed; /* through an RCU batch */
    uint64_t table_batches;
    uint64_t context_switches;
    uint64_t asid_rollovers;
} pe_kernel_stats;
void pe_kernel_read_stats(const pe_kernel *kernel, pe_kernel_stats *out);

/* ---- kernel: page frames and zones -------------------------------------------------------------------------- */

typedef enum pe_zone {
    PE_ZONE_DMA = 0,
    PE_ZONE_NORMAL = 1,
    PE_ZONE_HIGHMEM = 2,
} pe_zone;
#define PE_ZONES 3

typedef enum pe_migrate_type {
    PE_MIGRATE_UNMOVABLE = 0,
    PE_MIGRATE_MOVABLE = 1,
    PE_MIGRATE_RECLAIMABLE = 2,
    PE_MIGRATE_CMA = 3,
} pe_migrate_type;
#define PE_MIGRATE_TYPES 4
#define PE_PAGE_ORDERS   12 /* 4 KB to 8 MB: ARCH_FORCE_MAX_ORDER of multi-platform kernels */

/* Which memory an allocation may take. */
#define PE_GFP_HIGHMEM     0x01
#define PE_GFP_MOVABLE     0x02
#define PE_GFP_RECLAIMABLE 0x04
#define PE_GFP_ZERO        0x08
#define PE_GFP_HIGH        0x10 /* may go below the min watermark */
#define PE_GFP_COMP        0x20 /* one large folio */
#define PE_GFP_DMA         0x40

/* pe_page_info.flags */
#define PE_PG_RESERVED   0x0001 /* taken by the boot */
#define PE_PG_BUDDY      0x0002 /* first page of a free block */
#define PE_PG_HEAD       0x0004 /* of a large folio */
#define PE_PG_TAIL       0x0008
#define PE_PG_TABLE      0x0010 /* a page table */
#define PE_PG_ANON       0x0020
#define PE_PG_EXCLUSIVE  0x0040 /* AnonExclusive */
#define PE_PG_REFERENCED 0x0080
#define PE_PG_DIRTY      0x0100
#define PE_PG_PINNABLE   0x0200 /* may be pinned for long: not CMA */
#define PE_PG_BACKED     0x0400 /* was written: has to be cleared before it is used again */
#define PE_PG_ZERO       0x0800 /* the zero page */
#define PE_PG_SLAB       0x1000 /* other data of the kernel: first levels, stacks */

typedef struct pe_page_info {
    uint64_t pfn;
    int32_t refcount;
    int32_t mapcount; /* page-table entries that map it */
    int32_t pincount; /* of a large folio's head */
    uint32_t flags;   /* PE_PG_* */
    uint32_t order;   /* of the free block or large folio that it begins */
    uint64_t head;    /* pfn of the folio's head */
    pe_zone zone;
    pe_migrate_type migrate_type; /* of its pageblock */
    bool free;
} pe_page_info;

typedef struct pe_zone_info {
    const char *name; /* "DMA", "Normal", "HighMem" */
    uint64_t start_pfn;
    uint64_t spanned, present, managed, cma; /* pages */
    uint64_t free, free_cma;
    uint64_t min, low, high;     /* watermarks */
    uint64_t protection[3];      /* lowmem_reserve against allocations of each zone */
    uint64_t free_blocks[4][12]; /* by migrate type and order */
    uint64_t pageblocks[4];      /* by migrate type */
    uint64_t page_tables;        /* frames in use as tables, by zone */
    uint64_t kernel_stack, slab, anon, shmem, mapped;
} pe_zone_info;

/* /proc/meminfo, in pages. */
typedef struct pe_meminfo {
    uint64_t mem_total, mem_free, mem_available;
    uint64_t high_total, high_free, low_total, low_free;
    uint64_t cma_total, cma_free;
    uint64_t page_tables, kernel_stack, slab;
    uint64_t anon_pages, anon_huge_pages, mapped, shmem;
    uint64_t vmalloc_total;
    uint64_t min_free;
} pe_meminfo;

/* 2^order pages that touch; `pfn` is the first.  PE_ERR_MEMORY, of the guest, when no zone has them. */
pe_status pe_kernel_alloc_pages(pe_kernel *kernel, uint32_t order, uint32_t gfp, uint32_t *pfn, pe_error *err);
/* count allocations of an order; returns how many could be made. */
size_t pe_kernel_alloc_bulk(pe_kernel *kernel, uint32_t order, uint32_t gfp, uint32_t *pfn, size_t count);
/* Drops a reference of what pe_kernel_alloc_pages gave.  PE_ERR_ARGUMENT where the page is no such one. */
pe_status pe_kernel_free_pages(pe_kernel *kernel, uint32_t pfn, uint32_t order, pe_error *err);
pe_status pe_kernel_page(const pe_kernel *kernel, uint64_t pfn, pe_page_info *out, pe_error *err);
pe_status pe_kernel_zone(const pe_kernel *kernel, pe_zone zone, pe_zone_info *out, pe_error *err);
void pe_kernel_meminfo(const pe_kernel *kernel, pe_meminfo *out);
/* Counts every frame anew and compares with lists and counters; PE_ERR_STATE with what does not agree. */
pe_status pe_kernel_check(const pe_kernel *kernel, pe_error *err);

/* ---- kernel: execution context, locks and reports ----------------------------------------------------------- */

/* The model's functions, as they stand in a call chain. */
typedef enum pe_kernel_function {
    PE_FN_GET_USER_PAGES_FAST = 0,
    PE_FN_PIN_USER_PAGES_FAST = 1,
    PE_FN_GUP_FAST_FALLBACK = 2,
    PE_FN_GUP_FAST = 3,
    PE_FN_GUP_FAST_PGD_RANGE = 4,
    PE_FN_GUP_FAST_PMD_LEAF = 5,
    PE_FN_GUP_FAST_PTE_RANGE = 6,
    PE_FN_GET_USER_PAGES = 7, /* __get_user_pages */
    PE_FN_FOLLOW_PAGE_PTE = 8,
    PE_FN_HANDLE_MM_FAULT = 9,
    PE_FN_DO_ANONYMOUS_PAGE = 10,
    PE_FN_DO_WP_PAGE = 11,
    PE_FN_COPY_PTE_RANGE = 12,
    PE_FN_ZAP_PTE_RANGE = 13,
    PE_FN_CHANGE_PTE_RANGE = 14,
    PE_FN_MOVE_PTES = 15,
    PE_FN_SPLIT_HUGE_PMD = 16,
    PE_FN_PTE_OFFSET_MAP = 17, /* __pte_offset_map */
    PE_FN_KMAP_LOCAL_PAGE_PROT = 18,
    PE_FN_KMAP_LOCAL_PFN_PROT = 19,
    PE_FN_KUNMAP_LOCAL = 20,
    PE_FN_KMAP_HIGH_GET = 21,
    PE_FN_KMAP_HIGH = 22,
    PE_FN_KUNMAP_HIGH = 23,
    PE_FN_PAGE_ADDRESS = 24,
    PE_FN_SPIN_LOCK = 25, /* rt_spin_lock under PREEMPT_RT */
    PE_FN_CLEAR_HIGHPAGE = 26,
    PE_FN_COPY_HIGHPAGE = 27,
    PE_FN_ALLOC_PAGES = 28,
    PE_FN_DUP_MMAP = 29,
    PE_FN_EXIT_MMAP = 30,
    PE_FN_SCHEDULE = 31,
    PE_FN_KMAP_LOCAL_SCHED_OUT = 32,
    PE_FN_KMAP_LOCAL_SCHED_IN = 33,
    PE_FN_PERF_GET_PAGE_SIZE = 34,
    PE_FN_FUTEX_KEY = 35, /* get_futex_key */
    PE_FN_SYSTEM_CALL = 36,
    PE_FN_DATA_ABORT = 37,
    PE_FN_DO_FORK = 38, /* kernel_clone */
} pe_kernel_function;
#define PE_FUNCTIONS 39
const char *pe_kernel_function_name(pe_kernel_function function); /* "gup_fast_pte_range"; NULL past the end */

typedef enum pe_lock {
    PE_LOCK_KMAP = 0,         /* kmap_lock */
    PE_LOCK_PAGE_ADDRESS = 1, /* page_address_htable[n].lock */
    PE_LOCK_PAGE_TABLE = 2,   /* ptl */
    PE_LOCK_INIT_MM = 3,      /* init_mm.page_table_lock */
    PE_LOCK_ZONE = 4,         /* zone->lock */
    PE_LOCK_PKMAP_WAIT = 5,   /* pkmap_map_wait */
    PE_LOCK_CPU_ASID = 6,     /* cpu_asid_lock: raw */
    PE_LOCK_RQ = 7,           /* rq->lock: raw */
    PE_LOCK_MMAP = 8,         /* mmap_lock: sleeps on every kernel */
} pe_lock;
#define PE_LOCKS 9
const char *pe_lock_name(pe_lock lock); /* "kmap_lock"; NULL past the end */

typedef enum pe_report_kind {
    PE_REPORT_SLEEPING_FUNCTION = 0,    /* "sleeping function called from invalid context" */
    PE_REPORT_SCHEDULING_ATOMIC = 1,    /* "scheduling while atomic": it really had to wait */
    PE_REPORT_KMAP_LIFO = 2,            /* a window unmapped that is not the last one made */
    PE_REPORT_KMAP_DEPTH = 3,           /* more windows than KM_MAX_IDX: a BUG */
    PE_REPORT_KMAP_LEAK = 4,            /* a task forked with a window open */
    PE_REPORT_KMAP_NOT_EMPTY = 5,       /* the window's PTE is in use: a BUG */
    PE_REPORT_HARDIRQ_WITH_IRQS_ON = 6, /* kmap_local in hard-irq context with interrupts enabled */
    PE_REPORT_TRYLOCK_IN_HARDIRQ = 7,   /* rtmutex trylock in hard-irq context */
    PE_REPORT_UNBALANCED = 8,           /* preempt count, RCU or migrate_disable below zero */
    PE_REPORT_BAD_PMD = 9,              /* a block for an address of the kernel, or a PMD entry that is no table */
    PE_REPORT_KMAP_ADDRESS = 10,        /* kunmap_local of what is no kernel address */
} pe_report_kind;
#define PE_REPORT_KINDS 11

#define PE_REPORT_CHAIN 24
#define PE_REPORT_HELD  8
/* The fields of the kernel's own message (kernel/sched/core.c, __might_resched). */
typedef struct pe_kernel_report {
    uint64_t count; /* of the same kind, lock and chain; the rest is that of the first */
    pe_report_kind kind;
    uint32_t lock; /* pe_lock; PE_LOCKS: none */
    uint32_t cpu;
    uint32_t pid;
    char name[16];
    bool blocked; /* another held the lock: the task really had to sleep */
    bool in_hardirq;
    bool irqs_disabled;
    uint32_t preempt_count, preempt_expected;
    uint32_t rcu_depth, rcu_expected;
    uint32_t migrate_disabled;
    uint32_t value; /* of the kind: the depth, the address */
    uint32_t held;  /* locks held, outermost first */
    uint8_t locks[8];
    uint32_t depth;    /* of the chain, outermost first */
    uint8_t chain[24]; /* pe_kernel_function */
} pe_kernel_report;

#define PE_REPORTS_KEPT 64 /* different ones; later ones are only counted */
/* Reports in the order of their first occurrence: up to max; returns how many are kept. */
size_t pe_kernel_reports(const pe_kernel *kernel, pe_kernel_report *out, size_t max);
/* How many of a kind there were, and how many of those would really have blocked. */
uint64_t pe_kernel_report_count(const pe_kernel *kernel, pe_report_kind kind, uint64_t *blocked);
void pe_kernel_reports_clear(pe_kernel *kernel);

typedef struct pe_kernel_context {
    uint32_t cpu;
    uint32_t pid;
    bool irqs_disabled;
    bool in_hardirq;
    uint32_t preempt_count;
    uint32_t rcu_depth;
    uint32_t migrate_disabled;
    uint32_t kmap_depth; /* windows of the current task */
    uint32_t held;
    uint8_t locks[8];
} pe_kernel_context;
pe_status pe_kernel_context_read(const pe_kernel *kernel, uint32_t cpu, pe_kernel_context *out, pe_error *err);

/* What a caller of the modelled functions may have done before. */
typedef enum pe_context_change {
    PE_CONTEXT_IRQ_DISABLE = 0, /* local_irq_disable; nests */
    PE_CONTEXT_IRQ_ENABLE = 1,
    PE_CONTEXT_PREEMPT_DISABLE = 2,
    PE_CONTEXT_PREEMPT_ENABLE = 3,
    PE_CONTEXT_RCU_LOCK = 4,
    PE_CONTEXT_RCU_UNLOCK = 5,
    PE_CONTEXT_MIGRATE_DISABLE = 6,
    PE_CONTEXT_MIGRATE_ENABLE = 7,
    PE_CONTEXT_HARDIRQ_ENTER = 8, /* interrupts are off in it */
    PE_CONTEXT_HARDIRQ_EXIT = 9,
} pe_context_change;
/* Changes the context of the CPU that runs.  PE_ERR_STATE where it would not balance. */
pe_status pe_kernel_context_change(pe_kernel *kernel, pe_context_change change, pe_error *err);
/* Another task of another CPU takes or gives back a lock, so that whoever wants it meanwhile has to wait. */
pe_status pe_kernel_lock_occupy(pe_kernel *kernel, pe_lock lock, bool occupied, pe_error *err);

/* ---- kernel: windows ---------------------------------------------------------------------------------------- */

/* A window of a CPU, as guest RAM has it. */
typedef struct pe_kmap_slot {
    uint32_t va;
    uint64_t pte; /* 0: empty */
    uint64_t pfn;
    bool guard; /* stays empty: DEBUG_KMAP_LOCAL */
} pe_kmap_slot;

typedef struct pe_pkmap_slot {
    uint32_t va;
    uint32_t count; /* pkmap_count */
    uint64_t pte;
    uint64_t pfn;
} pe_pkmap_slot;

/* What the CPU that runs does, as its task.  A report of the model is no error; a mapping that fails has address 0: the
 * depth limit, a window that is in use, a lock that PE_REMEDY_TRYLOCK did not get.  PE_ERR_ARGUMENT where there is no
 * such frame. */
pe_status pe_kernel_kmap_local(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
void pe_kernel_kunmap_local(pe_kernel *kernel, uint32_t va);
pe_status pe_kernel_kmap_atomic(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
void pe_kernel_kunmap_atomic(pe_kernel *kernel, uint32_t va);
/* kmap(); with address 0 all slots are in use, and the task waits: it calls again once kunmap has woken it. */
pe_status pe_kernel_kmap(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
/* woken: room for max pids, those that kunmap wakes; count: how many it woke. */
pe_status pe_kernel_kunmap(pe_kernel *kernel, uint32_t pfn, uint32_t *woken, uint32_t max, uint32_t *count,
                           pe_error *err);
/* Who waits for a slot of PKMAP, first come first: up to max; returns how many. */
size_t pe_kernel_kmap_waiting(const pe_kernel *kernel, uint32_t *pids, size_t max);
/* 0: not mapped. */
pe_status pe_kernel_page_address(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
/* The windows of a CPU, slot 0 first: up to max; returns how many there are (KM_MAX_IDX; 0: no such CPU). */
size_t pe_kernel_kmap_slots(const pe_kernel *kernel, uint32_t cpu, pe_kmap_slot *out, size_t max);
/* The 512 slots of PKMAP, or 0 without highmem. */
size_t pe_kernel_pkmap_slots(const pe_kernel *kernel, pe_pkmap_slot *out, size_t max);

/* ---- kernel: processes -------------------------------------------------------------------------------------- */

#define PE_MMAP_SHARED          0x01
#define PE_MMAP_PRIVATE         0x02
#define PE_MMAP_FIXED           0x10
#define PE_MMAP_ANONYMOUS       0x20
#define PE_MMAP_GROWSDOWN       0x100 /* a stack: grows down to an access, 8 MB at most */
#define PE_MMAP_NORESERVE       0x4000
#define PE_MMAP_POPULATE        0x8000
#define PE_MMAP_HUGEPAGE        0x10000 /* as MADV_HUGEPAGE after it */
#define PE_MMAP_NOHUGEPAGE      0x20000
#define PE_MMAP_FIXED_NOREPLACE 0x100000

/* /sys/kernel/mm/transparent_hugepage/enabled.  Read faults get huge pages too (use_zero_page 0). */
typedef enum pe_thp {
    PE_THP_NEVER = 0,
    PE_THP_MADVISE = 1, /* at first */
    PE_THP_ALWAYS = 2,
} pe_thp;

typedef struct pe_area_info {
    uint32_t start, end; /* end is the first byte behind it */
    uint32_t prot;       /* PE_PROT_* */
    uint32_t flags;      /* PE_MMAP_* */
    uint32_t rss;        /* pages present */
} pe_area_info;

typedef struct pe_task_info {
    uint32_t pid, parent;
    char name[16];
    bool running, exited;
    int32_t exit_status;
    uint32_t cpu;
    uint64_t pgd_pa; /* 0: no address space */
    uint32_t asid;
    uint32_t areas;
    uint32_t pte_tables, pmd_tables; /* pages */
    uint32_t anon, huge, shared;     /* pages mapped */
    uint32_t kmap_depth;
} pe_task_info;

/* What became of an access. */
typedef struct pe_fault_result {
    uint64_t pa;      /* of the address, when signal is 0 */
    uint32_t signal;  /* 0, or SIGSEGV 11, SIGBUS 7, SIGKILL 9 (no memory) */
    uint32_t code;    /* SEGV_MAPERR 1, SEGV_ACCERR 2 */
    uint32_t faults;  /* taken on the way, 0 where the tables allowed it at once */
    uint32_t address; /* that faulted */
} pe_fault_result;

/* Whatever a task does runs on its CPU, and switches to it first.  PE_ERR_ARGUMENT, PE_ERR_STATE: no such task, or one
 * that has exited.  What the kernel answers is in `result`: a value, or a negative errno. */

/* A task of no parent with an empty address space, of CPU `cpu`; its pid. */
pe_status pe_kernel_spawn(pe_kernel *kernel, const char *name, uint32_t cpu, int64_t *result, pe_error *err);
pe_status pe_kernel_fork(pe_kernel *kernel, uint32_t pid, int64_t *result, pe_error *err);
/* The task is gone at once, or when its parent waits for it. */
pe_status pe_kernel_exit(pe_kernel *kernel, uint32_t pid, int32_t status, pe_error *err);
/* The pid that was reaped, 0 where no child has exited yet; child 0: any. */
pe_status pe_kernel_wait(pe_kernel *kernel, uint32_t pid, uint32_t child, int32_t *status, int64_t *result,
                         pe_error *err);
/* Makes a task the one that runs on a CPU, and that CPU the one that runs; pid 0: its idle task. */
pe_status pe_kernel_switch(pe_kernel *kernel, uint32_t pid, uint32_t cpu, pe_error *err);
/* prot: PE_PROT_*, flags: PE_MMAP_*. */
pe_status pe_kernel_mmap(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t prot, uint32_t flags,
                         int64_t *result, pe_error *err);
pe_status pe_kernel_munmap(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, int64_t *result,
                           pe_error *err);
pe_status pe_kernel_mprotect(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t prot,
                             int64_t *result, pe_error *err);
/* advice: MADV_DONTNEED 4, MADV_HUGEPAGE 14, MADV_NOHUGEPAGE 15 */
pe_status pe_kernel_madvise(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t advice,
                            int64_t *result, pe_error *err);
/* flags: MREMAP_MAYMOVE 1, MREMAP_FIXED 2 */
pe_status pe_kernel_mremap(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t old_bytes, uint32_t bytes,
                           uint32_t flags, uint32_t new_addr, int64_t *result, pe_error *err);
pe_status pe_kernel_brk(pe_kernel *kernel, uint32_t pid, uint32_t brk, int64_t *result, pe_error *err);
/* Where the heap begins, as a program's loader decides: before any pe_kernel_brk. */
pe_status pe_kernel_set_start_brk(pe_kernel *kernel, uint32_t pid, uint32_t start_brk, pe_error *err);
pe_status pe_kernel_set_thp(pe_kernel *kernel, pe_thp thp, pe_error *err);

/* One access from user mode in each stride of [addr, addr + bytes), by the task's tables, with the faults that it
 * takes.  touched: how many were made before one ended in a signal, which out describes; otherwise out is of the last,
 * with the faults of all. */
pe_status pe_kernel_touch(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t stride,
                          pe_access access, uint64_t *touched, pe_fault_result *out, pe_error *err);
/* The same, with the bytes; done: how many were copied. */
pe_status pe_kernel_user_read(pe_kernel *kernel, uint32_t pid, uint32_t addr, void *buf, uint32_t bytes, uint32_t *done,
                              pe_fault_result *out, pe_error *err);
pe_status pe_kernel_user_write(pe_kernel *kernel, uint32_t pid, uint32_t addr, const void *buf, uint32_t bytes,
                               uint32_t *done, pe_fault_result *out, pe_error *err);

/* Ordered by address: up to max, returns how many there are; 0 where there is no such address space. */
size_t pe_kernel_areas(const pe_kernel *kernel, uint32_t pid, pe_area_info *out, size_t max);
/* Ordered by pid, those that have exited and wait for their parent included: up to max, returns how many there are. */
size_t pe_kernel_tasks(const pe_kernel *kernel, pe_task_info *out, size_t max);
pe_status pe_kernel_task(const pe_kernel *kernel, uint32_t pid, pe_task_info *out, pe_error *err);
/* The registers with which the task's tables translate. */
pe_status pe_kernel_task_regime(const pe_kernel *kernel, uint32_t pid, pe_regime *out, pe_error *err);
/* Tables that wait for an RCU grace period. */
uint32_t pe_kernel_tables_waiting(const pe_kernel *kernel);

/* ---- kernel: get_user_pages --------------------------------------------------------------------------------- */

typedef enum pe_gup_call {
    PE_GUP_FAST = 0,      /* get_user_pages_fast */
    PE_GUP_FAST_ONLY = 1, /* get_user_pages_fast_only */
    PE_PIN_FAST = 2,      /* pin_user_pages_fast */
    PE_PIN_FAST_ONLY = 3,
    PE_GUP = 4, /* get_user_pages */
    PE_PIN = 5, /* pin_user_pages */
    PE_PIN_LONGTERM = 6,
} pe_gup_call;
#define PE_GUP_CALLS 7

/* gup_flags, as FOLL_* of include/linux/mm_types.h */
#define PE_FOLL_WRITE    0x001
#define PE_FOLL_FORCE    0x008
#define PE_FOLL_NOFAULT  0x020
#define PE_FOLL_LONGTERM 0x100

/* Why the fast walk ended before its last page, in the order of its checks (mm/gup.c). */
typedef enum pe_gup_stop {
    PE_GUP_STOP_NONE = 0,
    PE_GUP_STOP_NO_FAST_GUP = 1, /* compiled out: classic tables, a remedy */
    PE_GUP_STOP_SEQCOUNT = 2,    /* fork write-protects */
    PE_GUP_STOP_PGD_NONE = 3,
    PE_GUP_STOP_PMD_ABSENT = 4,
    PE_GUP_STOP_PMD_ACCESS = 5,
    PE_GUP_STOP_PTE_TABLE = 6, /* pte_offset_map gave none, or a lock was not free */
    PE_GUP_STOP_PTE_ACCESS = 7,
    PE_GUP_STOP_PTE_SPECIAL = 8,
    PE_GUP_STOP_FOLIO = 9,    /* no reference to be had */
    PE_GUP_STOP_CHANGED = 10, /* PMD or PTE is not what was read */
    PE_GUP_STOP_NOT_ALLOWED = 11,
    PE_GUP_STOP_UNSHARE = 12,
    PE_GUP_STOP_PIN_LONGTERM = 13,
} pe_gup_stop;

typedef struct pe_gup_result {
    int32_t pages; /* got; or a negative errno when there is none */
    uint32_t fast; /* of them by the fast walk */
    pe_gup_stop stop;
    uint32_t stop_address;
    uint32_t windows; /* highmem PTE tables mapped by the fast walk */
    uint32_t reports; /* made in this call */
} pe_gup_result;

/* mm/gup_test.c, struct gup_test. */
typedef struct pe_gup_test {
    uint64_t get_delta_usec;
    uint64_t put_delta_usec;
    uint64_t addr;
    uint64_t size;
    uint32_t nr_pages_per_call;
    uint32_t gup_flags;
    uint32_t test_flags;
    uint32_t which_pages[8];
} pe_gup_test;

/* Pages of the address space that runs on the CPU, a number of them a call, as gup_test asks for them: until a call
 * gets less than it asked for.  pfns: room for nr_pages (1 to 2^20).  PE_ERR_STATE where a kernel thread runs. */
pe_status pe_kernel_gup(pe_kernel *kernel, pe_gup_call call, uint32_t addr, uint32_t nr_pages, uint32_t pages_per_call,
                        uint32_t gup_flags, uint32_t *pfns, pe_gup_result *out, pe_error *err);
/* put_page and unpin_user_pages: references of pages that pe_kernel_gup gave.  PE_ERR_STATE at the first page that has
 * none to give back; those before it are done. */
pe_status pe_kernel_gup_put(pe_kernel *kernel, const uint32_t *pfns, size_t count, pe_error *err);
pe_status pe_kernel_unpin(pe_kernel *kernel, const uint32_t *pfns, size_t count, pe_error *err);

typedef struct pe_gup_test_result {
    pe_gup_result gup;
    uint64_t get_cycles, put_cycles;
    uint64_t get_instructions, put_instructions;
} pe_gup_test_result;

/* mm/gup_test.c: gets test->size bytes from test->addr on and puts them back.  The times are those of the bill at the
 * core's clock; 0 without a core. */
pe_status pe_kernel_gup_test(pe_kernel *kernel, pe_gup_call call, pe_gup_test *test, pe_gup_test_result *out,
                             pe_error *err);

/* What another CPU does at an address while the next fast walk is between its two looks at the entry; it is undone when
 * the walk is over. */
typedef enum pe_gup_race {
    PE_GUP_RACE_PTE = 0,    /* mprotect has cleared the entry, to write it again */
    PE_GUP_RACE_PMD = 1,    /* the same of the PMD entry */
    PE_GUP_RACE_FORK = 2,   /* fork write-protects: write_protect_seq */
    PE_GUP_RACE_FREEZE = 3, /* a split holds the folio frozen: no references */
} pe_gup_race;
pe_status pe_kernel_gup_race(pe_kernel *kernel, pe_gup_race race, uint32_t addr, pe_error *err);

/* ---- kernel: hosted programs -------------------------------------------------------------------------------- */

/* A program in user mode on the machine, whose kernel is the model: aborts, system calls and undefined instructions
 * come here, not to vectors. */
typedef struct pe_program_segment {
    uint32_t va;
    uint32_t memory_bytes; /* zero behind the data */
    uint32_t prot;         /* PE_PROT_* */
    uint32_t data_bytes;
    const void *data;
} pe_program_segment;

typedef struct pe_program {
    const char *name;
    const pe_program_segment *segments; /* by address */
    size_t segment_count;
    uint32_t entry;    /* bit 0: in Thumb state */
    const void *stack; /* what lies at the stack pointer: argc, argv and so on up to the top */
    size_t stack_bytes;
} pe_program;

/* Why a program was ended by a signal. */
#define PE_PROGRAM_DEATHS 8
typedef struct pe_program_death {
    uint32_t pid;
    char name[16];
    uint32_t signal, code; /* si_signo, si_code */
    uint32_t address;      /* si_addr */
    bool fetch, write;
    uint32_t r[16];
    uint32_t cpsr;
    char walk[512]; /* what the tables said of the address, as pe_walk_describe has it; empty without a fault of them */
} pe_program_death;

/* The first byte behind the stack of a program. */
uint32_t pe_kernel_program_stack_top(const pe_kernel *kernel);
/* Loads a program into a task of its own; pe_machine_run then runs it, and ends with PE_STOP_EXIT and its exit status,
 * or 128 and the signal.  The machine has to be reset before the model is made.  PE_ERR_MEMORY: of the guest. */
pe_status pe_kernel_program_start(pe_kernel *kernel, const pe_program *program, uint32_t *pid, pe_error *err);
/* Those of all its processes, first come: up to max; returns how many are kept. */
size_t pe_kernel_program_deaths(const pe_kernel *kernel, pe_program_death *out, size_t max);
/* Numbers of system calls that were answered with ENOSYS because there is no such one here. */
size_t pe_kernel_program_unknown_calls(const pe_kernel *kernel, uint32_t *out, size_t max);

#endif
