/* SPDX-License-Identifier: GPL-2.0-or-later
 * CPU and device state as one blob: a header, the counters, each CPU's registers in the order of registers.c, the
 * board. */
#include "machine/timed/timed.h"

#include <stdlib.h>

#define STATE_MAGIC   0x45504d53u
#define STATE_VERSION 2u
#define MAX_INSNS     (UINT64_MAX / 32) /* a CPU: so the sum over all of them never runs over */

typedef struct state_header {
    uint32_t magic, version;
    uint32_t ncpus, nregisters;
    uint32_t board_bytes, stats_bytes;
    uint64_t ram_base, ram_size;
    uint32_t cpu_model, flags;
    uint64_t time;
    uint32_t last_cpu, in_bytes;
} state_header;

typedef struct state_cpu {
    uint64_t insns;
    uint32_t power, wants_input;
    uint64_t registers[];
} state_cpu;

static size_t cpu_bytes(void)
{
    return sizeof(state_cpu) + pe_register_count() * sizeof(uint64_t);
}

static size_t state_bytes(const pe_machine *m)
{
    return sizeof(state_header) + sizeof(pe_stats) + m->config.ncpus * cpu_bytes() + sizeof(board_state) + m->in.count;
}

static void *put(void *at, const void *data, size_t size)
{
    if (size) {
        memcpy(at, data, size);
    }
    return (uint8_t *)at + size;
}

static void save_cpu(pe_machine *m, uint32_t index, state_cpu *out)
{
    const pe_cpu *cpu = m->cpu[index];
    *out = (state_cpu){cpu->insns, (uint32_t)cpu->power, cpu->wants_input};
    for (uint32_t r = 0; r < pe_register_count(); r++) {
        pe_machine_reg_read(m, index, r, &out->registers[r], NULL);
    }
}

size_t pe_machine_state_save(pe_machine *m, void *buf, size_t size, pe_error *err)
{
    const size_t needed = state_bytes(m);
    if (!buf) {
        return needed;
    }
    state_cpu *cpu = calloc(1, cpu_bytes());
    if (size < needed || !m->started || !cpu) {
        free(cpu);
        pe_fail(err, m->started ? PE_ERR_ARGUMENT : PE_ERR_STATE,
                m->started ? "state buffer too small" : "the machine was never started: there is no state to save");
        return 0;
    }
    const state_header header = {
        .magic = STATE_MAGIC,
        .version = STATE_VERSION,
        .ncpus = m->config.ncpus,
        .nregisters = pe_register_count(),
        .board_bytes = sizeof(board_state),
        .stats_bytes = sizeof(pe_stats),
        .ram_base = m->config.ram_base,
        .ram_size = m->config.ram_size,
        .cpu_model = (uint32_t)m->config.cpu_model,
        .flags = m->config.flags,
        .time = m->time,
        .last_cpu = m->last_cpu,
        .in_bytes = (uint32_t)m->in.count,
    };
    const bool shown = timed_hide(m); /* the counters go by what the guest has been billed */
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        pmu_sync(m->cpu[i]);
    }
    if (shown) {
        timed_show(m);
    }
    void *at = put(buf, &header, sizeof header);
    at = put(at, &m->stats, sizeof m->stats);
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        save_cpu(m, i, cpu);
        at = put(at, cpu, cpu_bytes());
    }
    at = put(at, &m->board, sizeof m->board);
    put(at, m->in.data + m->in.head, m->in.count);
    free(cpu);
    return needed;
}

static pe_status check_header(const pe_machine *m, const void *buf, size_t size, state_header *h, pe_error *err)
{
    if (size < sizeof *h) {
        return pe_fail(err, PE_ERR_ARGUMENT, "machine state of %zu bytes is cut off", size);
    }
    memcpy(h, buf, sizeof *h);
    if (h->magic != STATE_MAGIC) {
        return pe_fail(err, PE_ERR_ARGUMENT, "not a machine state");
    }
    if (h->version != STATE_VERSION || h->nregisters != pe_register_count() || h->board_bytes != sizeof(board_state) ||
        h->stats_bytes != sizeof(pe_stats)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "machine state of version %u: this pyemu reads version %u", h->version,
                       STATE_VERSION);
    }
    if (h->ncpus != m->config.ncpus || h->ram_size != m->config.ram_size || h->ram_base != m->config.ram_base ||
        h->cpu_model != (uint32_t)m->config.cpu_model) {
        return pe_fail(err, PE_ERR_ARGUMENT, "machine state of another machine: %u CPUs, %llu bytes of RAM", h->ncpus,
                       (unsigned long long)h->ram_size);
    }
    if (h->last_cpu >= h->ncpus || h->time > TIME_HORIZON ||
        size != sizeof *h + sizeof(pe_stats) + h->ncpus * cpu_bytes() + sizeof(board_state) + h->in_bytes) {
        return pe_fail(err, PE_ERR_ARGUMENT, "machine state of %zu bytes is cut off or damaged", size);
    }
    return PE_OK;
}

