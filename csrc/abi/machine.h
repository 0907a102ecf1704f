/* SPDX-License-Identifier: GPL-2.0-or-later
 * The board and its CPUs, their console and their state. */
#ifndef PYEMU_ABI_MACHINE_H
#define PYEMU_ABI_MACHINE_H

#include "abi/ledger.h"

/* ---- the board and its CPUs -------------------------------------------------------------------------------------- */

typedef struct pe_machine pe_machine;

typedef enum pe_cpu_model {
    PE_CPU_CORTEX_A15 = 0,
    PE_CPU_CORTEX_A7 = 1,
} pe_cpu_model;

#define PE_MAX_CPUS            8
#define PE_MACHINE_SEMIHOSTING 1 /* SVC 0x123456 / 0xab and HLT from PL1 are host calls */
/* Also with SCTLR.A = 0: alignment faults of LDM, LDRD, VLDR and of any access to Device or Strongly-ordered memory.
 * Costs a hook on every instruction. */
#define PE_MACHINE_STRICT_ALIGNMENT 2

typedef enum pe_timing {
    PE_TIMING_OFF = 0,   /* an instruction takes a nanosecond */
    PE_TIMING_TLB = 1,   /* instructions, branches, TLBs; each cache access hits L1, each descriptor read L2 */
    PE_TIMING_CACHE = 2, /* caches too */
} pe_timing;

typedef struct pe_machine_config {
    uint64_t ram_base;
    uint64_t ram_size;
    uint32_t ncpus;
    pe_cpu_model cpu_model;
    uint32_t flags;   /* PE_MACHINE_* */
    uint32_t quantum; /* instructions a CPU runs before the next one's turn */
    pe_timing timing;
    const pe_core *core; /* whose cycles are counted; copied.  May be NULL with PE_TIMING_OFF. */
} pe_machine_config;

typedef enum pe_stop_reason {
    PE_STOP_LIMIT = 0,       /* max_insns executed */
    PE_STOP_TIME = 1,        /* guest time reached max_time_ns */
    PE_STOP_BREAKPOINT = 2,  /* `address` is about to be executed on `cpu` */
    PE_STOP_EXIT = 3,        /* semihosting SYS_EXIT; `status` is the exit status */
    PE_STOP_POWEROFF = 4,    /* PSCI SYSTEM_OFF, or CPU_OFF of the last CPU */
    PE_STOP_RESET = 5,       /* PSCI SYSTEM_RESET */
    PE_STOP_IDLE = 6,        /* every CPU waits (WFI/WFE); see idle in pe_run */
    PE_STOP_DEADLOCK = 7,    /* every CPU waits and no timer is armed: only input could wake the guest */
    PE_STOP_LOCKUP = 8,      /* an exception whose vector cannot be fetched: `address` is the vector */
    PE_STOP_OUTPUT = 9,      /* the console's output buffer is full: read it and run on */
    PE_STOP_REQUESTED = 10,  /* pe_machine_stop was called */
    PE_STOP_CONSOLE = 11,    /* the guest wrote console_until */
    PE_STOP_STEP = 12,       /* the step that was asked for is done */
    PE_STOP_WATCHPOINT = 13, /* watched memory was reached: pe_machine_watch_hit */
    PE_STOP_POSITION = 14,   /* stop_at was reached */
} pe_stop_reason;

typedef struct pe_run {
    uint64_t max_insns;        /* of all CPUs together in this call; 0: no limit */
    uint64_t max_time_ns;      /* absolute guest time; 0: no limit */
    bool stop_when_idle;       /* return PE_STOP_IDLE instead of passing to the next timer event */
    const char *console_until; /* stop when the console's output ends with this text; NULL: never */
    /* For debuggers; 0 each: not asked.  Stops by these, by breakpoints and watchpoints do not change what the guest
     * does when it runs on. */
    uint32_t step;  /* 1 + the CPU of which one instruction, or one entry of an exception, is wanted; or PE_STEP_ANY */
    uint32_t flags; /* PE_RUN_* */
    uint64_t stop_at; /* PE_STOP_POSITION when this many instructions have been executed since the machine was made */
    /* PE_STOP_POSITION behind the exception that is the so many-th of the machine, when a Kernel model has taken it. */
    uint64_t stop_exceptions;
} pe_run;

