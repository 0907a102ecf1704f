/* SPDX-License-Identifier: GPL-2.0-or-later
 * Short descriptors: sections of 1 MB, the first four of RAM mapped to themselves and at 0x80000000, and the UART. */
#include "tables.h"

#define TTBCR     0
#define MAIR0     0x00098aa4 /* PRRR and NMRR are not used: SCTLR.TRE = 0 */
#define MAIR1     0x44e048e0
#define SCTLR_SET 0x00001805 /* I, Z, C, M */
#ifndef RAM
#define RAM 0x40011c0e /* section, domain 0, AP 11, TEX 001 C B: write-back, write-allocate, S */
#endif
#ifndef RAM_SLOT
#define RAM_SLOT 0x1000 /* of 0x40000000 */
#endif

.macro short_tables
    put_word TABLES_BASE, RAM_SLOT + 0, (RAM + 0x000000)
    put_word TABLES_BASE, RAM_SLOT + 4, (RAM + 0x100000)
    put_word TABLES_BASE, RAM_SLOT + 8, (RAM + 0x200000)
    put_word TABLES_BASE, RAM_SLOT + 12, (RAM + 0x300000)
    put_word TABLES_BASE, 0x2000, RAM
    put_word TABLES_BASE, 0x240, 0x09010c16 /* Device, XN */
.endm
#define TABLES short_tables

#include "bringup.h"
