/* SPDX-License-Identifier: GPL-2.0-or-later
 * Bits of the registers that control translation and of the descriptors (ARM DDI 0406C B3.5, B3.6, B4.1). */
#ifndef PYEMU_MMU_DESCRIPTORS_H
#define PYEMU_MMU_DESCRIPTORS_H

#include <stdint.h>

/* SCTLR, B4.1.130 */
#define SCTLR_M           (UINT32_C(1) << 0)
#define SCTLR_I           (UINT32_C(1) << 12)
#define SCTLR_WXN_UWXN(v) (((v) >> 19) & 3u) /* bit 0 WXN, bit 1 UWXN */
#define SCTLR_EE          (UINT32_C(1) << 25)
#define SCTLR_TRE         (UINT32_C(1) << 28)
#define SCTLR_AFE         (UINT32_C(1) << 29)

/* TTBCR, B4.1.153 */
#define TTBCR_EAE     (UINT32_C(1) << 31)
#define TTBCR_A1      (UINT32_C(1) << 22)
#define TTBCR_N(v)    ((v) & 7u) /* short format */
#define TTBCR_PD0     (UINT32_C(1) << 4)
#define TTBCR_PD1     (UINT32_C(1) << 5)
#define TTBCR_T0SZ(v) ((v) & 7u) /* long format */
#define TTBCR_EPD0    (UINT32_C(1) << 7)
#define TTBCR_T1SZ(v) (((v) >> 16) & 7u)
#define TTBCR_EPD1    (UINT32_C(1) << 23)

/* PRRR, B4.1.127; NMRR, B4.1.108; n is TEX[0]:C:B */
#define PRRR_TYPE(v, n)  (((v) >> (2 * (n))) & 3u)
#define PRRR_NS(v, s)    (((v) >> (18 + (s))) & 1u)
#define PRRR_NOS(v, n)   (((v) >> (24 + (n))) & 1u)
#define NMRR_INNER(v, n) (((v) >> (2 * (n))) & 3u)
#define NMRR_OUTER(v, n) (((v) >> (16 + 2 * (n))) & 3u)

/* Long-descriptor format, B3.6.1 and B3.6.2.  One-bit fields read as 0 or 1. */
#define LD_ADDRESS       UINT64_C(0x000000fffffff000)
#define LD_TTBR          UINT64_C(0x000000ffffffffff)
#define LD_VALID         (UINT64_C(1) << 0)
#define LD_TABLE         (UINT64_C(1) << 1) /* level 3: page */
#define LD_ATTRINDX(d)   ((unsigned)((d) >> 2) & 7u)
#define LD_NS(d)         ((unsigned)((d) >> 5) & 1u)
#define LD_SH(d)         ((unsigned)((d) >> 8) & 3u)
#define LD_AF(d)         ((unsigned)((d) >> 10) & 1u)
#define LD_NG(d)         ((unsigned)((d) >> 11) & 1u)
#define LD_CONTIGUOUS(d) ((unsigned)((d) >> 52) & 1u)
#define LD_NS_TABLE(d)   ((unsigned)((d) >> 63) & 1u)
#define LD_TABLE_SHIFT   59
#define LD_BLOCK1_SHIFT  30
#define LD_BLOCK2_SHIFT  21
#define LD_PAGE_SHIFT    12

/* Short-descriptor format, B3.5.1: bits 1:0 of the first and second level */
#define SD_INVALID   0u
#define SD_L1_TABLE  1u /* 2 and 3: section, bit 0 is PXN */
#define SD_L2_LARGE  1u /* 2 and 3: small page, bit 0 is XN */
#define SD_DOMAIN(d) (((d) >> 5) & 15u)
#define SD_L2_BASE   UINT32_C(0xfffffc00)

#define SD_SECTION_SHIFT      20
#define SD_SUPERSECTION_SHIFT 24
#define SD_LARGE_SHIFT        16
#define SD_SMALL_SHIFT        12
#define SD_SECTION_SUPER      (UINT32_C(1) << 18)
#define SD_SECTION_XN         (UINT32_C(1) << 4)
#define SD_SECTION_PXN        (UINT32_C(1) << 0)
#define SD_SECTION_NG         (UINT32_C(1) << 17)
#define SD_SECTION_NS         (UINT32_C(1) << 19)
#define SD_SECTION_S(d)       (((d) >> 16) & 1u)
#define SD_SECTION_AP(d)      ((((d) >> 10) & 3u) | (((d) >> 13) & 4u))
#define SD_SECTION_TEXCB(d)   ((((d) >> 10) & 0x1cu) | (((d) >> 2) & 3u))
#define SD_SUPER_PA35_32(d)   (((d) >> 20) & 15u)
#define SD_SUPER_PA39_36(d)   (((d) >> 5) & 15u)
#define SD_TABLE_NS           (UINT32_C(1) << 3)
#define SD_TABLE_PXN          (UINT32_C(1) << 2)
#define SD_PAGE_NG            (UINT32_C(1) << 11)
#define SD_PAGE_S(d)          (((d) >> 10) & 1u)
#define SD_PAGE_AP(d)         ((((d) >> 4) & 3u) | (((d) >> 7) & 4u))
#define SD_SMALL_XN           (UINT32_C(1) << 0)
#define SD_SMALL_TEXCB(d)     ((((d) >> 4) & 0x1cu) | (((d) >> 2) & 3u))
#define SD_LARGE_XN           (UINT32_C(1) << 15)
#define SD_LARGE_TEXCB(d)     ((((d) >> 10) & 0x1cu) | (((d) >> 2) & 3u))

/* DACR, B4.1.43 */
#define DACR_ACCESS(dacr, domain) (((dacr) >> (2 * (domain))) & 3u)
#define DOMAIN_CLIENT             1u
#define DOMAIN_MANAGER            3u

/* Shareability as SH[1:0] encodes it */
#define SH_NONE  0u
#define SH_OUTER 2u
#define SH_INNER 3u

/* Memory attributes in the encoding of a MAIR byte, B4.1.104 */
#define ATTR_STRONGLY_ORDERED 0x00u
#define ATTR_DEVICE           0x04u
#define ATTR_NORMAL_NC        0x44u
#define ATTR_NORMAL_WT        0xaau
#define ATTR_NORMAL_WB        0xeeu
#define ATTR_NORMAL_WBWA      0xffu

#endif
