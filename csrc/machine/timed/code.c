/* SPDX-License-Identifier: GPL-2.0-or-later
 * What blocks of code cost, kept by physical address: decoded once, dropped when the code is written. */
#include "machine/timed/timed.h"
#include "machine/insn.h"

#include <stdlib.h>

/* The bytes of a block, which may go on in the next page; NULL where they cannot be read. */
static const uint8_t *code_bytes(pe_cpu *cpu, uint32_t va, uint32_t size, uint8_t *buffer)
{
    const timed_cpu *c = cpu->timed;
    const uint32_t offset = va & (PE_PAGE_SIZE - 1);
    if (offset + size <= PE_PAGE_SIZE) {
        return pe_mem_host(cpu->machine->mem, c->page_pa + offset, size);
    }
    for (uint32_t at = 0; at < size;) {
        uint32_t insn;
        if (!fill_fetch(cpu, va + at, &insn)) {
            return NULL;
        }
        const uint32_t length = insn_length(insn, *cpu->thumb);
        const uint16_t halves[2] = {(uint16_t)(length == 4 && *cpu->thumb ? insn >> 16 : insn),
                                    (uint16_t)(*cpu->thumb ? insn : insn >> 16)};
        memcpy(buffer + at, halves, length);
        at += length;
    }
    return buffer;
}

/* Room for n more; the first entry of all is left empty, so that index 0 means none. */
static void *append(timed_list *list, size_t entry, uint32_t n)
{
    if (list->count + n > list->room) {
        const uint32_t room = 2 * (list->count + n) + 6;
        void *grown = realloc(list->data, room * entry);
        if (!grown) {
            return NULL;
        }
        list->data = grown;
        list->room = room;
    }
    void *at = (char *)list->data + list->count * entry;
    list->count += n;
    return at;
}

static bool keep_extra(timed_page *page, const pe_block_cost *cost, timed_code *code)
{
    if (!cost->exclusives && !cost->dsb && !cost->dmb && !cost->isb && !cost->system_writes) {
        return true;
    }
    timed_extra *extra = append(&page->extra, sizeof *extra, page->extra.count ? 1 : 2);
    if (!extra) {
        return false;
    }
    code->extra = (uint16_t)(page->extra.count - 1);
    ((timed_extra *)page->extra.data)[code->extra] =
        (timed_extra){(uint16_t)cost->exclusives, (uint16_t)cost->dsb, (uint16_t)cost->dmb, (uint16_t)cost->isb,
                      (uint16_t)cost->system_writes};
    return true;
}

static bool keep_accesses(const timed_machine *t, timed_page *page, const pe_block_cost *cost, timed_code *code)
{
    if (!t->caches || !cost->accesses) {
        return true;
    }
    pe_block_access *access = append(&page->access, sizeof *access, cost->accesses);
    if (!access) {
        return false;
    }
    memcpy(access, pe_blocks_accesses(t->blocks), cost->accesses * sizeof *access);
    code->access = page->access.count - cost->accesses;
    code->accesses = (uint16_t)cost->accesses;
    return true;
}

/* Index in the page, 0: not decoded. */
static uint32_t decode(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    timed_machine *t = cpu->machine->timed;
    timed_page *page = cpu->timed->blocks;
    uint8_t buffer[PE_BLOCK_MAX_BYTES + 4];
    pe_block_cost cost;
    const uint8_t *bytes = size && size <= PE_BLOCK_MAX_BYTES ? code_bytes(cpu, va, size, buffer) : NULL;
    if (!bytes || page->code.count >= UINT16_MAX ||
        pe_blocks_cost(t->blocks, bytes, size, va, *cpu->thumb, &cost, NULL)) {
        return 0;
    }
    timed_code code = {
        .x16 = cost.cycles_x16,
        .size = (uint16_t)size,
        .insns = (uint16_t)run_count_insns(cpu, va, size),
        .loaded_regs = (uint16_t)cost.loaded_regs,
        .thumb = *cpu->thumb,
        .branch = (uint8_t)cost.branch,
        .taken_x16 = (uint16_t)cost.taken_x16,
    };
    const timed_detail detail = {cost.l1_x16, (uint16_t)cost.loads, (uint16_t)cost.stores};
    const uint32_t n = page->code.count ? 1 : 2, index = page->code.count + n - 1;
    if (!keep_extra(page, &cost, &code) || !keep_accesses(t, page, &cost, &code) ||
        !append(&page->detail, sizeof detail, n)) {
        return 0;
    }
    if (!append(&page->code, sizeof code, n)) {
        page->detail.count -= n;
        return 0;
    }
    *timed_code_at(page, index) = code;
    ((timed_detail *)page->detail.data)[index] = detail;
    cpu->timed->executed.code_decoded++;
    return index;
}

/* The latest one found comes first, so that a loop finds its block at once. */
timed_code *timed_find_code(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    timed_cpu *c = cpu->timed;
    if (va >> 12 != c->page) {
        return NULL;
    }
    uint16_t *slot = &c->blocks->at[(va & (PE_PAGE_SIZE - 1)) >> 1], *link = slot;
    uint32_t index = *slot;
    while (index) {
        timed_code *code = timed_code_at(c->blocks, index);
        if (code->size == size && code->thumb == *cpu->thumb) {
            *link = code->next;
            break;
        }
        link = &code->next;
        index = code->next;
    }
    if (!index && !(index = decode(cpu, va, size))) {
        return NULL;
    }
    timed_code *code = timed_code_at(c->blocks, index);
    code->next = *slot;
    *slot = (uint16_t)index;
    return code;
}

/* The block that runs may lie in the page that it has written: it goes on as a copy. */
static timed_code *keep_running(timed_cpu *c, const timed_code *code)
{
    const uint32_t index = (uint32_t)(code - timed_code_at(c->blocks, 0));
    c->orphan.code = *code;
    c->orphan.detail = ((const timed_detail *)c->blocks->detail.data)[index];
    c->orphan.extra = (timed_extra){0};
    if (code->extra) {
        c->orphan.extra = ((const timed_extra *)c->blocks->extra.data)[code->extra];
    }
    c->orphan.code.extra = TIMED_ORPHAN;
    c->orphan.code.runs[0] = 1; /* never noted: bill_rare settles it */
    return &c->orphan.code;
}

void timed_empty_page(timed_page *page)
{
    memset(page->at, 0, sizeof page->at);
    page->code.count = page->detail.count = page->extra.count = page->access.count = 0;
}

void timed_drop_code(pe_machine *m, uint64_t page)
{
    timed_page *blocks = m->timed->pages[page];
    if (!blocks) {
        return;
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        timed_cpu *c = m->cpu[i]->timed;
        timed_gather(c);
        if (c->blocks != blocks) {
            continue;
        }
        if (c->code && c->code != &c->orphan.code) {
            c->code = keep_running(c, c->code);
        } else if (c->parked && c->parked != &c->orphan.code) {
            c->parked = keep_running(c, c->parked);
        }
    }
    timed_empty_page(blocks);
}

void timed_free_code(timed_machine *t)
{
    while (t->all_pages) {
        timed_page *blocks = t->all_pages;
        t->all_pages = blocks->next;
        free(blocks->code.data);
        free(blocks->detail.data);
        free(blocks->extra.data);
        free(blocks->access.data);
        free(blocks);
    }
}
