/* SPDX-License-Identifier: GPL-2.0-or-later
 * Hosted programs: how they are loaded (fs/binfmt_elf.c), and what becomes of their exceptions. */
#include "kernel/hosted/hosted.h"

#include "kernel/cost.h"

#include <inttypes.h>
#include <stdlib.h>

#define SIGILL     4u
#define SIGTRAP    5u
#define ILL_ILLOPC 1u
#define BUS_ADRALN 1u
#define TRAP_BRKPT 1u

#define STUCK_MAX   64u /* faults of one instruction; LDM over a page border takes a few */
#define STACK_BYTES (128u << 10)

#define CPACR_VFP  0x00f00000u /* CP10 and CP11 for everybody */
#define FPEXC_EN   0x40000000u
#define CNTKCTL_VC 0x2u /* user mode may read the virtual counter */

static const cp15_reg CPACR = {1, 0, 0, 2, false}, CNTKCTL = {14, 1, 0, 0, false};

/* ---- exceptions ---- */

static void die(struct pe_kernel *k, const hosted_event *e, uint32_t signal, uint32_t code, uint32_t address)
{
    struct hosted *h = k->hosted;
    struct task *task = current_task(k);
    user_save(k);
    if (h->death_count < PE_PROGRAM_DEATHS) {
        pe_program_death *d = &h->deaths[h->death_count++];
        *d = (pe_program_death){
            .pid = task->pid,
            .signal = signal,
            .code = code,
            .address = address,
            .fetch = e->kind == HOSTED_PREFETCH_ABORT,
            .write = e->kind == HOSTED_DATA_ABORT && e->access == PE_WRITE,
            .cpsr = task->user->cpsr,
        };
        if (e->kind == HOSTED_DATA_ABORT || e->kind == HOSTED_PREFETCH_ABORT) {
            pe_walk walk;
            pe_translate_steps(k->mem, &k->cpu->regime, e->address, e->access, false, &walk);
            pe_walk_describe(&k->cpu->regime, e->address, &walk, d->walk, sizeof d->walk);
        }
        memcpy(d->name, task->name, sizeof d->name);
        memcpy(d->r, task->user->r, sizeof d->r);
    }
    hosted_exit(k, (int32_t)signal);
}

/* True where the same instruction faults again and again: what the kernel does about it does not help. */
static bool is_stuck(struct user_context *u, const pe_cpu *cpu)
{
    if (u->stuck_insns != cpu->insns) {
        u->stuck_insns = cpu->insns;
        u->stuck = 0;
    }
    return ++u->stuck > STUCK_MAX;
}

static void take_abort(struct pe_kernel *k, const pe_cpu *cpu, const hosted_event *e)
{
    pe_fault_result result = {0};
    switch (e->fault.fault) {
    case PE_FAULT_TRANSLATION:
    case PE_FAULT_ACCESS_FLAG:
    case PE_FAULT_PERMISSION: break;
    case PE_FAULT_ALIGNMENT: die(k, e, SIGBUS, BUS_ADRALN, e->address); return;
    case PE_FAULT_DEBUG: die(k, e, SIGTRAP, TRAP_BRKPT, e->pc); return;
    default: die(k, e, SIGBUS, 0, e->address); return;
    }
    if (is_stuck(current_task(k)->user, cpu)) {
        die(k, e, SIGBUS, 0, e->address);
    } else if (!do_page_fault(k, current_task(k)->mm, e->address, e->access, &result)) {
        die(k, e, result.signal, result.code, e->address);
    }
}

static void take(void *context, pe_cpu *cpu, const hosted_event *e)
{
    struct pe_kernel *k = context;
    k->cpu = &k->cpus[cpu->index];
    if (!current_task(k)->user) { /* whoever set the registers: no program runs here */
        run_halt(k->machine, PE_STOP_LOCKUP, cpu->index, 0, e->pc);
        return;
    }
    switch (e->kind) {
    case HOSTED_SVC: system_call(k, cpu); return;
    case HOSTED_UNDEFINED:
        cost_exception(k);
        die(k, e, SIGILL, ILL_ILLOPC, e->pc);
        return;
    case HOSTED_PREFETCH_ABORT:
    case HOSTED_DATA_ABORT: take_abort(k, cpu, e); return;
    }
}

