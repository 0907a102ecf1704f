/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copying state out and back in: one list of its parts measures, saves and loads it. */
#ifndef PYEMU_ARCHIVE_H
#define PYEMU_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct archive {
    uint8_t *at; /* NULL: only counts the bytes */
    bool load;
    size_t bytes; /* so far */
} archive;

static inline void archive_part(archive *a, void *data, size_t size)
{
    if (a->at && size) {
        memcpy(a->load ? data : a->at + a->bytes, a->load ? a->at + a->bytes : data, size);
    }
    a->bytes += size;
}

#define ARCHIVE(a, lvalue) archive_part((a), &(lvalue), sizeof(lvalue))

#endif
