/* SPDX-License-Identifier: GPL-2.0-or-later
 * ARM semihosting (ARM "Semihosting for AArch32 and AArch64", 2.0): console, clock and exit.  The guest reaches no file
 * of the host: SYS_OPEN knows ":tt" only. */
#include "machine/machine.h"

#define SYS_OPEN          0x01u
#define SYS_CLOSE         0x02u
#define SYS_WRITEC        0x03u
#define SYS_WRITE0        0x04u
#define SYS_WRITE         0x05u
#define SYS_READ          0x06u
#define SYS_READC         0x07u
#define SYS_ISERROR       0x08u
#define SYS_ISTTY         0x09u
#define SYS_SEEK          0x0au
#define SYS_FLEN          0x0cu
#define SYS_CLOCK         0x10u
#define SYS_TIME          0x11u
#define SYS_ERRNO         0x13u
#define SYS_GET_CMDLINE   0x15u
#define SYS_HEAPINFO      0x16u
#define SYS_EXIT          0x18u
#define SYS_EXIT_EXTENDED 0x20u
#define SYS_ELAPSED       0x30u
#define SYS_TICKFREQ      0x31u

#define ADP_STOPPED_APPLICATION_EXIT 0x20026u
#define FAILED                       0xffffffffu
#define TTY_HANDLE                   1u
#define STRING_MAX                   65536u    /* a SYS_WRITE0 text without an end stops here */
#define WRITE_MAX                    0x100000u /* of one SYS_WRITE; the rest is reported as not written */

static bool guest_copy(pe_cpu *cpu, uint32_t va, void *buf, uint32_t len, bool write)
{
    pe_machine *m = cpu->machine;
    uint8_t *at = buf;
    while (len) {
        const uint32_t part = len < 4096 - (va & 4095) ? len : 4096 - (va & 4095);
        pe_translation t;
        pe_translate(m->mem, &cpu->regime, va, write ? PE_WRITE : PE_READ, cpu_privileged(cpu), &t);
        pe_status status = t.fault ? PE_ERR_FAULT
                           : write ? pe_machine_write(m, t.pa, at, part, NULL)
                                   : pe_mem_read(m->mem, t.pa, at, part, NULL);
        if (status != PE_OK) {
            return false;
        }
        va += part;
        at += part;
        len -= part;
    }
    return true;
}

static bool argument(pe_cpu *cpu, uint32_t block, uint32_t index, uint32_t *value)
{
    return guest_copy(cpu, block + 4 * index, value, 4, false);
}

static void write_string(pe_cpu *cpu, uint32_t va)
{
    char c;
    for (uint32_t i = 0; i < STRING_MAX && guest_copy(cpu, va + i, &c, 1, false) && c; i++) {
        console_put(cpu->machine, &c, 1);
    }
}

/* Bytes not written: a guest may ask for 4 GB, and nobody reads or interrupts before the call is over. */
static uint32_t sys_write(pe_cpu *cpu, uint32_t block)
{
    uint32_t va, len, room = WRITE_MAX;
    uint8_t part[256];
    if (!argument(cpu, block, 1, &va) || !argument(cpu, block, 2, &len)) {
        return FAILED;
    }
    while (len && room) {
        const uint32_t n = len < sizeof part ? len : (uint32_t)sizeof part; /* divides WRITE_MAX */
        if (!guest_copy(cpu, va, part, n, false)) {
            break;
        }
        console_put(cpu->machine, part, n);
        va += n;
        len -= n;
        room -= n;
    }
    return len;
}

/* Waits: the CPU makes the call again when there is input. */
static void wait_for_input(pe_cpu *cpu, uint32_t at, input_wait what)
{
    cpu->wants_input = (uint8_t)what;
    cpu->power = PE_POWER_WAITING;
    cpu->end = END_WAIT;
    cpu_set_reg(cpu, UC_ARM_REG_PC, at | *cpu->thumb);
    cpu_stop_engine(cpu);
}

/* Bytes not read; a line is all that one call returns, as a terminal would. */
static uint32_t sys_read(pe_cpu *cpu, uint32_t block)
{
    uint32_t va, len;
    if (!argument(cpu, block, 1, &va) || !argument(cpu, block, 2, &len)) {
        return FAILED;
    }
    while (len && cpu->machine->in.count) {
        const uint8_t c = (uint8_t)console_get(cpu->machine);
        if (!guest_copy(cpu, va, (void *)(uintptr_t)&c, 1, true)) {
            break;
        }
        va++;
        len--;
        if (c == '\n') {
            break;
        }
    }
    return len;
}

