/* SPDX-License-Identifier: GPL-2.0-or-later
 * Translation of arrays.  Memory and regime do not change during a batch, so what the upper levels say about each
 * stretch of addresses is walked once and kept in a directory; an address then costs one descriptor read. */
#include "mmu/walk.h"

#include <stdlib.h>

/* A directory pays from here on; below, each address is walked by itself. */
#define DIRECTORY_THRESHOLD 512

/* Addresses whose descriptors are on their way from memory at the same time. */
#define GROUP 16

/* The part of the address space that one last-level table covers. */
#define LONG_STRETCH_SHIFT  LD_BLOCK2_SHIFT
#define SHORT_STRETCH_SHIFT SD_SECTION_SHIFT

/* What a stretch leads to.  One without a last-level table (block, section, fault) has a synthetic descriptor in the
 * directory instead and index_mask 0, so that both kinds take the same instructions. */
typedef struct stretch {
    const uint8_t *table; /* NULL: not walked yet */
    uint32_t offset_mask;
    uint16_t index_mask; /* of the byte offset in the table */
    uint8_t row;         /* of the verdict table in bits 5:0, level of the leaf in bits 7:6 */
    uint8_t pa_high;     /* PA[39:32] of a supersection */
} stretch;

#define ROW_MASK    63u
#define LEVEL_SHIFT 6

/* A row of verdicts is indexed by the bits of a descriptor that decide: AP[2:1], AF, PXN, XN (long) or AP[2:0], XN
 * (short).  The last row is that of synthetic descriptors, which carry the fault itself in those bits. */
#define KEYS    32
#define OWN_ROW 16u
#define ROWS    (OWN_ROW + 1)

typedef struct directory {
    const pe_mem *mem;
    const pe_regime *regime;
    pe_access access;
    bool privileged;
    stretch *stretches;
    uint64_t *own;
    uint8_t verdict[ROWS * KEYS]; /* pe_fault */
} directory;

static bool is_long(const directory *d)
{
    return d->regime->ttbcr & TTBCR_EAE;
}

static bool is_swapped(const directory *d)
{
    return d->regime->sctlr & SCTLR_EE;
}

/* ---- long format: row is {APTable[1:0], XNTable, PXNTable}, key {XN, PXN, AF, AP[2:1]} ---- */

PE_ALWAYS_INLINE unsigned long_key(uint64_t descriptor)
{
    return (unsigned)((descriptor >> 6 & 3u) | (descriptor >> 8 & 4u) | (descriptor >> 50 & 0x18u));
}

static uint64_t long_from_key(unsigned key)
{
    return (uint64_t)(key & 3u) << 6 | (uint64_t)(key & 4u) << 8 | (uint64_t)(key & 0x18u) << 50;
}

static void long_verdicts(directory *d)
{
    for (unsigned row = 0; row < OWN_ROW; row++) {
        for (unsigned key = 0; key < KEYS; key++) {
            uint64_t leaf = long_from_key(key);
            pe_prot_pair prot = pe_prot_long(d->regime->sctlr, leaf, (uint64_t)row << LD_TABLE_SHIFT);
            d->verdict[row * KEYS + key] = (uint8_t)pe_check_long(leaf, prot, d->access, d->privileged);
        }
    }
}

/* ---- short format: row is {PXN, DACR access}, key {XN, AP[2:0]} ---- */

PE_ALWAYS_INLINE unsigned short_key(uint32_t descriptor, bool large)
{
    unsigned xn = large ? descriptor >> 15 & 1u : descriptor & 1u;
    return SD_PAGE_AP(descriptor) | xn << 3;
}

static uint32_t short_from_key(unsigned key)
{
    return (key & 3u) << 4 | (key & 4u) << 7 | (key >> 3 & 1u);
}

static void short_verdicts(directory *d)
{
    uint32_t sctlr = d->regime->sctlr;
    for (unsigned row = 0; row < OWN_ROW; row++) {
        for (unsigned key = 0; key < KEYS; key++) {
            unsigned ap = key & 7u, xn = key >> 3 & 1u, pxn = row >> 2 & 1u, domain_access = row & 3u;
            pe_prot_pair prot = pe_prot_short(sctlr, ap, xn, pxn, domain_access);
            d->verdict[row * KEYS + key] =
                (uint8_t)pe_check_short(sctlr, ap, domain_access, prot, d->access, d->privileged);
        }
    }
}

