"""Traps of the engine's memory side: translated code, the soft TLB, physical addresses.

See test_engine_traps.py.  Where a trap costs only time, what it does too often is counted.
"""

from __future__ import annotations

import pytest

from pyemu.config import GIB, MIB, MachineConfig
from pyemu.machine import Machine, StopReason
from tests.machine.images import RAM, words
from tests.machine.traps.guest import (
    BX_LR,
    CONTEXTIDR,
    DABT,
    DACR,
    DSB,
    FREE,
    ICIALLU,
    ISB,
    PABT,
    SCTLR,
    SMALL,
    TTBCR,
    TTBR0,
    Guest,
    Tables,
    add,
    add_reg,
    assert_firmware_passes,
    blx,
    exceptions,
    ldr,
    logged,
    movw,
    store,
    subs,
)

VA = 0x8000_0000
ALIAS = 0x8010_0000
BIG = MachineConfig(16 * GIB)
ABOVE_4G = RAM + 4 * GIB + 0x1234_5000  # more than 4 GB into RAM


def rewriting_guest(rounds: int, write: int, run: int) -> Guest:
    """Writes `movw r0, #n; bx lr` at one address, runs it at another, `rounds` times; the sum ends in r6.

    Data beside the code are written first: the engine looks for translations only at the first store.
    """
    code = Guest()
    code.mmu_on()
    code.mov(4, write)
    code.mov(7, run)
    code.mov(5, rounds)
    code.mov(8, movw(0, 1))
    code.mov(9, BX_LR)
    code.op(0xE3A06000)  # mov r6, #0
    code.label("loop")
    code.op(store(8, 4, 0x800), store(8, 4), store(9, 4, 4), DSB)
    code.mcr(ICIALLU, 8)
    code.op(ISB, blx(7), add_reg(6, 6, 0), add(8, 8, 1), subs(5, 5, 1))
    code.b("loop", "ne")
    code.exit()
    return code


# ---- 3, 4, 5: translated code ----


def test_03_code_written_through_any_alias_runs_as_written() -> None:
    """Trap 3: translations outlive bytes that are written through another address; ICIALLU does nothing."""
    assert_firmware_passes("smc")


@pytest.mark.parametrize("write", [ALIAS, FREE], ids=["alias", "flat map"])
def test_03_each_of_a_hundred_versions_of_a_function_is_the_one_that_runs(write: int) -> None:
    """Trap 3: only the first write after a translation is noticed."""
    code = rewriting_guest(100, write, VA)
    with Machine(SMALL) as machine:
        tables = Tables(machine)
        tables.map(VA, FREE)
        tables.map(ALIAS, FREE)
        code.run(machine)
        assert machine.reg("r6") == sum(range(1, 101))


def test_04_a_page_that_was_read_and_written_is_not_yet_code() -> None:
    """Trap 4: a data entry that may execute is never clean, and every store to it takes the slow path.

    So data fills grant no execution: the first call into the page fills again, and makes it a page of code,
    which the first store after that undoes.
    """
    code = Guest()
    code.mmu_on()
    code.mov(4, VA)
    code.op(ldr(2, 4), store(2, 4, 8), ldr(2, 4, 12))
    code.label("used as data")
    code.op(blx(4), blx(4))
    code.label("used as code")
    code.op(store(2, 4, 8), store(2, 4, 12))
    code.label("data again")
    code.exit()
    fills, dropped = [], []
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, FREE)
        machine.write_phys(FREE, words(BX_LR))
        machine.load(code.code())
        for label in ("used as data", "used as code", "data again"):
            assert machine.run(until=code.address_of(label), max_insns=10_000).reason is StopReason.BREAKPOINT
            fills.append(machine.stats().fills)
            dropped.append(machine.stats().code_invalidations)
    assert fills[1] > fills[0]
    assert dropped[1] == dropped[0]
    assert dropped[2] == dropped[1] + 1


def test_05_code_above_4_gb_is_dropped_when_it_is_written() -> None:
    """Trap 5: the engine's call that drops translations cuts RAM offsets to 32 bits."""
    code = rewriting_guest(50, ALIAS, VA)
    with Machine(BIG) as machine:
        tables = Tables(machine)
        tables.map(VA, ABOVE_4G)
        tables.map(ALIAS, ABOVE_4G)
        code.run(machine)
        assert machine.reg("r6") == sum(range(1, 51))
        assert machine.stats().code_invalidations >= 49


