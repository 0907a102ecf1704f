/* SPDX-License-Identifier: GPL-2.0-or-later
 * Test results as TAP (test anything protocol) through semihosting; the plan comes last.
 */
#ifndef FW_TAP_H
#define FW_TAP_H

#include <stdbool.h>
#include <stdint.h>

/* Formats: %s %c %u %d %x, width and zero padding, ll for 64 bits. */
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool tap_ok(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints got and expected when they differ. */
bool tap_equal(uint64_t got, uint64_t expected, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tap_skip(const char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the run at once. */
_Noreturn void tap_bail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the plan and returns the exit status: 0 when every test was ok. */
int tap_finish(void);

#endif
