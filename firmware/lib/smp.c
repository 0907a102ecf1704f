/* SPDX-License-Identifier: GPL-2.0-or-later
 * A mailbox in memory; both sides wait in WFE.
 */
#include "smp.h"

#include "mmu.h"
#include "psci.h"

static struct {
    volatile uint32_t posted, done;
    smp_function volatile function;
    volatile uint32_t argument, result;
} mailbox;

static struct smp_entry_state entry;
static const uint64_t *volatile table;

static void listen(void)
{
    entry = (struct smp_entry_state){read_cpsr(), read_sctlr(), read_mpidr()};
    lpae_enable(table);
    mailbox.done = mailbox.posted;
    sev();
    for (uint32_t seen = mailbox.posted;;) {
        while (mailbox.posted == seen)
            wfe();
        dmb();
        seen = mailbox.posted;
        mailbox.result = mailbox.function(mailbox.argument);
        dmb();
        mailbox.done = seen;
        sev();
    }
}

int32_t smp_start(const uint64_t *root)
{
    table = root;
    mailbox.posted++;
    dsb();
    int32_t status = psci_cpu_on(1, listen);
    if (status == PSCI_SUCCESS)
        smp_wait();
    return status;
}

struct smp_entry_state smp_entry_state(void)
{
    return entry;
}

void smp_post(smp_function function, uint32_t argument)
{
    mailbox.function = function;
    mailbox.argument = argument;
    dmb();
    mailbox.posted++;
    sev();
}

uint32_t smp_wait(void)
{
    while (mailbox.done != mailbox.posted)
        wfe();
    dmb();
    return mailbox.result;
}
