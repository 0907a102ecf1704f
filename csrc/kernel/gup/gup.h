/* SPDX-License-Identifier: GPL-2.0-or-later
 * get_user_pages and pin_user_pages, fast and slow (mm/gup.c). */
#ifndef PYEMU_KERNEL_GUP_H
#define PYEMU_KERNEL_GUP_H

#include "kernel/process/mm.h"

/* include/linux/mm_types.h, mm/internal.h */
#define FOLL_WRITE            (1u << 0)
#define FOLL_GET              (1u << 1)
#define FOLL_FORCE            (1u << 3)
#define FOLL_NOFAULT          (1u << 5)
#define FOLL_LONGTERM         (1u << 8)
#define FOLL_PCI_P2PDMA       (1u << 10)
#define FOLL_HONOR_NUMA_FAULT (1u << 12)
#define FOLL_TOUCH            (1u << 16)
#define FOLL_PIN              (1u << 19)
#define FOLL_FAST_ONLY        (1u << 20)
#define FOLL_UNLOCKABLE       (1u << 21)

/* gup/fast.c: interrupts are off in it.  pfns: room for nr.  Returns how many were got. */
uint32_t gup_fast(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end, uint32_t flags, uint32_t *pfns);
/* gup/slow.c: with fault-in.  Pages, or a negative errno when none was got. */
int32_t get_user_pages_locked(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t nr, uint32_t flags,
                              uint32_t *pfns);
/* gup/pin.c: references and pins of a folio; false leaves it as it was. */
bool try_grab_folio_fast(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags);
void gup_put_folio(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags);

#endif
