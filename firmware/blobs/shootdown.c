/* SPDX-License-Identifier: GPL-2.0-or-later
 * What one CPU changes, the other sees: TLB maintenance to the inner shareable domain, and code (ARM DDI 0406C B3.10.5,
 * A3.5.4).
 */
#include "cp15.h"
#include "mmu.h"
#include "psci.h"
#include "smp.h"
#include "tap.h"
#include "trap.h"

#define VA      0x80000000u
#define VA_CODE 0x80010000u
#define PA_OLD  0x42000000u
#define PA_NEW  0x43000000u
#define PA_CODE 0x44000000u
#define ASID    0x21u
#define ROUNDS  20u

#define MOV_R0(n) (0xe3000000u | ((n) & 0xf000u) << 4 | ((n) & 0xfffu))
#define BX_LR     0xe12fff1eu

static uint64_t *root;

static uint32_t read_word(uint32_t va)
{
    return *(volatile uint32_t *)va;
}

static uint32_t read_in_space(uint32_t va)
{
    write_ttbr0_64((uint32_t)root | (uint64_t)ASID << 48);
    isb();
    uint32_t value = read_word(va);
    write_ttbr0_64((uint32_t)root);
    isb();
    return value;
}

static uint32_t run_code(uint32_t va)
{
    isb(); /* the writer's maintenance is done: this CPU only has to refetch */
    return probe_fetch(va, 0);
}

static uint32_t run_user_code(uint32_t va)
{
    isb();
    return user_call((uint32_t)probe_fetch, va, 0);
}

static const struct {
    const char *name;
    void (*run)(uint32_t);
    uint32_t argument;
    bool global;
} operations[] = {
    {"TLBIALLIS", write_tlbiallis, 0, true},
    {"TLBIMVAIS", write_tlbimvais, VA, true},
    {"TLBIMVAAIS", write_tlbimvaais, VA, true},
    {"TLBIALLIS, page of an ASID", write_tlbiallis, 0, false},
    {"TLBIASIDIS", write_tlbiasidis, ASID, false},
    {"TLBIMVAIS with the ASID", write_tlbimvais, VA | ASID, false},
    {"TLBIMVAAIS, page of an ASID", write_tlbimvaais, VA, false},
};

static void check_operation(uint32_t i)
{
    uint64_t bits = LPAE_RW | LPAE_PAGE | (operations[i].global ? 0 : LPAE_NG);
    uint64_t *entry = lpae_slot(root, VA, 3);
    smp_function reader = operations[i].global ? read_word : read_in_space;
    uint32_t bad = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        *entry = PA_OLD | bits;
        dsb();
        write_tlbiallis(0);
        dsb();
        isb();
        bad += smp_call(reader, VA) != 0x111;
        *entry = PA_NEW | bits;
        dsb();
        operations[i].run(operations[i].argument);
        dsb();
        isb();
        bad += smp_call(reader, VA) != 0x222;
    }
    tap_equal(bad, 0, "%s of CPU 0: CPU 1 reads the new page, 20 rounds", operations[i].name);
}

static void check_unmap(void)
{
    uint64_t *entry = lpae_slot(root, VA, 3);
    *entry = PA_OLD | LPAE_RW | LPAE_PAGE;
    dsb();
    write_tlbiallis(0);
    dsb();
    isb();
    uint32_t before = smp_call(read_word, VA);
    *entry = 0;
    dsb();
    write_tlbimvaais(VA);
    dsb();
    isb();
    trap_begin();
    smp_post(read_word, VA);
    smp_wait();
    struct trap t = trap_end();
    tap_ok(before == 0x111 && t.count == 1 && t.kind == TRAP_DABT && t.dfar == VA && (t.dfsr & 0x3f) == 7,
           "CPU 1 faults on a page that CPU 0 has unmapped");
}

static const struct {
    const char *name;
    bool by_address;
    smp_function run;
} code_cases[] = {
    {"ICIALLUIS", false, run_code},
    {"ICIMVAU", true, run_code},
    {"ICIALLUIS, user mode", false, run_user_code},
};

/* CPU 0 writes through the identity map what CPU 1 runs at another address. */
static void check_code(uint32_t i)
{
    uint32_t bad = 0;
    for (uint32_t round = 0; round < 100; round++) {
        ((volatile uint32_t *)PA_CODE)[64] = round; /* the first store to the page is not the one that matters */
        ((volatile uint32_t *)PA_CODE)[0] = MOV_R0(round * 5);
        ((volatile uint32_t *)PA_CODE)[1] = BX_LR;
        dsb();
        if (code_cases[i].by_address)
            write_icimvau(VA_CODE);
        else
            write_icialluis(0);
        dsb();
        bad += smp_call(code_cases[i].run, VA_CODE) != round * 5;
        bad += probe_fetch(VA_CODE, 0) != round * 5;
    }
    tap_equal(bad, 0, "%s: both CPUs run what CPU 0 has written, 100 rounds", code_cases[i].name);
}

static uint32_t write_code(uint32_t value)
{
    ((volatile uint32_t *)PA_CODE)[0] = MOV_R0(value);
    ((volatile uint32_t *)PA_CODE)[1] = BX_LR;
    dsb();
    write_icialluis(0);
    dsb();
    return 0;
}

static void check_code_back(void)
{
    uint32_t bad = 0;
    for (uint32_t round = 0; round < 100; round++) {
        smp_call(write_code, round + 7);
        isb();
        bad += probe_fetch(VA_CODE, 0) != round + 7;
    }
    tap_equal(bad, 0, "CPU 0 runs what CPU 1 has written, 100 rounds");
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    *(volatile uint32_t *)PA_OLD = 0x111;
    *(volatile uint32_t *)PA_NEW = 0x222;
    *lpae_slot(root, VA, 3) = PA_OLD | LPAE_RW | LPAE_PAGE;
    *lpae_slot(root, VA_CODE, 3) = PA_CODE | LPAE_RX | LPAE_PAGE;
    lpae_enable(root);
    int32_t status = smp_start(root);
    if (status != PSCI_SUCCESS)
        tap_bail("CPU_ON of CPU 1 returned %d: this blob needs two CPUs", (int)status);
    for (uint32_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        check_operation(i);
    check_unmap();
    for (uint32_t i = 0; i < sizeof code_cases / sizeof code_cases[0]; i++)
        check_code(i);
    check_code_back();
    return tap_finish();
}