static uint32_t sys_open(pe_cpu *cpu, uint32_t block)
{
    uint32_t name;
    char text[4];
    const bool tty =
        argument(cpu, block, 0, &name) && guest_copy(cpu, name, text, sizeof text, false) && !memcmp(text, ":tt", 4);
    return tty ? TTY_HANDLE : FAILED;
}

static uint32_t sys_get_cmdline(pe_cpu *cpu, uint32_t block)
{
    uint32_t buffer, size;
    const uint32_t zero = 0;
    if (!argument(cpu, block, 0, &buffer) || !argument(cpu, block, 1, &size) || size < 1) {
        return FAILED;
    }
    const bool done = guest_copy(cpu, buffer, (void *)(uintptr_t)&zero, 1, true) &&
                      guest_copy(cpu, block + 4, (void *)(uintptr_t)&zero, 4, true);
    return done ? 0 : FAILED;
}

/* Heap and stack at the top of RAM below 4 GB: {heap base, heap limit, stack base, stack limit}. */
static uint32_t sys_heapinfo(pe_cpu *cpu, uint32_t block)
{
    const pe_machine_config *config = &cpu->machine->config;
    uint32_t target;
    const uint64_t end = config->ram_base + config->ram_size;
    const uint32_t top = end > 0xfff00000u ? 0xfff00000u : (uint32_t)end;
    const uint32_t half = (uint32_t)(config->ram_base + (top - config->ram_base) / 2);
    uint32_t info[4] = {half, top - 0x100000, top, top - 0x100000};
    if (!argument(cpu, block, 0, &target)) {
        return FAILED;
    }
    return guest_copy(cpu, target, info, sizeof info, true) ? 0 : FAILED;
}

static void sys_exit(pe_cpu *cpu, uint32_t reason, uint32_t status)
{
    if (reason != ADP_STOPPED_APPLICATION_EXIT && !status) {
        status = 1;
    }
    run_halt(cpu->machine, PE_STOP_EXIT, cpu->index, (int32_t)status, 0);
}

static void sys_exit_extended(pe_cpu *cpu, uint32_t block)
{
    uint32_t reason = 0, status = 1;
    argument(cpu, block, 0, &reason);
    argument(cpu, block, 1, &status);
    sys_exit(cpu, reason, status);
}

static uint32_t sys_elapsed(pe_cpu *cpu, uint32_t block)
{
    uint64_t ns = machine_ns(cpu->machine);
    return guest_copy(cpu, block, &ns, sizeof ns, true) ? 0 : FAILED;
}

bool semihost_call(pe_cpu *cpu, uint32_t at)
{
    pe_machine *m = cpu->machine;
    if (!(m->config.flags & PE_MACHINE_SEMIHOSTING)) {
        return false;
    }
    const uint32_t block = cpu_reg(cpu, UC_ARM_REG_R1);
    uint32_t result = FAILED;
    char c;
    m->stats.semihosting++;
    switch (cpu_reg(cpu, UC_ARM_REG_R0)) {
    case SYS_OPEN: result = sys_open(cpu, block); break;
    case SYS_CLOSE:
    case SYS_ERRNO:
    case SYS_FLEN: result = 0; break;
    case SYS_WRITEC:
        if (guest_copy(cpu, block, &c, 1, false)) {
            console_put(m, &c, 1);
        }
        return true;
    case SYS_WRITE0: write_string(cpu, block); return true;
    case SYS_WRITE: result = sys_write(cpu, block); break;
    case SYS_READ:
        if (!m->in.count && !m->in_closed) {
            wait_for_input(cpu, at, WANTS_BYTE_OR_END);
            return true;
        }
        result = sys_read(cpu, block);
        break;
    case SYS_READC:
        if (!m->in.count) {
            wait_for_input(cpu, at, WANTS_BYTE);
            return true;
        }
        result = (uint32_t)console_get(m);
        break;
    case SYS_ISERROR: result = argument(cpu, block, 0, &result) ? result >> 31 : FAILED; break;
    case SYS_ISTTY: result = 1; break;
    case SYS_CLOCK: result = (uint32_t)(machine_ns(m) / 10000000); break; /* centiseconds */
    case SYS_TIME: result = m->board.rtc.base + (uint32_t)(machine_ns(m) / 1000000000); break;
    case SYS_GET_CMDLINE: result = sys_get_cmdline(cpu, block); break;
    case SYS_HEAPINFO: result = sys_heapinfo(cpu, block); break;
    case SYS_EXIT: sys_exit(cpu, block, 0); return true;
    case SYS_EXIT_EXTENDED: sys_exit_extended(cpu, block); return true;
    case SYS_ELAPSED: result = sys_elapsed(cpu, block); break;
    case SYS_TICKFREQ: result = 1000000000; break;
    default: break;
    }
    cpu_set_reg(cpu, UC_ARM_REG_R0, result);
    return true;
}
