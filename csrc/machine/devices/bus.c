/* SPDX-License-Identifier: GPL-2.0-or-later
 * The board's MMIO window: which device answers where, and the small ones: PL031 clock, PL061 GPIO, fw_cfg, GICv2m,
 * empty virtio-mmio slots and an empty PCIe bus behind its host bridge. */
#include "machine/machine.h"

typedef enum device_id {
    DEV_GICD,
    DEV_GICC,
    DEV_GICV2M,
    DEV_UART,
    DEV_RTC,
    DEV_FW_CFG,
    DEV_GPIO,
    DEV_VIRTIO,
    DEV_PCIE_WINDOW,
    DEV_PCIE_ECAM,
    DEV_NONE,
} device_id;

static const struct {
    uint64_t base, size;
    device_id id;
} device_map[] = {
    {BOARD_GICD_BASE, 0x10000, DEV_GICD},
    {BOARD_GICC_BASE, 0x10000, DEV_GICC},
    {BOARD_GICV2M_BASE, 0x1000, DEV_GICV2M},
    {BOARD_UART_BASE, 0x1000, DEV_UART},
    {BOARD_RTC_BASE, 0x1000, DEV_RTC},
    {BOARD_FW_CFG_BASE, 0x1000, DEV_FW_CFG},
    {BOARD_GPIO_BASE, 0x1000, DEV_GPIO},
    {BOARD_VIRTIO_BASE, BOARD_VIRTIO_SIZE, DEV_VIRTIO},
    {BOARD_PCIE_MMIO, BOARD_PCIE_ECAM - BOARD_PCIE_MMIO, DEV_PCIE_WINDOW},
    {BOARD_PCIE_ECAM, BOARD_RAM_BASE - BOARD_PCIE_ECAM, DEV_PCIE_ECAM},
};

static device_id device_find(uint64_t pa, uint32_t *offset)
{
    for (size_t i = 0; i < sizeof device_map / sizeof device_map[0]; i++) {
        if (pa - device_map[i].base < device_map[i].size) {
            *offset = (uint32_t)(pa - device_map[i].base);
            return device_map[i].id;
        }
    }
    return DEV_NONE;
}

bool devices_at(const pe_machine *m, uint64_t pa)
{
    uint32_t offset;
    if (pa - BOARD_PCIE_ECAM_HIGH < BOARD_PCIE_ECAM_HIGH_SIZE) {
        return m->config.ram_base + m->config.ram_size <= BOARD_PCIE_ECAM_HIGH;
    }
    return device_find(pa, &offset) != DEV_NONE;
}

void devices_reset(pe_machine *m)
{
    memset(&m->board, 0, sizeof m->board);
    gic_reset(m);
    uart_reset(m);
    m->board.rtc.base = 1577836800; /* 2020-01-01 00:00:00 UTC: the same at each start */
}

/* ---- PL031 (ARM DDI 0224C): counts seconds of guest time ---- */

static uint32_t rtc_now(const pe_machine *m)
{
    return m->board.rtc.base + (uint32_t)(machine_ns(m) / 1000000000);
}

