"""Guests that do what no program should: each run ends with a result that tells what happened."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, StopReason
from pyemu.native import ffi, lib
from tests.machine.images import RAM, SVC_HOST, words
from tests.machine.small_guests import (
    BX_R0,
    DACR,
    DATA,
    DATA_VECTOR,
    GICC,
    GICD,
    IRQ_VECTOR,
    LONG_FORMAT,
    NOP,
    PREFETCH_VECTOR,
    SCTLR,
    SELF,
    SMALL,
    SVC,
    SVC_VECTOR,
    TIMER_CTL,
    TTBCR,
    TTBR0,
    TVAL,
    UART,
    UDF,
    UNDEFINED_VECTOR,
    VBAR,
    VECTORS,
    WFI,
    cp15,
    load,
    run,
    start,
    store,
)

# ---- limits hold ----


def test_planning_in_a_block_that_faults_does_not_move_the_limit() -> None:
    """The handler makes the machine plan anew (a GIC write) in a block that ends early: it ran on and on."""
    again = {UNDEFINED_VECTOR: [0xE5810004, UDF]}
    assert 1000 <= run([*load(1, GICC), UDF], again, max_insns=1000).insns < 1010


def test_a_timer_that_fires_within_a_block_that_plans_is_not_forgotten() -> None:
    """The event lies behind the start of the block and before its GIC write."""
    code = store(GICC, 1) + store(GICC + 4, 0xFF) + store(GICD, 1) + store(GICD + 0x100, 1 << 30)
    code += [0xF1080080, *cp15(TVAL, 3), *cp15(TIMER_CTL, 1), *[NOP] * 40, 0xE5810004, *[NOP] * 40, SELF]
    with Machine(SMALL) as machine:
        start(machine, [*cp15(VBAR, VECTORS), *load(1, GICC), *code])
        machine.run(max_insns=5000)
        assert machine.reg("pc") == VECTORS + IRQ_VECTOR
        assert machine.stats().irqs == 1


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0xB000_0000])
def test_a_huge_semihosting_write_is_a_short_one(size: int) -> None:
    """Nobody could read or interrupt 4 GB of output from one instruction."""
    with Machine(MachineConfig(4 << 30)) as machine:
        start(machine, [*load(0, 5), *load(1, DATA), SVC_HOST, SELF])
        machine.write_phys(DATA, words(1, RAM, size))
        machine.run(max_insns=1000)
        assert len(machine.console.read()) == size - machine.reg("r0") == 1 * MIB


def test_timer_reads_on_every_page_answer_guest_time_in_no_time() -> None:
    """Each page with one got hooks for ever, and the engine looks at all of them for every instruction."""
    following = 0xEA000000 | 4096 // 4 - 6
    page = words(0xEC510F1E, 0xE0402004, 0xE1866002, 0xE1A04000, following, *[0xEC510F1E] * 1019)
    pages = 1200  # read CNTVCT; r6 |= what passed since the last one
    with Machine(SMALL) as machine:
        for number in range(pages):
            machine.write_phys(DATA + 4096 * number, page)
        machine.write_phys(DATA + 4096 * pages, words(SELF))
        machine.reset(DATA)
        assert machine.run(max_insns=5 * pages, timeout=20).reason is StopReason.LIMIT
        assert machine.reg("pc") == DATA + 4096 * pages
        assert 0 < machine.reg("r6") < 16


def test_a_timeout_is_heard_while_each_instruction_takes_long() -> None:
    """SCTLR.A on and off: all code is translated anew, and the timeout waited for a million of these."""
    toggle = [*load(1, 0x00C5_0078), *load(2, 0x00C5_007A), 0xEE011F10, 0xEE012F10, 0xEAFFFFFC]
    with Machine(SMALL) as machine:
        start(machine, toggle)
        stop = machine.run(timeout=0.3)
        assert stop.reason is StopReason.TIMEOUT
        assert stop.insns < 500_000


def test_a_fault_at_the_start_of_a_run_does_not_take_back_what_ran_before() -> None:
    """A breakpoint ended a block; then the page goes away, and PC is put into that block again."""
    with Machine(SMALL) as machine:
        start(machine, [NOP] * 12 + [SELF])
        assert machine.run(until=RAM + 40, max_insns=100).insns == 10
        for name, value in (("ttbr0", 0x8000_0000), ("sctlr", machine.reg("sctlr") | 1), ("pc", RAM + 16)):
            machine.set_reg(name, value)
        stop = machine.run(max_insns=100)
        assert (stop.reason, stop.insns, machine.stats().insns) == (StopReason.LOCKUP, 0, 10)


# ---- exceptions that lead nowhere ----


def test_a_jump_nowhere_without_vectors_names_the_vector() -> None:
    stop = run([*cp15(VBAR, 0x9000_0000), *load(0, 0x8000_0000), BX_R0])
    assert (stop.reason, stop.address) == (StopReason.LOCKUP, 0x9000_0000 + PREFETCH_VECTOR)


@pytest.mark.parametrize(
    ("vector", "handler", "cause"),
    [
        (UNDEFINED_VECTOR, [UDF], [UDF]),
        (DATA_VECTOR, [0xE5910000], [*load(1, 0x8000_0000), 0xE5910000]),  # ldr r0, [r1]
        (PREFETCH_VECTOR, [0xE1200070], [0xE1200070]),  # BKPT
    ],
)
def test_a_handler_whose_first_instruction_faults_is_a_lockup(
    vector: int, handler: list[int], cause: list[int]
) -> None:
    stop = run(cause, {vector: handler})
    assert (stop.reason, stop.address) == (StopReason.LOCKUP, VECTORS + vector)
    assert stop.insns < 20


def test_two_handlers_that_fault_into_each_other_are_a_lockup() -> None:
    stop = run([*load(1, 0x8000_0000), UDF], {UNDEFINED_VECTOR: [0xE5910000], DATA_VECTOR: [UDF]})
    assert stop.reason is StopReason.LOCKUP
    assert stop.address in (VECTORS + UNDEFINED_VECTOR, VECTORS + DATA_VECTOR)


def test_system_calls_within_system_calls_run_to_the_limit() -> None:
    stop = run([SVC], {SVC_VECTOR: [SVC]})
    assert (stop.reason, stop.insns) == (StopReason.LIMIT, 10_000)


def test_a_handler_that_returns_to_the_fault_runs_to_the_limit() -> None:
    stop = run([UDF], {UNDEFINED_VECTOR: [0xE25EF004]})  # subs pc, lr, #4
    assert stop.reason is StopReason.LIMIT


def test_a_branch_to_itself_runs_to_the_limit() -> None:
    assert run([SELF]).reason is StopReason.LIMIT


def test_a_wait_that_nothing_can_end_is_a_deadlock() -> None:
    assert run([WFI, SELF]).reason is StopReason.DEADLOCK
    assert run([*cp15(TIMER_CTL, 3), WFI, SELF]).reason is StopReason.DEADLOCK  # on, and masked


def test_devices_cannot_be_executed() -> None:
    for device in (UART, GICD, 0x1000_0000):
        with Machine(SMALL) as machine:
            start(machine, [*cp15(VBAR, VECTORS), *load(0, device), BX_R0])
            machine.run(max_insns=1000)
            assert machine.reg("pc") == VECTORS + PREFETCH_VECTOR
            assert (machine.reg("ifar"), machine.reg("ifsr")) == (device, 0x08)  # synchronous external abort


# ---- tables ----


@pytest.mark.parametrize("control", [0, LONG_FORMAT], ids=["short", "long"])
@pytest.mark.parametrize("table", [0x2000_0000, 0x0800_0000, 0xFFFF_C000])
def test_tables_outside_memory_end_at_the_prefetch_abort_vector(control: int, table: int) -> None:
    stop = run([*cp15(TTBCR, control), *cp15(TTBR0, table), *cp15(SCTLR, 0x00C5_0079), NOP])
    assert (stop.reason, stop.address) == (StopReason.LOCKUP, VECTORS + PREFETCH_VECTOR)


def test_a_long_table_that_points_to_itself_translates_as_three_levels() -> None:
    """L1[1] maps the code; L1[3] points to the table itself, whose entries 1 and 3 serve as L2 and L3 too."""
    table = DATA
    with Machine(SMALL) as machine:
        machine.write_phys(table + 8, words(RAM | 0x701, 0))
        machine.write_phys(table + 24, words(table | 3, 0))
        code = cp15(DACR, 1) + cp15(TTBCR, LONG_FORMAT) + cp15(TTBR0, table) + cp15(SCTLR, 0x00C5_0079)
        itself = 3 << 30 | 3 << 21 | 3 << 12
        start(machine, [*cp15(VBAR, VECTORS), *code, *load(1, itself), 0xE5912018, SELF])
        assert machine.run(max_insns=1000).reason is StopReason.LIMIT
        walk = machine.walk(itself)
        assert [step.table_pa for step in walk.steps] == [table] * 3
        # AF of the table descriptor that now is a page descriptor is clear: the guest's load faulted.
        assert machine.reg("pc") == VECTORS + DATA_VECTOR
        assert (machine.reg("dfar"), machine.reg("dfsr") & 0x3F) == (
            itself + 24,
            0x0B,
        )  # access flag, level 3


def test_a_short_table_that_points_to_itself_translates_as_two_levels() -> None:
    table = DATA
    with Machine(SMALL) as machine:
        machine.write_phys(table + 4 * (RAM >> 20), words(RAM | 0xC02))
        machine.write_phys(table, words(table | 1))  # as a page descriptor: a large page
        code = cp15(DACR, 1) + cp15(TTBCR, 0) + cp15(TTBR0, table) + cp15(SCTLR, 0x00C5_0079)
        start(machine, [*cp15(VBAR, VECTORS), *code, *load(1, 0), 0xE5912000, SELF])
        machine.run(max_insns=1000)
        assert [step.table_pa for step in machine.walk(0).steps] == [table] * 2
        assert machine.reg("pc") == VECTORS + DATA_VECTOR
        assert machine.reg("dfsr") & 0x40F == 0x0F  # permission, page: AP of the descriptor is 0


# ---- output ----


def test_a_flood_of_the_console_comes_out_whole_and_in_bounded_memory() -> None:
    """A store that fills the console's buffer, or ends the awaited text, was executed again."""
    letters, count = 10, 2_000_000
    code = [*load(1, UART), *load(2, count), *load(0, 0)]
    code += [
        *[0xE5C10000, 0xE2800001] * letters,
        0xE2522001,
        0x1A000000 | -(2 * letters + 3) & 0xFFFFFF,
        SELF,
    ]
    with Machine(SMALL) as machine:
        start(machine, code)
        before = resident_bytes()
        total, pattern = 0, bytes(range(256)) * 8000
        while total < letters * count:
            stop = machine.run(max_insns=1_000_000, until=b"not yet" if total % 3 else b"\x61\x62")
            assert stop.reason in (StopReason.LIMIT, StopReason.CONSOLE)
            output = machine.console.read()
            assert pattern.startswith(output, total % 256)
            total += len(output)
        assert total == letters * count
        if "ASAN_OPTIONS" not in os.environ:  # the sanitizer keeps what is freed
            assert resident_bytes() - before < 64 * MIB


