/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of the debugging share: exact stops, watched memory, the record of descriptor writes, checkpoints.
 *
 * A stop of the debugger does not change what the guest does afterwards.  Interrupts are taken between blocks only, and
 * the cycle model bills blocks, so where a block was broken off, its rest is run as the same block (held_block); and a
 * turn that was broken off is gone on with (pe_machine.suspended). */
#ifndef PYEMU_MACHINE_DEBUG_H
#define PYEMU_MACHINE_DEBUG_H

#include "machine/machine.h"

#define DEBUG_WINDOW_SIZE 0x100000000ull /* the engine cuts offsets to 32 bits */
#define DEBUG_OPEN_PAGES  8

/* A page of the soft TLB that lies in the window until its next access. */
typedef struct open_page {
    uint64_t pa;
    uint32_t va;
    uint32_t pc; /* of the instruction that asked */
} open_page;

struct debug_cpu {
    uc_hook step_hook;
    bool armed;  /* the hook is there: in these bytes, and behind them */
    bool unhook; /* it must go before a block in them begins */
    uint32_t hooked_va, hooked_size;
    uint64_t hooked_page; /* by engine RAM offset */
    uint64_t stop_insns;  /* with the hook: stop before the instruction of this count */
    bool exact;           /* the engine ran beyond the held block: with the hook it will not */
    bool alone;           /* one instruction for our own sake: a watched access, the rest of an IT block */
    bool opened;          /* the instruction at hand may reach watched memory */
    bool must_look;       /* the fill was refused: the instruction at PC may reach watched memory */
    uint64_t base;        /* insns + exceptions when the run began */

    /* A Thumb IT block: its instructions run one by one, each as the last of a block of one. */
    bool in_it;
    uint32_t it_cpsr;                  /* the true CPSR before the instruction */
    uint32_t shadow_first, shadow_end; /* the IT block that the step hook has seen last */

    open_page open[DEBUG_OPEN_PAGES];
    uint32_t nopen;
};

typedef struct saved_page {
    uint64_t page; /* by engine RAM offset */
    uint8_t data[PE_PAGE_SIZE];
} saved_page;

typedef struct checkpoint {
    pe_checkpoint info;
    void *state;
    size_t state_bytes;
    void *hosted;        /* state of who hosts programs; NULL: nobody does */
    void *timed;         /* the cycle model; NULL: none */
    uint64_t ring_count; /* debug_machine's then */
    suspension suspended;
    struct {
        held_block held;
        bool event;
        pe_exclusive exclusive;
    } cpu[PE_MAX_CPUS];
    saved_page **pages; /* as they were, of those written since */
    size_t npages, room;
} checkpoint;

struct debug_machine {
    struct debug_cpu cpu[PE_MAX_CPUS];
    bool has_window;

    pe_watch watches[PE_MAX_WATCHPOINTS];
    uint32_t nwatches;
    pe_watch_hit hit;
    bool has_hit, hit_pending;

    uint8_t *tables; /* by page: the level of the tables in it, 0: none; NULL: not recorded */
    pe_table_write *ring;
    uint64_t ring_room, ring_count, ring_oldest;

    uint8_t *saved; /* bit set: pages that are in the log of the latest checkpoint; NULL: no checkpoints */
    checkpoint **checkpoints;
    size_t ncheckpoints, checkpoints_room;
    uint64_t next_id;
};

/* ---- watch.c ---- */
/* The run goes back to where ring_count was `count`: what was recorded behind it has not happened. */
void watch_forget_after(pe_machine *machine, uint64_t count);

/* ---- rewind.c ---- */
void rewind_save_page(pe_machine *machine, uint64_t page);
void rewind_free(pe_machine *machine);

/* ---- debug.c ---- */
pe_status debug_new(pe_machine *machine, pe_error *err); /* PE_OK too when it is there */

#endif
