/* SPDX-License-Identifier: GPL-2.0-or-later
 * Generic timer, physical and virtual (ARM DDI 0406C B8).
 */
#ifndef FW_TIMER_H
#define FW_TIMER_H

#include "cp15.h"

CP15_READ(cntfrq, 0, c14, c0, 0)
CP15_RW(cntkctl, 0, c14, c1, 0)
CP15_RW(cntp_tval, 0, c14, c2, 0)
CP15_RW(cntp_ctl, 0, c14, c2, 1)
CP15_RW(cntv_tval, 0, c14, c3, 0)
CP15_RW(cntv_ctl, 0, c14, c3, 1)
CP15_READ64(cntpct, 0, c14)
CP15_READ64(cntvct, 1, c14)
CP15_READ64(cntp_cval, 2, c14)
CP15_WRITE64(cntp_cval, 2, c14)
CP15_READ64(cntv_cval, 3, c14)
CP15_WRITE64(cntv_cval, 3, c14)

#define CNT_ENABLE  1u
#define CNT_IMASK   2u
#define CNT_ISTATUS 4u
#define CNT_HZ      62500000u

#endif
