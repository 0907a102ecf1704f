/* SPDX-License-Identifier: GPL-2.0-or-later
 * The traffic of a fast get_user_pages without its work: for each page 8 bytes of PTE read, 4 bytes of page list
 * written, a reference of a 32-byte struct page read and written. */
#include <stdint.h>
#include <string.h>

struct peer_page {
    int32_t refcount;
    uint32_t other[7];
};

void peer_copy(const uint64_t *ptes, uint32_t *list, struct peer_page *pages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (uint32_t)(ptes[i] >> 12);
        pages[i].refcount++;
    }
}

/* The same where pages do not touch: the reference is that of the page which the PTE names. */
void peer_scattered(const uint64_t *ptes, uint32_t *list, struct peer_page *pages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (uint32_t)(ptes[i] >> 12);
        pages[list[i]].refcount++;
    }
}

/* A call for each of `calls` stretches, as the model has one. */
void peer_calls(const uint64_t *ptes, uint32_t *list, struct peer_page *pages, uint32_t per_call, uint32_t calls,
                int scattered)
{
    for (uint32_t i = 0; i < calls; i++) {
        const size_t at = (size_t)i * per_call;
        if (scattered) {
            peer_scattered(ptes + at, list + at, pages, per_call);
        } else {
            peer_copy(ptes + at, list + at, pages + at, per_call);
        }
        __asm__ volatile("" ::: "memory");
    }
}