#define PE_STEP_ANY    0xffffffff
#define PE_RUN_LEAVE   1 /* breakpoints at the instructions where the CPUs are now do not count */
#define PE_RUN_THROUGH 2 /* no breakpoints and watchpoints count */

typedef struct pe_stop {
    pe_stop_reason reason;
    uint32_t cpu;
    int32_t status;         /* PE_STOP_EXIT */
    uint32_t address;       /* PE_STOP_BREAKPOINT, PE_STOP_LOCKUP */
    uint32_t origin;        /* PE_STOP_LOCKUP: the instruction with whose exception it began */
    uint64_t insns;         /* executed in this call */
    uint64_t next_event_ns; /* PE_STOP_IDLE: guest time of the next timer event */
} pe_stop;

/* Counters since the machine was made, all CPUs together. */
typedef struct pe_stats {
    uint64_t insns;
    uint64_t time_ns;
    uint64_t walks; /* table walks: soft-TLB misses that needed one, and ATS operations */
    uint64_t descriptor_reads;
    uint64_t fills; /* soft-TLB entries made */
    uint64_t data_aborts;
    uint64_t prefetch_aborts;
    uint64_t undefs;
    uint64_t svcs;
    uint64_t hypercalls; /* HVC and SMC */
    uint64_t irqs;
    uint64_t fiqs;
    uint64_t cp15_traps;
    uint64_t code_invalidations; /* pages whose translated code was dropped */
    uint64_t tlb_flushes;        /* whole soft-TLB flushes made by us */
    uint64_t wfi;
    uint64_t switches; /* from one CPU to the next */
    uint64_t semihosting;
    uint64_t mmio;
} pe_stats;

pe_machine *pe_machine_new(const pe_machine_config *config, pe_error *err);
void pe_machine_free(pe_machine *machine);
pe_mem *pe_machine_mem(pe_machine *machine);
/* Puts an image into flash bank 0 (at 0x0) or 1 (at 0x04000000); at most 64 MB. */
pe_status pe_machine_set_flash(pe_machine *machine, uint32_t bank, const void *image, uint64_t size, pe_error *err);
/* Where and how CPU 0 starts: SVC mode, interrupts masked, MMU off; bit 0 of pc selects Thumb. */
pe_status pe_machine_reset(pe_machine *machine, uint32_t pc, pe_error *err);
pe_status pe_machine_run(pe_machine *machine, const pe_run *run, pe_stop *stop, pe_error *err);
/* Asks a running machine to return; may be called from a signal handler or another thread. */
void pe_machine_stop(pe_machine *machine);
void pe_machine_stats(const pe_machine *machine, pe_stats *out);

/* The cycle model of a running machine: what each part has seen since the machine was reset.  Borrowed; all of them
 * NULL with PE_TIMING_OFF, the caches also with PE_TIMING_TLB.  Between two runs the categories of the ledger add up to
 * its cycles, and those are the time of the guest. */
pe_timing pe_machine_timing(const pe_machine *machine);
const pe_ledger *pe_machine_ledger(const pe_machine *machine);
const pe_caches *pe_machine_caches(const pe_machine *machine);
pe_tlb *pe_machine_tlb(pe_machine *machine, uint32_t cpu);
const pe_predictor *pe_machine_predictor(const pe_machine *machine, uint32_t cpu);