static uint32_t rtc_read(pe_machine *m, uint32_t offset)
{
    static const uint8_t id[8] = {0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    const rtc_state *r = &m->board.rtc;
    switch (offset) {
    case 0x00: return rtc_now(m);
    case 0x04: return r->match;
    case 0x08: return r->load;
    case 0x0c: return 1;
    case 0x10: return r->imsc;
    case 0x14: return r->ris;
    case 0x18: return r->ris & r->imsc;
    default: return offset >= 0xfe0 ? id[(offset - 0xfe0) / 4] : 0;
    }
}

static void rtc_write(pe_machine *m, uint32_t offset, uint32_t value)
{
    rtc_state *r = &m->board.rtc;
    switch (offset) {
    case 0x04: r->match = value; break;
    case 0x08:
        r->base += value - rtc_now(m);
        r->load = value;
        break;
    case 0x10: r->imsc = value & 1; break;
    case 0x1c: r->ris &= ~value; break;
    default: break;
    }
}

/* ---- PL061 (ARM DDI 0190B): eight lines that nobody drives ---- */

static uint32_t gpio_read(pe_machine *m, uint32_t offset)
{
    static const uint8_t id[8] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    const gpio_state *g = &m->board.gpio;
    if (offset < 0x400) {
        return g->data & offset >> 2;
    }
    switch (offset) {
    case 0x400: return g->dir;
    case 0x404: return g->is;
    case 0x408: return g->ibe;
    case 0x40c: return g->iev;
    case 0x410: return g->ie;
    case 0x420: return g->afsel;
    default: return offset >= 0xfe0 && offset < 0x1000 ? id[(offset - 0xfe0) / 4] : 0;
    }
}

static void gpio_write(pe_machine *m, uint32_t offset, uint32_t value)
{
    gpio_state *g = &m->board.gpio;
    value &= 0xff;
    if (offset < 0x400) {
        const uint32_t mask = (offset >> 2 & 0xff) & g->dir;
        g->data = (g->data & ~mask) | (value & mask);
        return;
    }
    switch (offset) {
    case 0x400: g->dir = value; break;
    case 0x404: g->is = value; break;
    case 0x408: g->ibe = value; break;
    case 0x40c: g->iev = value; break;
    case 0x410: g->ie = value; break;
    case 0x420: g->afsel = value; break;
    default: break;
    }
}

/* ---- fw_cfg (QEMU docs/specs/fw_cfg): signature, no DMA, no files; data is big-endian, selected by key ---- */

#define FW_CFG_SIGNATURE 0x0000u
#define FW_CFG_ID        0x0001u
#define FW_CFG_RAM_SIZE  0x0003u
#define FW_CFG_NB_CPUS   0x0005u
#define FW_CFG_FILE_DIR  0x0019u

static uint8_t fw_cfg_byte(pe_machine *m)
{
    fw_cfg_state *f = &m->board.fw_cfg;
    const uint32_t at = f->offset++;
    switch (f->key) {
    case FW_CFG_SIGNATURE: return at < 4 ? (uint8_t)"QEMU"[at] : 0;
    case FW_CFG_ID: return at == 0; /* the traditional interface, little-endian 1 */
    case FW_CFG_RAM_SIZE: return (uint8_t)(at < 8 ? m->config.ram_size >> (8 * at) : 0);
    case FW_CFG_NB_CPUS: return at == 0 ? (uint8_t)m->config.ncpus : 0;
    default: return 0; /* FW_CFG_FILE_DIR: no file */
    }
}

static uint32_t fw_cfg_read(pe_machine *m, uint32_t offset, unsigned size)
{
    uint32_t value = 0;
    if (offset < 8) {
        for (unsigned i = 0; i < size && i < 4; i++) {
            value |= (uint32_t)fw_cfg_byte(m) << (8 * i);
        }
    }
    return value;
}

static void fw_cfg_write(pe_machine *m, uint32_t offset, unsigned size, uint32_t value)
{
    if (offset == 8 && size == 2) {
        m->board.fw_cfg = (fw_cfg_state){(uint16_t)(value << 8 | (value >> 8 & 0xff)), 0};
    }
}

/* ---- buses with nothing on them ---- */

/* virtio-mmio (OASIS virtio 1.1, 4.2): a legacy transport without a device behind it. */
static uint32_t virtio_read(uint32_t offset)
{
    switch (offset & 0x1ff) {
    case 0x00: return 0x74726976; /* "virt" */
    case 0x04: return 1;
    case 0x0c: return 0x554d4551; /* vendor "QEMU" */
    default: return 0;            /* device id 0: no device */
    }
}

/* Configuration space: a generic host bridge at 00:00.0 that nothing lies behind. */
static uint64_t ecam_read(uint64_t offset, unsigned size)
{
    static const uint32_t bridge[4] = {0x00081b36, 0x00000000, 0x06000000, 0x00000000};
    if (offset >= 0x1000) {
        return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
    }
    const uint32_t word = offset < sizeof bridge ? bridge[offset / 4] : 0;
    const uint32_t value = word >> (8 * (offset & 3));
    return size >= 4 ? value : value & ((1u << (8 * size)) - 1);
}

static uint32_t v2m_read(uint32_t offset)
{
    switch (offset) {
    case 0x008: return 80u << 16 | 64; /* MSI_TYPER: 64 interrupts from 80, as virt */
    case 0xfcc: return 0x0000043b;
    default: return 0;
    }
}

/* ---- dispatch ---- */

uint64_t devices_read(uc_engine *uc, uint64_t at, unsigned size, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    pe_machine *m = cpu->machine;
    uint32_t offset = 0;
    m->stats.mmio++;
    switch (device_find(BOARD_DEVICES_BASE + at, &offset)) {
    case DEV_GICD: return gic_dist_read(m, cpu->index, offset & 0xfff, size);
    case DEV_GICC: return gic_cpu_read(m, cpu->index, offset);
    case DEV_GICV2M: return v2m_read(offset);
    case DEV_UART: return uart_read(m, offset & ~3u);
    case DEV_RTC: return rtc_read(m, offset & ~3u);
    case DEV_FW_CFG: return fw_cfg_read(m, offset, size);
    case DEV_GPIO: return gpio_read(m, offset & ~3u);
    case DEV_VIRTIO: return virtio_read(offset);
    case DEV_PCIE_WINDOW: return UINT64_MAX;
    case DEV_PCIE_ECAM: return ecam_read(offset, size);
    default: return 0;
    }
}

void devices_write(uc_engine *uc, uint64_t at, unsigned size, uint64_t value64, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    pe_machine *m = cpu->machine;
    const uint32_t value = (uint32_t)value64;
    uint32_t offset = 0;
    m->stats.mmio++;
    switch (device_find(BOARD_DEVICES_BASE + at, &offset)) {
    case DEV_GICD: gic_dist_write(m, cpu->index, offset & 0xfff, size, value); break;
    case DEV_GICC: gic_cpu_write(m, cpu->index, offset, value); break;
    case DEV_UART: uart_write(m, offset & ~3u, value); break;
    case DEV_RTC: rtc_write(m, offset & ~3u, value); break;
    case DEV_FW_CFG: fw_cfg_write(m, offset, size, value); break;
    case DEV_GPIO: gpio_write(m, offset & ~3u, value); break;
    default: break;
    }
}

uint64_t devices_read_ecam(uc_engine *uc, uint64_t offset, unsigned size, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    cpu->machine->stats.mmio++;
    return ecam_read(offset, size);
}

void devices_write_ecam(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user)
{
    (void)uc, (void)offset, (void)size, (void)value;
    pe_cpu *cpu = user;
    cpu->machine->stats.mmio++;
}
