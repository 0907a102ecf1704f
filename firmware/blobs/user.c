/* SPDX-License-Identifier: GPL-2.0-or-later
 * User mode: SVC, banked registers, LDRT/STRT under user rights, undefined instructions, hypercalls.
 */
#include "cp15.h"
#include "mmu.h"
#include "psci.h"
#include "tap.h"
#include "trap.h"

extern const char user_svc_arm[], user_svc_thumb[], user_cpsr[], user_mode_change[], user_mode_change_end[];
extern const char undef_udf_arm[], undef_udf_thumb[], undef_wide_thumb[], undef_mcr[], undef_mrc[], undef_hvc[],
    undef_smc[];
uint32_t banked_test(uint32_t *out);
int32_t psci_smc_version(void);
int32_t psci_hvc_version_thumb(void);

#define PRIVATE  0x80000000u /* privileged read-write, user nothing */
#define READABLE 0x80001000u /* user read-only for both */
#define SHARED   0x80002000u /* read-write for both */
#define NOWHERE  0x80003000u
#define KEPT     0x600df00du

static uint64_t *root;

/* ---- SVC ---- */

static void check_svc(void)
{
    static const struct {
        const char *name;
        const char *code;
        uint32_t thumb, immediate, size;
    } cases[] = {
        {"ARM SVC #0x123456 from user mode reaches the vector", user_svc_arm, 0, 0x123456, 4},
        {"Thumb SVC #0xab from user mode reaches the vector", user_svc_thumb, 1, 0xab, 2},
    };
    for (uint32_t i = 0; i < 2; i++) {
        trap_begin();
        uint32_t result = user_call((uint32_t)cases[i].code | cases[i].thumb, 0x11, 0);
        struct trap t = trap_end();
        tap_ok(t.count == 1 && t.kind == TRAP_SVC && t.svc == cases[i].immediate, "%s", cases[i].name);
        tap_equal(t.pc, (uint32_t)cases[i].code + cases[i].size, "  its return address is the next instruction");
        tap_equal(t.spsr & (CPSR_MODE | CPSR_T), CPSR_MODE_USR | (cases[i].thumb ? CPSR_T : 0),
                  "  SPSR: user mode and its state");
        tap_equal(t.entry_cpsr & (CPSR_MODE | CPSR_T | CPSR_I), CPSR_MODE_SVC | CPSR_I,
                  "  CPSR: SVC mode, ARM, IRQ masked");
        tap_equal(result, 0x12, "  and user mode goes on after it");
    }
}

/* ---- user mode itself ---- */

static void check_mode(void)
{
    tap_equal(user_call((uint32_t)user_cpsr, 0, 0) & CPSR_MODE, CPSR_MODE_USR, "CPSR in user mode");
    trap_begin();
    uint32_t cpsr = user_call((uint32_t)user_mode_change, 0, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 0, "CPS and MSR CPSR_c in user mode are not undefined");
    tap_equal(cpsr & (CPSR_MODE | CPSR_I | CPSR_F), CPSR_MODE_USR | (read_cpsr() & (CPSR_I | CPSR_F)),
              "  and change nothing");
    uint32_t banked[8];
    tap_equal(banked_test(banked), 0, "SP, LR and SPSR of six modes and R8-R12 of FIQ mode are banked");
}

/* ---- undefined instructions ---- */

static void check_undef(void)
{
    static const struct {
        const char *name;
        const char *code;
        uint32_t thumb, user;
    } cases[] = {
        {"UDF in ARM state, privileged", undef_udf_arm, 0, 0},
        {"UDF in ARM state, user", undef_udf_arm, 0, 1},
        {"UDF in Thumb state, privileged", undef_udf_thumb, 1, 0},
        {"UDF in Thumb state, user", undef_udf_thumb, 1, 1},
        {"UDF.W in Thumb state, user", undef_wide_thumb, 1, 1},
        {"write of SCTLR in user mode", undef_mcr, 0, 1},
        {"read of TTBR0 in user mode", undef_mrc, 0, 1},
        {"HVC in user mode", undef_hvc, 0, 1},
        {"SMC in user mode", undef_smc, 0, 1},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t target = (uint32_t)cases[i].code | cases[i].thumb;
        trap_begin();
        uint32_t result = cases[i].user ? user_call(target, 0x21, 0) : probe_fetch(target, 0);
        struct trap t = trap_end();
        bool ok = t.count == 1 && t.kind == TRAP_UNDEF && t.pc == (uint32_t)cases[i].code && result == 0x22 &&
                  (t.spsr & CPSR_MODE) == (cases[i].user ? CPSR_MODE_USR : CPSR_MODE_SVC) &&
                  (t.entry_cpsr & CPSR_MODE) == CPSR_MODE_UND;
        if (!tap_ok(ok, "%s: undefined, at its address, resumed after it", cases[i].name))
            tap_note("  got %u x %s pc %08x (expected %08x) spsr %08x result %x", (unsigned)t.count, trap_name(t.kind),
                     (unsigned)t.pc, (unsigned)cases[i].code, (unsigned)t.spsr, (unsigned)result);
    }
}

