/* SPDX-License-Identifier: GPL-2.0-or-later
 * Semihosting: text out, and the exit status.
 */
#include "semihost.h"

void semihost_write0(const char *text)
{
    semihost_call(SYS_WRITE0, (uint32_t)text);
}

_Noreturn void semihost_exit(uint32_t status)
{
    if (status == 0)
        semihost_call(SYS_EXIT, ADP_STOPPED_APPLICATION_EXIT);
    volatile uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, status};
    semihost_call(SYS_EXIT_EXTENDED, (uint32_t)block);
    for (;;)
        ;
}
