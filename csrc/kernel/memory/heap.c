/* SPDX-License-Identifier: GPL-2.0-or-later
 * The heap of a model that hosts programs: blocks of powers of two from one range, and copies of the range. */
#include "kernel/memory/heap.h"

#include "kernel/kernel.h"
#include "timing/ledger.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HEADER      16u        /* before each block: its class, or LARGE */
#define SMALLEST    6u         /* log2 of the smallest block, with its header */
#define LARGE       UINT64_MAX /* made once and never used again */
#define LARGE_BYTES (4u << 20)
#define OTHERS      (1ull << 30) /* address space for all but the frames */

pe_status heap_init(struct pe_kernel *k, pe_error *err)
{
    const uint64_t frames = k->config.ram_bytes >> PAGE_SHIFT;
    const uint64_t room = (frames * sizeof(struct page) + OTHERS) & PAGE_MASK;
    if (!k->machine) {
        return PE_OK;
    }
    void *base = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for a kernel model");
    }
    k->heap = (struct heap){.base = base, .room = room, .used = PAGE_SIZE};
    return PE_OK;
}

void heap_release(struct pe_kernel *k)
{
    if (k->heap.base) {
        munmap(k->heap.base, k->heap.room);
    }
}

static uint32_t class_of(uint64_t bytes)
{
    uint32_t log2 = SMALLEST;
    while (UINT64_C(1) << log2 < bytes) {
        log2++;
    }
    return log2;
}

static uint8_t *take_new(struct heap *h, uint64_t bytes, uint64_t class)
{
    if (bytes > h->room - h->used) {
        return NULL;
    }
    uint8_t *block = h->base + h->used;
    h->used += bytes;
    memcpy(block, &class, sizeof class);
    return block + HEADER;
}

static uint8_t *take(struct heap *h, uint64_t bytes)
{
    if (bytes >= LARGE_BYTES) {
        return take_new(h, (bytes + HEADER + PAGE_SIZE - 1) & PAGE_MASK, LARGE);
    }
    const uint32_t class = class_of(bytes + HEADER);
    if (!h->free[class]) {
        return take_new(h, UINT64_C(1) << class, class);
    }
    uint8_t *block = h->base + h->free[class];
    memcpy(&h->free[class], block, sizeof(uint64_t));
    memset(block, 0, (UINT64_C(1) << class) - HEADER);
    return block;
}

void *heap_alloc(struct pe_kernel *k, size_t count, size_t bytes)
{
    if (!k->heap.base) {
        return calloc(count, bytes);
    }
    return bytes && count > SIZE_MAX / 2 / bytes ? NULL : take(&k->heap, count * bytes);
}

void *heap_grow(struct pe_kernel *k, void *old, size_t old_bytes, size_t bytes)
{
    if (!k->heap.base) {
        return realloc(old, bytes);
    }
    void *block = take(&k->heap, bytes);
    if (block && old) {
        memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
        heap_free(k, old);
    }
    return block;
}

void heap_free(struct pe_kernel *k, void *block)
{
    struct heap *h = &k->heap;
    if (!h->base) {
        free(block);
        return;
    }
    uint64_t class;
    if (!block) {
        return;
    }
    memcpy(&class, (uint8_t *)block - HEADER, sizeof class);
    if (class != LARGE) {
        memcpy(block, &h->free[class], sizeof(uint64_t));
        h->free[class] = (uint64_t)((uint8_t *)block - h->base);
    }
}

/* ---- checkpoints ---- */

struct kernel_state {
    struct pe_kernel kernel;
    struct pe_ledger ledger;
    uint64_t pages;
    struct {
        uint64_t at;
        uint8_t data[PAGE_SIZE];
    } page[]; /* those that are not zero, ascending */
};

static bool is_zero(const uint8_t *page)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < PAGE_SIZE; i += 64) {
        uint64_t word[8];
        memcpy(word, page + i, sizeof word);
        any |= word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] | word[7];
        if (any) {
            return false;
        }
    }
    return true;
}

static uint64_t heap_end(const struct heap *h)
{
    return (h->used + PAGE_SIZE - 1) & PAGE_MASK;
}

void *heap_save(struct pe_kernel *k, size_t *bytes, pe_error *err)
{
    const struct heap *h = &k->heap;
    uint64_t pages = 0;
    if (k->bill.owned && k->bill.tlb[0]) { /* the machine's are in its own checkpoint */
        pe_fail(err, PE_ERR_STATE, "no checkpoints with a cycle model of the kernel's own: they do not hold its TLBs");
        return NULL;
    }
    for (uint64_t at = 0; at < heap_end(h); at += PAGE_SIZE) {
        pages += !is_zero(h->base + at);
    }
    struct kernel_state *state = NULL;
    *bytes = sizeof *state + pages * sizeof state->page[0];
    state = malloc(*bytes);
    if (!state) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for a checkpoint");
        return NULL;
    }
    state->kernel = *k;
    state->ledger = k->bill.ledger ? *k->bill.ledger : (struct pe_ledger){0};
    state->pages = 0;
    for (uint64_t at = 0; at < heap_end(h); at += PAGE_SIZE) {
        if (!is_zero(h->base + at)) {
            state->page[state->pages].at = at;
            memcpy(state->page[state->pages++].data, h->base + at, PAGE_SIZE);
        }
    }
    return state;
}

/* Who looks, looks on; the bill is the machine's, or goes back too. */
static void load_kernel(struct pe_kernel *k, const struct kernel_state *state)
{
    struct trace *trace = k->trace;
    struct pe_kernel *traced = k->cpus[0].traced;
    struct bill bill = k->bill;
    *k = state->kernel;
    memcpy(bill.part, k->bill.part, sizeof bill.part);
    k->bill = bill;
    k->trace = trace;
    for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
        k->cpus[i].traced = traced;
    }
    if (k->bill.owned) {
        *k->bill.ledger = state->ledger;
    }
}

void heap_load(struct pe_kernel *k, const void *saved)
{
    const struct kernel_state *state = saved;
    const uint64_t now = heap_end(&k->heap), then = heap_end(&state->kernel.heap);
    uint64_t next = 0;
    for (uint64_t at = 0; at < (now > then ? now : then); at += PAGE_SIZE) {
        uint8_t *page = k->heap.base + at;
        if (next < state->pages && state->page[next].at == at) {
            memcpy(page, state->page[next++].data, PAGE_SIZE);
        } else if (!is_zero(page)) {
            memset(page, 0, PAGE_SIZE);
        }
    }
    load_kernel(k, state);
}