def resident_bytes() -> int:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_guest_that_rewrites_its_code_does_not_fill_the_host() -> None:
    """Each round drops a block of 40 LDMs, about 30 KB of the host's code; the engine kept 1 GB."""
    again = 0xEA000000 | -44 & 0xFFFFFF
    code = [*load(13, DATA), *load(1, RAM + 20), 0xE5910000, 0xE5810000, *[0xE89D1FFC] * 40, again]
    with Machine(SMALL) as machine:
        start(machine, code)
        before = resident_bytes()
        machine.run(max_insns=43 * 8000)
        assert machine.stats().code_invalidations > 7000
        assert resident_bytes() - before < 160 * MIB


# ---- breakpoints ----


def test_breakpoints_may_be_many_and_their_pages_may_go_away() -> None:
    with Machine(SMALL) as machine:
        machine.write_phys(DATA + 4 * (RAM >> 20), words(RAM | 0xC02))
        start(machine, [*cp15(DACR, 1), *cp15(TTBR0, DATA), *cp15(SCTLR, 0x00C5_0079), NOP, 0xEAFFFFFD])
        error = ffi.new("pe_error *")
        for number in range(lib.PE_MAX_BREAKPOINTS):
            assert lib.pe_machine_break_add(machine.handle, RAM + 36 + 4 * number, error) == lib.PE_OK
            assert lib.pe_machine_break_add(machine.handle, RAM + 36, error) == lib.PE_OK  # there already
        assert lib.pe_machine_break_add(machine.handle, 0, error) == lib.PE_ERR_STATE
        for address in (RAM + 36, RAM + 40, RAM + 36):
            stop = machine.run(max_insns=100)
            assert (stop.reason, stop.address) == (StopReason.BREAKPOINT, address)
        machine.set_reg("ttbr0", 0x8000_0000)
        for number in range(lib.PE_MAX_BREAKPOINTS):
            assert lib.pe_machine_break_remove(machine.handle, RAM + 36 + 4 * number, error) == lib.PE_OK
        assert lib.pe_machine_break_remove(machine.handle, RAM + 36, error) == lib.PE_ERR_ARGUMENT
        machine.set_reg("ttbr0", DATA)
        assert machine.run(max_insns=100).reason is StopReason.LIMIT
        assert machine.stats().prefetch_aborts == 0


