/* SPDX-License-Identifier: GPL-2.0-or-later
 * Checkpoints: the state of CPUs, devices and cycle model, and of each page that is written after one its content of
 * before.  No page is writable in the soft TLB until its copy is in the log of the latest checkpoint. */
#include "machine/debug.h"
#include "machine/timed/timed.h"

#include <stdlib.h>
#include <sys/mman.h>

static size_t map_bytes(const pe_machine *m)
{
    return (size_t)((BOARD_FLASH_END + m->config.ram_size) / PE_PAGE_SIZE / 8);
}

static bool is_saved(const uint8_t *map, uint64_t page)
{
    return map[page >> 3] >> (page & 7) & 1;
}

static void mark(uint8_t *map, uint64_t page, bool saved)
{
    const uint8_t bit = (uint8_t)(1u << (page & 7));
    map[page >> 3] = (uint8_t)(saved ? map[page >> 3] | bit : map[page >> 3] & ~bit);
}

/* Flash lies at 0 in both numberings; RAM behind it (fill_ram_offset). */
static uint8_t *host_of(const pe_machine *m, uint64_t page)
{
    const uint64_t offset = page << 12;
    const uint64_t pa = is_flash(offset) ? offset : offset - BOARD_FLASH_END + m->config.ram_base;
    return pe_mem_host(m->mem, pa, PE_PAGE_SIZE);
}

static bool append(checkpoint *c, saved_page *page)
{
    if (c->npages == c->room) {
        const size_t room = c->room ? 2 * c->room : 256;
        saved_page **grown = realloc(c->pages, room * sizeof *grown);
        if (!grown) {
            return false;
        }
        c->pages = grown;
        c->room = room;
    }
    c->pages[c->npages++] = page;
    c->info.bytes += sizeof *page;
    return true;
}

static void clear_log(checkpoint *c)
{
    for (size_t i = 0; i < c->npages; i++) {
        free(c->pages[i]);
    }
    c->info.bytes -= c->npages * sizeof(saved_page);
    c->npages = 0;
}

static void free_checkpoint(checkpoint *c)
{
    clear_log(c);
    free(c->pages);
    free(c->hosted);
    free(c->state);
    free(c->timed);
    free(c);
}

/* Without all of its pages a checkpoint is no way back, so when the host has no memory all are given up. */
static void give_up(pe_machine *m)
{
    struct debug_machine *d = m->debug;
    for (size_t i = 0; i < d->ncheckpoints; i++) {
        free_checkpoint(d->checkpoints[i]);
    }
    d->ncheckpoints = 0;
    if (d->saved) {
        munmap(d->saved, map_bytes(m));
        d->saved = NULL;
    }
}

void rewind_free(pe_machine *m)
{
    give_up(m);
    free(m->debug->checkpoints);
}

void rewind_forget(pe_machine *m)
{
    if (m->debug) {
        give_up(m);
    }
}

void rewind_save_page(pe_machine *m, uint64_t page)
{
    struct debug_machine *d = m->debug;
    if (is_saved(d->saved, page)) {
        return;
    }
    const uint8_t *host = host_of(m, page);
    saved_page *copy = host ? malloc(sizeof *copy) : NULL;
    if (!copy || !append(d->checkpoints[d->ncheckpoints - 1], copy)) {
        free(copy);
        give_up(m);
        return;
    }
    copy->page = page;
    memcpy(copy->data, host, PE_PAGE_SIZE);
    mark(d->saved, page, true);
}

void rewind_host_write(pe_machine *m, uint64_t pa, uint64_t len)
{
    if (!m->debug || !m->debug->saved || !len || pe_mem_host(m->mem, pa, len) == NULL) {
        return;
    }
    for (uint64_t at = pa & ~0xfffull; at < pa + len && m->debug->saved; at += PE_PAGE_SIZE) {
        uint64_t offset;
        if (fill_ram_offset(m, at, &offset)) {
            rewind_save_page(m, offset >> 12);
        }
    }
}

