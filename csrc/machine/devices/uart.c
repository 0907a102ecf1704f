/* SPDX-License-Identifier: GPL-2.0-or-later
 * PL011 UART (ARM DDI 0183G).  Sending takes no time; input waits in a queue of any length behind the 16-byte FIFO. */
#include "machine/machine.h"

#include <stdlib.h>

#define OUTPUT_HIGH_WATER 65536u

#define UARTDR    0x00u
#define UARTRSR   0x04u
#define UARTFR    0x18u
#define UARTILPR  0x20u
#define UARTIBRD  0x24u
#define UARTFBRD  0x28u
#define UARTLCR_H 0x2cu
#define UARTCR    0x30u
#define UARTIFLS  0x34u
#define UARTIMSC  0x38u
#define UARTRIS   0x3cu
#define UARTMIS   0x40u
#define UARTICR   0x44u
#define UARTDMACR 0x48u

#define FR_RXFE   0x10u
#define FR_RXFF   0x40u
#define FR_TXFE   0x80u
#define INT_RX    0x10u
#define INT_TX    0x20u
#define INT_RT    0x40u
#define LCR_FEN   0x10u
#define CR_UARTEN 0x1u

bool queue_push(byte_queue *q, const void *data, size_t len)
{
    if (q->head && q->head + q->count + len > q->room) {
        memmove(q->data, q->data + q->head, q->count);
        q->head = 0;
    }
    if (q->count + len > q->room) {
        size_t room = q->room ? q->room : 4096;
        while (room < q->count + len) {
            room *= 2;
        }
        uint8_t *grown = realloc(q->data, room);
        if (!grown) {
            return false;
        }
        q->data = grown;
        q->room = room;
    }
    if (len) {
        memcpy(q->data + q->head + q->count, data, len);
    }
    q->count += len;
    return true;
}

size_t queue_pop(byte_queue *q, void *data, size_t len)
{
    const size_t n = len < q->count ? len : q->count;
    if (n) {
        memcpy(data, q->data + q->head, n);
    }
    q->head += n;
    q->count -= n;
    if (!q->count) {
        q->head = 0;
    }
    return n;
}

/* Longest suffix of the output that is a prefix of console_until: texts are short, so the simple way. */
static void match_until(pe_machine *m, char c)
{
    const char *text = m->console_until;
    size_t k = m->console_matched;
    for (;;) {
        if (text[k] == c) {
            m->console_matched = k + 1;
            break;
        }
        if (!k) {
            m->console_matched = 0;
            break;
        }
        size_t next = k - 1;
        while (next && memcmp(text, text + k - next, next)) {
            next--;
        }
        k = next;
    }
    if (m->console_matched == m->console_until_length) {
        m->console_matched = 0;
        run_halt_after_block(m, PE_STOP_CONSOLE);
    }
}

void console_put(pe_machine *m, const void *buf, size_t len)
{
    queue_push(&m->out, buf, len);
    for (size_t i = 0; m->console_until_length && m->console_until && i < len; i++) {
        match_until(m, ((const char *)buf)[i]);
    }
    if (m->out.count >= OUTPUT_HIGH_WATER) {
        run_halt_after_block(m, PE_STOP_OUTPUT);
    }
}

int console_get(pe_machine *m)
{
    uint8_t c;
    return queue_pop(&m->in, &c, 1) ? c : -1;
}

static void update(pe_machine *m)
{
    const uart_state *u = &m->board.uart;
    gic_set_level(m, 0, BOARD_IRQ_UART, u->ris & u->imsc);
}

void uart_reset(pe_machine *m)
{
    m->board.uart = (uart_state){.cr = 0x300, .ifls = 0x12};
}

void uart_pull_input(pe_machine *m)
{
    uart_state *u = &m->board.uart;
    const uint32_t depth = u->lcrh & LCR_FEN ? UART_FIFO : 1;
    bool moved = false;
    /* A disabled UART receives nothing: input waits for the driver, or for SYS_READC. */
    while (u->cr & CR_UARTEN && u->fifo_count < depth && m->in.count) {
        u->fifo[(u->fifo_head + u->fifo_count++) % UART_FIFO] = (uint8_t)console_get(m);
        moved = true;
    }
    if (moved) {
        u->ris |= INT_RX | INT_RT;
        update(m);
    }
}

static uint32_t read_data(pe_machine *m)
{
    uart_state *u = &m->board.uart;
    uint32_t value = 0;
    if (u->fifo_count) {
        value = u->fifo[u->fifo_head];
        u->fifo_head = (u->fifo_head + 1) % UART_FIFO;
        u->fifo_count--;
    }
    uart_pull_input(m);
    if (!u->fifo_count) {
        u->ris &= ~(INT_RX | INT_RT);
        update(m);
    }
    return value;
}

uint32_t uart_read(pe_machine *m, uint32_t offset)
{
    static const uint8_t id[8] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    const uart_state *u = &m->board.uart;
    const uint32_t depth = u->lcrh & LCR_FEN ? UART_FIFO : 1;
    switch (offset) {
    case UARTDR: return read_data(m);
    case UARTRSR: return u->rsr;
    case UARTFR: return FR_TXFE | (u->fifo_count ? 0 : FR_RXFE) | (u->fifo_count >= depth ? FR_RXFF : 0);
    case UARTILPR: return u->ilpr;
    case UARTIBRD: return u->ibrd;
    case UARTFBRD: return u->fbrd;
    case UARTLCR_H: return u->lcrh;
    case UARTCR: return u->cr;
    case UARTIFLS: return u->ifls;
    case UARTIMSC: return u->imsc;
    case UARTRIS: return u->ris;
    case UARTMIS: return u->ris & u->imsc;
    case UARTDMACR: return u->dmacr;
    default: return offset >= 0xfe0 ? id[(offset - 0xfe0) / 4] : 0;
    }
}

static void send(pe_machine *m, uint32_t value)
{
    const uint8_t c = (uint8_t)value;
    console_put(m, &c, 1);
    m->board.uart.ris |= INT_TX;
    update(m);
}

void uart_write(pe_machine *m, uint32_t offset, uint32_t value)
{
    uart_state *u = &m->board.uart;
    switch (offset) {
    case UARTDR: send(m, value); break;
    case UARTRSR: u->rsr = 0; break;
    case UARTILPR: u->ilpr = value & 0xff; break;
    case UARTIBRD: u->ibrd = value & 0xffff; break;
    case UARTFBRD: u->fbrd = value & 0x3f; break;
    case UARTLCR_H:
        if ((u->lcrh ^ value) & LCR_FEN) {
            u->fifo_head = u->fifo_count = 0;
        }
        u->lcrh = value & 0xff;
        uart_pull_input(m);
        break;
    case UARTCR:
        u->cr = value & 0xffff;
        uart_pull_input(m);
        break;
    case UARTIFLS: u->ifls = value & 0x3f; break;
    case UARTIMSC:
        u->imsc = value & 0x7ff;
        update(m);
        break;
    case UARTICR:
        u->ris &= ~value;
        update(m);
        break;
    case UARTDMACR: u->dmacr = value & 7; break;
    default: break;
    }
}
