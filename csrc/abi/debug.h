/* SPDX-License-Identifier: GPL-2.0-or-later
 * Watchpoints, recorded stores to tables, checkpoints. */
#ifndef PYEMU_ABI_DEBUG_H
#define PYEMU_ABI_DEBUG_H

#include "abi/machine.h"

/* Watchpoints stop after the instruction that reached [address, address + size), by its virtual address, or by physical
 * address through any mapping.  They cost a microsecond for each access to the rest of the page. */
#define PE_MAX_WATCHPOINTS 16
#define PE_WATCH_READ      1
#define PE_WATCH_WRITE     2
typedef struct pe_watch {
    uint64_t address;
    uint32_t size;   /* 1 to 4096, within a page */
    uint32_t access; /* PE_WATCH_* together */
    bool physical;
} pe_watch;
typedef struct pe_watch_hit {
    pe_watch watch;
    uint64_t pa;
    uint64_t old_value, new_value; /* of the `size` bytes that were reached; equal for a load */
    uint64_t insns;                /* executed before the instruction, all CPUs together */
    uint32_t va, pc;
    uint32_t size;
    uint32_t cpu;
    bool write;
    uint8_t function; /* as in pe_table_write: then va is 0, and the stop comes before the instruction is tried again */
} pe_watch_hit;
pe_status pe_machine_watch_add(pe_machine *machine, const pe_watch *watch, pe_error *err);
pe_status pe_machine_watch_remove(pe_machine *machine, const pe_watch *watch, pe_error *err);
/* The access of the latest PE_STOP_WATCHPOINT; false: there was none. */
bool pe_machine_watch_hit(const pe_machine *machine, pe_watch_hit *out);

/* A store to a page from which a table walk has read, or to which a descriptor of a table was stored, since recording
 * began, or which the tables of a CPU reached then: to a descriptor, mostly. */
typedef struct pe_table_write {
    uint64_t insns; /* executed before the instruction, all CPUs together */
    uint64_t pa;
    uint64_t old_value, new_value; /* of `size` bytes */
    uint32_t pc, va, lr;
    uint8_t size; /* 1, 2, 4; 8: two stores of one instruction */
    uint8_t cpu;
    uint8_t privileged;
    uint8_t function; /* of a Kernel model that stored, pe_kernel_function + 1; 0: the guest's own instruction */
} pe_table_write;
/* Keeps the latest `room` of them from now on; 0: no more.  Costs half a microsecond for each such store. */
pe_status pe_machine_record_tables(pe_machine *machine, uint64_t room, pe_error *err);
/* The kept ones from number `from` on (they are numbered from 0), oldest first, up to max; *first is the number of the
 * first.  Returns how many. */
size_t pe_machine_table_writes(const pe_machine *machine, uint64_t from, pe_table_write *out, size_t max,
                               uint64_t *first);

/* Checkpoints: the machine as it was, for going back.  Pages are copied when they are first written after one, so one
 * costs what the guest writes until the next; with a cycle model also what that knows: 20 KB a CPU, caches ten times as
 * much. */
typedef struct pe_checkpoint {
    uint64_t id;         /* ascending */
    uint64_t insns;      /* executed, all CPUs together */
    uint64_t exceptions; /* taken */
    uint64_t bytes;      /* of host memory */
} pe_checkpoint;
pe_status pe_machine_checkpoint(pe_machine *machine, uint64_t *id, pe_error *err);
/* Up to max of them, oldest first; returns how many there are. */
size_t pe_machine_checkpoints(const pe_machine *machine, pe_checkpoint *out, size_t max);
/* The machine is as it was; later checkpoints are gone.  Console output that was not read is lost. */
pe_status pe_machine_rewind(pe_machine *machine, uint64_t id, pe_error *err);
/* Forgets one; those before and behind it stay whole. */
pe_status pe_machine_checkpoint_drop(pe_machine *machine, uint64_t id, pe_error *err);
/* Exceptions taken by all CPUs: with the count of instructions, the place of a stop in the run. */
uint64_t pe_machine_exceptions(const pe_machine *machine);

#endif