/* ---- unprivileged loads and stores ---- */

struct unprivileged {
    const char *name;
    uint32_t (*run)(uint32_t va, uint32_t value);
    bool write;
};

uint32_t t_ldrt(uint32_t, uint32_t), t_ldrbt(uint32_t, uint32_t), t_ldrht(uint32_t, uint32_t),
    t_ldrsbt(uint32_t, uint32_t), t_ldrsht(uint32_t, uint32_t), t_ldrt_register(uint32_t, uint32_t),
    t_ldrt_thumb(uint32_t, uint32_t), t_ldrbt_thumb(uint32_t, uint32_t), t_ldrht_thumb(uint32_t, uint32_t),
    t_strt(uint32_t, uint32_t), t_strbt(uint32_t, uint32_t), t_strht(uint32_t, uint32_t),
    t_strt_register(uint32_t, uint32_t), t_strt_thumb(uint32_t, uint32_t), t_strbt_thumb(uint32_t, uint32_t);

static const struct unprivileged unprivileged[] = {
    {"LDRT", t_ldrt, false},
    {"LDRBT", t_ldrbt, false},
    {"LDRHT", t_ldrht, false},
    {"LDRSBT", t_ldrsbt, false},
    {"LDRSHT", t_ldrsht, false},
    {"LDRT with a register", t_ldrt_register, false},
    {"LDRT in Thumb state", t_ldrt_thumb, false},
    {"LDRBT in Thumb state", t_ldrbt_thumb, false},
    {"LDRHT in Thumb state", t_ldrht_thumb, false},
    {"STRT", t_strt, true},
    {"STRBT", t_strbt, true},
    {"STRHT", t_strht, true},
    {"STRT with a register", t_strt_register, true},
    {"STRT in Thumb state", t_strt_thumb, true},
    {"STRBT in Thumb state", t_strbt_thumb, true},
};

enum warm { COLD, READ_BEFORE, WRITTEN_BEFORE };

/* The fault that LDRT/STRT of a page must give; 0 for none.  Warm: the page is in the TLB for privileged use, which
 * must not help. */
static bool faults_as(const struct unprivileged *u, uint32_t va, enum warm warm, uint32_t status)
{
    tlb_flush_all();
    if (warm != COLD)
        probe_read(va, 0);
    if (warm == WRITTEN_BEFORE)
        probe_write(va, KEPT);
    trap_begin();
    u->run(va, 0x11111111);
    struct trap t = trap_end();
    if (status == 0)
        return t.count == 0;
    return t.count == 1 && t.kind == TRAP_DABT && t.dfar == va &&
           (t.dfsr & 0x83f) == (status | (u->write ? 0x800 : 0)) && (t.spsr & CPSR_MODE) == CPSR_MODE_SVC;
}

static void check_unprivileged(const struct unprivileged *u)
{
    bool ok = true;
    probe_write(PRIVATE, KEPT);
    ok = faults_as(u, PRIVATE, COLD, 0xf) && faults_as(u, PRIVATE, READ_BEFORE, 0xf) &&
         faults_as(u, PRIVATE, WRITTEN_BEFORE, 0xf) && probe_read(PRIVATE, 0) == KEPT;
    tap_ok(ok, "%s of a privileged page faults, cold and warm, and leaves it alone", u->name);
    ok = faults_as(u, READABLE, COLD, u->write ? 0xf : 0) && faults_as(u, READABLE, READ_BEFORE, u->write ? 0xf : 0);
    ok = ok && faults_as(u, SHARED, COLD, 0) && faults_as(u, SHARED, WRITTEN_BEFORE, 0) &&
         faults_as(u, NOWHERE, COLD, 7);
    tap_ok(ok, "%s of a page that user mode can read, one that it can write, one that is not there", u->name);
}

