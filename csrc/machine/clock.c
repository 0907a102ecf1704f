/* SPDX-License-Identifier: GPL-2.0-or-later
 * The host's clocks as the engine sees them.
 *
 * At each flush the engine decides by gettimeofday whether its soft TLB has been too large for a while
 * (accel/tcg/cputlb.c, tlb_mmu_resize_locked), so the number of fills, and of our walks, would depend on how fast the
 * host is.  Its event counters count cycles by clock_gettime.  Its imports of both functions are pointed
 * here; inside clock_enter and clock_leave they return guest time. */
#include "machine/clock.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Thread_local uint32_t depth;
static _Thread_local uint64_t guest_time_ns;

void clock_enter(uint64_t guest_ns)
{
    depth++;
    guest_time_ns = guest_ns;
}

void clock_leave(void)
{
    depth--;
}

static int guest_gettimeofday(struct timeval *tv, void *tz)
{
    if (!depth) {
        return gettimeofday(tv, tz);
    }
    tv->tv_sec = (time_t)(guest_time_ns / 1000000000);
    tv->tv_usec = (suseconds_t)(guest_time_ns / 1000 % 1000000);
    return 0;
}

static int guest_clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (!depth) {
        return clock_gettime(clock, ts);
    }
    ts->tv_sec = (time_t)(guest_time_ns / 1000000000);
    ts->tv_nsec = (long)(guest_time_ns % 1000000000);
    return 0;
}

static const void *table(const struct link_map *map, const ElfW(Dyn) * dyn)
{
    /* glibc relocates these entries, others leave them as offsets */
    return (const void *)(dyn->d_un.d_ptr < map->l_addr ? map->l_addr + dyn->d_un.d_ptr : dyn->d_un.d_ptr);
}

/* The cell of the global offset table through which the library calls `name`. */
static void **import_cell(const struct link_map *map, const char *name)
{
    const ElfW(Sym) *symbols = NULL;
    const char *strings = NULL;
    const ElfW(Rela) *relocations = NULL;
    size_t bytes = 0;
    for (const ElfW(Dyn) *dyn = map->l_ld; dyn->d_tag != DT_NULL; dyn++) {
        switch (dyn->d_tag) {
        case DT_SYMTAB: symbols = table(map, dyn); break;
        case DT_STRTAB: strings = table(map, dyn); break;
        case DT_JMPREL: relocations = table(map, dyn); break;
        case DT_PLTRELSZ: bytes = dyn->d_un.d_val; break;
        default: break;
        }
    }
    for (size_t i = 0; symbols && strings && relocations && i < bytes / sizeof *relocations; i++) {
        const ElfW(Sym) *symbol = &symbols[ELF64_R_SYM(relocations[i].r_info)];
        if (!strcmp(strings + symbol->st_name, name)) {
            return (void **)(map->l_addr + relocations[i].r_offset);
        }
    }
    return NULL;
}

static bool replace_import(const struct link_map *map, const char *name, void *function)
{
    void **cell = import_cell(map, name);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!cell || mprotect((void *)((uintptr_t)cell & ~(page - 1)), page, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    *cell = function;
    return true;
}

bool clock_install(void *library)
{
    struct link_map *map = NULL;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || !map) {
        return false;
    }
    const bool day = replace_import(map, "gettimeofday", (void *)(uintptr_t)guest_gettimeofday);
    return replace_import(map, "clock_gettime", (void *)(uintptr_t)guest_clock_gettime) && day;
}