uint64_t pe_machine_exceptions(const pe_machine *m)
{
    const pe_stats *s = &m->stats;
    return s->data_aborts + s->prefetch_aborts + s->undefs + s->svcs + s->irqs + s->fiqs;
}

/* ---- making one ---- */

/* The model as it is without what is shown of it. */
static size_t save_timed(pe_machine *m, checkpoint *c)
{
    if (!m->timed) {
        return 0;
    }
    const bool shown = timed_hide(m);
    const size_t bytes = timed_save(m, NULL);
    c->timed = malloc(bytes);
    if (c->timed) {
        timed_save(m, c->timed);
    }
    if (shown) {
        timed_show(m);
    }
    return bytes;
}

static checkpoint *take(pe_machine *m, pe_error *err)
{
    checkpoint *c = calloc(1, sizeof *c);
    size_t bytes = pe_machine_state_save(m, NULL, 0, err);
    if (c) {
        c->state = malloc(bytes);
        c->state_bytes = bytes;
        bytes += save_timed(m, c);
    }
    if (!c || !c->state || (m->timed && !c->timed)) {
        if (c) {
            free_checkpoint(c);
        }
        pe_fail(err, PE_ERR_MEMORY, "no memory for a checkpoint");
        return NULL;
    }
    c->state_bytes = pe_machine_state_save(m, c->state, c->state_bytes, err);
    if (!c->state_bytes) {
        free_checkpoint(c);
        return NULL;
    }
    size_t hosted = 0;
    if (m->hosted.save && !(c->hosted = m->hosted.save(m->hosted.context, &hosted, err))) {
        free_checkpoint(c);
        return NULL;
    }
    c->info =
        (pe_checkpoint){m->debug->next_id, run_total_insns(m), pe_machine_exceptions(m), sizeof *c + bytes + hosted};
    c->ring_count = m->debug->ring_count;
    c->suspended = m->suspended;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        c->cpu[i].held = m->cpu[i]->held;
        c->cpu[i].event = m->cpu[i]->event;
        engine_exclusive_save(&m->engine, &m->cpu[i]->probe, &c->cpu[i].exclusive);
    }
    return c;
}

static pe_status make_room(pe_machine *m, pe_error *err)
{
    struct debug_machine *d = m->debug;
    if (!d->saved) {
        void *map =
            mmap(NULL, map_bytes(m), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) {
            return pe_fail(err, PE_ERR_MEMORY, "no memory for checkpoints");
        }
        d->saved = map;
    }
    if (d->ncheckpoints == d->checkpoints_room) {
        const size_t room = d->checkpoints_room ? 2 * d->checkpoints_room : 16;
        checkpoint **grown = realloc(d->checkpoints, room * sizeof *grown);
        if (!grown) {
            return pe_fail(err, PE_ERR_MEMORY, "no memory for checkpoints");
        }
        d->checkpoints = grown;
        d->checkpoints_room = room;
    }
    return PE_OK;
}

static void forget_saved(struct debug_machine *d, const checkpoint *c)
{
    for (size_t i = 0; i < c->npages; i++) {
        mark(d->saved, c->pages[i]->page, false);
    }
}

pe_status pe_machine_checkpoint(pe_machine *m, uint64_t *id, pe_error *err)
{
    pe_status status = debug_new(m, err);
    status = status ? status : make_room(m, err);
    if (status != PE_OK) {
        return status;
    }
    struct debug_machine *d = m->debug;
    checkpoint *c = take(m, err);
    if (!c) {
        if (!d->ncheckpoints) {
            give_up(m);
        }
        return PE_ERR_STATE;
    }
    if (d->ncheckpoints) {
        forget_saved(d, d->checkpoints[d->ncheckpoints - 1]);
    }
    d->checkpoints[d->ncheckpoints++] = c;
    *id = d->next_id++;
    fill_flush_all(m);
    return PE_OK;
}

