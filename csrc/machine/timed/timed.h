/* SPDX-License-Identifier: GPL-2.0-or-later
 * The cycle model of a running machine: each CPU's TLBs, predictor and account, fed by what the engine's hooks see.
 *
 * A block is billed when it is over: at the next block, at an exception inside it, or when its CPU stops.  So the clock
 * never runs ahead of what was executed, and a block that ends early is billed as what was executed of it. */
#ifndef PYEMU_TIMED_H
#define PYEMU_TIMED_H

#include "machine/machine.h"
#include "mmu/tlb.h"
#include "timing/hierarchy.h"
#include "timing/ledger.h"
#include "timing/predictor.h"

/* A block as the hook needs it.  How often it ran is counted here and billed by timed_settle: that costs one line of
 * the host's cache a block, where a bill would touch a dozen. */
typedef struct timed_code {
    uint32_t x16;     /* sixteenths of a cycle */
    uint32_t runs[2]; /* by privilege, not yet billed */
    uint16_t size;    /* bytes */
    uint16_t insns;
    uint16_t taken_x16;
    uint8_t branch; /* pe_branch */
    bool thumb;
    uint16_t extra; /* index of what few blocks have; 0: nothing; TIMED_ORPHAN */
    uint16_t next;  /* another length, or the other instruction set, from the same place: index in the page; 0: none */
    uint16_t loaded_regs;
    uint16_t accesses;
    uint32_t access; /* index of the first */
} timed_code;
_Static_assert(sizeof(timed_code) == 32, "two blocks to a cache line");

#define TIMED_ORPHAN UINT16_MAX

/* The rest of it. */
typedef struct timed_detail {
    uint32_t l1_x16; /* of x16: waiting for L1 hits */
    uint16_t loads, stores;
} timed_detail;

typedef struct timed_extra {
    uint16_t exclusives, dsb, dmb, isb, system_writes;
} timed_extra;

/* A list that grows; entry 0 of `code` and `extra` is none. */
typedef struct timed_list {
    void *data;
    uint32_t count, room;
} timed_list;

/* The blocks that begin in a page of physical memory. */
typedef struct timed_page {
    struct timed_page *next; /* of all that there are */
    timed_list code, detail, extra, access;
    uint16_t at[PE_PAGE_SIZE / 2]; /* index in code; 0: none */
} timed_page;

/* A block that has run since the bill was settled. */
typedef struct timed_dirty {
    timed_page *page;
    uint32_t index;
} timed_dirty;

#define DIRTY_ENTRIES 8192

static inline timed_code *timed_code_at(const timed_page *page, uint32_t index)
{
    return (timed_code *)page->code.data + index;
}

/* A page of code that the instruction micro-TLB holds. */
typedef struct timed_entered {
    uint32_t page; /* va >> 12, NO_PAGE */
    timed_page *blocks;
    uint64_t pa;
} timed_entered;

#define ENTERED_PAGES 64
#define NO_PAGE       UINT32_MAX
#define NO_LINE       UINT64_MAX

/* How it is without what was billed for those outside, and then with it. */
typedef struct timed_shown {
    bool on;
    bool missed;
    uint16_t missed_regs;
    uint32_t rest;
    ledger_cpu account[2];
    pe_executed executed[2];
    int64_t work_x16[2], l1_x16[2];
} timed_shown;
_Static_assert(sizeof(ledger_cpu) % sizeof(uint64_t) == 0 && sizeof(pe_executed) % sizeof(uint64_t) == 0,
               "counts of 64 bits");

struct timed_cpu {
    /* touched by every block */
    timed_code *code;    /* of the block that runs, not yet billed; NULL: none, or not known.  It is in `blocks`. */
    const uint8_t *mode; /* CPSR's mode bits, live */
    uint8_t *unsynced;   /* pe_cpu.unsynced, or a byte that nobody reads */
    uint32_t code_va;
    uint32_t page; /* va >> 12 of `blocks` */
    timed_page *blocks;
    uint64_t page_pa;
    timed_entered entered[ENTERED_PAGES]; /* by the low bits of the page */
    ledger_cpu *account;
    uint64_t deadline;     /* in account->clock */
    uint32_t rest;         /* sixteenths that the clock does not hold yet */
    uint32_t taken_x16[2]; /* of branches, since the bill was settled; by privilege */
    uint32_t ndirty;
    timed_dirty *dirty;
    uint64_t fetched_line;
    bool privileged;  /* of the block that runs */
    bool trapped;     /* its last instruction is a system write that is billed by itself */
    bool data_cached; /* SCTLR.M and SCTLR.C are on */
    uint32_t next_access;

