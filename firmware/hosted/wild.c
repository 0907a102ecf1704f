/* SPDX-License-Identifier: GPL-2.0-or-later
 * Follows a list to its end and one step too far: SIGSEGV.
 */
#include "sys.h"

#include "tap.h"

struct node {
    struct node *next;
    uint32_t value;
};

static uint32_t sum(const volatile struct node *list)
{
    uint32_t total = 0;
    for (;; list = list->next)
        total += list->value;
    return total;
}

int main(void)
{
    static struct node nodes[4] = {{&nodes[1], 1}, {&nodes[2], 2}, {&nodes[3], 3}, {0, 4}};
    tap_note("a list without an end");
    return (int)sum(nodes);
}
