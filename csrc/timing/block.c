/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a block of instructions costs when nothing misses: a scoreboard of registers, ports and issue slots.
 *
 * In order, an instruction issues when its operands are there; out of order, when there is room in the window, and
 * latency counts only as far as the window does not hide it.  A block that branches to itself costs what one more turn
 * costs, dependencies from turn to turn included; any other one starts with all its operands ready. */
#include "timing/block.h"
#include "error.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define CYCLE      UINT64_C(720720) /* divides by every issue width to 16 */
#define LOOP_TURNS 16u              /* simulated to see what one turn costs */

/* ---- capstone ---- */

static void *capstone_library(void)
{
    static const char *const names[] = {"libcapstone.so.5", "libcapstone.so"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *library = dlopen(names[i], RTLD_NOLOAD | RTLD_NOW);
        if (library) {
            return library;
        }
    }
    return NULL;
}

static pe_status load_capstone(pe_blocks *blocks, pe_error *err)
{
    void *library = capstone_library();
    if (!library) {
        return pe_fail(err, PE_ERR_ENGINE, "libcapstone is not loaded in this process: import capstone first");
    }
    unsigned (*version)(int *major, int *minor) = NULL;
    const struct {
        const char *symbol;
        void *slot;
    } wanted[] = {
        {"cs_version", &version},
        {"cs_open", &blocks->open},
        {"cs_close", &blocks->close},
        {"cs_option", &blocks->option},
        {"cs_malloc", &blocks->malloc},
        {"cs_free", &blocks->free},
        {"cs_disasm_iter", &blocks->disasm_iter},
        {"cs_regs_access", &blocks->regs_access},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *address = dlsym(library, wanted[i].symbol);
        if (!address) {
            dlclose(library);
            return pe_fail(err, PE_ERR_ENGINE, "libcapstone has no %s: pyemu needs capstone 5", wanted[i].symbol);
        }
        memcpy(wanted[i].slot, &address, sizeof address);
    }
    dlclose(library); /* `import capstone` keeps it */
    int major = 0, minor = 0;
    version(&major, &minor);
    if (major != CS_API_MAJOR) { /* numbers of instructions differ */
        return pe_fail(err, PE_ERR_ENGINE, "libcapstone is %d.%d: pyemu needs version %d", major, minor, CS_API_MAJOR);
    }
    return PE_OK;
}

