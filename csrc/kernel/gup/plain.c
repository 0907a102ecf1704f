/* SPDX-License-Identifier: GPL-2.0-or-later
 * The fast walk's loop over entries that need no second thought: small folios, no unsharing, nobody who changes
 * anything meanwhile, no bill by address.  It is written for the host: few branches, pages that touch by the run. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"
#include "kernel/tables/entry.h"

#include <stddef.h>

#define PLAIN_RUN 64u

/* What decides for most entries, gathered once a call.  A page's word is its references, below its flags. */
struct plain {
    uint64_t mask, want; /* of an entry */
    uint64_t odd;        /* of a page's word less one: needs a closer look */
    uint64_t referenced;
    uint64_t add;
};
_Static_assert(offsetof(struct page, refcount) == 0 && offsetof(struct page, flags) == 4, "one word");

static struct plain plain_entries(const struct pe_kernel *k, const struct gup *gup)
{
    const struct pgtable_bits *b = k->bits;
    const bool write = gup->flags & FOLL_WRITE, pin = gup->flags & FOLL_PIN;
    return (struct plain){
        .mask = b->valid | b->user | b->special | (write || pin ? b->rdonly : 0),
        .want = b->valid | b->user,
        /* Large folios, the zero page; no reference, which less one is negative, and very many. */
        .odd = (uint64_t)(PE_PG_HEAD | PE_PG_TAIL | PE_PG_ZERO) << 32 | 0xc0000000u,
        .referenced = (uint64_t)PE_PG_REFERENCED << 32,
        .add = pin ? GUP_PIN_COUNTING_BIAS : 1,
    };
}

/* Frame numbers of entries, as far as they are pages of RAM that the caller may have.  What the host's vector unit can
 * do: no branches. */
static bool read_plain(const struct frames *f, const struct plain *plain, const uint8_t *host, uint32_t nr,
                       uint32_t *pfns)
{
    const uint64_t mask = plain->mask, want = plain->want;
    const uint32_t base = f->base_pfn, last = f->count - 1;
    uint64_t wrong = 0;
    uint32_t outside = 0;
    for (uint32_t i = 0; i < nr; i++) {
        const uint64_t pte = load64(host + i * sizeof(uint64_t));
        const uint32_t pfn = (uint32_t)(pte >> PAGE_SHIFT) & 0x0fffffffu;
        wrong |= (pte & mask) ^ want;
        outside |= (pfn - base) | (last - (pfn - base));
        pfns[i] = pfn;
    }
    return !wrong && !(outside >> 31);
}

/* The same of entries that differ from the first by their distance alone: pages that touch. */
static bool read_touching(const uint8_t *host, uint32_t nr)
{
    const uint64_t first = load64(host);
    uint64_t differ = 0;
    for (uint32_t i = 0; i < nr; i++) {
        differ |= load64(host + i * sizeof(uint64_t)) ^ (first + ((uint64_t)i << PAGE_SHIFT));
    }
    return !differ;
}

/* A reference of a page; false where it is odd. */
static inline bool grab_word(struct page *page, uint64_t odd, uint64_t add, uint64_t referenced)
{
    uint64_t word;
    memcpy(&word, page, sizeof word);
    if ((word - 1) & odd) {
        return false;
    }
    word = (word + add) | referenced;
    memcpy(page, &word, sizeof word);
    return true;
}

static uint32_t grab_pages(const struct frames *f, const struct plain *plain, const uint32_t *pfns, uint32_t nr)
{
    const uint64_t odd = plain->odd, add = plain->add, referenced = plain->referenced;
    const uint32_t base = f->base_pfn;
    struct page *pages = f->pages;
    uint32_t i = 0;
    while (i < nr && grab_word(&pages[pfns[i] - base], odd, add, referenced)) {
        i++;
    }
    return i;
}

static uint32_t grab_touching(struct page *page, const struct plain *plain, uint32_t nr)
{
    const uint64_t odd = plain->odd, add = plain->add, referenced = plain->referenced;
    uint32_t i = 0;
    while (i < nr && grab_word(&page[i], odd, add, referenced)) {
        i++;
    }
    return i;
}

/* A run of entries; returns how many were got. */
static uint32_t grab_run(const struct frames *f, const struct plain *plain, const uint8_t *host, uint32_t nr,
                         uint32_t *pfns)
{
    if (read_touching(host, nr) && read_plain(f, plain, host, 1, pfns) && pfns[0] - f->base_pfn + nr <= f->count) {
        for (uint32_t i = 1; i < nr; i++) {
            pfns[i] = pfns[0] + i;
        }
        return grab_touching(&f->pages[pfns[0] - f->base_pfn], plain, nr);
    }
    while (nr && !read_plain(f, plain, host, nr, pfns)) {
        nr /= 2; /* an entry in here is not plain */
    }
    return grab_pages(f, plain, pfns, nr);
}

bool gup_may_be_plain(const struct pe_kernel *k, const struct gup *gup)
{
    return !k->race.armed && !(gup->flags & FOLL_LONGTERM) && !k->bill.caches && !k->bill.tlb[k->cpu->id];
}

uint32_t gup_grab_plain(const struct pe_kernel *k, struct gup *gup, const uint8_t *host, uint32_t nr)
{
    const struct plain plain = plain_entries(k, gup);
    uint32_t done = 0;
    while (done < nr) {
        const uint32_t run = nr - done < PLAIN_RUN ? nr - done : PLAIN_RUN;
        const uint32_t got =
            grab_run(&k->frames, &plain, host + done * sizeof(uint64_t), run, gup->pfns + gup->got + done);
        done += got;
        if (got < run) {
            break;
        }
    }
    gup->got += done;
    return done;
}
