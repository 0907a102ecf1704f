/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of this wing share: the machine, its CPUs and the state of its devices.
 *
 * Guest time: one instruction takes one nanosecond on each running CPU; CPUs run side by side, so n running CPUs
 * share a nanosecond.  It is kept in units of 1/840 ns (840 is divisible by 1 to 8), so that it is exact. */
#ifndef PYEMU_MACHINE_H
#define PYEMU_MACHINE_H

#include "machine/board.h"
#include "machine/engine.h"
#include "error.h"
#include "machine/devices/devices.h"
#include "mem/mem.h"
#include "mmu/descriptors.h"

#define TIME_UNITS_PER_NS 840u
#define NS_PER_TICK       16u /* of the 62.5 MHz counter */
#define NEVER             UINT64_MAX
#define TIME_HORIZON      (NEVER / 2) /* 127 days: no timer fires later, so that time cannot run over */

/* ---- CPUs ---- */

/* Why the running slice ended, set by a hook before it stops the engine. */
typedef enum slice_end {
    END_NONE = 0,
    END_DEADLINE, /* instruction budget, or an interrupt may be taken */
    END_BREAK,
    END_YIELD,  /* WFE, YIELD, SGI to another CPU */
    END_HALT,   /* the machine must stop: machine->stop is filled */
    END_STEP,   /* the debugger: the instruction of its count is next, or one must be looked at alone */
    END_WAIT,   /* WFI executed by emulation of a trapped instruction, PSCI CPU_OFF */
    END_HOSTED, /* an exception of a hosted program: cpu->hosted says which */
} slice_end;

typedef enum input_wait {
    WANTS_NOTHING = 0,
    WANTS_BYTE = 1,        /* SYS_READC knows no end of file */
    WANTS_BYTE_OR_END = 2, /* SYS_READ does */
} input_wait;

/* A guest exception to be taken once the engine has returned. */
typedef struct pending_fault {
    bool valid;
    pe_access access;
    uint32_t page; /* of the address that missed */
    pe_translation translation;
} pending_fault;

typedef enum hosted_kind {
    HOSTED_DATA_ABORT = 0,
    HOSTED_PREFETCH_ABORT = 1,
    HOSTED_SVC = 2,
    HOSTED_UNDEFINED = 3,
} hosted_kind;

/* An exception that a hosted program took. */
typedef struct hosted_event {
    hosted_kind kind;
    uint32_t pc; /* of the instruction; SVC: of the next one */
    uint32_t address;
    pe_access access;
    pe_translation fault;
} hosted_event;

#define COUNT_ENTRIES 4096 /* Thumb blocks whose instruction count is remembered */
typedef struct block_count {
    uint32_t va;
    uint32_t generation;
    uint16_t size;
    uint16_t insns;
} block_count;

#define LARGE_GRANULES 4096 /* of 1 MB */
#define FETCH_ENTRIES  64   /* code pages whose place in host memory is remembered */
typedef struct fetched_page {
    uint32_t page; /* va >> 12 */
    const uint8_t *host;
} fetched_page;

/* timed/timed.h: only with a cycle model */
typedef struct timed_cpu timed_cpu;
typedef struct timed_machine timed_machine;

/* A block that the debugger runs in pieces, because it stopped or will stop within. */
typedef struct held_block {
    bool on;
    bool begun; /* the cycle model has seen it begin */
    uint32_t start, size;
    uint32_t next; /* address of the next piece */
    uint32_t left; /* bytes from there on; 0: the last piece runs */
} held_block;

typedef struct cpu_patch {
    uint32_t va, last;
    uc_hook hook;
} cpu_patch;

