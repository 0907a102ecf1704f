/* SPDX-License-Identifier: GPL-2.0-or-later
 * libunicorn as this process already has it: the functions that we call, and what is probed of its inside. */
#ifndef PYEMU_ENGINE_H
#define PYEMU_ENGINE_H

#include "pyemu.h"

#include <unicorn/unicorn.h>

/* Looked up with dlsym in the copy that `import unicorn` loaded; the optional ones may be NULL. */
typedef struct pe_engine {
    unsigned int (*version)(unsigned int *, unsigned int *);
    uc_err (*open)(uc_arch, uc_mode, uc_engine **);
    uc_err (*close)(uc_engine *);
    uc_err (*emu_start)(uc_engine *, uint64_t, uint64_t, uint64_t, size_t);
    uc_err (*emu_stop)(uc_engine *);
    uc_err (*reg_read)(uc_engine *, int, void *);
    uc_err (*reg_write)(uc_engine *, int, const void *);
    uc_err (*reg_write_batch)(uc_engine *, const int *, void *const *, int);
    uc_err (*mem_map_ptr)(uc_engine *, uint64_t, uint64_t, uint32_t, void *);
    uc_err (*mmio_map)(uc_engine *, uint64_t, uint64_t, uc_cb_mmio_read_t, void *, uc_cb_mmio_write_t, void *);
    uc_err (*hook_add)(uc_engine *, uc_hook *, int, void *, void *, uint64_t, uint64_t, ...);
    uc_err (*hook_del)(uc_engine *, uc_hook);
    uc_err (*ctl)(uc_engine *, uc_control_type, ...);
    const char *(*strerror)(uc_err);
    /* optional internals */
    void (*tb_invalidate_phys_range)(uc_engine *, uint64_t, uint64_t);
    bool guest_clock; /* clock.h is in force */
    /* Where uc_struct.skip_sync_pc_on_exit lies, 0: not found.  While it is set the engine does not
     * bring PC up to date before each memory hook, which takes it longer than the access; nor when it is told to stop.
     */
    size_t unsynced_at;
    /* Where uc_struct.no_exit_request lies (exits.c), 0: not found.  Then a Thumb IT block runs to its end. */
    size_t no_exit_at;
    /* Where CPUARMState.exclusive_addr, _val and _high lie behind its regs, 0: not found. */
    size_t exclusive_at;
} pe_engine;

/* What a CPU's LDREX has left for its STREX (ARM DDI 0406C A3.4): address, all ones for none, and what was there. */
typedef struct pe_exclusive {
    uint64_t address, value, high;
} pe_exclusive;

/* Places inside one engine instance, found by writing known values and looking for them (engine_probe). */
typedef struct pe_engine_probe {
    const uint64_t *fault_address; /* exact address of the last failed fill: uc_struct.invalid_addr */
    const uint32_t *regs;          /* CPUARMState.regs[16], current mode */
    const uint8_t *thumb;          /* CPUARMState.thumb */
    const uint8_t *masks;          /* CPUARMState.daif: bit 7 = I, bit 6 = F, as in CPSR */
    const uint8_t *mode;           /* CPUARMState.uncached_cpsr: mode in bits 4:0 */
} pe_engine_probe;

pe_status engine_load(pe_engine *engine, pe_error *err);
/* Fills the places of optional internals by trying on an instance of its own.  Not before the CPUs have theirs: they
 * are a tenth slower in what a closed one leaves of the heap. */
void engine_find_internals(pe_engine *engine);
/* Where the monitor was not found nothing is saved or loaded. */
void engine_exclusive_save(const pe_engine *engine, const pe_engine_probe *probe, pe_exclusive *out);
void engine_exclusive_load(const pe_engine *engine, const pe_engine_probe *probe, const pe_exclusive *in);
/* Needs an instance with UC_TLB_VIRTUAL and no hook; leaves core registers zero. */
pe_status engine_probe(const pe_engine *engine, uc_engine *uc, pe_engine_probe *probe, pe_error *err);

/* For trials: ARM code at TRIAL_PAGE, Thumb at TRIAL_THUMB, an LDREX, and a word for it. */
#define TRIAL_PAGE         0x10000u
#define TRIAL_THUMB        (TRIAL_PAGE + 0x100)
#define TRIAL_LDREX        (TRIAL_PAGE + 0x200)
#define TRIAL_WORD         (TRIAL_PAGE + 0x6a8)
#define TRIAL_VALUE        0x7c91d3e5u
#define TRIAL_STRUCT_BYTES 0x4000 /* of uc_struct are looked at */

/* ---- exits.c ---- */
/* Makes the libunicorn behind `library` (a dlopen handle) able to leave IT blocks, if it is built as we know it. */
void exits_install(void *library);
/* Where uc_struct.no_exit_request lies in an instance for trials; 0: not found. */
size_t engine_find_no_exit(const pe_engine *engine, uc_engine *uc);
/* Between the two, in this thread, code is translated so that every hook can leave it. */
void engine_enter(const pe_engine *engine, uc_engine *uc);
void engine_leave(void);
/* For the hook of the Thumb instruction at pc (bit 0 set): that is not executed, and the engine goes on there with a
 * block of its own, in the IT state that it has there.  To stop it instead would not work within an IT block. */
void engine_leave_block(const pe_engine *engine, uc_engine *uc, uint32_t pc);

#endif
