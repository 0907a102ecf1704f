/* SPDX-License-Identifier: GPL-2.0-or-later
 * Long descriptors: 1 GB of devices at 0, 1 GB of RAM at 0x40000000 mapped to itself, and a 2 MB block at 0x80000000. */
#include "tables.h"

#ifndef RAM_LOW
#define RAM_LOW 0x40000701 /* block, AttrIndx 0, inner shareable, AF */
#endif
#ifndef RAM_HIGH
#define RAM_HIGH 0
#endif
#ifndef TTBCR
#define TTBCR 0x80003500
#endif
#ifndef MAIR0
#define MAIR0 0x000004ff
#endif
#define MAIR1     0
#define SCTLR_SET 0x00001805 /* I, Z, C, M */

.macro long_tables
    put TABLES_BASE, 0, 0x00000405, DEVICE /* AttrIndx 1 */
    put TABLES_BASE, 8, RAM_LOW, RAM_HIGH
    put TABLES_BASE, 16, (LEVEL2 + 3), 0
    put LEVEL2, 0, 0x40400701, DEVICE
.endm
#define TABLES long_tables

#include "bringup.h"
