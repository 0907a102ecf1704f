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

/* include/asm-generic/errno-base.h, errno.h: as negative results */
#define LINUX_ENOMEM    12
#define LINUX_EFAULT    14
#define LINUX_EEXIST    17
#define LINUX_EINVAL    22
#define LINUX_EMLINK    31
#define LINUX_EOVERFLOW 75

/* One call, on its way. */
struct gup {
    struct mm *mm;
    uint32_t flags; /* FOLL_* */
    uint32_t *pfns; /* room for all pages of the call */
    uint32_t got;
    pe_gup_stop stop; /* of the fast walk */
    uint32_t stop_address;
    uint32_t windows;
};

/* gup/call.c: the faces.  start may lie inside a page.  Pages, or a negative errno when none was got. */
int32_t get_user_pages_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr);
/* get_user_pages_fast with FOLL_PIN instead of FOLL_GET */
int32_t pin_user_pages_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr);

/* gup/fast.c: adds to gup->got. */
bool has_fast_gup(const struct pe_kernel *k);
void gup_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t end);

/* gup/plain.c: entries from host on that need no closer look, with all that gup_fast_pte_range does for each; how many.
 * Usable where gup_may_be_plain. */
bool gup_may_be_plain(const struct pe_kernel *k, const struct gup *gup);
uint32_t gup_grab_plain(const struct pe_kernel *k, struct gup *gup, const uint8_t *host, uint32_t nr);

/* gup/slow.c: with fault-in, from gup->got on; the mmap lock is held for reading.  Pages, or a negative errno when
 * none was got. */
int32_t get_user_pages_locked(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr);
/* gup/longterm.c: the same for FOLL_LONGTERM, which moves pages out of CMA. */
int32_t gup_longterm_locked(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr);

/* gup/pin.c: references and pins of a folio; anything but PE_GUP_STOP_NONE leaves it as it was. */
pe_gup_stop try_grab_folio_fast(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags);
bool try_grab_folio(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags);
void gup_put_folio(struct pe_kernel *k, struct page *page, uint32_t refs, uint32_t flags);
bool folio_is_longterm_pinnable(const struct pe_kernel *k, struct page *page);
/* page: the head of a huge page that a block maps, else the page itself. */
bool gup_must_unshare(const struct pe_kernel *k, struct page *page, uint32_t flags, bool fast, bool cow_mapping);
/* For whoever looks: a reference of the page's folio was taken, or given back. */
void gup_trace_grab(struct pe_kernel *k, const struct page *page);
void folio_set_flags(struct pe_kernel *k, struct page *page, uint32_t flags);

/* gup/race.c: what another CPU does between the fast walk's two looks at an entry (pe_kernel_gup_race). */
struct gup_race {
    bool armed, done;
    pe_gup_race kind;
    uint32_t addr;
    struct page *page; /* frozen, or the table whose entry is away */
    uint64_t pa;       /* of the entry that is away */
    uint64_t value;    /* what comes back */
};
void gup_race_run(struct pe_kernel *k, struct gup *gup, pe_gup_race kind, uint32_t addr, struct page *page,
                  uint64_t pa);
void gup_race_end(struct pe_kernel *k, struct gup *gup);

#endif
