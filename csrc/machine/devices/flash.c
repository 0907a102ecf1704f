/* SPDX-License-Identifier: GPL-2.0-or-later
 * Two banks of CFI flash (Intel command set, two 16-bit chips side by side, as virt): the array, identification, CFI
 * query and status can be read; the array cannot be changed.
 *
 * A bank that shows its array is plain memory.  A command moves it out of the soft TLB: fill.c then points the guest at
 * BOARD_FLASH_WINDOW until the bank shows its array again. */
#include "machine/machine.h"

typedef enum flash_mode {
    FLASH_ARRAY = 0,
    FLASH_STATUS = 1,
    FLASH_ID = 2,
    FLASH_CFI = 3,
} flash_mode;

#define SECTOR_BYTES  0x40000u
#define STATUS_READY  0x80u
#define STATUS_LOCKED 0x22u /* program and erase fail: the block is locked */

/* CFI query data from 0x10, one byte a device word (JEDEC JESD68.01; sizes of one 32 MB chip of the pair). */
static const uint8_t cfi[] = {
    [0x10 - 0x10] = 'Q',  [0x11 - 0x10] = 'R',  [0x12 - 0x10] = 'Y',  [0x13 - 0x10] = 0x01, [0x15 - 0x10] = 0x31,
    [0x1b - 0x10] = 0x45, [0x1c - 0x10] = 0x55, [0x1f - 0x10] = 0x07, [0x20 - 0x10] = 0x07, [0x21 - 0x10] = 0x0a,
    [0x23 - 0x10] = 0x04, [0x24 - 0x10] = 0x04, [0x25 - 0x10] = 0x04, [0x27 - 0x10] = 25,   [0x28 - 0x10] = 0x02,
    [0x2a - 0x10] = 0x0b, [0x2c - 0x10] = 0x01, [0x2d - 0x10] = 0xff, [0x2f - 0x10] = 0x00, [0x30 - 0x10] = 0x02,
    [0x31 - 0x10] = 'P',  [0x32 - 0x10] = 'R',  [0x33 - 0x10] = 'I',  [0x34 - 0x10] = '1',  [0x35 - 0x10] = '0',
};

bool flash_shows_array(const pe_machine *m, uint64_t pa)
{
    return m->board.flash[pa >= BOARD_FLASH1_BASE].mode == FLASH_ARRAY;
}

/* What one of the two chips answers at a word address. */
static uint32_t chip_word(const flash_state *f, uint32_t word)
{
    switch (f->mode) {
    case FLASH_ID: return (word & 0xff) == 0 ? 0x89 : (word & 0xff) == 1 ? 0x18 : 0;
    case FLASH_CFI: return word >= 0x10 && word < 0x10 + sizeof cfi ? cfi[word - 0x10] : 0;
    default: return f->status;
    }
}

uint64_t flash_window_read(uc_engine *uc, uint64_t offset, unsigned size, void *user)
{
    (void)uc;
    pe_machine *m = ((pe_cpu *)user)->machine;
    const flash_state *f = &m->board.flash[offset >= BOARD_FLASH_SIZE];
    const uint32_t at = (uint32_t)(offset % BOARD_FLASH_SIZE);
    const uint32_t chip = chip_word(f, at / 4);
    const uint32_t both = chip | chip << 16;
    const uint32_t value = both >> (8 * (at & 3));
    m->stats.mmio++;
    return size >= 4 ? value : value & ((1u << (8 * size)) - 1);
}

static void set_mode(pe_machine *m, flash_state *f, flash_mode mode)
{
    if (f->mode != mode) {
        const bool visible = f->mode == FLASH_ARRAY || mode == FLASH_ARRAY;
        f->mode = (uint8_t)mode;
        if (visible) {
            fill_flush_all(m);
        }
    }
}

/* A write is a command: Intel "basic" and "extended" sets. */
static void command(pe_machine *m, uint32_t bank, uint8_t value)
{
    flash_state *f = &m->board.flash[bank];
    if (f->cycle) { /* data of a program, confirmation of an erase */
        f->cycle = 0;
        f->status = STATUS_READY | STATUS_LOCKED;
        set_mode(m, f, FLASH_STATUS);
        return;
    }
    switch (value) {
    case 0x90: set_mode(m, f, FLASH_ID); break;
    case 0x98: set_mode(m, f, FLASH_CFI); break;
    case 0x70: set_mode(m, f, FLASH_STATUS); break;
    case 0x50: f->status = STATUS_READY; break;
    case 0x10:
    case 0x40:
    case 0x20:
    case 0x60:
    case 0xe8:
        f->cycle = 1;
        f->status = STATUS_READY;
        set_mode(m, f, FLASH_STATUS);
        break;
    case 0xff:
    case 0xf0: set_mode(m, f, FLASH_ARRAY); break;
    default: break;
    }
}

void flash_window_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user)
{
    (void)uc, (void)size;
    pe_machine *m = ((pe_cpu *)user)->machine;
    m->stats.mmio++;
    command(m, offset >= BOARD_FLASH_SIZE, (uint8_t)value);
}