/* Values that index arrays must be in range whatever the file says. */
static bool board_is_sane(const board_state *b)
{
    bool sane = b->uart.fifo_head < UART_FIFO && b->uart.fifo_count <= UART_FIFO && b->flash[0].mode < 4 &&
                b->flash[1].mode < 4;
    for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
        const gic_cpu *c = &b->gic.cpu[i];
        sane &= c->nrunning <= GIC_IRQS && c->bpr < 8 && c->abpr < 8;
        for (uint32_t irq = 0; irq < 16; irq++) { /* a pending SGI has a source */
            sane &= !(c->pending >> irq & 1) || c->sgi_source[irq];
        }
        for (uint32_t r = 0; sane && r < c->nrunning; r++) {
            sane &= c->running[r] < GIC_IRQS;
        }
    }
    return sane;
}

static pe_status load_cpu(pe_machine *m, uint32_t index, const state_cpu *in, pe_error *err)
{
    pe_cpu *cpu = m->cpu[index];
    pe_status status = PE_OK;
    if (in->insns > MAX_INSNS) {
        return pe_fail(err, PE_ERR_ARGUMENT, "machine state is damaged: CPU %u has executed %llu instructions", index,
                       (unsigned long long)in->insns);
    }
    cpu_reset(cpu, 0, 0);
    /* CPSR first: it decides which bank the current registers are; the banked copies of the current mode agree with
     * them. */
    static const char *const order[] = {"cpsr", "pc"};
    for (size_t pass = 0; pass < 3; pass++) {
        for (uint32_t r = 0; status == PE_OK && r < pe_register_count(); r++) {
            const char *name = pe_register_info(r)->name;
            const bool special = !strcmp(name, order[0]) || !strcmp(name, order[1]);
            const bool now = pass == 0 ? !strcmp(name, order[0]) : pass == 1 ? !special : !strcmp(name, order[1]);
            if (now && !register_is_constant(r)) {
                status = pe_machine_reg_write(m, index, r, in->registers[r], err);
            }
        }
    }
    cpu->insns = in->insns;
    cpu->power = in->power <= PE_POWER_WAITING ? (pe_power)in->power : PE_POWER_OFF;
    cpu->wants_input = in->wants_input <= WANTS_BYTE_OR_END ? (uint8_t)in->wants_input : WANTS_NOTHING;
    cpu->stuck = 0;
    cpu->break_skip_insns = NEVER;
    cpu->held.on = false;
    return status;
}

pe_status state_load(pe_machine *m, const void *buf, size_t size, const void *timed, pe_error *err)
{
    state_header h;
    pe_status status = check_header(m, buf, size, &h, err);
    if (status != PE_OK) {
        return status;
    }
    const uint8_t *at = (const uint8_t *)buf + sizeof h;
    board_state board;
    memcpy(&board, at + sizeof(pe_stats) + h.ncpus * cpu_bytes(), sizeof board);
    if (!board_is_sane(&board)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "machine state is damaged: a device register is out of range");
    }
    state_cpu *cpu = calloc(1, cpu_bytes());
    if (!cpu) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory to load the state");
    }
    status = timed ? PE_OK : timed_reset(m, err);
    memcpy(&m->stats, at, sizeof m->stats);
    at += sizeof m->stats;
    for (uint32_t i = 0; status == PE_OK && i < h.ncpus; i++, at += cpu_bytes()) {
        memcpy(cpu, at, cpu_bytes());
        status = load_cpu(m, i, cpu, err);
    }
    free(cpu);
    if (status != PE_OK) {
        m->started = false;
        return status;
    }
    m->board = board; /* after the CPUs, whose reset clears what of it is theirs */
    m->in.head = m->in.count = 0;
    m->out.head = m->out.count = 0;
    queue_push(&m->in, at + sizeof board, h.in_bytes);
    m->time = h.time;
    m->last_cpu = h.last_cpu;
    m->current = NULL;
    m->suspended.valid = false;
    m->started = true;
    fill_drop_code(m, m->config.ram_base, m->config.ram_size);
    fill_drop_code(m, 0, BOARD_FLASH_END);
    fill_flush_all(m);
    if (timed) {
        timed_load(m, timed);
    }
    for (uint32_t i = 0; i < h.ncpus; i++) {
        pmu_resume(m->cpu[i]);
    }
    gic_refresh(m);
    return PE_OK;
}

pe_status pe_machine_state_load(pe_machine *m, const void *buf, size_t size, pe_error *err)
{
    if (m->hosted.take) {
        return pe_fail(err, PE_ERR_STATE, "a Kernel model serves this machine: the state does not hold what it knows");
    }
    return state_load(m, buf, size, NULL, err);
}
