/* SPDX-License-Identifier: GPL-2.0-or-later
 * Semihosting calls by SVC, as the ARM semihosting specification defines them for A and R profiles.
 */
#ifndef FW_SEMIHOST_H
#define FW_SEMIHOST_H

#include <stdint.h>

#define SYS_WRITEC        0x03
#define SYS_WRITE0        0x04
#define SYS_CLOCK         0x10
#define SYS_EXIT          0x18
#define SYS_EXIT_EXTENDED 0x20

#define ADP_STOPPED_APPLICATION_EXIT 0x20026

uint32_t semihost_call(uint32_t operation, uint32_t parameter);       /* SVC 0x123456, ARM state */
uint32_t semihost_call_thumb(uint32_t operation, uint32_t parameter); /* SVC 0xab, Thumb state */

void semihost_write0(const char *text);
/* Status 0 by SYS_EXIT, any other by SYS_EXIT_EXTENDED. */
_Noreturn void semihost_exit(uint32_t status);

#endif
