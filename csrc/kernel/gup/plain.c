/* SPDX-License-Identifier: GPL-2.0-or-later
 * The fast walk's loop over entries that need no second thought: small folios, no unsharing, nobody who changes
 * anything meanwhile, no bill by address.  It is written for the host: few branches, pages that touch by the run. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"
#include "kernel/tables/entry.h"

#include <stddef.h>

#define PLAIN_RUN 128u

/* Each loop by itself: what it needs stays in registers. */
#define LOOP __attribute__((noinline)) static

/* What decides for most entries, gathered once a call.  A page's word is its references, below its flags. */
struct plain {
    uint64_t mask, want; /* of an entry */
    uint64_t odd;        /* of a page's word less one: needs a closer look */
    uint64_t referenced;
    uint64_t add;
};
_Static_assert(offsetof(struct page, refcount) == 0 && offsetof(struct page, flags) == 4, "one word");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first half of a word is its low one");

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
LOOP bool read_plain(const struct frames *f, const struct plain *plain, const uint8_t *host, size_t nr, uint32_t *pfns)
{
    const uint64_t mask = plain->mask, want = plain->want;
    const uint32_t base = f->base_pfn, last = f->count - 1;
    uint64_t wrong = 0;
    uint32_t outside = 0;
    for (size_t i = 0; i < nr; i++) {
        const uint64_t pte = load64(host + i * sizeof(uint64_t));
        const uint32_t pfn = (uint32_t)(pte >> PAGE_SHIFT) & 0x0fffffffu;
        wrong |= (pte & mask) ^ want;
        outside |= (pfn - base) | (last - (pfn - base));
        pfns[i] = pfn;
    }
    return !wrong && !(outside >> 31);
}

/* The same of entries that differ from the first by their distance alone: pages that touch. */
LOOP bool read_touching(const uint8_t *host, size_t nr)
{
    const uint64_t first = load64(host);
    uint64_t differ = 0;
    if (load64(host + (nr - 1) * sizeof(uint64_t)) != first + ((uint64_t)(nr - 1) << PAGE_SHIFT)) {
        return false; /* most others, at once */
    }
    for (size_t i = 0; i < nr; i++) {
        differ |= load64(host + i * sizeof(uint64_t)) ^ (first + ((uint64_t)i << PAGE_SHIFT));
    }
    return !differ;
}

static inline uint64_t read_word(const struct page *page)
{
    uint64_t word;
    memcpy(&word, page, sizeof word);
    return word;
}

static inline void write_word(struct page *page, uint64_t word)
{
    memcpy(page, &word, sizeof word);
}

/* References as long as no page is odd; returns how many. */
LOOP size_t grab_pages(const struct frames *f, const struct plain *plain, const uint32_t *pfns, size_t nr)
{
    const uint64_t odd = plain->odd, add = plain->add, referenced = plain->referenced;
    const uint32_t base = f->base_pfn;
    struct page *pages = f->pages;
    size_t i = 0;
    for (; i < nr; i++) {
        struct page *page = &pages[pfns[i] - base];
        const uint64_t word = read_word(page);
        if ((word - 1) & odd) {
            break;
        }
        write_word(page, (word + add) | referenced);
    }
    return i;
}

/* The same of pages that touch: all different, so that a group of them can be read before one is written. */
LOOP size_t grab_touching(struct page *page, const struct plain *plain, size_t nr)
{
    const uint64_t odd = plain->odd, add = plain->add, referenced = plain->referenced;
    size_t i = 0;
    for (; i + 4 <= nr; i += 4) {
        const uint64_t a = read_word(&page[i]), b = read_word(&page[i + 1]);
        const uint64_t c = read_word(&page[i + 2]), d = read_word(&page[i + 3]);
        if (((a - 1) | (b - 1) | (c - 1) | (d - 1)) & odd) {
            break;
        }
        write_word(&page[i], (a + add) | referenced);
        write_word(&page[i + 1], (b + add) | referenced);
        write_word(&page[i + 2], (c + add) | referenced);
        write_word(&page[i + 3], (d + add) | referenced);
    }
    for (; i < nr && !((read_word(&page[i]) - 1) & odd); i++) {
        write_word(&page[i], (read_word(&page[i]) + add) | referenced);
    }
    return i;
}

LOOP void count_up(uint32_t *pfns, size_t nr)
{
    const uint32_t first = pfns[0];
    for (size_t i = 1; i < nr; i++) {
        pfns[i] = first + (uint32_t)i;
    }
}

/* A run of entries; returns how many were got. */
static size_t grab_run(const struct frames *f, const struct plain *plain, const uint8_t *host, size_t nr,
                       uint32_t *pfns)
{
    if (read_touching(host, nr) && read_plain(f, plain, host, 1, pfns) && pfns[0] - f->base_pfn + nr <= f->count) {
        count_up(pfns, nr);
        return grab_touching(&f->pages[pfns[0] - f->base_pfn], plain, nr);
    }
    while (nr && !read_plain(f, plain, host, nr, pfns)) {
        nr /= 2; /* an entry in here is not plain */
    }
    return grab_pages(f, plain, pfns, nr);
}

bool gup_may_be_plain(const struct pe_kernel *k, const struct gup *gup)
{
    return !k->race.armed && !is_traced(k) && !(gup->flags & FOLL_LONGTERM) && !k->bill.caches &&
           !k->bill.tlb[k->cpu->id];
}

uint32_t gup_grab_plain(const struct pe_kernel *k, struct gup *gup, const uint8_t *host, uint32_t nr)
{
    const struct plain plain = plain_entries(k, gup);
    size_t done = 0;
    while (done < nr) {
        const size_t run = nr - done < PLAIN_RUN ? nr - done : PLAIN_RUN;
        const size_t got =
            grab_run(&k->frames, &plain, host + done * sizeof(uint64_t), run, gup->pfns + gup->got + done);
        done += got;
        if (got < run) {
            break;
        }
    }
    gup->got += (uint32_t)done;
    return (uint32_t)done;
}
