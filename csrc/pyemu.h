/* SPDX-License-Identifier: GPL-2.0-or-later
 * The C ABI of pyemu, a header for each topic.  cffi reads them as they are: no declaration is repeated in Python.
 *
 * Conventions
 *   pe_<noun>_<verb>      functions; a handle comes first, the error slot last.
 *   pe_error *err         filled when a call fails (status other than PE_OK, or a NULL handle); may be NULL.
 *   Ownership             pe_X_new gives the caller a handle that pe_X_free takes back; a pointer returned by any
 *                         other function is borrowed and lives as long as the handle that it came from.
 *   Units                 sizes in bytes, addresses as integers, time in nanoseconds of guest time.
 *   No global state       two handles never share anything that changes.
 */
#ifndef PYEMU_H
#define PYEMU_H

#include "abi/error.h"
#include "abi/mem.h"
#include "abi/mmu.h"
#include "abi/core.h"
#include "abi/cache.h"
#include "abi/tlb.h"
#include "abi/code.h"
#include "abi/ledger.h"
#include "abi/board.h"
#include "abi/machine.h"
#include "abi/debug.h"
#include "abi/kernel/config.h"
#include "abi/kernel/bill.h"
#include "abi/kernel/model.h"
#include "abi/kernel/memory.h"
#include "abi/kernel/context.h"
#include "abi/kernel/kmap.h"
#include "abi/kernel/process.h"
#include "abi/kernel/gup.h"
#include "abi/kernel/hosted.h"
#include "abi/kernel/trace.h"

#endif