static pe_status open_handles(pe_blocks *blocks, pe_error *err)
{
    static const cs_mode modes[] = {CS_MODE_ARM, CS_MODE_THUMB};
    for (size_t i = 0; i < 2; i++) {
        if (blocks->open(CS_ARCH_ARM, modes[i], &blocks->handle[i]) != CS_ERR_OK ||
            blocks->option(blocks->handle[i], CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK) {
            return pe_fail(err, PE_ERR_ENGINE, "libcapstone cannot decode ARM code");
        }
    }
    blocks->insn = blocks->malloc(blocks->handle[0]);
    return blocks->insn ? PE_OK : pe_fail(err, PE_ERR_MEMORY, "no memory to decode into");
}

/* ---- making ---- */

static void set_latencies(pe_blocks *blocks)
{
    const pe_latency_params *l = &blocks->core.latency;
    const uint32_t latency[16] = {
        [OP_ALU] = l->alu_cycles,
        [OP_SHIFT] = l->shift_cycles,
        [OP_MULTIPLY] = l->multiply_cycles,
        [OP_MULTIPLY_LONG] = l->multiply_long_cycles,
        [OP_DIVIDE] = l->divide_cycles,
        [OP_VFP_ADD] = l->vfp_add_cycles,
        [OP_VFP_MULTIPLY] = l->vfp_multiply_cycles,
        [OP_VFP_MULTIPLY_ADD] = l->vfp_multiply_add_cycles,
        [OP_VFP_DIVIDE] = l->vfp_divide_cycles,
        [OP_VFP_SQRT] = l->vfp_sqrt_cycles,
        [OP_VFP_MOVE] = l->vfp_move_cycles,
        [OP_NEON_ADD] = l->neon_add_cycles,
        [OP_NEON_MULTIPLY] = l->neon_multiply_cycles,
        [OP_COPROCESSOR] = l->coprocessor_cycles,
        [OP_LOAD] = blocks->core.l1d.hit_cycles,
        [OP_STORE] = 1,
    };
    memcpy(blocks->latency, latency, sizeof latency);
}

pe_blocks *pe_blocks_new(const pe_core *core, pe_error *err)
{
    if (pe_core_check(core, err)) {
        return NULL;
    }
    pe_blocks *blocks = calloc(1, sizeof *blocks);
    if (!blocks) {
        pe_fail(err, PE_ERR_MEMORY, "no memory to cost blocks");
        return NULL;
    }
    blocks->core = *core;
    set_latencies(blocks);
    if (load_capstone(blocks, err) || open_handles(blocks, err)) {
        pe_blocks_free(blocks);
        return NULL;
    }
    return blocks;
}

void pe_blocks_free(pe_blocks *blocks)
{
    if (!blocks) {
        return;
    }
    if (blocks->insn) {
        blocks->free(blocks->insn, 1);
    }
    for (size_t i = 0; i < 2; i++) {
        if (blocks->handle[i]) {
            blocks->close(&blocks->handle[i]);
        }
    }
    free(blocks);
}

/* ---- the scoreboard: times in parts of a cycle ---- */

typedef enum unit {
    UNIT_LOAD = 0,
    UNIT_STORE = 1,
    UNIT_DIVIDE = 2, /* not pipelined */
    UNIT_VFP_DIVIDE = 3,
    UNIT_NONE = 4,
} unit;

typedef struct scoreboard {
    uint64_t ready[REG_COUNT];
    uint64_t free[UNIT_NONE]; /* when a unit can take the next instruction */
    uint64_t busy[UNIT_NONE]; /* for how long it was taken, all together */
    uint64_t front;           /* when the next instruction can issue or enter the window */
    uint64_t done;            /* when everything so far is done */
    uint64_t ordinal;         /* of the next instruction */
} scoreboard;

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t operands_ready(const scoreboard *s, uint64_t reads)
{
    uint64_t at = 0;
    for (; reads; reads &= reads - 1) {
        at = later(at, s->ready[__builtin_ctzll(reads)]);
    }
    return at;
}

static unit unit_of(op_class class)
{
    switch (class) {
    case OP_LOAD: return UNIT_LOAD;
    case OP_STORE: return UNIT_STORE;
    case OP_DIVIDE: return UNIT_DIVIDE;
    case OP_VFP_DIVIDE:
    case OP_VFP_SQRT: return UNIT_VFP_DIVIDE;
    default: return UNIT_NONE;
    }
}

/* How long an instruction keeps its unit. */
static uint64_t occupies(const pe_blocks *blocks, const block_op *op, uint32_t latency)
{
    const pe_pipeline_params *p = &blocks->core.pipeline;
    if (op->class != OP_LOAD && op->class != OP_STORE) {
        return (uint64_t)latency * CYCLE;
    }
    const uint32_t cycles = (op->registers + p->multiple_registers - 1) / p->multiple_registers;
    return (uint64_t)cycles * CYCLE / (op->class == OP_LOAD ? p->loads_width : p->stores_width);
}

static void run_op(pe_blocks *blocks, scoreboard *s, const block_op *op, uint32_t load_cycles)
{
    const pe_pipeline_params *p = &blocks->core.pipeline;
    const uint32_t latency = op->class == OP_LOAD ? load_cycles : blocks->latency[op->class];
    if (p->window_entries && s->ordinal >= p->window_entries) { /* room when the one that had this entry is done */
        s->front = later(s->front, blocks->retired[s->ordinal % p->window_entries]);
    }
    uint64_t start = later(s->front, operands_ready(s, op->reads));
    const unit unit = unit_of((op_class)op->class);
    if (unit != UNIT_NONE) {
        const uint64_t taken = occupies(blocks, op, latency);
        const uint64_t from = later(start / CYCLE * CYCLE, s->free[unit]);
        start = later(start, from);
        s->free[unit] = from + taken;
        s->busy[unit] += taken;
    }
    const uint64_t begun = start / CYCLE * CYCLE, result = begun + (uint64_t)latency * CYCLE;
    for (uint64_t writes = op->writes; writes; writes &= writes - 1) {
        s->ready[__builtin_ctzll(writes)] = result;
    }
    if (op->base) {
        s->ready[__builtin_ctzll(op->base)] = begun + (uint64_t)blocks->latency[OP_ALU] * CYCLE;
    }
    s->done = later(s->done, result);
    if (p->window_entries) {
        blocks->retired[s->ordinal % p->window_entries] = s->done;
    } else {
        s->front = start;
    }
    s->front += CYCLE / p->issue_width;
    s->ordinal++;
}

static void run_turn(pe_blocks *blocks, scoreboard *s, uint32_t load_cycles)
{
    for (uint32_t i = 0; i < blocks->nops; i++) {
        run_op(blocks, s, &blocks->ops[i], load_cycles);
    }
}

/* Out of order the next blocks run while this one's last results are on their way, as far as the window reaches; what
 * no window hides is that each unit does one thing at a time. */
static uint64_t once(pe_blocks *blocks, uint32_t load_cycles, uint64_t taken)
{
    const pe_pipeline_params *p = &blocks->core.pipeline;
    scoreboard s = {0};
    run_turn(blocks, &s, load_cycles);
    uint64_t cost = s.front + taken;
    for (size_t i = 0; i < UNIT_NONE; i++) {
        cost = later(cost, s.busy[i]);
    }
    const uint64_t hidden = (uint64_t)p->window_entries * CYCLE / p->issue_width;
    return p->window_entries && s.done > hidden ? later(cost, s.done - hidden) : cost;
}

static uint64_t one_more_turn(pe_blocks *blocks, uint32_t load_cycles)
{
    scoreboard s = {0};
    uint64_t half = 0;
    for (uint32_t turn = 0; turn < LOOP_TURNS; turn++) {
        if (turn == LOOP_TURNS / 2) {
            half = later(s.front, s.done);
        }
        run_turn(blocks, &s, load_cycles);
    }
    return (later(s.front, s.done) - half) / (LOOP_TURNS / 2);
}

static uint32_t sixteenths(uint64_t time)
{
    return (uint32_t)((time * 16 + CYCLE / 2) / CYCLE);
}

pe_status pe_blocks_cost(pe_blocks *blocks, const void *code, size_t len, uint32_t address, bool thumb,
                         pe_block_cost *out, pe_error *err)
{
    if (len < 1 || len > PE_BLOCK_MAX_BYTES) {
        return pe_fail(err, PE_ERR_ARGUMENT, "a block of %zu bytes: 1 to %d would be right", len, PE_BLOCK_MAX_BYTES);
    }
    blocks_decode(blocks, code, len, address, thumb, out);
    const bool direct = out->branch == PE_BRANCH_DIRECT || out->branch == PE_BRANCH_CONDITIONAL;
    const bool loop = direct && out->target == address;
    const uint32_t hit = blocks->core.l1d.hit_cycles;
    const uint64_t taken = blocks->core.pipeline.taken_branch_cycles * CYCLE;
    out->cycles_x16 = sixteenths(loop ? one_more_turn(blocks, hit) : once(blocks, hit, 0));
    const uint32_t without = sixteenths(loop ? one_more_turn(blocks, 1) : once(blocks, 1, 0));
    out->l1_x16 = out->cycles_x16 > without ? out->cycles_x16 - without : 0;
    /* A loop of one block runs from the core's loop buffer: its fetch does not stop at the branch. */
    out->taken_x16 = loop || out->branch == PE_BRANCH_NONE ? 0 : sixteenths(once(blocks, hit, taken)) - out->cycles_x16;
    return PE_OK;
}

const pe_block_access *pe_blocks_accesses(const pe_blocks *blocks)
{
    return blocks->accesses;
}
