/* SPDX-License-Identifier: GPL-2.0-or-later
 * The devices of the board: their state, plain data so that a snapshot is a copy, and how the MMIO window reaches them.
 */
#ifndef PYEMU_DEVICES_H
#define PYEMU_DEVICES_H

#include "pyemu.h"

#include <unicorn/unicorn.h>

/* ---- state ---- */

#define GIC_IRQS 288 /* 32 private, 256 shared: as virt */

typedef struct gic_cpu {
    uint8_t priority[32]; /* of the private interrupts */
    uint32_t enabled;
    uint32_t pending; /* latched: edges, software */
    uint32_t active;
    uint32_t level;         /* input lines */
    uint8_t sgi_source[16]; /* per SGI: bit set of the CPUs that asked */
    uint32_t ctlr;          /* GICC_CTLR */
    uint32_t pmr;
    uint32_t bpr;
    uint32_t abpr;
    uint16_t running[GIC_IRQS]; /* stack of active interrupts with the priorities below */
    uint8_t running_priority[GIC_IRQS];
    uint32_t nrunning;
} gic_cpu;

typedef struct gic_state {
    uint32_t ctlr; /* GICD_CTLR */
    uint32_t group[GIC_IRQS / 32];
    uint32_t enabled[GIC_IRQS / 32]; /* word 0 unused: per CPU */
    uint32_t pending[GIC_IRQS / 32];
    uint32_t active[GIC_IRQS / 32];
    uint32_t level[GIC_IRQS / 32];
    uint32_t config[GIC_IRQS / 16]; /* GICD_ICFGR */
    uint8_t priority[GIC_IRQS];
    uint8_t targets[GIC_IRQS];
    gic_cpu cpu[PE_MAX_CPUS];
} gic_state;

typedef struct timer_channel {
    uint64_t cval;
    uint32_t ctl; /* ENABLE 0, IMASK 1 */
} timer_channel;

typedef struct timer_state {
    timer_channel phys;
    timer_channel virt;
    uint32_t cntkctl;
} timer_state;

#define PMU_COUNTERS 6 /* of events (Cortex-A15; Cortex-A7 has 4 of them) */
typedef struct pmu_counter {
    uint64_t since; /* what the event had counted when `count` was brought up to date */
    uint32_t count;
    uint32_t type; /* PMXEVTYPER */
} pmu_counter;

typedef struct pmu_state {
    pmu_counter counter[PMU_COUNTERS + 1]; /* the last one is PMCCNTR */
    uint64_t contextidr_writes, ttbr_writes;
    uint32_t control;                         /* PMCR */
    uint32_t enabled, overflowed, interrupts; /* a bit for each counter; PMCCNTR: 31 */
    uint32_t selected, user;                  /* PMSELR, PMUSERENR */
    uint32_t divided;                         /* cycles counted towards the next 64 */
    uint32_t filtered;                        /* counters that do not count at every privilege */
    uint32_t privileged;                      /* what is executed now */
} pmu_state;

#define UART_FIFO 16
typedef struct uart_state {
    uint32_t ibrd, fbrd, lcrh, cr, ifls, imsc, ris, dmacr, ilpr, rsr;
    uint8_t fifo[UART_FIFO];
    uint32_t fifo_head, fifo_count;
} uart_state;

typedef struct rtc_state {
    uint32_t load, match, imsc, ris;
    uint32_t base; /* seconds at guest time 0 */
} rtc_state;

typedef struct gpio_state {
    uint32_t data, dir, is, ibe, iev, ie, afsel;
} gpio_state;

typedef struct flash_state {
    uint8_t mode; /* flash_mode */
    uint8_t status;
    uint8_t cycle;
} flash_state;

typedef struct fw_cfg_state {
    uint16_t key;
    uint32_t offset;
} fw_cfg_state;

typedef struct board_state {
    gic_state gic;
    timer_state timer[PE_MAX_CPUS];
    pmu_state pmu[PE_MAX_CPUS];
    uart_state uart;
    rtc_state rtc;
    gpio_state gpio;
    flash_state flash[2];
    fw_cfg_state fw_cfg;
} board_state;

/* ---- bus.c: who answers where ---- */
void devices_reset(pe_machine *machine);
bool devices_at(const pe_machine *machine, uint64_t pa);
uint64_t devices_read(uc_engine *uc, uint64_t offset, unsigned size, void *user);
void devices_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user);
uint64_t devices_read_ecam(uc_engine *uc, uint64_t offset, unsigned size, void *user);
void devices_write_ecam(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user);

/* ---- gic.c, timer.c, uart.c, bus.c (the small ones), flash.c ---- */
void gic_reset(pe_machine *machine);
uint32_t gic_dist_read(pe_machine *machine, uint32_t cpu, uint32_t offset, unsigned size);
void gic_dist_write(pe_machine *machine, uint32_t cpu, uint32_t offset, unsigned size, uint32_t value);
uint32_t gic_cpu_read(pe_machine *machine, uint32_t cpu, uint32_t offset);
void gic_cpu_write(pe_machine *machine, uint32_t cpu, uint32_t offset, uint32_t value);
void gic_refresh(pe_machine *machine); /* input lines of the CPUs from the state */
void gic_set_level(pe_machine *machine, uint32_t cpu, uint32_t irq, bool level);

uint64_t timer_count(const pe_machine *machine);
void timer_update(pe_machine *machine, uint32_t cpu); /* output lines from CTL, CVAL and the count */
void timer_update_all(pe_machine *machine);
uint64_t timer_next_event(const pe_machine *machine); /* in time units; NEVER */
void timer_set(pe_machine *machine, uint32_t cpu, timer_channel *channel, uint32_t ctl, uint64_t cval);

void uart_reset(pe_machine *machine);
uint32_t uart_read(pe_machine *machine, uint32_t offset);
void uart_write(pe_machine *machine, uint32_t offset, uint32_t value);
void uart_pull_input(pe_machine *machine);
void console_put(pe_machine *machine, const void *buf, size_t len);
int console_get(pe_machine *machine); /* -1 when empty */

bool flash_shows_array(const pe_machine *machine, uint64_t pa);
uint64_t flash_window_read(uc_engine *uc, uint64_t offset, unsigned size, void *user);
void flash_window_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user);

#endif
