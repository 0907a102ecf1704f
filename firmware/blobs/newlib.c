/* SPDX-License-Identifier: GPL-2.0-or-later
 * An ordinary C program on newlib's semihosting (rdimon): printf, malloc, clock, stdin, exit status.
 *
 * It reads one line from standard input when there is one, and ends with status 0 when all its checks hold.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int tests, failures;

static void ok(int good, const char *what)
{
    tests++;
    failures += !good;
    printf("%s %d - %s\n", good ? "ok" : "not ok", tests, what);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void check_heap(void)
{
    enum { COUNT = 20000 };
    uint32_t *values = malloc(COUNT * sizeof *values);
    ok(values != NULL, "malloc of 80 KB");
    if (values == NULL)
        return;
    uint32_t x = 1;
    for (int i = 0; i < COUNT; i++) {
        x = x * 1664525u + 1013904223u;
        values[i] = x;
    }
    qsort(values, COUNT, sizeof *values, compare);
    int sorted = 1;
    for (int i = 1; i < COUNT; i++)
        sorted = sorted && values[i - 1] <= values[i];
    ok(sorted, "qsort of 20,000 words");
    free(values);
    char *big = malloc(4u << 20);
    ok(big != NULL, "malloc of 4 MB");
    if (big != NULL)
        memset(big, 0x5a, 4u << 20);
    ok(big != NULL && big[0] == 0x5a && big[(4u << 20) - 1] == 0x5a, "all of it is memory");
    free(big);
}

static void check_formats(void)
{
    char text[80];
    snprintf(text, sizeof text, "%d %u %llx %s %c %.3f", -42, 4000000000u, 0x123456789abcdef0ull, "text", 'c', 3.14159);
    ok(strcmp(text, "-42 4000000000 123456789abcdef0 text c 3.142") == 0, "snprintf of integers, text and a double");
    ok(strtod("2.5e3", NULL) == 2500.0, "strtod");
}

static void check_time(void)
{
    clock_t before = clock();
    volatile uint32_t sum = 0;
    for (uint32_t i = 0; i < 1000000; i++)
        sum = sum + i;
    clock_t after = clock();
    ok(before != (clock_t)-1 && after >= before, "clock() does not go back");
}

static void check_input(void)
{
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL) {
        ok(feof(stdin) != 0, "standard input is at its end");
        return;
    }
    line[strcspn(line, "\r\n")] = 0;
    printf("# read: %s\n", line);
    ok(line[0] != 0, "fgets from standard input");
}

int main(void)
{
    fprintf(stderr, "# newlib on semihosting\n");
    check_formats();
    check_heap();
    check_time();
    check_input();
    printf("1..%d\n", tests);
    return failures ? 1 : 0;
}
