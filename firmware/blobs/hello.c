/* SPDX-License-Identifier: GPL-2.0-or-later
 * The machine as it comes out of reset, the devices of the board, and one page of virtual memory.
 */
#include "cp15.h"
#include "gic.h"
#include "mmu.h"
#include "pl011.h"
#include "semihost.h"
#include "tap.h"

static volatile uint32_t initialised = 0x12345678;
static volatile uint32_t zero[64];

static void check_reset(void)
{
    tap_equal(read_cpsr() & (CPSR_MODE | CPSR_T | CPSR_I | CPSR_F | CPSR_A | CPSR_E),
              CPSR_MODE_SVC | CPSR_I | CPSR_F | CPSR_A, "SVC mode, ARM state, little-endian");
    tap_equal(read_mpidr() & 0x80ffffff, 0x80000000, "MPIDR: multiprocessing format, CPU 0 of cluster 0");
    tap_equal(read_midr() >> 24, 0x41, "MIDR: implementer ARM");
    uint32_t part = read_midr() >> 4 & 0xfff;
    tap_ok(part == 0xc0f || part == 0xc07, "MIDR: part %03x is a Cortex-A15 or Cortex-A7", (unsigned)part);
    tap_ok((read_id_mmfr0() & 0xf) >= 5, "ID_MMFR0: VMSA with long descriptors");
    tap_equal(read_sctlr() & (SCTLR_M | SCTLR_A | SCTLR_V | SCTLR_EE | SCTLR_TE | SCTLR_TRE | SCTLR_AFE), 0,
              "SCTLR: MMU off, low vectors, little-endian, ARM exceptions");
    tap_equal(read_ttbcr() & TTBCR_EAE, 0, "TTBCR: short descriptors");
}

static void check_memory(void)
{
    tap_equal(initialised, 0x12345678, "initialised data is loaded");
    uint32_t any = 0;
    for (uint32_t i = 0; i < 64; i++)
        any |= zero[i];
    tap_equal(any, 0, "uninitialised data is zero");
    volatile uint32_t *ram = (volatile uint32_t *)CLEAR;
    for (uint32_t i = 0; i < 4096; i++)
        ram[i * 1024] = i * 0x9e3779b9u;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 4096; i++)
        bad += ram[i * 1024] != i * 0x9e3779b9u;
    tap_equal(bad, 0, "16 MB of RAM keep one word a page");
    volatile uint8_t *bytes = (volatile uint8_t *)CLEAR;
    ram[0] = 0x44332211;
    tap_ok(bytes[0] == 0x11 && bytes[3] == 0x44, "words are little-endian");
}

static uint32_t device_id(uint32_t base)
{
    uint32_t id = 0;
    for (uint32_t i = 0; i < 4; i++)
        id |= (*(volatile uint32_t *)(base + UARTID + i * 4) & 0xff) << (i * 8);
    return id;
}

static void check_devices(void)
{
    tap_equal(device_id(PL011) & 0xfffff, 0x41011, "PL011 at 09000000 by its peripheral ID");
    tap_equal(device_id(0x09010000) & 0xfffff, 0x41031, "PL031 at 09010000 by its peripheral ID");
    tap_equal(*pl011(UARTFR) & UARTFR_RXFE, UARTFR_RXFE, "PL011: nothing received yet");
    tap_ok(((*gicd(GICD_TYPER) & 31) + 1) * 32 >= 64, "GIC: at least 32 shared interrupts");
    tap_equal((*gicd(0xfe8) >> 4) & 0xf, 2, "GIC: architecture version 2");
    uint32_t magic = 0, empty = 0;
    for (uint32_t i = 0; i < 32; i++) {
        volatile uint32_t *virtio = (volatile uint32_t *)(0x0a000000 + 0x200 * i);
        magic += virtio[0] == 0x74726976;
        empty += virtio[2] == 0;
    }
    tap_equal(magic, 32, "32 virtio-mmio windows with their magic");
    tap_equal(empty, 32, "no virtio device behind them");
}

static void check_translation(void)
{
    uint64_t *root = lpae_new();
    lpae_map_identity(root);
    *lpae_slot(root, 0xc0de5000, 3) = CLEAR | LPAE_RW | LPAE_PAGE;
    lpae_enable(root);
    *(volatile uint32_t *)0xc0de5678 = 0x4d4d5521;
    dsb();
    tap_equal(*(volatile uint32_t *)(CLEAR + 0x678), 0x4d4d5521, "MMU on: what is stored at c0de5678 lies at %08x",
              (unsigned)CLEAR + 0x678);
    mmu_disable();
}

static void check_semihosting(void)
{
    uint32_t first = semihost_call(SYS_CLOCK, 0);
    uint32_t second = semihost_call_thumb(SYS_CLOCK, 0);
    tap_ok(second >= first && second - first < 100, "SYS_CLOCK counts hundredths, by ARM and Thumb SVC");
    static const char star = '*', end = '\n';
    semihost_call(SYS_WRITEC, (uint32_t)&star);
    semihost_call_thumb(SYS_WRITEC, (uint32_t)&end);
    semihost_call_thumb(SYS_WRITE0, (uint32_t)"# written by Thumb SVC 0xab\n");
}

int main(void)
{
    pl011_init();
    pl011_puts("Hello from ARM: this line went through the PL011.\r\n");
    check_reset();
    check_memory();
    check_devices();
    check_translation();
    check_semihosting();
    return tap_finish();
}
