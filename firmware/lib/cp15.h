/* SPDX-License-Identifier: GPL-2.0-or-later
 * System control coprocessor, barriers and CPSR (ARM DDI 0406C B3.17, B4.1).
 */
#ifndef FW_CP15_H
#define FW_CP15_H

#include <stdint.h>

#define CP15_READ(name, opc1, crn, crm, opc2)                                                                          \
    static inline uint32_t read_##name(void)                                                                           \
    {                                                                                                                  \
        uint32_t value;                                                                                                \
        __asm__ volatile("mrc p15, " #opc1 ", %0, " #crn ", " #crm ", " #opc2 : "=r"(value)::"memory");                \
        return value;                                                                                                  \
    }
#define CP15_WRITE(name, opc1, crn, crm, opc2)                                                                         \
    static inline void write_##name(uint32_t value)                                                                    \
    {                                                                                                                  \
        __asm__ volatile("mcr p15, " #opc1 ", %0, " #crn ", " #crm ", " #opc2 ::"r"(value) : "memory");                \
    }
#define CP15_RW(name, opc1, crn, crm, opc2)                                                                            \
    CP15_READ(name, opc1, crn, crm, opc2)                                                                              \
    CP15_WRITE(name, opc1, crn, crm, opc2)
#define CP15_READ64(name, opc1, crm)                                                                                   \
    static inline uint64_t read_##name(void)                                                                           \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        __asm__ volatile("mrrc p15, " #opc1 ", %Q0, %R0, " #crm : "=r"(value)::"memory");                              \
        return value;                                                                                                  \
    }
#define CP15_WRITE64(name, opc1, crm)                                                                                  \
    static inline void write_##name(uint64_t value)                                                                    \
    {                                                                                                                  \
        __asm__ volatile("mcrr p15, " #opc1 ", %Q0, %R0, " #crm ::"r"(value) : "memory");                              \
    }

CP15_READ(midr, 0, c0, c0, 0)
CP15_READ(mpidr, 0, c0, c0, 5)
CP15_READ(id_mmfr0, 0, c0, c1, 4)
CP15_RW(sctlr, 0, c1, c0, 0)
CP15_RW(ttbr0, 0, c2, c0, 0)
CP15_RW(ttbr1, 0, c2, c0, 1)
CP15_READ64(ttbr0_64, 0, c2)
CP15_WRITE64(ttbr0_64, 0, c2)
CP15_READ64(ttbr1_64, 1, c2)
CP15_WRITE64(ttbr1_64, 1, c2)
CP15_RW(ttbcr, 0, c2, c0, 2)
CP15_RW(dacr, 0, c3, c0, 0)
CP15_RW(dfsr, 0, c5, c0, 0)
CP15_RW(ifsr, 0, c5, c0, 1)
CP15_RW(dfar, 0, c6, c0, 0)
CP15_RW(ifar, 0, c6, c0, 2)
CP15_READ(par, 0, c7, c4, 0)
CP15_READ64(par_64, 0, c7)
CP15_WRITE(ats1cpr, 0, c7, c8, 0)
CP15_WRITE(ats1cpw, 0, c7, c8, 1)
CP15_WRITE(ats1cur, 0, c7, c8, 2)
CP15_WRITE(ats1cuw, 0, c7, c8, 3)
CP15_WRITE(iciallu, 0, c7, c5, 0)
CP15_WRITE(icialluis, 0, c7, c1, 0)
CP15_WRITE(icimvau, 0, c7, c5, 1)
CP15_WRITE(bpiall, 0, c7, c5, 6)
CP15_WRITE(dccmvau, 0, c7, c11, 1)
CP15_WRITE(tlbiall, 0, c8, c7, 0)
CP15_WRITE(tlbimva, 0, c8, c7, 1)
CP15_WRITE(tlbiasid, 0, c8, c7, 2)
CP15_WRITE(tlbimvaa, 0, c8, c7, 3)
CP15_WRITE(tlbiallis, 0, c8, c3, 0)
CP15_WRITE(tlbimvais, 0, c8, c3, 1)
CP15_WRITE(tlbiasidis, 0, c8, c3, 2)
CP15_WRITE(tlbimvaais, 0, c8, c3, 3)
CP15_WRITE(itlbiall, 0, c8, c5, 0)
CP15_WRITE(itlbimva, 0, c8, c5, 1)
CP15_WRITE(itlbiasid, 0, c8, c5, 2)
CP15_WRITE(dtlbiall, 0, c8, c6, 0)
CP15_WRITE(dtlbimva, 0, c8, c6, 1)
CP15_WRITE(dtlbiasid, 0, c8, c6, 2)
CP15_RW(mair0, 0, c10, c2, 0)
CP15_RW(mair1, 0, c10, c2, 1)
CP15_RW(vbar, 0, c12, c0, 0)
CP15_READ(isr, 0, c12, c1, 0)
CP15_RW(contextidr, 0, c13, c0, 1)
CP15_RW(tpidrurw, 0, c13, c0, 2)
CP15_RW(tpidruro, 0, c13, c0, 3)
CP15_RW(tpidrprw, 0, c13, c0, 4)

#define SCTLR_M    (1u << 0)
#define SCTLR_A    (1u << 1)
#define SCTLR_C    (1u << 2)
#define SCTLR_Z    (1u << 11)
#define SCTLR_I    (1u << 12)
#define SCTLR_V    (1u << 13)
#define SCTLR_WXN  (1u << 19)
#define SCTLR_UWXN (1u << 20)
#define SCTLR_EE   (1u << 25)
#define SCTLR_TRE  (1u << 28)
#define SCTLR_AFE  (1u << 29)
#define SCTLR_TE   (1u << 30)

#define TTBCR_EAE     (1u << 31)
#define TTBCR_EPD0    (1u << 7)
#define TTBCR_EPD1    (1u << 23)
#define TTBCR_A1      (1u << 22)
#define TTBCR_T0SZ(n) ((uint32_t)(n))
#define TTBCR_T1SZ(n) ((uint32_t)(n) << 16)
/* short-descriptor format */
#define TTBCR_N(n) ((uint32_t)(n))
#define TTBCR_PD0  (1u << 4)
#define TTBCR_PD1  (1u << 5)

#define CPSR_T        (1u << 5)
#define CPSR_F        (1u << 6)
#define CPSR_I        (1u << 7)
#define CPSR_A        (1u << 8)
#define CPSR_E        (1u << 9)
#define CPSR_IT       0x0600fc00u
#define CPSR_MODE     0x1fu
#define CPSR_MODE_USR 0x10u
#define CPSR_MODE_FIQ 0x11u
#define CPSR_MODE_IRQ 0x12u
#define CPSR_MODE_SVC 0x13u
#define CPSR_MODE_ABT 0x17u
#define CPSR_MODE_UND 0x1bu
#define CPSR_MODE_SYS 0x1fu

static inline uint32_t read_cpsr(void)
{
    uint32_t value;
    __asm__ volatile("mrs %0, cpsr" : "=r"(value)::"memory");
    return value;
}

static inline void isb(void)
{
    __asm__ volatile("isb" ::: "memory");
}

static inline void dsb(void)
{
    __asm__ volatile("dsb" ::: "memory");
}

static inline void dmb(void)
{
    __asm__ volatile("dmb" ::: "memory");
}

static inline void wfi(void)
{
    __asm__ volatile("wfi" ::: "memory");
}

static inline void wfe(void)
{
    __asm__ volatile("wfe" ::: "memory");
}

static inline void sev(void)
{
    __asm__ volatile("dsb\n\tsev" ::: "memory");
}

static inline void irq_enable(void)
{
    __asm__ volatile("cpsie i" ::: "memory");
}

static inline void irq_disable(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
}

static inline uint32_t cpu_index(void)
{
    return read_mpidr() & 0xff;
}

/* After a change of a descriptor: B3.10.1 asks for DSB, invalidate, DSB, ISB. */
static inline void tlb_flush_all(void)
{
    dsb();
    write_tlbiall(0);
    dsb();
    isb();
}

static inline void tlb_flush_page(uint32_t va)
{
    dsb();
    write_tlbimvaa(va & ~0xfffu);
    dsb();
    isb();
}

/* Makes instructions that were just written visible to the fetch (A3.5.4). */
static inline void code_sync(void)
{
    dsb();
    write_iciallu(0);
    write_bpiall(0);
    dsb();
    isb();
}

#endif
