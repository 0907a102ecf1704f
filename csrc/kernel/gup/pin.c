/* SPDX-License-Identifier: GPL-2.0-or-later
 * References and pins of folios: what get_user_pages takes and unpin_user_pages gives back. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"

/* folio_ref_try_add: a count of 0 is frozen or free. */
static bool try_get_folio(struct page *folio, uint32_t refs)
{
    if (folio->refcount <= 0 || refs > (uint32_t)(INT32_MAX - folio->refcount)) {
        return false;
    }
    folio->refcount += (int32_t)refs;
    return true;
}

static bool is_large(const struct page *folio)
{
    return folio->flags & PE_PG_HEAD;
}

/* References that a number of pins is: a large folio counts its pins apart (folio_has_pincount). */
static uint32_t pin_refs(const struct page *folio, uint32_t pins)
{
    return is_large(folio) ? pins : pins * GUP_PIN_COUNTING_BIAS;
}

static bool try_pin_folio(struct page *folio, uint32_t pins)
{
    if (!try_get_folio(folio, pin_refs(folio, pins))) {
        return false;
    }
    folio->pincount += is_large(folio) ? pins : 0;
    return true;
}

bool folio_is_longterm_pinnable(const struct pe_kernel *k, struct page *page)
{
    return page->flags & PE_PG_ZERO || pageblock_type(&k->frames, page_index(&k->frames, page)) != PE_MIGRATE_CMA;
}

pe_gup_stop try_grab_folio_fast(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags)
{
    struct page *folio = page_head(&k->frames, page);
    if (!(flags & FOLL_PIN)) {
        return try_get_folio(folio, refs) ? PE_GUP_STOP_NONE : PE_GUP_STOP_FOLIO;
    }
    if (page->flags & PE_PG_ZERO) {
        return PE_GUP_STOP_NONE;
    }
    if (folio->refcount > 0 && flags & FOLL_LONGTERM && !folio_is_longterm_pinnable(k, page)) {
        return PE_GUP_STOP_PIN_LONGTERM;
    }
    return try_pin_folio(folio, refs) ? PE_GUP_STOP_NONE : PE_GUP_STOP_FOLIO;
}

bool try_grab_folio(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags)
{
    struct page *folio = page_head(&k->frames, page);
    if (!(flags & FOLL_PIN)) {
        return try_get_folio(folio, refs);
    }
    return page->flags & PE_PG_ZERO || try_pin_folio(folio, refs);
}

static void traced(struct pe_kernel *k, pe_trace_kind kind, const struct page *page)
{
    if (is_traced(k)) {
        const struct page *folio = page_head(&k->frames, (struct page *)(uintptr_t)page);
        trace_add(k, &(pe_trace_event){.kind = (uint8_t)kind,
                                       .pa = page_to_phys(&k->frames, page),
                                       .value = (uint32_t)folio->refcount});
    }
}

void gup_trace_grab(struct pe_kernel *k, const struct page *page)
{
    traced(k, PE_TRACE_GRAB, page);
}

void gup_put_folio(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags)
{
    struct page *folio = page_head(&k->frames, page);
    if (flags & FOLL_PIN) {
        if (page->flags & PE_PG_ZERO) {
            return;
        }
        folio->pincount -= is_large(folio) ? refs : 0;
        refs = pin_refs(folio, refs);
    }
    folio->refcount -= (int32_t)refs - 1;
    put_page(k, folio);
    traced(k, PE_TRACE_PUT, page);
}

bool gup_must_unshare(const struct pe_kernel *k, struct page *page, uint32_t flags, bool fast, bool cow_mapping)
{
    if ((flags & (FOLL_WRITE | FOLL_PIN)) != FOLL_PIN) {
        return false;
    }
    if (!(page_head(&k->frames, page)->flags & PE_PG_ANON)) {
        return flags & FOLL_LONGTERM && (fast || cow_mapping);
    }
    return !(page->flags & PE_PG_EXCLUSIVE);
}

void folio_set_flags(struct pe_kernel *k, struct page *page, uint32_t flags)
{
    page_head(&k->frames, page)->flags |= flags;
}

/* ---- from outside ---- */

/* References that are not those of mappings. */
static int64_t extra_refs(const struct page *folio)
{
    return (int64_t)folio->refcount - (folio->mapcount > 0 ? folio->mapcount : 0);
}

static bool has_pin(const struct page *folio)
{
    return is_large(folio) ? folio->pincount > 0 : extra_refs(folio) >= GUP_PIN_COUNTING_BIAS;
}

/* Whether the page has something that can be given back. */
static pe_status check_page(const struct pe_kernel *k, struct page *page, uint32_t pfn, bool pinned, pe_error *err)
{
    if (!page) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no frame has pfn 0x%x", pfn);
    }
    const struct page *folio = page_head(&k->frames, page);
    if (pinned && !has_pin(folio) && !(page->flags & PE_PG_ZERO)) {
        return pe_fail(err, PE_ERR_STATE, "the page of pfn 0x%x is not pinned", pfn);
    }
    if (!pinned && extra_refs(folio) < 1) {
        return pe_fail(err, PE_ERR_STATE, "the page of pfn 0x%x has no reference but those of its mappings", pfn);
    }
    return PE_OK;
}

static pe_status put_all(struct pe_kernel *k, const uint32_t *pfns, size_t count, uint32_t flags, pe_error *err)
{
    const bool pinned = flags & FOLL_PIN;
    for (size_t i = 0; i < count; i++) {
        struct page *page = pfn_to_page(&k->frames, pfns[i]);
        const pe_status status = check_page(k, page, pfns[i], pinned, err);
        if (status) {
            return status;
        }
        cost_insns(k, pinned ? k->costs.gup.unpin_page : k->costs.gup.put_page);
        cost_page(k, page_head(&k->frames, page), PE_WRITE);
        cost_ordered(k, 1); /* folio_ref_sub_and_test */
        gup_put_folio(k, page, 1, flags);
        k->stats.unpinned_pages += pinned;
    }
    return PE_OK;
}

pe_status pe_kernel_gup_put(pe_kernel *k, const uint32_t *pfns, size_t count, pe_error *err)
{
    return put_all(k, pfns, count, FOLL_GET, err);
}

pe_status pe_kernel_unpin(pe_kernel *k, const uint32_t *pfns, size_t count, pe_error *err)
{
    return put_all(k, pfns, count, FOLL_PIN, err);
}