def test_05_code_in_the_first_page_of_ram_and_in_flash_is_dropped_when_it_changes() -> None:
    """Trap 5: what is dropped is named by its place among all memory that was mapped, in map order."""
    loop = words(add(0, 0, 1), 0xEAFFFFFD)
    other = words(add(1, 1, 1), 0xEAFFFFFD)
    for address in (0, RAM, RAM + 0x8000):
        with Machine(SMALL) as machine:
            machine.load(flash=loop)
            machine.write_phys(address, loop)
            machine.reset(address, {"r0": 0, "r1": 0})
            machine.run(max_insns=1000)
            machine.write_phys(address, other)
            machine.run(max_insns=1000)
            assert abs(machine.reg("r0") - 500) <= 2
            assert abs(machine.reg("r1") - 500) <= 2


# ---- 16: raw registers, physical addresses ----


def short_root(machine: Machine, at: int, first: int) -> None:
    """Short-format sections: RAM and devices flat, and VA at `first`, not global, in domain 1."""
    for megabyte in (0x090, 0x400, 0x401, 0x402, 0x403, 0x404, 0x405, 0x406, 0x407):
        machine.write_phys(at + 4 * megabyte, words(megabyte << 20 | 0xC02))
    machine.write_phys(at + 4 * (VA >> 20), words(first | 0x20C22))


def test_16_a_register_written_from_outside_takes_effect_at_once() -> None:
    """Trap 16: CP15 writes through the engine's interface are raw: nothing is flushed."""
    loop = words(ldr(2, 4), 0xEAFFFFFD)
    with Machine(SMALL) as machine:
        short_root(machine, RAM + 0x10_0000, RAM + 0x60_0000)
        short_root(machine, RAM + 0x20_0000, RAM + 0x70_0000)
        machine.write_phys(RAM + 0x60_0000, words(6))
        machine.write_phys(RAM + 0x70_0000, words(7))
        machine.load(loop)
        for name, value in (("ttbr0", RAM + 0x10_0000), ("dacr", 5), ("sctlr", machine.reg("sctlr") | 1)):
            machine.set_reg(name, value)
        machine.set_reg("r4", VA)
        machine.run(max_insns=100)
        assert machine.reg("r2") == 6
        machine.set_reg("ttbr0", RAM + 0x20_0000)
        machine.run(max_insns=100)
        assert machine.reg("r2") == 7
        machine.set_reg("r4", RAM + 0x60_0000)
        machine.set_reg("sctlr", machine.reg("sctlr") & ~1)
        machine.run(max_insns=100)
        assert machine.reg("r2") == 6


def test_16_a_guest_that_changes_its_regime_sees_no_entry_of_the_old_one() -> None:
    """Trap 16: the guest's writes are trapped, so the flush that the engine would make must be ours."""
    code = Guest()
    code.mov(4, VA)
    code.set_cp15(DACR, 5)
    code.set_cp15(TTBCR, 0)
    code.set_cp15(TTBR0, RAM + 0x10_0000)
    code.mrc(SCTLR, 7)
    code.op(0xE3870001)  # orr r0, r7, #1
    code.mcr(SCTLR, 0)
    code.op(ISB, ldr(5, 4))
    code.set_cp15(DACR, 1)
    code.op(ISB, ldr(2, 4))
    code.set_cp15(DACR, 5)
    code.op(ISB, ldr(2, 4))
    code.set_cp15(TTBR0, RAM + 0x14_0000)
    code.set_cp15(CONTEXTIDR, 1)
    code.op(ISB, ldr(6, 4))
    code.mcr(SCTLR, 7)
    code.op(ISB, ldr(2, 4))
    code.exit()
    with Machine(SMALL) as machine:
        short_root(machine, RAM + 0x10_0000, RAM + 0x60_0000)
        short_root(machine, RAM + 0x14_0000, RAM + 0x70_0000)
        machine.write_phys(RAM + 0x60_0000, words(6))
        machine.write_phys(RAM + 0x70_0000, words(7))
        code.run(machine)
        assert (machine.reg("r5"), machine.reg("r6")) == (6, 7)
        # no access in domain 1; flat, where nothing is
        assert [(e.kind, e.dfsr) for e in exceptions(machine)] == [(DABT, 0x19), (DABT, 0x008)]


def test_16_address_space_ids_in_both_formats() -> None:
    """Trap 16: as the firmware checks them."""
    assert_firmware_passes("asid")


