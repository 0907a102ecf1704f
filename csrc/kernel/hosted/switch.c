/* SPDX-License-Identifier: GPL-2.0-or-later
 * Hosted programs take turns on CPU 0: registers in and out, who is next, who waits, how they end. */
#include "kernel/cost.h"
#include "kernel/hosted/hosted.h"

static const int REGISTERS[16] = {
    UC_ARM_REG_R0,  UC_ARM_REG_R1, UC_ARM_REG_R2, UC_ARM_REG_R3, UC_ARM_REG_R4,  UC_ARM_REG_R5,
    UC_ARM_REG_R6,  UC_ARM_REG_R7, UC_ARM_REG_R8, UC_ARM_REG_R9, UC_ARM_REG_R10, UC_ARM_REG_R11,
    UC_ARM_REG_R12, UC_ARM_REG_SP, UC_ARM_REG_LR, UC_ARM_REG_PC,
};
static const cp15_reg TPIDRURO = {13, 0, 0, 3, false};

void user_save(struct pe_kernel *k)
{
    const pe_cpu *cpu = hosted_cpu(k);
    struct user_context *u = current_task(k)->user;
    for (size_t i = 0; i < 16; i++) {
        u->r[i] = cpu_reg(cpu, REGISTERS[i]);
    }
    for (int i = 0; i < 32; i++) {
        cpu->machine->engine.reg_read(cpu->uc, UC_ARM_REG_D0 + i, &u->d[i]);
    }
    u->cpsr = cpu_reg(cpu, UC_ARM_REG_CPSR);
    u->fpscr = cpu_reg(cpu, UC_ARM_REG_FPSCR);
    u->tls = (uint32_t)cpu_cp15(cpu, TPIDRURO);
}

void user_load(struct pe_kernel *k)
{
    pe_cpu *cpu = hosted_cpu(k);
    const struct user_context *u = current_task(k)->user;
    cpu_set_regime(cpu, &k->cpu->regime);
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, u->cpsr);
    for (size_t i = 0; i < 15; i++) {
        cpu_set_reg(cpu, REGISTERS[i], u->r[i]);
    }
    cpu_set_reg(cpu, UC_ARM_REG_PC, u->r[15] | (u->cpsr & CPSR_T ? 1u : 0u));
    for (int i = 0; i < 32; i++) {
        cpu->machine->engine.reg_write(cpu->uc, UC_ARM_REG_D0 + i, &u->d[i]);
    }
    cpu_set_reg(cpu, UC_ARM_REG_FPSCR, u->fpscr);
    cpu_set_cp15(cpu, TPIDRURO, u->tls);
}

static bool is_ready(const struct task *task)
{
    return task && task->user && !task->exited && !task->user->waits;
}

/* Round robin from behind the task that runs; that one comes last. */
static struct task *next_task(const struct pe_kernel *k, uint32_t after)
{
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        struct task *task = k->tasks.slot[(after + i) % k->tasks.count];
        if (is_ready(task)) {
            return task;
        }
    }
    return NULL;
}

static void change_to(struct pe_kernel *k, struct task *task)
{
    switch_to(k, 0, task);
    user_load(k);
}

void hosted_schedule(struct pe_kernel *k, bool preempt)
{
    struct task *now = current_task(k);
    const bool goes_on = preempt && is_ready(now);
    struct task *next = next_task(k, now->pid);
    if (!next || (goes_on && next == now)) {
        return;
    }
    if (now->user && !now->exited) {
        user_save(k);
    }
    change_to(k, next);
}

/* A parent that waits makes its call again. */
static void wake_parent(struct pe_kernel *k, uint32_t pid)
{
    struct task *parent = find_task(k, pid);
    if (parent && parent->user) {
        parent->user->waits = false;
    }
}

/* The end of the first program is that of the run: others end with it. */
static void end_run(struct pe_kernel *k, int32_t status)
{
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        struct task *task = k->tasks.slot[i];
        if (task && task->user && !task->exited) {
            do_exit(k, task, (int32_t)SIGKILL);
        }
    }
    gup_test_release(k);
    rcu_grace_period(k);
    const int32_t signal = status & 0x7f;
    run_halt(k->machine, PE_STOP_EXIT, 0, signal ? 128 + signal : status >> 8 & 0xff, 0);
}

void hosted_exit(struct pe_kernel *k, int32_t status)
{
    struct task *task = current_task(k);
    const uint32_t pid = task->pid, parent = task->parent;
    do_exit(k, task, status);
    rcu_grace_period(k);
    if (pid == k->hosted->first) {
        end_run(k, status);
        return;
    }
    wake_parent(k, parent);
    struct task *next = next_task(k, pid);
    if (next) {
        change_to(k, next);
    } else { /* everybody waits for somebody who is not there */
        end_run(k, (int32_t)SIGKILL);
    }
}