    /* load misses on their way */
    uint64_t group_insns;  /* cpu->insns at the first of them */
    uint64_t group_stalls; /* billed since */
    uint64_t *fills;       /* when the latest line fills end: a ring of line_fill_entries */
    uint32_t fill_next;
    uint16_t missed_regs; /* hold what the block before loaded, if it missed */
    bool missed;          /* a load of this block missed */
    uint8_t unread;
    uint64_t transferred; /* when the latest line came from L2 */
    uint64_t stores_done; /* when every store so far has its line */

    pe_tlb *tlb;
    pe_predictor *predictor;
    /* Of settled work by privilege, in sixteenths: what is not billed yet, or was billed before it was due. */
    int64_t work_x16[2], l1_x16[2];
    /* The block that runs, where its page was dropped. */
    struct {
        timed_code code;
        timed_detail detail;
        timed_extra extra;
    } orphan;

    timed_code *parked;  /* the block that is held: `code` while a piece of it runs, which the bill takes as a whole */
    uint64_t held_insns; /* cpu->insns at its end */
    timed_shown shown;

    uint64_t fills_seen; /* of pe_stats, when stale hits were last looked for */
    bool stale_hit;      /* the latest data translation came from an entry that the tables contradict: this one */
    pe_tlb_entry stale_entry;
    pe_executed executed;
};

struct timed_machine {
    pe_timing level;
    pe_core core;
    uint32_t dram_cycles;
    uint32_t hidden_cycles; /* of a load miss that nothing waits for */
    pe_ledger *ledger;
    pe_caches *caches; /* NULL without PE_TIMING_CACHE */
    pe_blocks *blocks;
    timed_page **pages; /* by engine RAM page; sparse */
    size_t npages;
    timed_page *all_pages;
    uint8_t *uncached_pages; /* bit set: RAM pages whose latest fill was not cacheable; sparse */

    uint64_t slice_clock; /* of the current CPU, at the start of its slice */
    uint64_t time_rest;   /* beyond the machine's time, in parts of a time unit */
    uint32_t running;     /* CPUs that share the time of the slice */
};

/* ---- timed.c ---- */
pe_status timed_new(pe_machine *machine, pe_error *err); /* nothing with PE_TIMING_OFF */
void timed_free(pe_machine *machine);
/* As new: nothing cached, nothing billed. */
pe_status timed_reset(pe_machine *machine, pe_error *err);
/* Guest time that has passed in the running slice, and the clock at which `time` will have come, in time units. */
uint64_t timed_slice_time(const pe_machine *machine);
uint64_t timed_clock_at(const pe_machine *machine, uint64_t time);
/* The slice is over: its time becomes the machine's. */
void timed_end_slice(pe_machine *machine);

/* ---- block.c ---- */
void timed_block_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user);
/* The block that runs is over, and the instruction at `next` follows. */
void timed_finish(pe_cpu *cpu, uint32_t next);
/* It ended by an exception or a trap before `next`: bills what was executed. */
void timed_cut(pe_cpu *cpu, uint32_t next);
/* The fetch at `next` aborts: its translation was asked for like any other. */
void timed_fetch_abort(pe_cpu *cpu, uint32_t next, uint32_t fault_va);
/* An exception is taken, whose vector is at `target`. */
void timed_exception(pe_cpu *cpu, uint32_t target);
/* A write of a system register that was trapped: the block's cost does not hold it. */
void timed_trap(pe_cpu *cpu, cp15_reg reg);