@pytest.mark.parametrize("pa", [0x1_4000_0000, RAM + 16 * MIB, 0xFF_FFFF_F000, 0x0900_5000])
def test_16_an_access_outside_memory_is_an_external_abort(pa: int) -> None:
    """Trap 16: the engine stops with an error of its own where nothing is mapped."""
    code = Guest()
    code.mmu_on()
    code.mov(4, VA + 0x24)
    code.mov_label(10, "back")
    code.op(ldr(2, 4), store(2, 4), blx(4))
    code.label("back")
    code.exit()
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, pa)
        code.run(machine)
        taken = exceptions(machine)
        assert [e.kind for e in taken] == [DABT, DABT, PABT]
        assert [(e.dfsr, e.dfar) for e in taken[:2]] == [(0x210, VA + 0x24), (0xA10, VA + 0x24)]
        assert (taken[2].ifsr, taken[2].ifar) == (0x210, VA + 0x24)


def test_16_a_fetch_from_a_device_is_an_external_abort() -> None:
    """Trap 16: the engine stops with an error of its own, or runs what the device answers."""
    code = Guest()
    code.mmu_on()
    code.mov(4, VA + 0x18)
    code.mov_label(10, "back")
    code.op(ldr(6, 4), blx(4))
    code.label("back")
    code.exit()
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, 0x0900_0000)
        code.run(machine)
        assert [(e.kind, e.ifsr, e.ifar) for e in exceptions(machine)] == [(PABT, 0x210, VA + 0x18)]
        assert machine.reg("r6") & 0x80  # FR: the transmit FIFO is empty


# ---- 17: physical addresses above 4 GB ----


def test_17_addresses_that_differ_by_4_gb_are_different_memory() -> None:
    """Trap 17: engines before 2.1.4 cut physical addresses to 32 bits."""
    code = Guest()
    code.mmu_on()
    for n in range(3):
        code.mov(4, VA + 0x1000 * n)
        code.op(0xE3A02000 | 16 + n, store(2, 4, 8))  # mov r2, #16 + n
    for n in range(3):
        code.mov(4, VA + 0x1000 * n)
        code.op(ldr(2, 4, 8), blx(4))
        code.log(2, 0)
    code.mov(4, VA + 0x3000)
    code.op(ldr(2, 4))
    code.log(2)
    code.exit()
    with Machine(BIG) as machine:
        tables = Tables(machine)
        for n in range(3):
            tables.map(VA + 0x1000 * n, FREE + 4 * GIB * n)
            machine.write_phys(FREE + 4 * GIB * n, words(movw(0, n + 1), BX_LR))
        tables.map(VA + 0x3000, 0x40_1000_0000)  # PCIe configuration space
        code.run(machine)
        assert logged(machine) == [16, 1, 17, 2, 18, 3, 0x00081B36]
        for n in range(3):
            assert machine.read_phys(FREE + 4 * GIB * n + 8, 4) == words(16 + n)


# ---- 18: LDRT, STRT ----


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("instruction", [0xE4B42000, 0xE4A42000], ids=["ldrt", "strt"])
def test_18_an_unprivileged_access_by_privileged_code_has_the_rights_of_the_user(
    instruction: int, warm: bool
) -> None:
    """Trap 18: the callback is not told, and CPSR says SVC; an entry once made would be the user's too."""
    code = Guest()
    code.mmu_on()
    code.mov(4, VA)
    code.op(0xE3A02000)
    if warm:
        code.op(ldr(3, 4), store(3, 4))
    code.op(instruction)
    code.mov(4, VA + 0x1000)
    code.op(instruction)
    code.op(ldr(2, 4))
    code.exit()
    with Machine(SMALL) as machine:
        tables = Tables(machine)
        tables.map(VA, FREE)
        tables.map(VA + 0x1000, FREE + 0x1000, Tables.USER)
        machine.write_phys(FREE, words(5))
        code.run(machine)
        [fault] = exceptions(machine)
        assert (fault.kind, fault.dfsr & ~0x800, fault.dfar) == (DABT, 0x20F, VA)
        assert machine.read_phys(FREE, 4) == words(5)


def test_18_every_unprivileged_instruction_in_both_states() -> None:
    """Trap 18: LDRBT, LDRHT, STRHT, ... as the firmware checks them."""
    assert_firmware_passes("user")
