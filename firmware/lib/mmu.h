/* SPDX-License-Identifier: GPL-2.0-or-later
 * Page tables for the blobs, long-descriptor (lpae_) and short-descriptor (short_) format.
 *
 * Both identity maps give user and privileged code the same rights: the image's text read-only and executable, the
 * rest of 0x40000000-0x7fffffff read-write and never executable, 0x00000000-0x3fffffff device.  Tests own all
 * virtual addresses from 0x80000000 up.
 */
#ifndef FW_MMU_H
#define FW_MMU_H

#include <stdint.h>

#include "cp15.h"

#define KB    1024u
#define MB    0x100000u
#define RAM   0x40000000u
#define PAGE  4096u
#define CLEAR 0x40400000u /* RAM from here up is used neither by the image nor by lib/mmu.c's tables */

/* ---- long descriptors (B3.6) ---- */
#define LPAE_TABLE       3ull
#define LPAE_BLOCK       1ull
#define LPAE_PAGE        3ull
#define LPAE_ATTR(n)     ((uint64_t)(n) << 2)
#define LPAE_AP1         (1ull << 6) /* user access */
#define LPAE_AP2         (1ull << 7) /* read-only */
#define LPAE_SH          (3ull << 8)
#define LPAE_AF          (1ull << 10)
#define LPAE_NG          (1ull << 11)
#define LPAE_PXN         (1ull << 53)
#define LPAE_XN          (1ull << 54)
#define LPAE_PXNTABLE    (1ull << 59)
#define LPAE_XNTABLE     (1ull << 60)
#define LPAE_APTABLE_NOU (1ull << 61)
#define LPAE_APTABLE_RO  (1ull << 62)
/* MAIR as Linux sets it: 0 strongly ordered, 1 non-cacheable, 4 device, 7 write-back write-allocate. */
#define LPAE_MAIR0  0xeeaa4400u
#define LPAE_MAIR1  0xff000004u
#define LPAE_NORMAL (LPAE_AF | LPAE_SH | LPAE_ATTR(7))
#define LPAE_DEVICE (LPAE_AF | LPAE_ATTR(4) | LPAE_XN)
#define LPAE_RW     (LPAE_NORMAL | LPAE_AP1)
#define LPAE_RX     (LPAE_NORMAL | LPAE_AP1 | LPAE_AP2)
#define LPAE_TTBCR  (TTBCR_EAE | 0x3500u | 0x35000000u) /* walks: inner shareable, write-back write-allocate */

/* A level 1 table of four entries that holds nothing. */
uint64_t *lpae_new(void);
/* The entry for va at a level; tables on the way are made.  A block on the way ends the run. */
uint64_t *lpae_slot(uint64_t *root, uint32_t va, unsigned level);
void lpae_map_identity(uint64_t *root);
/* Turns the MMU on with TTBR0 = root, or changes the format while it is on nothing else than the identity map. */
void lpae_enable(const uint64_t *root);

/* ---- short descriptors (B3.5) ---- */
#define SHORT_TABLE          1u
#define SHORT_SECTION        2u
#define SHORT_SUPERSECTION   (2u | 1u << 18)
#define SHORT_PXN_SECTION    1u
#define SHORT_PXN_TABLE      4u
#define SHORT_SECTION_XN     (1u << 4)
#define SHORT_SECTION_AP(ap) (((uint32_t)(ap) & 3) << 10 | ((uint32_t)(ap) & 4) << 13)
#define SHORT_SECTION_NORMAL (1u << 12 | 3u << 2 | 1u << 16) /* TEX 001, C, B, S */
#define SHORT_SECTION_DEVICE (1u << 2)
#define SHORT_SECTION_NG     (1u << 17)
#define SHORT_DOMAIN(d)      ((uint32_t)(d) << 5)
#define SHORT_SMALL          2u
#define SHORT_SMALL_XN       1u
#define SHORT_LARGE          1u
#define SHORT_LARGE_XN       (1u << 15)
#define SHORT_PAGE_AP(ap)    (((uint32_t)(ap) & 3) << 4 | ((uint32_t)(ap) & 4) << 7)
#define SHORT_SMALL_NORMAL   (1u << 6 | 3u << 2 | 1u << 10)
#define SHORT_LARGE_NORMAL   (1u << 12 | 3u << 2 | 1u << 10)
#define SHORT_PAGE_NG        (1u << 11)
#define SHORT_AP_RW          3u /* privileged and user read-write */
#define SHORT_AP_RO          7u /* privileged and user read-only */
#define SHORT_AP_PRIV_RW     1u
#define SHORT_DOMAIN_CLIENT0 1u /* DACR: domain 0 client, every other no access */

/* A first-level table of 4096 entries that holds nothing. */
uint32_t *short_new(void);
static inline uint32_t *short_l1(uint32_t *root, uint32_t va)
{
    return &root[va >> 20];
}
/* The second-level entry; the table is made in domain 0. */
uint32_t *short_l2(uint32_t *root, uint32_t va);
void short_map_identity(uint32_t *root);
/* Turns the MMU on with TTBR0 = root and DACR = SHORT_DOMAIN_CLIENT0. */
void short_enable(const uint32_t *root);

/* Every table that was handed out is taken back. */
void mmu_forget_tables(void);
void mmu_disable(void);

#endif
