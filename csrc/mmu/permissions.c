/* SPDX-License-Identifier: GPL-2.0-or-later
 * The permissions of every combination of AP, XN, PXN, WXN and UWXN (ARM DDI 0406C B3.7), worked out by the compiler.
 */
#include "mmu/attributes.h"

/* Fields of a key, see pe_prot_table. */
#define BIT(k, n) (((k) >> (n)) & 1)
#define PXN(k)    BIT(k, 0)
#define XN(k)     BIT(k, 1)
#define AP(k)     (BIT(k, 4) | (BIT(~(k), 2) << 1) | (BIT(k, 3) << 2))
#define WXN(k)    BIT(k, 5)
#define UWXN(k)   BIT(k, 6)

/* Table B3-8, data access.  Bit n of a constant answers for AP[2:0] = n; 0b100 is reserved and grants nothing. */
#define USER_R(k) BIT(0xcc, AP(k))
#define USER_W(k) BIT(0x08, AP(k))
#define PRIV_R(k) BIT(0xee, AP(k))
#define PRIV_W(k) BIT(0x0e, AP(k))

/* B3.7.2: to execute takes read permission, and none of the four ways to forbid it. */
#define USER_X(k) (USER_R(k) & !(XN(k) | (WXN(k) & USER_W(k))))
#define PRIV_X(k) (PRIV_R(k) & !(XN(k) | PXN(k) | (WXN(k) & PRIV_W(k)) | (UWXN(k) & USER_W(k))))

#define PROT(r, w, x) ((r) * PE_PROT_READ | (w) * PE_PROT_WRITE | (x) * PE_PROT_EXEC)
#define PAIR(k)       (PROT(USER_R(k), USER_W(k), USER_X(k)) | PROT(PRIV_R(k), PRIV_W(k), PRIV_X(k)) << 4)

#define PAIRS4(k)  PAIR(k), PAIR((k) + 1), PAIR((k) + 2), PAIR((k) + 3)
#define PAIRS16(k) PAIRS4(k), PAIRS4((k) + 4), PAIRS4((k) + 8), PAIRS4((k) + 12)
#define PAIRS64(k) PAIRS16(k), PAIRS16((k) + 16), PAIRS16((k) + 32), PAIRS16((k) + 48)

const pe_prot_pair pe_prot_table[128] = {PAIRS64(0), PAIRS64(64)};
