/* SPDX-License-Identifier: GPL-2.0-or-later
 * PL011 UART of the board (ARM DDI 0183).
 */
#ifndef FW_PL011_H
#define FW_PL011_H

#include <stdint.h>

#define PL011 0x09000000u

static inline volatile uint32_t *pl011(uint32_t offset)
{
    return (volatile uint32_t *)(PL011 + offset);
}

#define UARTDR    0x000u
#define UARTFR    0x018u
#define UARTIBRD  0x024u
#define UARTFBRD  0x028u
#define UARTLCR_H 0x02cu
#define UARTCR    0x030u
#define UARTIMSC  0x038u
#define UARTRIS   0x03cu
#define UARTMIS   0x040u
#define UARTICR   0x044u
#define UARTID    0xfe0u

#define UARTFR_RXFE (1u << 4)
#define UARTFR_TXFF (1u << 5)
#define UARTINT_RX  (1u << 4)
#define UARTINT_TX  (1u << 5)
#define UARTINT_RT  (1u << 6)

static inline void pl011_init(void)
{
    *pl011(UARTLCR_H) = 0x70; /* 8 bits, FIFO on */
    *pl011(UARTCR) = 0x301;   /* enable, transmit, receive */
}

static inline void pl011_puts(const char *text)
{
    for (; *text; text++) {
        while (*pl011(UARTFR) & UARTFR_TXFF)
            ;
        *pl011(UARTDR) = (uint8_t)*text;
    }
}

#endif