typedef struct pe_cpu {
    /* touched by every block */
    uint64_t insns; /* executed by this CPU, the current block included */
    uint64_t deadline;
    uint32_t block_va;
    uint32_t block_size;
    const uint8_t *thumb;
    const uint8_t *masks;

    struct pe_machine *machine;
    uc_engine *uc;
    timed_cpu *timed;  /* NULL: no cycle model */
    uint8_t *unsynced; /* the engine's flag at unsynced_at; NULL */
    uint32_t index;
    pe_power power;
    bool irq_line, fiq_line;
    bool event; /* the event register of WFE */
    slice_end end;

    pe_engine_probe probe;
    pe_regime regime;    /* cached: changes only where cp15.c or cpu.c change it */
    uint32_t generation; /* of code mappings: tags block_count entries */
    block_count counts[COUNT_ENTRIES];

    pending_fault fault;
    hosted_event hosted;
    uint32_t start_pc, start_it; /* where the engine was started last, and CPSR's IT bits there */
    uint64_t start_insns;
    bool lost_it;   /* the block that begins there was stopped: the engine has forgotten its IT bits */
    bool leaving;   /* a hook has left the block: no other at this instruction may act */
    uint32_t stuck; /* exceptions in a row without an instruction between them */
    uint64_t stuck_insns;
    uint32_t stuck_origin; /* the instruction that took the first of them */
    uint8_t wants_input;   /* input_wait: waits in a semihosting read */
    uint64_t planned;      /* the instruction count at which this slice must end; deadline may be below it */

    fetched_page fetched[FETCH_ENTRIES];
    uint32_t fills_since_flush, grow_after;
    uint8_t large[LARGE_GRANULES / 8]; /* megabytes of which the soft TLB may hold parts of a leaf larger than a page */

    cpu_patch *patches; /* instructions that cannot be trapped: CNTV*, AT (see scan.c) */
    size_t npatches, patches_room;
    bool trimming; /* while scan_trim works */
    uc_hook break_hooks[PE_MAX_BREAKPOINTS];
    uint64_t break_skip_insns; /* run on from a breakpoint that was reported: the instruction of this count */
    uint32_t break_skip_va;
    uint64_t exceptions; /* taken since the machine was made */
    held_block held;
    struct debug_cpu *debug; /* debug.h; NULL until a debugger asks for something */
    uc_hook align_hook;      /* 0: not checking alignment */
} pe_cpu;

/* ---- the machine ---- */

/* Who takes the exceptions of user programs instead of the guest's vectors.  Called between two runs of the engine, so
 * that registers, tables and translation may be changed; without `take` there is nobody. */
typedef struct hosted_by {
    void *context;
    void (*take)(void *context, pe_cpu *cpu, const hosted_event *event);
    void (*slice_over)(void *context, pe_cpu *cpu); /* the CPU's turn is over */
    void (*gone)(void *context);                    /* the machine is freed */
    /* For checkpoints, all but guest memory: a block of malloc, or NULL with a reason; and back. */
    void *(*save)(void *context, size_t *bytes, pe_error *err);
    void (*load)(void *context, const void *state);
} hosted_by;

typedef struct byte_queue {
    uint8_t *data;
    size_t head, count, room;
} byte_queue;

/* A turn of a CPU that the debugger has broken off. */
typedef struct suspension {
    bool valid;
    uint32_t cpu;
    uint32_t running, share;
    uint64_t left; /* instructions */
} suspension;

struct pe_machine {
    pe_machine_config config;
    pe_engine engine;
    pe_mem *mem;
    pe_cpu *cpu[PE_MAX_CPUS];
    pe_cpu *current;
    board_state board;
    timed_machine *timed; /* NULL: no cycle model */
    hosted_by hosted;

    uint8_t *ram_host;
    uint8_t *code_pages;     /* bit set: RAM and flash pages with translated code, by engine RAM offset */
    uint8_t *writable_pages; /* bit set: pages that some soft TLB may let a store reach */
    uint8_t *patched_pages;  /* bit set: code pages with an instruction that scan.c must hook */