/* ---- the directory ---- */

static bool open_directory(directory *d)
{
    size_t n = (size_t)1 << (32 - (is_long(d) ? LONG_STRETCH_SHIFT : SHORT_STRETCH_SHIFT));
    d->stretches = calloc(n, sizeof *d->stretches);
    d->own = malloc(n * sizeof *d->own);
    if (!d->stretches || !d->own) {
        free(d->stretches);
        free(d->own);
        return false;
    }
    if (is_long(d)) {
        long_verdicts(d);
    } else {
        short_verdicts(d);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        d->verdict[OWN_ROW * KEYS + key] = (uint8_t)key;
    }
    return true;
}

static void close_directory(directory *d)
{
    free(d->stretches);
    free(d->own);
}

static uint64_t own_descriptor(const directory *d, const pe_translation *t)
{
    uint64_t base = t->fault == PE_FAULT_NONE ? t->pa : 0;
    if (is_long(d)) {
        uint64_t descriptor = base | long_from_key(t->fault) | LD_TABLE | LD_VALID;
        return is_swapped(d) ? __builtin_bswap64(descriptor) : descriptor;
    }
    uint32_t descriptor = (uint32_t)base | short_from_key(t->fault) | 2u;
    return is_swapped(d) ? __builtin_bswap32(descriptor) : descriptor;
}

static unsigned table_row(const directory *d, const pe_walk *walk)
{
    uint64_t tables = 0;
    for (uint32_t i = 0; i + 1 < walk->nsteps; i++) {
        tables |= walk->steps[i].descriptor;
    }
    if (is_long(d)) {
        return (unsigned)(tables >> LD_TABLE_SHIFT & 15u);
    }
    return (tables & SD_TABLE_PXN ? 4u : 0u) | DACR_ACCESS(d->regime->dacr, walk->result.domain);
}

static __attribute__((noinline)) void resolve(directory *d, uint32_t va)
{
    const unsigned shift = is_long(d) ? LONG_STRETCH_SHIFT : SHORT_STRETCH_SHIFT;
    const unsigned last_level = is_long(d) ? 3 : 2;
    uint32_t i = va >> shift;
    stretch *s = &d->stretches[i];
    pe_walk walk;
    pe_translate_steps(d->mem, d->regime, i << shift, d->access, d->privileged, &walk);
    const pe_step *last = walk.nsteps ? &walk.steps[walk.nsteps - 1] : NULL;
    if (last && last->level == last_level && last->kind != PE_DESC_UNREADABLE) {
        uint64_t bytes = is_long(d) ? 4096 : 1024;
        s->table = pe_mem_host(d->mem, last->table_pa, bytes);
        s->offset_mask = PE_PAGE_SIZE - 1;
        s->index_mask = (uint16_t)(bytes - (is_long(d) ? sizeof(uint64_t) : sizeof(uint32_t)));
        s->row = (uint8_t)(table_row(d, &walk) | last_level << LEVEL_SHIFT);
        return;
    }
    d->own[i] = own_descriptor(d, &walk.result);
    s->table = (const uint8_t *)&d->own[i];
    s->offset_mask = (UINT32_C(1) << shift) - 1;
    s->index_mask = 0;
    s->row = (uint8_t)(OWN_ROW | (unsigned)walk.result.level << LEVEL_SHIFT);
    s->pa_high = (uint8_t)(is_long(d) ? 0 : walk.result.pa >> 32);
}

PE_ALWAYS_INLINE const stretch *stretch_of(directory *d, uint32_t va, unsigned shift)
{
    const stretch *s = &d->stretches[va >> shift];
    if (__builtin_expect(!s->table, 0)) {
        resolve(d, va);
    }
    return s;
}

PE_ALWAYS_INLINE size_t store(uint64_t *pa, uint8_t *status, size_t i, uint64_t address, unsigned fault, unsigned row)
{
    pa[i] = fault == PE_FAULT_NONE ? address : UINT64_MAX;
    if (status) {
        status[i] = (uint8_t)(fault | (row >> LEVEL_SHIFT) << 4);
    }
    return fault == PE_FAULT_NONE;
}