static void slice_over(void *context, pe_cpu *cpu)
{
    struct pe_kernel *k = context;
    k->cpu = &k->cpus[cpu->index];
    if (current_task(k)->user) {
        hosted_schedule(k, true);
    }
}

static void *save(void *context, size_t *bytes, pe_error *err)
{
    return heap_save(context, bytes, err);
}

static void load(void *context, const void *state)
{
    heap_load(context, state);
}

static void machine_gone(void *context)
{
    struct pe_kernel *k = context;
    k->machine = NULL;
}

/* ---- loading ---- */

static uint32_t page_down(uint32_t va)
{
    return va & (uint32_t)PAGE_MASK;
}

static uint32_t page_up(uint32_t va)
{
    return page_down(va + PAGE_SIZE - 1);
}

static pe_status check_segment(const struct pe_kernel *k, const pe_program_segment *s, pe_error *err)
{
    const uint32_t task_size = k->layout.task_size;
    if (s->va < FIRST_USER_ADDRESS || s->memory_bytes > task_size ||
        s->va > task_size - STACK_BYTES - s->memory_bytes || s->data_bytes > s->memory_bytes) {
        return pe_fail(err, PE_ERR_RANGE,
                       "a segment of 0x%" PRIx32 " bytes at 0x%08" PRIx32 " does not fit: addresses from 0x%" PRIx32
                       " to 0x%" PRIx32 " are a program's",
                       s->memory_bytes, s->va, (uint32_t)FIRST_USER_ADDRESS, task_size - STACK_BYTES - 1);
    }
    return PE_OK;
}

static pe_status map(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end, uint32_t flags, pe_error *err)
{
    const uint32_t all = PE_MMAP_PRIVATE | PE_MMAP_ANONYMOUS | PE_MMAP_FIXED | flags;
    if (start < end && do_mmap(k, mm, start, end - start, PE_PROT_READ | PE_PROT_WRITE, all) < 0) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for the program at 0x%08" PRIx32, start);
    }
    return PE_OK;
}

/* A page that two segments share belongs to both. */
static pe_status load_segments(struct pe_kernel *k, struct mm *mm, const pe_program *p, pe_error *err)
{
    uint32_t end = 0;
    for (size_t i = 0; i < p->segment_count; i++) {
        const pe_program_segment *s = &p->segments[i];
        pe_status status = check_segment(k, s, err);
        if (status == PE_OK && page_down(s->va) < end && s->va < end - (PAGE_SIZE - 1)) {
            status = pe_fail(err, PE_ERR_ARGUMENT, "segments overlap at 0x%08" PRIx32, s->va);
        }
        const uint32_t start = page_down(s->va) < end ? end : page_down(s->va);
        if (status != PE_OK || (status = map(k, mm, start, page_up(s->va + s->memory_bytes), 0, err)) != PE_OK) {
            return status;
        }
        end = page_up(s->va + s->memory_bytes);
        if (s->data_bytes && !copy_to_user(k, s->va, s->data, s->data_bytes)) {
            return pe_fail(err, PE_ERR_MEMORY, "no memory for the segment at 0x%08" PRIx32, s->va);
        }
    }
    mm->start_brk = mm->brk = end;
    return PE_OK;
}

static void protect_segments(struct pe_kernel *k, struct mm *mm, const pe_program *p)
{
    uint32_t end = 0, before = 0;
    for (size_t i = 0; i < p->segment_count; i++) {
        const pe_program_segment *s = &p->segments[i];
        uint32_t start = page_down(s->va);
        if (start < end) {
            do_mprotect(k, mm, start, end - start, before | s->prot);
            start = end;
        }
        end = page_up(s->va + s->memory_bytes);
        if (start < end) {
            do_mprotect(k, mm, start, end - start, s->prot);
        }
        before = s->prot;
    }
}