    uint64_t time;           /* 1/840 ns, at the start of the running slice */
    uint64_t slice_insns;    /* current->insns at the start of the running slice */
    uint32_t slice_share;    /* time units an instruction takes now */
    uint64_t slice_deadline; /* in current->insns */
    uint32_t last_cpu;
    bool started;
    bool idle_reported;
    uint64_t run_limit; /* machine-wide instruction count at which to stop */
    uint64_t time_limit;
    bool stopping;
    pe_stop stop;
    volatile bool stop_request;

    byte_queue out, in;
    bool in_closed; /* nothing will follow what is in `in` */
    const char *console_until;
    size_t console_until_length, console_matched;

    uint32_t breakpoints[PE_MAX_BREAKPOINTS];
    uint32_t nbreakpoints;
    uint64_t stop_at, stop_exceptions; /* of this run; NEVER */
    uint32_t step;                     /* of this run: pe_run.step */
    uint32_t run_flags;                /* of this run */
    suspension suspended;
    struct debug_machine *debug; /* debug.h; NULL until a debugger asks for something */

    pe_stats stats;
};

#define CPSR_MODE 0x1fu
#define CPSR_T    0x20u
#define CPSR_F    0x40u
#define CPSR_I    0x80u
#define CPSR_A    0x100u
#define CPSR_E    0x200u
#define CPSR_IT   0x0600fc00u
#define CPSR_J    0x01000000u

#define MODE_USR 0x10u
#define MODE_FIQ 0x11u
#define MODE_IRQ 0x12u
#define MODE_SVC 0x13u
#define MODE_MON 0x16u
#define MODE_ABT 0x17u
#define MODE_HYP 0x1au
#define MODE_UND 0x1bu
#define MODE_SYS 0x1fu

#define SCTLR_A  0x2u
#define SCTLR_C  0x4u
#define SCTLR_V  0x2000u
#define SCTLR_TE 0x40000000u

/* ---- cpu.c: one CPU's registers ---- */
pe_cpu *cpu_new(pe_machine *machine, uint32_t index, pe_error *err);
void cpu_free(pe_cpu *cpu);
void cpu_reset(pe_cpu *cpu, uint32_t pc, uint32_t r0);
uint32_t cpu_reg(const pe_cpu *cpu, int uc_reg);
void cpu_set_reg(pe_cpu *cpu, int uc_reg, uint32_t value);
void cpu_load_regime(pe_cpu *cpu);
void cpu_set_regime(pe_cpu *cpu, const pe_regime *regime); /* and an empty soft TLB, which knows no ASIDs */
static inline bool cpu_privileged(const pe_cpu *cpu)
{
    return (*cpu->probe.mode & CPSR_MODE) != MODE_USR;
}

/* Ends emu_start, with PC where it is now. */
static inline void cpu_stop_engine(pe_cpu *cpu)
{
    if (cpu->unsynced) {
        *cpu->unsynced = 0;
    }
    cpu->machine->engine.emu_stop(cpu->uc);
}

/* CP15 by number; 64-bit registers have opc1 and crm only. */
typedef struct cp15_reg {
    uint8_t crn, crm, opc1, opc2;
    bool is64;
} cp15_reg;
uint64_t cpu_cp15(const pe_cpu *cpu, cp15_reg reg);
bool cpu_set_cp15(pe_cpu *cpu, cp15_reg reg, uint64_t value);

/* ---- registers.c ---- */
bool register_is_constant(uint32_t index);

/* ---- state.c ---- */
/* As pe_machine_state_load, for a caller that loads what a host of programs knows.  timed: the cycle model as
 * timed_save kept it, NULL: it begins anew. */
pe_status state_load(pe_machine *m, const void *buf, size_t size, const void *timed, pe_error *err);