# ---- machine states ----


@pytest.mark.parametrize("field", ["instructions of a CPU", "guest time"])
def test_a_state_that_would_make_a_counter_run_over_is_refused(field: str) -> None:
    """Such a machine never reached a limit of instructions."""
    with Machine(SMALL) as machine:
        start(machine, [*[NOP] * 999, SELF])
        machine.run(max_insns=777)
        error = ffi.new("pe_error *")
        size = lib.pe_machine_state_save(machine.handle, ffi.NULL, 0, error)
        state = ffi.new("uint8_t[]", size)
        assert lib.pe_machine_state_save(machine.handle, state, size, error) == size
        content = bytes(ffi.buffer(state))
        assert lib.pe_machine_state_load(machine.handle, content, size, error) == lib.PE_OK
        count = machine.stats().insns
        number = (
            count if field == "instructions of a CPU" else count * 840
        )  # 1/840 ns, an instruction takes 1 ns
        places = [at for at in range(0, size - 8, 8) if content[at : at + 8] == number.to_bytes(8, "little")]
        assert places
        refused = 0
        for at in places:
            damaged = content[:at] + ((1 << 64) - 10).to_bytes(8, "little") + content[at + 8 :]
            refused += lib.pe_machine_state_load(machine.handle, damaged, size, error) == lib.PE_ERR_ARGUMENT
        assert refused == 1
