/* SPDX-License-Identifier: GPL-2.0-or-later
 * User programs whose exceptions go to the host instead of the guest's vectors: no mode is entered, nothing is banked.
 */
#include "machine/machine.h"

void machine_host(pe_machine *m, const hosted_by *by)
{
    rewind_forget(m); /* those of another host, or of none */
    m->hosted = *by;
}

bool hosted_note(pe_cpu *cpu, const hosted_event *event)
{
    if (!cpu->machine->hosted.take || cpu_privileged(cpu)) {
        return false;
    }
    cpu->hosted = *event;
    cpu->end = END_HOSTED;
    cpu_set_reg(cpu, UC_ARM_REG_PC, event->pc | *cpu->thumb);
    return true;
}

void hosted_take(pe_cpu *cpu)
{
    const hosted_by *by = &cpu->machine->hosted;
    const hosted_event event = cpu->hosted;
    cpu->end = END_NONE;
    by->take(by->context, cpu, &event);
}
