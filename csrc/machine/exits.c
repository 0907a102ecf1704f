/* SPDX-License-Identifier: GPL-2.0-or-later
 * Leaving a block of translated code at an instruction that has a hook.
 *
 * Behind such a hook the engine asks whether it was told to stop, but not within a Thumb IT block: while it translates
 * one, uc_struct.no_exit_request keeps check_exit_request from emitting the question (target/arm/translate.c,
 * thumb_tr_translate_insn; tcg/tcg-op.c).  An instruction that was emulated there, or that raised an exception, is
 * executed none the less.  The flag stays set when the IT block ends its block of code, so that ARM code that is
 * translated next lacks the question too.  The engine's calls of check_exit_request are pointed here, where the flag
 * is cleared first. */
#include "machine/engine.h"
#include "machine/import.h"

#include <dlfcn.h>
#include <malloc.h>
#include <string.h>

#define CHECK "check_exit_request_arm"

/* The function of the engine: the same for all of this process. */
static void (*ask)(void *tcg);

/* While the engine's flag is looked for: its bytes at each call. */
typedef struct watch {
    const uint8_t *from;
    size_t size;
    uint32_t calls;
    uint8_t seen[4][TRIAL_STRUCT_BYTES];
} watch;

static _Thread_local uint8_t *no_exit; /* of the instance that runs in this thread */
static _Thread_local watch *watching;

static void always_ask(void *tcg)
{
    if (watching && watching->calls < 4) {
        memcpy(watching->seen[watching->calls++], watching->from, watching->size);
    }
    if (no_exit) {
        *no_exit = 0;
    }
    ask(tcg);
}

void exits_install(void *library)
{
    void *function = dlsym(library, CHECK);
    if (function) {
        memcpy(&ask, &function, sizeof ask);
        import_replace(library, CHECK, (void *)(uintptr_t)always_ask);
    }
}

void engine_enter(const pe_engine *engine, uc_engine *uc)
{
    no_exit = engine->no_exit_at ? (uint8_t *)(void *)uc + engine->no_exit_at : NULL;
}

void engine_leave(void)
{
    no_exit = NULL;
}

/* As uc_reg_write does, but that would tell the engine to leave PC and the IT state as they are; so does an earlier
 * write of PC while no block ran, until a block is left. */
void engine_leave_block(const pe_engine *engine, uc_engine *uc, uint32_t pc)
{
    static const int reg = UC_ARM_REG_PC;
    void *const value = &pc;
    engine->reg_write_batch(uc, &reg, &value, 1);
    if (engine->unsynced_at) {
        *((uint8_t *)(void *)uc + engine->unsynced_at) = 0;
    }
}

/* ---- where the flag is ---- */

#define TRIAL_TARGET (TRIAL_THUMB + 4)

typedef struct trial {
    const pe_engine *engine;
    uint32_t arrivals;
} trial;

static void trial_code(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)size;
    trial *t = user;
    if (address == TRIAL_TARGET && ++t->arrivals == 1) {
        engine_leave_block(t->engine, uc, TRIAL_TARGET | 1);
    }
}

/* A hook before each instruction; the third, which is in an IT block, is left once, and so arrived at twice. */
static uint32_t arrivals(const pe_engine *engine, uc_engine *uc, uint8_t *flag)
{
    const uint32_t cpsr = 0x40000033; /* Z, Thumb state, SVC mode */
    trial t = {engine, 0};
    uc_hook hook = 0;
    if (engine->hook_add(uc, &hook, UC_HOOK_CODE, (void *)(uintptr_t)trial_code, &t, 1, 0) != UC_ERR_OK) {
        return 0;
    }
    engine->reg_write(uc, UC_ARM_REG_CPSR, &cpsr);
    no_exit = flag;
    engine->emu_start(uc, TRIAL_THUMB | 1, TRIAL_THUMB + 8, 0, 0);
    no_exit = NULL;
    engine->hook_del(uc, hook);
    engine->ctl(uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    return t.arrivals;
}

size_t engine_find_no_exit(const pe_engine *engine, uc_engine *uc)
{
    const size_t whole = malloc_usable_size(uc);
    watch w = {.from = (const uint8_t *)(const void *)uc,
               .size = whole < TRIAL_STRUCT_BYTES ? whole : TRIAL_STRUCT_BYTES};
    watching = &w;
    const uint32_t once = arrivals(engine, uc, NULL);
    watching = NULL;
    for (size_t at = 0; once == 1 && w.calls == 4 && at < w.size; at++) {
        const bool within = !w.seen[0][at] && !w.seen[1][at] && w.seen[2][at] == 1 && !w.seen[3][at];
        if (within && arrivals(engine, uc, (uint8_t *)(void *)uc + at) == 2) {
            return at;
        }
    }
    return 0;
}
