/* SPDX-License-Identifier: GPL-2.0-or-later
 * Finds libunicorn in the running process, and the fields of its state that its API does not show. */
#include "machine/engine.h"
#include "machine/clock.h"
#include "error.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* uc_struct holds about 0x800 bytes in 2.1; ARMCPU about 80 KB, its CPUARMState after a 32 KB jump cache. */
#define PROBE_STRUCT_BYTES 0x800
#define PROBE_CPU_BYTES    0x40000
#define PROBE_ENV_BYTES    0x800

static void *engine_library(void)
{
    static const char *const names[] = {"libunicorn.so.2", "libunicorn.so"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *library = dlopen(names[i], RTLD_NOLOAD | RTLD_NOW);
        if (library) {
            return library;
        }
    }
    return NULL;
}

pe_status engine_load(pe_engine *engine, pe_error *err)
{
    void *library = engine_library();
    if (!library) {
        return pe_fail(err, PE_ERR_ENGINE, "libunicorn is not loaded in this process: import unicorn first");
    }
    const struct {
        const char *symbol;
        void *slot;
        bool required;
    } wanted[] = {
        {"uc_version", &engine->version, true},
        {"uc_open", &engine->open, true},
        {"uc_close", &engine->close, true},
        {"uc_emu_start", &engine->emu_start, true},
        {"uc_emu_stop", &engine->emu_stop, true},
        {"uc_reg_read", &engine->reg_read, true},
        {"uc_reg_write", &engine->reg_write, true},
        {"uc_reg_write_batch", &engine->reg_write_batch, true},
        {"uc_mem_map_ptr", &engine->mem_map_ptr, true},
        {"uc_mmio_map", &engine->mmio_map, true},
        {"uc_hook_add", &engine->hook_add, true},
        {"uc_hook_del", &engine->hook_del, true},
        {"uc_ctl", &engine->ctl, true},
        {"uc_strerror", &engine->strerror, true},
        {"tb_invalidate_phys_range_arm", &engine->tb_invalidate_phys_range, false},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *address = dlsym(library, wanted[i].symbol);
        if (!address && wanted[i].required) {
            dlclose(library);
            return pe_fail(err, PE_ERR_ENGINE, "libunicorn has no %s: pyemu needs unicorn 2.1.4", wanted[i].symbol);
        }
        memcpy(wanted[i].slot, &address, sizeof address);
    }
    engine->guest_clock = clock_install(library);
    exits_install(library);
    dlclose(library); /* `import unicorn` keeps it */
    unsigned int major = 0, minor = 0;
    unsigned int version = engine->version(&major, &minor);
    if (version >> 8 < 0x020104 || major != 2) {
        return pe_fail(err, PE_ERR_ENGINE, "libunicorn is %u.%u.%u: pyemu needs 2.1.4 or a later 2.x", major, minor,
                       version >> 8 & 0xff);
    }
    return PE_OK;
}

/* Copies memory that may not be mapped; returns the bytes that could be read. */
static size_t read_safely(const void *from, void *to, size_t size)
{
    struct iovec local = {to, size};
    struct iovec remote = {(void *)(uintptr_t)from, size};
    ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (got > 0) {
        return (size_t)got;
    }
    int fds[2];
    if (pipe(fds) != 0) {
        return 0;
    }
    size_t done = 0;
    while (done < size) {
        size_t part = size - done < 4096 ? size - done : 4096;
        if (write(fds[1], (const char *)from + done, part) != (ssize_t)part ||
            read(fds[0], (char *)to + done, part) != (ssize_t)part) {
            break;
        }
        done += part;
    }
    close(fds[0]);
    close(fds[1]);
    return done;
}

/* Whether the registers are kept here, rather than a copy of them that somebody left in memory. */
static bool is_live(const pe_engine *engine, uc_engine *uc, const uint32_t *regs, uint32_t mark)
{
    uint32_t other = ~mark, now = 0;
    engine->reg_write(uc, UC_ARM_REG_R0, &other);
    const bool live = read_safely(regs, &now, sizeof now) == sizeof now && now == other;
    engine->reg_write(uc, UC_ARM_REG_R0, &mark);
    return live;
}