static pe_status load_stack(struct pe_kernel *k, struct mm *mm, const pe_program *p, pe_error *err)
{
    const uint32_t top = k->layout.task_size - PAGE_SIZE;
    if (p->stack_bytes > STACK_BYTES / 2) {
        return pe_fail(err, PE_ERR_RANGE, "arguments of %zu bytes: at most %u would be right", p->stack_bytes,
                       STACK_BYTES / 2);
    }
    const pe_status status = map(k, mm, top - STACK_BYTES, top, PE_MMAP_GROWSDOWN, err);
    if (status == PE_OK && p->stack_bytes &&
        !copy_to_user(k, top - (uint32_t)p->stack_bytes, p->stack, (uint32_t)p->stack_bytes)) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for the stack");
    }
    return status;
}

uint32_t pe_kernel_program_stack_top(const pe_kernel *k)
{
    return k->layout.task_size - PAGE_SIZE;
}

static void prepare_cpu(struct pe_kernel *k)
{
    pe_cpu *cpu = hosted_cpu(k);
    cpu_set_cp15(cpu, CPACR, CPACR_VFP);
    cpu_set_cp15(cpu, CNTKCTL, CNTKCTL_VC);
    cpu_set_reg(cpu, UC_ARM_REG_FPEXC, FPEXC_EN);
    machine_host(k->machine, &(hosted_by){k, take, slice_over, machine_gone, save, load});
}

static pe_status start(struct pe_kernel *k, struct task *task, const pe_program *p, pe_error *err)
{
    pe_status status = load_segments(k, task->mm, p, err);
    if (status != PE_OK || (status = load_stack(k, task->mm, p, err)) != PE_OK) {
        return status;
    }
    protect_segments(k, task->mm, p);
    struct user_context *u = heap_alloc(k, 1, sizeof *u);
    if (!u) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory for a program");
    }
    u->r[13] = pe_kernel_program_stack_top(k) - (uint32_t)p->stack_bytes;
    u->r[15] = p->entry & ~1u;
    u->cpsr = MODE_USR | (p->entry & 1 ? CPSR_T : 0);
    u->files[0] = u->files[1] = u->files[2] = FILE_CONSOLE;
    task->user = u;
    k->hosted->first = task->pid;
    prepare_cpu(k);
    user_load(k);
    return PE_OK;
}

pe_status pe_kernel_program_start(pe_kernel *k, const pe_program *program, uint32_t *pid, pe_error *err)
{
    if (!k->machine || !k->machine->started) {
        return pe_fail(err, PE_ERR_STATE, "a program runs on a machine that was reset, and this model has none");
    }
    if (k->hosted) {
        return pe_fail(err, PE_ERR_STATE, "a program was started already: one model runs one, and what it forks");
    }
    if (!(k->hosted = heap_alloc(k, 1, sizeof *k->hosted))) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory for a program");
    }
    struct task *task = task_spawn(k, program->name, 0);
    if (!task) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for a task");
    }
    *pid = task->pid;
    switch_to(k, 0, task);
    return start(k, task, program, err);
}

size_t pe_kernel_program_deaths(const pe_kernel *k, pe_program_death *out, size_t max)
{
    const size_t count = k->hosted ? k->hosted->death_count : 0;
    for (size_t i = 0; i < count && i < max; i++) {
        out[i] = k->hosted->deaths[i];
    }
    return count;
}

size_t pe_kernel_program_unknown_calls(const pe_kernel *k, uint32_t *out, size_t max)
{
    const size_t count = k->hosted ? k->hosted->unknown_count : 0;
    for (size_t i = 0; i < count && i < max; i++) {
        out[i] = k->hosted->unknown_calls[i];
    }
    return count;
}

void hosted_release(struct pe_kernel *k)
{
    if (k->hosted) {
        if (k->machine) {
            machine_host(k->machine, &(hosted_by){0});
        }
        heap_free(k, k->hosted->longterm.pfns);
        heap_free(k, k->hosted);
    }
}