/* What the ledger does not say about one CPU.  Arrays are indexed by privilege: PL0, PL1. */
typedef struct pe_executed {
    uint64_t insns[2];
    uint64_t blocks[2];
    uint64_t loads[2]; /* load instructions, whether their condition holds or not */
    uint64_t stores[2];
    uint64_t exceptions; /* taken */
    uint64_t exception_returns;
    uint64_t code_decoded; /* blocks whose cost had to be found */
    uint64_t uncached;     /* accesses to memory that is not cacheable, or with the caches off */
} pe_executed;
pe_status pe_machine_executed(const pe_machine *machine, uint32_t cpu, pe_executed *out, pe_error *err);

/* Writes from outside the guest: as pe_mem_*, and code that was translated from these bytes is dropped. */
pe_status pe_machine_write(pe_machine *machine, uint64_t pa, const void *buf, uint64_t len, pe_error *err);
/* Drops soft-TLB entries, and those of modelled TLBs, of all CPUs, as a TLBIALLIS would. */
void pe_machine_tlb_flush(pe_machine *machine);

/* The registers that decide translation on a CPU now, and its privilege. */
pe_status pe_machine_regime(pe_machine *machine, uint32_t cpu, pe_regime *out, bool *privileged, pe_error *err);

/* Whether a CPU executes: off until PSCI CPU_ON, and after CPU_OFF; waiting in WFI. */
typedef enum pe_power {
    PE_POWER_OFF = 0,
    PE_POWER_ON = 1,
    PE_POWER_WAITING = 2,
} pe_power;
pe_power pe_machine_power(const pe_machine *machine, uint32_t cpu); /* PE_POWER_OFF for one that is not there */

/* Registers by index: core (r0..r15, cpsr, spsr and banked ones), VFP (d0..d31, fpscr, fpexc) and CP15 by name. */
typedef struct pe_register {
    const char *name;  /* lower case: "r0", "lr_irq", "sctlr" */
    const char *group; /* "core", "banked", "vfp", "cp15" */
    uint32_t width;    /* bits */
} pe_register;
uint32_t pe_register_count(void);
const pe_register *pe_register_info(uint32_t index); /* NULL past the end */
pe_status pe_machine_reg_read(pe_machine *machine, uint32_t cpu, uint32_t index, uint64_t *value, pe_error *err);
pe_status pe_machine_reg_write(pe_machine *machine, uint32_t cpu, uint32_t index, uint64_t value, pe_error *err);

/* Breakpoints stop before the instruction at a virtual address, on any CPU.  At most PE_MAX_BREAKPOINTS. */
#define PE_MAX_BREAKPOINTS 64
pe_status pe_machine_break_add(pe_machine *machine, uint32_t va, pe_error *err);
pe_status pe_machine_break_remove(pe_machine *machine, uint32_t va, pe_error *err);

/* ---- console, state ---------------------------------------------------------------------------------------------- */

/* The PL011's two ends.  Output: up to size bytes move to buf, the number is returned.  Input: queued without limit. */
size_t pe_machine_console_read(pe_machine *machine, void *buf, size_t size);
pe_status pe_machine_console_write(pe_machine *machine, const void *buf, size_t len, pe_error *err);
/* No more input will come: a semihosting read of the guest gets an end of file instead of waiting.  Returns whether a
 * CPU waits in such a read. */
bool pe_machine_console_close(pe_machine *machine);

/* CPU and device state (not RAM) as one versioned blob.  save: NULL buf asks for the size. */
size_t pe_machine_state_save(pe_machine *machine, void *buf, size_t size, pe_error *err);
pe_status pe_machine_state_load(pe_machine *machine, const void *buf, size_t size, pe_error *err);

/* The engine's own handle of a CPU (uc_engine *), for hooks of a test or a debugger; NULL: there is no such CPU.
 * Borrowed.  Registers and memory are better reached by the calls above. */
void *pe_machine_engine(pe_machine *machine, uint32_t cpu);

/* What the engine is and which of its optional internals were found: "unicorn 2.1.4; tlb_flush_page_arm ..." */
pe_status pe_engine_describe(char *text, size_t size, pe_error *err);

#endif