static void check_values(void)
{
    probe_write(SHARED, 0x8899aabb);
    tap_equal(t_ldrt(SHARED, 0), 0x8899aabb, "LDRT loads a word");
    tap_equal(t_ldrbt(SHARED, 0), 0xbb, "LDRBT loads a byte");
    tap_equal(t_ldrsht(SHARED, 0), 0xffffaabb, "LDRSHT extends the sign");
    t_strbt(SHARED, 0x77);
    t_strht(SHARED + 2, 0x1234);
    tap_equal(probe_read(SHARED, 0), 0x1234aa77, "STRBT and STRHT store a byte and a halfword");
    /* a privileged access of the same page right after a failed user one */
    tlb_flush_all();
    trap_begin();
    t_ldrt(PRIVATE, 0);
    uint32_t value = probe_read(PRIVATE, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 1 && value == KEPT, "LDR of a privileged page works right after LDRT of it failed");
    trap_begin();
    user_call((uint32_t)t_ldrt, SHARED, 0);
    t = trap_end();
    tap_equal(t.count, 0, "LDRT in user mode is a load");
    tlb_flush_all();
    probe_read(PRIVATE, 0);
    trap_begin();
    value = user_call((uint32_t)probe_read, PRIVATE, 0);
    t = trap_end();
    tap_ok(t.count == 1 && value == PROBE_NOTHING && (t.dfsr & 0x3f) == 0xf,
           "user mode cannot read a page that privileged code has just read");
}

/* ---- hypercalls ---- */

static void check_calls(void)
{
    int32_t version = psci_hvc(PSCI_VERSION, 0, 0, 0);
    tap_ok(version >= 2 && version < 0x20000, "PSCI_VERSION by HVC: %u.%u", (unsigned)version >> 16,
           (unsigned)version & 0xffff);
    tap_equal((uint32_t)psci_hvc_version_thumb(), (uint32_t)version, "PSCI_VERSION by HVC in Thumb state");
    tap_equal((uint32_t)psci_hvc(0x8400ff00, 0, 0, 0), (uint32_t)PSCI_NOT_SUPPORTED,
              "an unknown PSCI function: NOT_SUPPORTED");
    tap_equal((uint32_t)psci_hvc(PSCI_AFFINITY_INFO, 0, 0, 0), 0, "AFFINITY_INFO of CPU 0: on");
    tap_equal((uint32_t)psci_hvc(PSCI_CPU_ON, 0, (uint32_t)secondary_start, 0), (uint32_t)PSCI_ALREADY_ON,
              "CPU_ON of the running CPU: ALREADY_ON");
    tap_equal((uint32_t)psci_hvc(PSCI_CPU_ON, 77, (uint32_t)secondary_start, 0), (uint32_t)PSCI_INVALID_PARAMETERS,
              "CPU_ON of a CPU that does not exist: INVALID_PARAMETERS");
    trap_begin();
    int32_t smc = psci_smc_version();
    struct trap t = trap_end();
    tap_ok(t.count == 0 && smc == version, "PSCI_VERSION by SMC answers as by HVC");
}

static void check_thread_registers(void)
{
    extern const char user_thread_registers[], undef_tpidruro[];
    write_tpidrurw(0x1001);
    write_tpidruro(0x1002);
    write_tpidrprw(0x1003);
    tap_equal(user_call((uint32_t)user_thread_registers, 0, 0), 0x2003, "user mode reads TPIDRURW and TPIDRURO");
    tap_equal(read_tpidrurw(), 0x1005, "and writes TPIDRURW");
    trap_begin();
    user_call((uint32_t)undef_tpidruro, 0x21, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 1 && t.kind == TRAP_UNDEF && read_tpidruro() == 0x1002, "but not TPIDRURO");
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    *lpae_slot(root, PRIVATE, 3) = CLEAR | LPAE_NORMAL | LPAE_PAGE;
    *lpae_slot(root, READABLE, 3) = (CLEAR + PAGE) | LPAE_NORMAL | LPAE_AP1 | LPAE_AP2 | LPAE_PAGE;
    *lpae_slot(root, SHARED, 3) = (CLEAR + 2 * PAGE) | LPAE_RW | LPAE_PAGE;
    lpae_enable(root);
    check_svc();
    check_mode();
    check_undef();
    check_thread_registers();
    for (uint32_t i = 0; i < sizeof unprivileged / sizeof unprivileged[0]; i++)
        check_unprivileged(&unprivileged[i]);
    check_values();
    check_calls();
    return tap_finish();
}