PE_ALWAYS_INLINE size_t run_long(directory *d, const uint32_t *va, uint64_t *pa, uint8_t *status, size_t n, bool swap)
{
    const stretch *stretches[GROUP];
    size_t good = 0;
    for (size_t from = 0; from < n; from += GROUP) {
        size_t count = n - from < GROUP ? n - from : GROUP;
        for (size_t i = 0; i < count; i++) {
            uint32_t a = va[from + i];
            const stretch *s = stretches[i] = stretch_of(d, a, LONG_STRETCH_SHIFT);
            __builtin_prefetch(s->table + (a >> 9 & s->index_mask));
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t a = va[from + i];
            const stretch *s = stretches[i];
            uint64_t descriptor;
            memcpy(&descriptor, s->table + (a >> 9 & s->index_mask), sizeof descriptor);
            descriptor = swap ? __builtin_bswap64(descriptor) : descriptor;
            unsigned fault = d->verdict[(s->row & ROW_MASK) * KEYS + long_key(descriptor)];
            fault = (descriptor & 3u) == 3u ? fault : PE_FAULT_TRANSLATION;
            good += store(pa, status, from + i, (descriptor & LD_ADDRESS) | (a & s->offset_mask), fault, s->row);
        }
    }
    return good;
}

PE_ALWAYS_INLINE size_t run_short(directory *d, const uint32_t *va, uint64_t *pa, uint8_t *status, size_t n, bool swap)
{
    const stretch *stretches[GROUP];
    size_t good = 0;
    for (size_t from = 0; from < n; from += GROUP) {
        size_t count = n - from < GROUP ? n - from : GROUP;
        for (size_t i = 0; i < count; i++) {
            uint32_t a = va[from + i];
            const stretch *s = stretches[i] = stretch_of(d, a, SHORT_STRETCH_SHIFT);
            __builtin_prefetch(s->table + (a >> 10 & s->index_mask));
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t a = va[from + i];
            const stretch *s = stretches[i];
            uint32_t descriptor;
            memcpy(&descriptor, s->table + (a >> 10 & s->index_mask), sizeof descriptor);
            descriptor = swap ? __builtin_bswap32(descriptor) : descriptor;
            bool large = (descriptor & 3u) == SD_L2_LARGE;
            unsigned fault = d->verdict[(s->row & ROW_MASK) * KEYS + short_key(descriptor, large)];
            fault = descriptor & 3u ? fault : PE_FAULT_TRANSLATION;
            uint32_t mask = large ? (UINT32_C(1) << SD_LARGE_SHIFT) - 1 : s->offset_mask;
            uint64_t address = (uint64_t)s->pa_high << 32 | (descriptor & ~mask) | (a & mask);
            good += store(pa, status, from + i, address, fault, s->row);
        }
    }
    return good;
}

static size_t run(directory *d, const uint32_t *va, uint64_t *pa, uint8_t *status, size_t n)
{
    if (is_long(d)) {
        return is_swapped(d) ? run_long(d, va, pa, status, n, true) : run_long(d, va, pa, status, n, false);
    }
    return is_swapped(d) ? run_short(d, va, pa, status, n, true) : run_short(d, va, pa, status, n, false);
}

static size_t run_singly(const directory *d, const uint32_t *va, uint64_t *pa, uint8_t *status, size_t n)
{
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        pe_translation t;
        pe_translate(d->mem, d->regime, va[i], d->access, d->privileged, &t);
        good += store(pa, status, i, t.pa, t.fault, (unsigned)t.level << LEVEL_SHIFT);
    }
    return good;
}

size_t pe_translate_batch(const pe_mem *mem, const pe_regime *regime, const uint32_t *va, uint64_t *pa, uint8_t *status,
                          size_t n, pe_access access, bool privileged)
{
    directory d = {.mem = mem, .regime = regime, .access = access, .privileged = privileged};
    bool walks = regime->sctlr & SCTLR_M;
    if (!walks || n < DIRECTORY_THRESHOLD || !open_directory(&d)) {
        return run_singly(&d, va, pa, status, n);
    }
    size_t good = run(&d, va, pa, status, n);
    close_directory(&d);
    return good;
}