/* ---- fill.c: soft TLB and W^X ---- */
/* The engine numbers RAM in map order: two banks of flash, then RAM.  False: neither. */
static inline bool fill_ram_offset(const pe_machine *m, uint64_t pa, uint64_t *offset)
{
    if (pa - m->config.ram_base < m->config.ram_size) {
        *offset = BOARD_FLASH_END + (pa - m->config.ram_base);
        return true;
    }
    *offset = pa;
    return is_flash(pa);
}
bool fill_hook(uc_engine *uc, uint64_t va, uc_mem_type type, uc_tlb_entry *entry, void *user);
void fill_reset(pe_cpu *cpu);
void fill_flush(pe_cpu *cpu);
void fill_flush_all(pe_machine *machine);
/* TLB maintenance by address: the page, or everything where a larger leaf may lie around it. */
void fill_flush_va(pe_cpu *cpu, uint32_t va);
/* The engine's entries alone go, of a page or all of them; what is mapped is as before. */
void fill_forget(pe_cpu *cpu, uint32_t va);
void fill_forget_all(pe_cpu *cpu);
void fill_forget_it_state(pe_cpu *cpu);
/* The instruction at pc, from memory; Thumb: 16 bits, or 32 with the first halfword on top.  False: not mapped. */
bool fill_fetch(pe_cpu *cpu, uint32_t pc, uint32_t *insn);
/* Code was changed behind the engine's back in RAM or flash [pa, pa+len). */
void fill_drop_code(pe_machine *machine, uint64_t pa, uint64_t len);

/* ---- run.c ---- */
uint64_t machine_time(const pe_machine *machine); /* 1/840 ns, now */
static inline uint64_t machine_ns(const pe_machine *machine)
{
    return machine_time(machine) / TIME_UNITS_PER_NS;
}
/* What the engine is told: guest time, and 100 us for each flush.  It makes a soft TLB smaller that was too large for
 * 100 ms; a guest that flushes much would else clear megabytes a thousand times before a tenth of its second is over.
 * With a cycle model the soft TLB holds what the micro-TLBs do, but the engine counts each fill: there every flush may
 * make it smaller. */
static inline uint64_t machine_engine_ns(const pe_machine *machine)
{
    return machine_ns(machine) + machine->stats.tlb_flushes * (machine->timed ? 200000000u : 100000u);
}
/* Ends the running slice before the next block: interrupt lines or timers changed. */
void run_kick(pe_machine *machine);
/* Called where a guest can spend long on few instructions: pe_machine_stop need not wait for the end of the slice. */
static inline void run_hear_stop(pe_machine *machine)
{
    if (__builtin_expect(machine->stop_request, 0)) {
        run_kick(machine);
    }
}
/* Ends the run. */
void run_halt(pe_machine *machine, pe_stop_reason reason, uint32_t cpu, int32_t status, uint32_t address);
/* The same from a device's register: an engine that is stopped within a load or store executes it again. */
void run_halt_after_block(pe_machine *machine, pe_stop_reason reason);
uint64_t run_total_insns(const pe_machine *machine);
/* Sets the deadline of the CPU whose turn it is, from all that may end it. */
void run_plan(pe_machine *machine);
/* Its turn is over, or a timer event has come. */
bool run_past_plan(const pe_cpu *cpu);

/* ---- block.c ---- */
/* The current instruction was emulated, or raised an exception: count the block only up to next_pc. */
void run_uncount(pe_cpu *cpu, uint32_t next_pc);
/* The same, and the bill stays as it is. */
void block_uncount(pe_cpu *cpu, uint32_t next_pc);
/* Instructions of a block. */
uint32_t run_count_insns(pe_cpu *cpu, uint32_t va, uint32_t size);
/* A deadline has come, or an interrupt line is up: whether the engine must stop before this block, and was told to. */
bool run_block_ends(pe_cpu *cpu);
void run_block_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user);
/* Instructions executed before the one at va, which is in the running block. */
uint64_t run_insns_before(pe_cpu *cpu, uint32_t va);
/* The block that is about to begin is where the engine was started, in the middle of an IT block. */
bool run_begins_in_it(const pe_cpu *cpu);
/* The instruction at va, which is in the running block, was not executed: counts up to it; the rest is run on later. */
void run_hold(pe_cpu *cpu, uint32_t va);
/* Ends the engine's run before the instruction at va, which is in the running block, and holds the rest. */
void run_break_off(pe_cpu *cpu, uint32_t va, slice_end end);
/* The block that was about to begin is run in pieces. */
void block_hold_whole(pe_cpu *cpu);
/* What is held is not run on: the guest goes on elsewhere. */
void block_release(pe_cpu *cpu);
/* The instruction at PC, of `length` bytes, did nothing and was not given to the engine. */
void block_pass(pe_cpu *cpu, uint32_t length);
/* The held block ends before va, where the engine would go on. */
void block_ends_at(pe_cpu *cpu, uint32_t va, slice_end end);
/* For the hook of an instruction that will be emulated or raise an exception: the engine's CPSR lacks the IT state
 * within a block.  True: it is in CPSR now; the hook must then write PC.  False: the hook must do nothing, and will be
 * called again. */
