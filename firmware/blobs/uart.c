/* SPDX-License-Identifier: GPL-2.0-or-later
 * PL011 with interrupts: transmit, and an echo of what is typed up to a full stop (ARM DDI 0183, ARM IHI 0048B).
 *
 * Without any input within two seconds of guest time, spent in WFI, the echo is skipped.
 */
#include "pl011.h"

#include "gic.h"
#include "tap.h"
#include "timer.h"
#include "trap.h"

#define BUFFER 128u

static volatile uint32_t irqs, transmitted, spurious;
static volatile char received[BUFFER];
static volatile uint32_t n_received;
static volatile bool timed_out;

static bool on_irq(enum trap_kind kind, struct trap_frame *frame)
{
    (void)frame;
    if (kind != TRAP_IRQ)
        return false;
    uint32_t iar = *gicc(GICC_IAR);
    if ((iar & 0x3ff) == INTID_TIMER_VIRTUAL) {
        timed_out = true;
        write_cntv_ctl(0);
        isb();
        *gicc(GICC_EOIR) = iar;
        return true;
    }
    irqs++;
    spurious += (iar & 0x3ff) != INTID_UART;
    uint32_t status = *pl011(UARTMIS);
    if (status & UARTINT_TX) {
        transmitted++;
        *pl011(UARTIMSC) = *pl011(UARTIMSC) & ~UARTINT_TX;
    }
    if (status & (UARTINT_RX | UARTINT_RT)) {
        while (!(*pl011(UARTFR) & UARTFR_RXFE)) {
            char c = (char)*pl011(UARTDR);
            if (n_received < BUFFER)
                received[n_received++] = c;
            *pl011(UARTDR) = (uint8_t)c;
        }
    }
    *pl011(UARTICR) = status;
    dsb();
    *gicc(GICC_EOIR) = iar;
    dsb();
    return true;
}

static void wait_until(const volatile uint32_t *value, uint32_t at_least, uint32_t milliseconds)
{
    uint64_t until = read_cntpct() + (uint64_t)milliseconds * (CNT_HZ / 1000);
    while (*value < at_least && read_cntpct() < until)
        ;
}

static void check_registers(void)
{
    *pl011(UARTIBRD) = 13;
    *pl011(UARTFBRD) = 1;
    tap_ok(*pl011(UARTIBRD) == 13 && *pl011(UARTFBRD) == 1, "the baud rate divisors read back");
    pl011_init();
    tap_equal(*pl011(UARTLCR_H), 0x70, "UARTLCR_H reads back");
    tap_equal(*pl011(UARTCR) & 0x301, 0x301, "UARTCR reads back");
    tap_equal(*pl011(UARTMIS), 0, "nothing is masked in yet");
}

static void check_transmit(void)
{
    pl011_puts("sent by the PL011\r\n");
    wait_until(&irqs, 1, 1);
    tap_equal(irqs, 0, "no interrupt without UARTIMSC");
    tap_equal(*pl011(UARTRIS) & UARTINT_TX, UARTINT_TX, "UARTRIS: the transmit FIFO has room again");
    *pl011(UARTIMSC) = UARTINT_TX;
    wait_until(&transmitted, 1, 10);
    tap_equal(transmitted, 1, "one transmit interrupt");
    tap_equal(spurious, 0, "its number is 33");
    *pl011(UARTICR) = 0x7ff;
    tap_equal(*pl011(UARTRIS) & UARTINT_TX, 0, "UARTICR clears it");
}

static bool has_full_stop(void)
{
    for (uint32_t i = 0; i < n_received; i++)
        if (received[i] == '.')
            return true;
    return false;
}

static void check_echo(void)
{
    *pl011(UARTIMSC) = UARTINT_RX | UARTINT_RT;
    pl011_puts("type a line that ends with a full stop:\r\n");
    gic_enable(INTID_TIMER_VIRTUAL);
    write_cntv_cval(read_cntvct() + 2ull * CNT_HZ);
    write_cntv_ctl(CNT_ENABLE);
    isb();
    while (!timed_out && !has_full_stop()) {
        irq_disable(); /* an interrupt between the test and WFI still ends WFI */
        if (!timed_out && !has_full_stop())
            wfi();
        irq_enable();
        isb();
    }
    *pl011(UARTIMSC) = 0;
    pl011_puts("\r\n");
    if (n_received == 0) {
        tap_skip("no input", "what is typed arrives by interrupt");
        return;
    }
    tap_ok(has_full_stop(), "what is typed arrives by interrupt: %u characters", (unsigned)n_received);
    tap_equal(spurious, 0, "by interrupt 33 only");
}

int main(void)
{
    gic_init();
    check_registers();
    gic_set_target(INTID_UART, 1);
    gic_enable(INTID_UART);
    trap_set_hook(on_irq);
    irq_enable();
    check_transmit();
    check_echo();
    irq_disable();
    return tap_finish();
}