size_t pe_machine_checkpoints(const pe_machine *m, pe_checkpoint *out, size_t max)
{
    const size_t count = m->debug ? m->debug->ncheckpoints : 0;
    for (size_t i = 0; i < count && i < max; i++) {
        out[i] = m->debug->checkpoints[i]->info;
    }
    return count;
}

/* ---- going back ---- */

static pe_status find(const pe_machine *m, uint64_t id, size_t *at, pe_error *err)
{
    const struct debug_machine *d = m->debug;
    for (size_t i = 0; d && i < d->ncheckpoints; i++) {
        if (d->checkpoints[i]->info.id == id) {
            *at = i;
            return PE_OK;
        }
    }
    return pe_fail(err, PE_ERR_ARGUMENT, "no checkpoint %llu", (unsigned long long)id);
}

static void put_back(pe_machine *m, const checkpoint *c)
{
    for (size_t i = 0; i < c->npages; i++) {
        uint8_t *host = host_of(m, c->pages[i]->page);
        if (host) {
            memcpy(host, c->pages[i]->data, PE_PAGE_SIZE);
        }
    }
}

pe_status pe_machine_rewind(pe_machine *m, uint64_t id, pe_error *err)
{
    size_t at = 0;
    pe_status status = find(m, id, &at, err);
    if (status != PE_OK) {
        return status;
    }
    struct debug_machine *d = m->debug;
    timed_hide(m);
    if (m->timed) {
        timed_forget_blocks(m);
    }
    forget_saved(d, d->checkpoints[d->ncheckpoints - 1]);
    for (size_t i = d->ncheckpoints; i-- > at;) {
        put_back(m, d->checkpoints[i]);
        if (i > at) {
            free_checkpoint(d->checkpoints[i]);
        }
    }
    checkpoint *c = d->checkpoints[at];
    d->ncheckpoints = at + 1;
    clear_log(c);
    status = state_load(m, c->state, c->state_bytes, c->timed, err);
    if (c->hosted) {
        m->hosted.load(m->hosted.context, c->hosted);
    }
    watch_forget_after(m, c->ring_count);
    m->suspended = c->suspended;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        m->cpu[i]->held = c->cpu[i].held;
        m->cpu[i]->event = c->cpu[i].event;
        engine_exclusive_load(&m->engine, &m->cpu[i]->probe, &c->cpu[i].exclusive);
    }
    if (status == PE_OK) {
        timed_show(m);
    }
    return status;
}

/* Pages of the later log that the earlier one has not go over to it. */
static void merge(pe_machine *m, checkpoint *into, checkpoint *from)
{
    uint8_t *have = calloc(1, map_bytes(m));
    if (!have) {
        give_up(m);
        return;
    }
    for (size_t i = 0; i < into->npages; i++) {
        mark(have, into->pages[i]->page, true);
    }
    bool whole = true;
    for (size_t i = 0; i < from->npages; i++) {
        if (!is_saved(have, from->pages[i]->page)) {
            whole &= append(into, from->pages[i]);
            from->pages[i] = NULL;
        }
    }
    free(have);
    free_checkpoint(from);
    if (!whole) {
        give_up(m);
    }
}

pe_status pe_machine_checkpoint_drop(pe_machine *m, uint64_t id, pe_error *err)
{
    size_t at = 0;
    pe_status status = find(m, id, &at, err);
    if (status != PE_OK) {
        return status;
    }
    struct debug_machine *d = m->debug;
    if (d->ncheckpoints == 1) {
        give_up(m);
        return PE_OK;
    }
    if (at + 1 == d->ncheckpoints) {
        return pe_fail(err, PE_ERR_STATE, "the latest checkpoint cannot be forgotten while there are others");
    }
    checkpoint *c = d->checkpoints[at];
    memmove(&d->checkpoints[at], &d->checkpoints[at + 1], (d->ncheckpoints - at - 1) * sizeof *d->checkpoints);
    d->ncheckpoints--;
    if (at) {
        merge(m, d->checkpoints[at - 1], c);
    } else {
        free_checkpoint(c);
    }
    return PE_OK;
}
