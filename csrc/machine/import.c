/* SPDX-License-Identifier: GPL-2.0-or-later
 * Points what a loaded library calls elsewhere: its imports go through cells of its global offset table. */
#include "machine/import.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

bool import_replace(void *library, const char *name, void *function)
{
    struct link_map *map = NULL;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || !map) {
        return false;
    }
    void **cell = import_cell(map, name);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!cell || mprotect((void *)((uintptr_t)cell & ~(page - 1)), page, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    *cell = function;
    return true;
}
