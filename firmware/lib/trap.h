/* SPDX-License-Identifier: GPL-2.0-or-later
 * Exceptions: recorded when a test expects one, fatal otherwise.
 */
#ifndef FW_TRAP_H
#define FW_TRAP_H

#include <stdbool.h>
#include <stdint.h>

enum trap_kind {
    TRAP_NONE = 0,
    TRAP_UNDEF = 1,
    TRAP_SVC = 2,
    TRAP_PABT = 3,
    TRAP_DABT = 4,
    TRAP_IRQ = 5,
    TRAP_FIQ = 6
};

/* What start.S pushes; pc and cpsr are the ones to return to. */
struct trap_frame {
    uint32_t r[13];
    uint32_t pc;
    uint32_t cpsr;
};

/* The last trap since trap_begin. */
struct trap {
    uint32_t count;
    enum trap_kind kind;
    uint32_t pc; /* of the instruction that caused it; SVC: the one after */
    uint32_t spsr;
    uint32_t entry_cpsr;
    uint32_t dfsr, dfar, ifsr, ifar;
    uint32_t svc; /* immediate */
};

/* Between these two calls aborts, undefined instructions and SVCs are recorded and skipped: a load or store and an
 * undefined instruction go on after it, a fetch at the address in r12 (see probe.S). */
void trap_begin(void);
struct trap trap_end(void);

/* Called first, on the stack of the mode; true: the frame is as it shall be restored.  Counted in trap_end as well. */
typedef bool (*trap_hook)(enum trap_kind kind, struct trap_frame *frame);
void trap_set_hook(trap_hook hook);
/* Passes the instruction at frame->pc: its size, and the IT state. */
void trap_skip(struct trap_frame *frame);

const char *trap_name(enum trap_kind kind);
void trap_handler(enum trap_kind kind, struct trap_frame *frame);

uint32_t user_call(uint32_t function, uint32_t argument0, uint32_t argument1);

uint32_t probe_read(uint32_t va, uint32_t unused);
uint32_t probe_read8(uint32_t va, uint32_t unused);
uint32_t probe_read16(uint32_t va, uint32_t unused);
uint32_t probe_write(uint32_t va, uint32_t value);
uint32_t probe_write8(uint32_t va, uint32_t value);
uint32_t probe_ldrt(uint32_t va, uint32_t unused);
uint32_t probe_strt(uint32_t va, uint32_t value);
uint32_t probe_fetch(uint32_t va, uint32_t unused);

#define PROBE_NOTHING 0xdeadbeefu /* result of a probe that faulted */

#endif