bool run_find_it_state(pe_cpu *cpu, uint32_t pc);

/* ---- exception.c ---- */
void exception_enter(pe_cpu *cpu, uint32_t vector, uint32_t mode, uint32_t return_address);
void exception_irq(pe_cpu *cpu);
void exception_fiq(pe_cpu *cpu);
void exception_undef(pe_cpu *cpu, uint32_t pc);
void exception_svc(pe_cpu *cpu, uint32_t next_pc);
void exception_abort(pe_cpu *cpu, pe_access access, uint32_t address, const pe_translation *fault);

/* ---- hosted.c: user programs without a kernel of their own ---- */
void machine_host(pe_machine *machine, const hosted_by *by);
/* A user program takes an exception: this run of the engine has to end.  False: it goes to a vector. */
bool hosted_note(pe_cpu *cpu, const hosted_event *event);
/* Last in a hook of the engine that may have taken one. */
static inline void hosted_leave(pe_cpu *cpu)
{
    if (cpu->end == END_HOSTED) {
        cpu_stop_engine(cpu);
    }
}
/* The engine has returned with END_HOSTED. */
void hosted_take(pe_cpu *cpu);

/* ---- trap.c: what arrives at the engine's hooks ---- */
bool trap_invalid_hook(uc_engine *uc, void *user);
void trap_interrupt_hook(uc_engine *uc, uint32_t number, void *user);
/* Executes the MCR, MRC, MCRR or MRRC at pc and goes on behind it; false: not p15, or undefined, and nothing was done.
 */
bool trap_emulate_cp(pe_cpu *cpu, uint32_t pc, uint32_t insn);

/* ---- cp15.c: emulated system registers ---- */
#define TLBI_INNER_SHAREABLE 3 /* crm of TLB maintenance that reaches every CPU */

typedef enum cp15_result {
    CP15_DONE,
    CP15_UNDEFINED, /* not one of ours, or not for this privilege */
    CP15_EXCEPTION, /* an exception was taken instead */
} cp15_result;
cp15_result cp15_access(pe_cpu *cpu, cp15_reg reg, bool read, uint64_t *value);

/* ---- pmu.c: the performance monitors ---- */
#define PMU_SW_INCR      0x00u /* events; the others are in timed/events.c */
#define PMU_INST_RETIRED 0x08u
#define PMU_CPU_CYCLES   0x11u
bool pmu_has(cp15_reg reg);
bool pmu_access(pe_cpu *cpu, cp15_reg reg, bool read,
                uint64_t *value); /* false: undefined, or not for this privilege */
void pmu_reset(pe_cpu *cpu);
/* From here on this privilege executes; only a cycle model knows. */
void pmu_change_privilege(pe_cpu *cpu, bool privileged);
/* A translation register is written: two events count that. */
void pmu_note_write(pe_cpu *cpu, cp15_reg reg);
void pmu_update(pe_cpu *cpu); /* output line from the counters; not within a block */
/* When a counter may next raise the line: in time units without a cycle model, by the clock of the running CPU with
 * one; NEVER. */
