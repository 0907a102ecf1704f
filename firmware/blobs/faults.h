/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the two halves of the fault matrix share.
 */
#ifndef FW_FAULTS_H
#define FW_FAULTS_H

#include <stdint.h>

#include "trap.h"

enum access { PRIV_READ, PRIV_WRITE, PRIV_FETCH, USER_READ, USER_WRITE, USER_FETCH };

#define UNMAPPED_PA 0x3000000000ull /* above 64 GB of RAM, below the high PCIe windows */

extern uint32_t probe_page[1024];

/* One test: six accesses at the page of va, each with the expected FSR without WnR (0: succeeds). */
void check_accesses(const char *name, uint32_t va, const uint32_t fsr[6]);
void check_all_fault(const char *name, uint32_t va, uint32_t fsr);
void check_breakpoint(uint32_t fsr);

void check_long_faults(void);
void check_short_faults(void);

#endif