/* The engine's CPU object: the one pointer in uc_struct behind which thirteen marked registers lie in a row. */
static const uint32_t *find_regs(const pe_engine *engine, uc_engine *uc)
{
    uint32_t marks[13];
    for (uint32_t i = 0; i < 13; i++) {
        marks[i] = 0x9e3779b9u * (i + 1);
        engine->reg_write(uc, UC_ARM_REG_R0 + (int)i, &marks[i]);
    }
    uint64_t words[PROBE_STRUCT_BYTES / 8];
    size_t nwords = read_safely(uc, words, sizeof words) / 8;
    uint8_t *copy = malloc(PROBE_CPU_BYTES);
    const uint32_t *found = NULL;
    for (size_t i = 0; copy && i < nwords && !found; i++) {
        if (words[i] < 4096 || words[i] % 8) {
            continue;
        }
        const uint8_t *candidate = (const uint8_t *)(uintptr_t)words[i];
        size_t got = read_safely(candidate, copy, PROBE_CPU_BYTES);
        for (size_t at = 0; at + sizeof marks <= got; at += 8) {
            const uint32_t *regs = (const uint32_t *)(const void *)(candidate + at);
            if (!memcmp(copy + at, marks, sizeof marks) && is_live(engine, uc, regs, marks[0])) {
                found = regs;
                break;
            }
        }
    }
    free(copy);
    uint32_t zero = 0;
    for (int i = 0; i < 13; i++) {
        engine->reg_write(uc, UC_ARM_REG_R0 + i, &zero);
    }
    return found;
}

/* The one byte of the CPU state that changes from `before` to `after` when CPSR changes from a to b. */
static const uint8_t *find_cpsr_byte(const pe_engine *engine, uc_engine *uc, const uint8_t *env, uint32_t a,
                                     uint8_t before, uint32_t b, uint8_t after)
{
    static const size_t regs_bytes = 16 * sizeof(uint32_t);
    uint8_t first[PROBE_ENV_BYTES];
    uint32_t saved = 0;
    engine->reg_read(uc, UC_ARM_REG_CPSR, &saved);
    engine->reg_write(uc, UC_ARM_REG_CPSR, &a);
    memcpy(first, env, sizeof first);
    engine->reg_write(uc, UC_ARM_REG_CPSR, &b);
    const uint8_t *found = NULL;
    for (size_t i = regs_bytes; i < sizeof first; i++) {
        if (first[i] == before && env[i] == after && first[i] != env[i]) {
            if (found) {
                found = NULL;
                break;
            }
            found = env + i;
        }
    }
    engine->reg_write(uc, UC_ARM_REG_CPSR, &saved);
    return found;
}

static bool refuse_fill(uc_engine *uc, uint64_t va, uc_mem_type type, uc_tlb_entry *entry, void *user)
{
    (void)uc, (void)va, (void)type, (void)entry, (void)user;
    return false;
}

/* One deliberate prefetch abort at an address that occurs nowhere else. */
static const uint64_t *find_fault_address(const pe_engine *engine, uc_engine *uc)
{
    const uint64_t mark = 0x5a3c96f0;
    uc_hook hook = 0;
    if (engine->hook_add(uc, &hook, UC_HOOK_TLB_FILL, (void *)(uintptr_t)refuse_fill, NULL, 1, 0) != UC_ERR_OK) {
        return NULL;
    }
    uint64_t words[PROBE_STRUCT_BYTES / 8];
    const uint64_t *found = NULL;
    engine->emu_start(uc, mark, 0, 0, 0);
    engine->hook_del(uc, hook);
    size_t nwords = read_safely(uc, words, sizeof words) / 8;
    for (size_t i = 0; i < nwords; i++) {
        if (words[i] == mark) {
            if (found) {
                return NULL;
            }
            found = (const uint64_t *)(const void *)uc + i;
        }
    }
    return found;
}

/* ---- the flag that memory hooks need not see PC ---- */

typedef struct unsynced_trial {
    const pe_engine *engine;
    uint8_t *flag;
    uint32_t pc; /* as the memory hook saw it */
} unsynced_trial;