uint64_t pmu_next_event(const pe_machine *machine);
uint64_t pmu_deadline(const pe_cpu *cpu);
/* Brings the counters up to now, so that they can be saved; starts them again from restored ones. */
void pmu_sync(pe_cpu *cpu);
void pmu_resume(pe_cpu *cpu);

/* ---- scan.c: instructions that no trap reaches ---- */
bool scan_page_has_untrapped(const pe_machine *machine, const uint8_t *host);
void scan_patch_page(pe_cpu *cpu, uint32_t va_page, const uint8_t *host);
/* Between runs of the engine: drops the hooks of pages that ran once. */
void scan_trim(pe_cpu *cpu);

/* ---- align.c: alignment checks that the engine does not make ---- */
/* Between runs of the engine: check as SCTLR.A and the machine's flags ask. */
void align_update(pe_cpu *cpu);

/* Address and size of the load or store at pc; false: it is none, or not known. */
bool align_decode(pe_cpu *cpu, uint32_t pc, uint32_t *address, uint32_t *bytes);

/* ---- debug.c, watch.c, rewind.c ---- */
void debug_free(pe_machine *machine);
void debug_break_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user);
/* Whether the debugger stops before the instruction at pc: whoever emulates it must not do so now. */
bool debug_stops_at(pe_cpu *cpu, uint32_t pc);
void debug_run_begins(pe_machine *machine, const pe_run *run);
/* The run's place or step is reached. */
bool debug_has_arrived(const pe_cpu *cpu);
/* The same, or the machine stops for another reason; it stops. */
bool debug_is_done(pe_cpu *cpu);
/* Before the engine starts; false: it need not start now. */
bool debug_start(pe_cpu *cpu);
/* After it returned. */
void debug_returned(pe_cpu *cpu);
/* After a host has taken an exception. */
void debug_hosted(pe_cpu *cpu);
/* An exception is entered: CPSR is what the guest must find in SPSR. */
void debug_exception(pe_cpu *cpu);
/* The engine left the instruction at PC alone because it may reach watched memory; false: it did not. */
bool debug_must_look(pe_cpu *cpu);
/* Before a whole block: the run's place is here, or within it; then it is held.  It must not begin. */
bool debug_holds(pe_cpu *cpu);
/* The rest of a held block is longer than it may be; false: the engine was told to stop. */
bool debug_ends_exactly(pe_cpu *cpu);
/* Whether debug_holds must be asked before each block from now on; the instruction count from which on it must; NEVER.
 */
bool debug_looks_at_blocks(const pe_cpu *cpu);
uint64_t debug_near_at(const pe_cpu *cpu);
/* A walk was made for va: remembers its tables. */
void watch_note_tables(pe_cpu *cpu, uint32_t va);
/* May take rights away from a new entry of the soft TLB, or send it to the window; false: refuse it. */
bool watch_fill(pe_cpu *cpu, uint32_t va, pe_access access, const pe_translation *t, uint64_t page,
                uc_tlb_entry *entry);
/* Accesses to watched pages come to this window, above any 40-bit address; what one there means. */
#define DEBUG_WINDOW 0x30000000000ull
uint64_t watch_address(const pe_cpu *cpu, uint64_t pa);
/* Who hosts programs stores to a table. */
void watch_host_store(pe_machine *machine, const pe_table_write *write);
/* [pa, pa + len) is about to be written by the host. */
void rewind_host_write(pe_machine *machine, uint64_t pa, uint64_t len);
void rewind_forget(pe_machine *machine); /* all checkpoints */

/* ---- psci.c, semihost.c ---- */
void psci_call(pe_cpu *cpu);
/* The instruction at `at` asks the host; false: semihosting is off.  Sets wants_input where the call must be made
 * again. */
bool semihost_call(pe_cpu *cpu, uint32_t at);

bool queue_push(byte_queue *queue, const void *data, size_t len);
size_t queue_pop(byte_queue *queue, void *data, size_t len);

#endif
