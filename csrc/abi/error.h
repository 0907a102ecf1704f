/* SPDX-License-Identifier: GPL-2.0-or-later
 * How a call fails. */
#ifndef PYEMU_ABI_ERROR_H
#define PYEMU_ABI_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pe_status {
    PE_OK = 0,
    PE_ERR_ARGUMENT = 1, /* a value that the function does not accept */
    PE_ERR_RANGE = 2,    /* outside guest memory */
    PE_ERR_OVERLAP = 3,  /* two segments would share an address */
    PE_ERR_MEMORY = 4,   /* the host has no memory left */
    PE_ERR_IO = 5,       /* a file of the host cannot be read */
    PE_ERR_ENGINE = 6,   /* libunicorn is absent, or not one that this code knows */
    PE_ERR_STATE = 7,    /* not allowed now (a running machine, a broken-off snapshot) */
    PE_ERR_FAULT = 8,    /* the guest's own translation faults: the text names level, index and descriptor */
} pe_status;

#define PE_ERROR_TEXT 248
typedef struct pe_error {
    pe_status status;
    char text[248];
} pe_error;

#endif
