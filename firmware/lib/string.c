/* SPDX-License-Identifier: GPL-2.0-or-later
 * The memory functions that the compiler may call in a freestanding program.
 */
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int value, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
int memcmp(const void *a, const void *b, size_t size);

void *memset(void *to, int value, size_t size)
{
    volatile uint8_t *p = to;
    while (size-- > 0)
        *p++ = (uint8_t)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    volatile uint8_t *p = to;
    const uint8_t *q = from;
    while (size-- > 0)
        *p++ = *q++;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *p = a, *q = b;
    for (; size > 0; size--, p++, q++) {
        if (*p != *q)
            return *p - *q;
    }
    return 0;
}
