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

static timed_code *decode(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    timed_machine *t = cpu->machine->timed;
    uint8_t buffer[PE_BLOCK_MAX_BYTES + 4];
    pe_block_cost cost;
    const uint8_t *bytes = size && size <= PE_BLOCK_MAX_BYTES ? code_bytes(cpu, va, size, buffer) : NULL;
    if (!bytes || pe_blocks_cost(t->blocks, bytes, size, va, *cpu->thumb, &cost, NULL)) {
        return NULL;
    }
    timed_code *code = malloc(sizeof *code + cost.accesses * sizeof code->access[0]);
    if (!code) {
        return NULL;
    }
    *code = (timed_code){
        .size = (uint16_t)size,
        .insns = (uint16_t)run_count_insns(cpu, va, size),
        .x16 = cost.cycles_x16 - cost.l1_x16,
        .l1_x16 = cost.l1_x16,
        .thumb = *cpu->thumb,
        .branch = (uint8_t)cost.branch,
        .extras = cost.exclusives || cost.dsb || cost.dmb || cost.isb || cost.system_writes,
        .loads = (uint16_t)cost.loads,
        .stores = (uint16_t)cost.stores,
        .loaded_regs = (uint16_t)cost.loaded_regs,
        .accesses = (uint16_t)cost.accesses,
        .exclusives = (uint16_t)cost.exclusives,
        .dsb = (uint16_t)cost.dsb,
        .dmb = (uint16_t)cost.dmb,
        .isb = (uint16_t)cost.isb,
        .system_writes = (uint16_t)cost.system_writes,
    };
    memcpy(code->access, pe_blocks_accesses(t->blocks), cost.accesses * sizeof code->access[0]);
    cpu->timed->executed.code_decoded++;
    return code;
}

/* The latest one found comes first, so that a loop finds its block at once. */
const timed_code *timed_find_code(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    timed_cpu *c = cpu->timed;
    if (va >> 12 != c->blocks_page) {
        return NULL;
    }
    timed_code **slot = &c->blocks->at[(va & (PE_PAGE_SIZE - 1)) >> 1], **link = slot;
    timed_code *code = *slot;
    while (code && (code->size != size || code->thumb != *cpu->thumb)) {
        link = &code->next;
        code = code->next;
    }
    if (code) {
        *link = code->next;
    } else if (!(code = decode(cpu, va, size))) {
        return NULL;
    }
    code->next = *slot;
    *slot = code;
    return code;
}

/* Not freed at once: a CPU may be in a block that writes its own page. */
void timed_drop_code(timed_machine *t, uint64_t page)
{
    timed_page *blocks = t->pages[page];
    for (size_t i = 0; blocks && i < PE_PAGE_SIZE / 2; i++) {
        while (blocks->at[i]) {
            timed_code *code = blocks->at[i];
            blocks->at[i] = code->next;
            code->next = t->garbage;
            t->garbage = code;
        }
    }
}

void timed_free_garbage(timed_machine *t)
{
    while (t->garbage) {
        timed_code *code = t->garbage;
        t->garbage = code->next;
        free(code);
    }
}

void timed_free_code(timed_machine *t)
{
    while (t->all_pages) {
        timed_page *blocks = t->all_pages;
        t->all_pages = blocks->next;
        for (size_t i = 0; i < PE_PAGE_SIZE / 2; i++) {
            while (blocks->at[i]) {
                timed_code *code = blocks->at[i];
                blocks->at[i] = code->next;
                free(code);
            }
        }
        free(blocks);
    }
    timed_free_garbage(t);
}