/* Bills `size` bytes of code from va on, which were executed. */
void timed_bill_part(pe_cpu *cpu, uint32_t va, uint32_t size);
/* A held block begins, whichever pieces it is run in. */
void timed_begin_held(pe_cpu *cpu);

/* ---- settle.c ---- */
/* Counts of blocks become counts of instructions, loads and sixteenths of cycles. */
void timed_gather(timed_cpu *timed);
void timed_gather_runs(timed_cpu *timed, const timed_code *code, const timed_detail *detail, const uint32_t runs[2]);
/* Brings the categories of the bill up to its clock. */
void timed_settle(timed_cpu *timed);
/* Instructions of which no more is known: a cycle each. */
void timed_bill_insns(timed_cpu *timed, uint32_t insns);
/* The block at hand is broken off; its next piece begins; it will not go on. */
void timed_park(pe_cpu *cpu);
void timed_unpark(pe_cpu *cpu);
void timed_abandon(pe_cpu *cpu);
/* An instruction did nothing and was not given to the engine. */
void timed_pass(pe_cpu *cpu, bool held);
/* While the guest stands still: the bill of all that it has executed.  False: it was not shown. */
void timed_show(pe_machine *machine);
bool timed_hide(pe_machine *machine);

/* ---- keep.c ---- */
/* Everything, for a checkpoint; returns the bytes.  NULL: only measures it.  The bill must not be shown. */
size_t timed_save(pe_machine *machine, void *buf);
/* Back to what was saved of the same machine, whose memory is as it was. */
void timed_load(pe_machine *machine, const void *buf);
/* Memory changes everywhere: nothing is known of its code, and no block is held. */
void timed_forget_blocks(pe_machine *machine);

/* ---- code.c ---- */
timed_code *timed_find_code(pe_cpu *cpu, uint32_t va, uint32_t size);
void timed_drop_code(pe_machine *machine, uint64_t page); /* an engine RAM page */
void timed_empty_page(timed_page *page);
void timed_free_code(timed_machine *timed);

/* ---- tlb.c ---- */
void timed_watch_tlb(pe_cpu *cpu);
/* As pe_translate, through the model, which is billed. */
void timed_translate(pe_cpu *cpu, uint32_t va, pe_access access, bool privileged, pe_translation *out);
/* The same address once more, for the other privilege. */
void timed_translate_again(pe_cpu *cpu, uint32_t va, pe_access access, bool privileged, pe_translation *out);
/* UC_PROT_READ and UC_PROT_WRITE as far as a micro-TLB holds the page: what the soft TLB may let pass unseen. */
uint32_t timed_seen(const pe_cpu *cpu, uint32_t va);
/* NULL: the model knows no code there. */
const timed_entered *timed_enter_page(pe_cpu *cpu, uint32_t va);
void timed_forget_pages(timed_cpu *timed);
void timed_invalidate_tlb(pe_cpu *cpu, pe_tlbi operation, uint32_t va, uint8_t asid);
static inline bool timed_detects_stale(const pe_cpu *cpu)
{
    return cpu->timed && cpu->timed->tlb->detects_stale;
}
/* Before a block, while stale hits are looked for: what the engine and we remember of hits must not hide one. */
void timed_ask_again(pe_cpu *cpu);
/* Translation registers have changed; context: those that pe_micro_params.flushed_by_context names. */
void timed_regime_changed(pe_cpu *cpu, bool context);

/* ---- data.c ---- */
void timed_memory_hook(uc_engine *uc, uc_mem_type type, uint64_t pa, int size, int64_t value, void *user);
void timed_note_cacheable(pe_cpu *cpu, const pe_translation *t, uint64_t page);
void timed_maintain_caches(pe_cpu *cpu, cp15_reg reg, uint32_t value);
/* The lines that a block is fetched from. */
void timed_fetch_lines(pe_cpu *cpu, uint32_t va, uint32_t size);

/* ---- events.c ---- */
/* What the guest's performance counters count: the model's value of an event since reset (Cortex-A15 TRM 11.8, ARM DDI
 * 0406C C12.8), false: not one that the model knows. */
bool timed_event(const pe_cpu *cpu, uint32_t event, uint64_t *count);

#endif
