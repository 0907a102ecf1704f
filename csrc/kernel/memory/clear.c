/* SPDX-License-Identifier: GPL-2.0-or-later
 * Contents of frames: clear_highpage and copy_highpage.  A frame that nobody wrote reads as zero and stays untouched.
 */
#include "kernel/cost.h"
#include "machine/machine.h"

static void bill_page(struct pe_kernel *k, const struct page *page, uint32_t va, pe_access access)
{
    cost_stream(k, va, page_to_phys(&k->frames, page), PAGE_SIZE, access);
}

/* Programs may have run code from the frame. */
static void drop_code(struct pe_kernel *k, const struct page *page)
{
    if (k->machine) {
        fill_drop_code(k->machine, page_to_phys(&k->frames, page), PAGE_SIZE);
    }
}

static void observed_page(struct pe_kernel *k, const struct page *page)
{
    if (is_observed(k)) {
        observe_page(k, page_host(k, page), PAGE_SIZE);
    }
}

static void zero_page(struct pe_kernel *k, const struct page *page)
{
    observed_page(k, page);
    memset(page_host(k, page), 0, PAGE_SIZE);
}

void clear_highpage(struct pe_kernel *k, struct page *page)
{
    chain_enter(k->cpu, PE_FN_CLEAR_HIGHPAGE);
    const uint32_t va = kmap_local_page(k, page);
    k->stats.pages_cleared++;
    cost_insns(k, k->costs.memory.clear_page);
    bill_page(k, page, va, PE_WRITE);
    if (page->flags & PE_PG_BACKED) {
        zero_page(k, page);
        drop_code(k, page);
    }
    kunmap_local(k, va);
    chain_leave(k->cpu);
}

void copy_highpage(struct pe_kernel *k, struct page *to, struct page *from)
{
    chain_enter(k->cpu, PE_FN_COPY_HIGHPAGE);
    const uint32_t from_va = kmap_local_page(k, from), to_va = kmap_local_page(k, to);
    k->stats.pages_copied++;
    cost_insns(k, k->costs.memory.copy_page);
    bill_page(k, from, from_va, PE_READ);
    bill_page(k, to, to_va, PE_WRITE);
    if (from->flags & PE_PG_BACKED) {
        observed_page(k, to);
        memcpy(page_host(k, to), page_host(k, from), PAGE_SIZE);
        to->flags |= PE_PG_BACKED;
    } else if (to->flags & PE_PG_BACKED) {
        zero_page(k, to);
    }
    drop_code(k, to);
    kunmap_local(k, to_va);
    kunmap_local(k, from_va);
    chain_leave(k->cpu);
}
