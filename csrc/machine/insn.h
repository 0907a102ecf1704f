/* SPDX-License-Identifier: GPL-2.0-or-later
 * Decoding of the few instructions that this wing emulates.  An instruction is 32 bits; a 16-bit Thumb instruction is
 * below 0x10000, a 32-bit one has its first halfword on top, so that coprocessor instructions look alike in both
 * states. */
#ifndef PYEMU_INSN_H
#define PYEMU_INSN_H

#include "machine/machine.h"

typedef struct cp_insn {
    cp15_reg reg;
    uint8_t cp;
    uint8_t rt, rt2;
    bool read; /* MRC, MRRC */
} cp_insn;

static inline uint32_t insn_length(uint32_t insn, bool thumb)
{
    return thumb && insn < 0x10000 ? 2 : 4;
}

/* MCR, MRC, MCRR or MRRC (ARM DDI 0406C A8.8.98 to A8.8.108). */
static inline bool insn_is_cp(uint32_t insn, bool thumb, cp_insn *out)
{
    const uint32_t top = insn >> 28;
    if (thumb ? top != 0xe : top == 0xf) {
        return false;
    }
    out->cp = insn >> 8 & 0xf;
    out->rt = insn >> 12 & 0xf;
    out->read = insn >> 20 & 1;
    if ((insn & 0x0f000010u) == 0x0e000010u) {
        out->rt2 = 0;
        out->reg = (cp15_reg){insn >> 16 & 0xf, insn & 0xf, insn >> 21 & 7, insn >> 5 & 7, false};
        return true;
    }
    if ((insn & 0x0fe00000u) == 0x0c400000u) {
        out->rt2 = insn >> 16 & 0xf;
        out->reg = (cp15_reg){0, insn & 0xf, insn >> 4 & 0xf, 0, true};
        return true;
    }
    return false;
}

/* ARM DDI 0406C A8.3: does a condition hold for these flags? */
static inline bool condition_holds(uint32_t condition, uint32_t cpsr)
{
    const bool n = cpsr >> 31 & 1, z = cpsr >> 30 & 1, c = cpsr >> 29 & 1, v = cpsr >> 28 & 1;
    bool result;
    switch (condition >> 1) {
    case 0: result = z; break;
    case 1: result = c; break;
    case 2: result = n; break;
    case 3: result = v; break;
    case 4: result = c && !z; break;
    case 5: result = n == v; break;
    case 6: result = n == v && !z; break;
    default: return true;
    }
    return result != (condition & 1);
}

static inline uint32_t it_state(uint32_t cpsr)
{
    return (cpsr >> 8 & 0xfc) | (cpsr >> 25 & 3);
}

/* CPSR after one more instruction of an IT block (ARM DDI 0406C A2.5.2, ITAdvance). */
static inline uint32_t it_advance(uint32_t cpsr)
{
    const uint32_t it = it_state(cpsr);
    const uint32_t next = it & 7 ? (it & 0xe0) | (it << 1 & 0x1f) : 0;
    return (cpsr & ~CPSR_IT) | (next & 0xfc) << 8 | (next & 3) << 25;
}

static const int insn_uc_reg[16] = {UC_ARM_REG_R0,  UC_ARM_REG_R1, UC_ARM_REG_R2,  UC_ARM_REG_R3,
                                    UC_ARM_REG_R4,  UC_ARM_REG_R5, UC_ARM_REG_R6,  UC_ARM_REG_R7,
                                    UC_ARM_REG_R8,  UC_ARM_REG_R9, UC_ARM_REG_R10, UC_ARM_REG_R11,
                                    UC_ARM_REG_R12, UC_ARM_REG_SP, UC_ARM_REG_LR,  UC_ARM_REG_PC};

#endif