static void trial_block(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc, (void)address, (void)size;
    const unsynced_trial *trial = user;
    *trial->flag = 1;
}

static void trial_memory(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *user)
{
    (void)type, (void)address, (void)size, (void)value;
    unsynced_trial *trial = user;
    trial->engine->reg_read(uc, UC_ARM_REG_PC, &trial->pc);
}

/* Two moves and a load: its memory hook sees the PC of the load, or still that of the block. */
static bool flag_leaves_pc(const pe_engine *engine, uc_engine *uc, uint8_t *flag)
{
    unsynced_trial trial = {.engine = engine, .flag = flag};
    uc_hook hooks[2] = {0, 0};
    const bool hooked =
        engine->hook_add(uc, &hooks[0], UC_HOOK_BLOCK, (void *)(uintptr_t)trial_block, &trial, 1, 0) == UC_ERR_OK &&
        engine->hook_add(uc, &hooks[1], UC_HOOK_MEM_READ, (void *)(uintptr_t)trial_memory, &trial, 1, 0) == UC_ERR_OK;
    if (hooked) {
        engine->emu_start(uc, TRIAL_PAGE, TRIAL_PAGE + 12, 0, 0);
    }
    for (size_t i = 0; i < 2; i++) {
        if (hooks[i]) {
            engine->hook_del(uc, hooks[i]);
        }
    }
    *flag = 0;
    engine->ctl(uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    return trial.pc == TRIAL_PAGE;
}

/* It is set, with others, when PC is written. */
static size_t find_unsynced(const pe_engine *engine, uc_engine *uc)
{
    uint8_t before[TRIAL_STRUCT_BYTES], after[TRIAL_STRUCT_BYTES];
    const uint32_t pc = TRIAL_PAGE;
    const size_t whole = malloc_usable_size(uc), size = whole < sizeof before ? whole : sizeof before;
    memcpy(before, (const void *)uc, size);
    engine->reg_write(uc, UC_ARM_REG_PC, &pc);
    memcpy(after, (const void *)uc, size);
    for (size_t at = size; at-- > 0;) {
        uint8_t *flag = (uint8_t *)(void *)uc + at;
        if (before[at] == 0 && after[at] == 1 && flag_leaves_pc(engine, uc, flag)) {
            return at;
        }
    }
    return 0;
}

/* ---- the exclusive monitor ---- */

/* LDREX leaves the address and the word that it loaded, each in 64 bits, and another 64 for LDREXD. */
static size_t find_exclusive(const pe_engine *engine, uc_engine *uc)
{
    const uint8_t *regs = (const uint8_t *)find_regs(engine, uc);
    const uint32_t address = TRIAL_WORD;
    const uint64_t left[] = {TRIAL_WORD, TRIAL_VALUE};
    uint8_t *env = regs ? malloc(PROBE_CPU_BYTES) : NULL;
    if (!env) {
        return 0;
    }
    engine->reg_write(uc, UC_ARM_REG_R2, &address);
    size_t found = 0;
    if (engine->emu_start(uc, TRIAL_LDREX, TRIAL_LDREX + 4, 0, 0) == UC_ERR_OK) {
        const size_t size = read_safely(regs, env, PROBE_CPU_BYTES);
        for (size_t at = 16 * sizeof(uint32_t); at + sizeof(uint64_t[3]) <= size && !found; at += sizeof(uint64_t)) {
            found = memcmp(env + at, left, sizeof left) ? 0 : at;
        }
    }
    free(env);
    return found;
}

void engine_exclusive_save(const pe_engine *engine, const pe_engine_probe *probe, pe_exclusive *out)
{
    if (engine->exclusive_at) {
        memcpy(out, (const uint8_t *)probe->regs + engine->exclusive_at, sizeof *out);
    }
}

void engine_exclusive_load(const pe_engine *engine, const pe_engine_probe *probe, const pe_exclusive *in)
{
    if (engine->exclusive_at) {
        memcpy((uint8_t *)(uintptr_t)probe->regs + engine->exclusive_at, in, sizeof *in);
    }
}

void engine_find_internals(pe_engine *engine)
{
    static const uint32_t ldrex = 0xe1923f9fu, value = TRIAL_VALUE;        /* ldrex r3, [r2] */
    static const uint32_t arm[] = {0xe1a01001u, 0xe1a0200fu, 0xe5923000u}; /* mov r1, r1; mov r2, pc; ldr r3, [r2] */
    static const uint16_t thumb[] = {0xbf00, 0xbf08, 0x3101, 0xbf00};      /* nop; it eq; addeq r1, #1; nop */
    uint8_t *page = aligned_alloc(PE_PAGE_SIZE, PE_PAGE_SIZE);
    uc_engine *uc = NULL;
    if (!page) {
        return;
    }
    memset(page, 0, PE_PAGE_SIZE);
    memcpy(page, arm, sizeof arm);
    memcpy(page + (TRIAL_THUMB - TRIAL_PAGE), thumb, sizeof thumb);
    memcpy(page + (TRIAL_LDREX - TRIAL_PAGE), &ldrex, sizeof ldrex);
    memcpy(page + (TRIAL_WORD - TRIAL_PAGE), &value, sizeof value);
    if (engine->open(UC_ARCH_ARM, UC_MODE_ARM, &uc) == UC_ERR_OK && uc) {
        if (engine->mem_map_ptr(uc, TRIAL_PAGE, PE_PAGE_SIZE, UC_PROT_ALL, page) == UC_ERR_OK) {
            engine->unsynced_at = find_unsynced(engine, uc);
            engine->no_exit_at = engine_find_no_exit(engine, uc);
            engine->exclusive_at = find_exclusive(engine, uc);
        }
        engine->close(uc);
    }
    free(page);
}

pe_status engine_probe(const pe_engine *engine, uc_engine *uc, pe_engine_probe *probe, pe_error *err)
{
    const uint32_t svc = 0x13, sys = 0x1f, thumb = 0x20, irq_mask = 0x80;
    probe->regs = find_regs(engine, uc);
    if (!probe->regs) {
        return pe_fail(err, PE_ERR_ENGINE, "this libunicorn keeps the core registers where pyemu does not find them");
    }
    const uint8_t *env = (const uint8_t *)probe->regs;
    probe->thumb = find_cpsr_byte(engine, uc, env, svc, 0, svc | thumb, 1);
    probe->masks = find_cpsr_byte(engine, uc, env, svc, 0, svc | irq_mask, 0x80);
    probe->mode = find_cpsr_byte(engine, uc, env, svc, (uint8_t)svc, sys | thumb, (uint8_t)sys);
    probe->fault_address = find_fault_address(engine, uc);
    if (!probe->thumb || !probe->masks || !probe->mode || !probe->fault_address) {
        return pe_fail(err, PE_ERR_ENGINE, "this libunicorn keeps its %s where pyemu does not find it",
                       !probe->thumb   ? "Thumb state"
                       : !probe->masks ? "interrupt masks"
                       : !probe->mode  ? "processor mode"
                                       : "fault address");
    }
    return PE_OK;
}

pe_status pe_engine_describe(char *text, size_t size, pe_error *err)
{
    pe_engine engine;
    pe_status status = engine_load(&engine, err);
    if (status != PE_OK) {
        return status;
    }
    engine_find_internals(&engine);
    unsigned int major = 0, minor = 0;
    unsigned int version = engine.version(&major, &minor);
    snprintf(text, size,
             "unicorn %u.%u.%u; tb_invalidate_phys_range_arm %s; host clock %s; IT blocks: %s; exclusive monitor %s",
             major, minor, version >> 8 & 0xff,
             engine.tb_invalidate_phys_range ? "found" : "absent: code invalidation drops all translations",
             engine.guest_clock ? "replaced by guest time" : "in use: walk counts may differ from run to run",
             engine.no_exit_at ? "left where asked" : "run to their end, so that hooks in them come too late",
             engine.exclusive_at ? "found" : "not found: a run again from a checkpoint may fail one STREX more");
    return PE_OK;
}
