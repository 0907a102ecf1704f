/* SPDX-License-Identifier: GPL-2.0-or-later
 * TAP output: one line is built in memory and leaves in one semihosting call.
 */
#include "tap.h"

#include <stdarg.h>

#include "semihost.h"

#define LINE_SIZE 512

static char line[LINE_SIZE];
static uint32_t used;
static uint32_t tests;
static uint32_t failures;

static void put(char c)
{
    if (used < LINE_SIZE - 2)
        line[used++] = c;
}

static void put_text(const char *text)
{
    while (*text)
        put(*text++);
}

static void put_number(uint64_t value, uint32_t base, uint32_t width, char pad)
{
    char digits[24];
    uint32_t n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (width > n) {
        put(pad);
        width--;
    }
    while (n > 0)
        put(digits[--n]);
}

static void put_format(const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        format++;
        char pad = ' ';
        uint32_t width = 0, longs = 0;
        if (*format == '0')
            pad = *format++;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (uint32_t)(*format - '0');
        for (; *format == 'l'; format++)
            longs++;
        if (*format == 's') {
            put_text(va_arg(args, const char *));
        } else if (*format == 'c') {
            put((char)va_arg(args, int));
        } else if (*format == 'u' || *format == 'x') {
            uint64_t value = longs == 2 ? va_arg(args, unsigned long long) : va_arg(args, unsigned);
            put_number(value, *format == 'x' ? 16 : 10, width, pad);
        } else if (*format == 'd') {
            int value = va_arg(args, int);
            if (value < 0)
                put('-');
            put_number(value < 0 ? 0u - (uint32_t)value : (uint32_t)value, 10, width, pad);
        } else {
            put('%');
        }
    }
}

static void flush(void)
{
    line[used++] = '\n';
    line[used] = 0;
    used = 0;
    semihost_write0(line);
}

void tap_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_text("# ");
    put_format(format, args);
    flush();
    va_end(args);
}

static void begin(bool ok)
{
    put_text(ok ? "ok " : "not ok ");
    put_number(++tests, 10, 0, ' ');
    put_text(" - ");
    if (!ok)
        failures++;
}

bool tap_ok(bool ok, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin(ok);
    put_format(format, args);
    flush();
    va_end(args);
    return ok;
}

bool tap_equal(uint64_t got, uint64_t expected, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin(got == expected);
    put_format(format, args);
    flush();
    va_end(args);
    if (got != expected)
        tap_note("  got 0x%llx, expected 0x%llx", (unsigned long long)got, (unsigned long long)expected);
    return got == expected;
}

void tap_skip(const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin(true);
    put_format(format, args);
    put_text(" # SKIP ");
    put_text(reason);
    flush();
    va_end(args);
}

_Noreturn void tap_bail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    used = 0;
    put_text("Bail out! ");
    put_format(format, args);
    flush();
    va_end(args);
    semihost_exit(99);
}

int tap_finish(void)
{
    put_text("1..");
    put_number(tests, 10, 0, ' ');
    flush();
    return failures == 0 && tests > 0 ? 0 : 1;
}
