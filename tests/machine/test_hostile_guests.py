"""Guests that do what no program should: each run ends with a result that tells the user what happened."""

from __future__ import annotations

import random
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, Stop, StopReason
from pyemu.native import ffi, lib
from tests.fuzz.arm import arm_constant
from tests.machine.images import RAM, SVC_HOST, words

SMALL = MachineConfig(16 * MIB)
GICD, GICC, UART = 0x0800_0000, 0x0801_0000, 0x0900_0000
VECTORS, DATA = RAM + 0x2000, RAM + 0x10_0000

NOP, SELF, UDF, WFI, SVC, HVC, BX_R0 = (
    *(0xE320F000, 0xEAFFFFFE, 0xE7F000F0, 0xE320F003),
    *(0xEF000000, 0xE1400070, 0xE12FFF10),
)
# MCR p15 of r0 (ARM DDI 0406C B3.17)
VBAR, SCTLR, TTBCR, TTBR0, DACR, TVAL, TIMER_CTL = (
    *(0xEE0C0F10, 0xEE010F10, 0xEE020F50, 0xEE020F10),
    *(0xEE030F10, 0xEE0E0F12, 0xEE0E0F32),
)
CVAL = 0xEC410F2E  # MCRR of r0, r1
LONG_FORMAT = 1 << 31
UNDEFINED_VECTOR, SVC_VECTOR, PREFETCH_VECTOR, DATA_VECTOR, IRQ_VECTOR = 0x04, 0x08, 0x0C, 0x10, 0x18


def load(register: int, value: int) -> list[int]:
    """movw, movt."""
    return arm_constant(register, value & 0xFFFF_FFFF)


def cp15(operation: int, value: int) -> list[int]:
    """Write a CP15 register, by way of r0."""
    return [*load(0, value), operation]


def store(address: int, value: int, instruction: int = 0xE5810000) -> list[int]:
    """Store r0 at r1, as a word unless told otherwise."""
    return [*load(1, address), *load(0, value), instruction]


def start(machine: Machine, code: Sequence[int], vectors: dict[int, Sequence[int]] | None = None) -> None:
    """Put code at the start of RAM, vectors (others branch to themselves) behind it, and reset."""
    table = [SELF] * 64
    for offset, handler in (vectors or {}).items():
        table[offset // 4 : offset // 4 + len(handler)] = handler
    machine.write_phys(VECTORS, words(*table))
    machine.write_phys(RAM, words(*code))
    machine.reset(RAM)


def run(
    code: Sequence[int],
    vectors: dict[int, Sequence[int]] | None = None,
    max_insns: int = 10_000,
    smp: int = 1,
) -> Stop:
    """Run code on a machine of its own."""
    with Machine(MachineConfig(16 * MIB, smp=smp)) as machine:
        start(machine, [*cp15(VBAR, VECTORS), *code], vectors)
        return machine.run(max_insns=max_insns)


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


# ---- devices and calls, at random ----

ENDS = (StopReason.LIMIT, StopReason.LOCKUP, StopReason.DEADLOCK, StopReason.POWEROFF, StopReason.RESET)
GO_ON = {
    UNDEFINED_VECTOR: [0xE1B0F00E],
    SVC_VECTOR: [0xE1B0F00E],
    PREFETCH_VECTOR: [SELF],
    DATA_VECTOR: [0xE25EF004],
    IRQ_VECTOR: [0xE25EF004],
}


@pytest.mark.parametrize("seed", range(3))
def test_every_cp15_register_may_be_written_with_anything(seed: int) -> None:
    rng = random.Random(seed)
    code = cp15(VBAR, VECTORS)
    for operation in range(1 << 14):
        crn, crm, opc1, opc2 = operation >> 10, operation >> 6 & 15, operation >> 3 & 7, operation & 7
        if crn in (1, 2, 3, 10, 12) and seed:  # seed 0 may end the translation, and so the test
            continue
        code += [*load(0, rng.getrandbits(32)), 0xEE000F10 | opc1 << 21 | crn << 16 | opc2 << 5 | crm]
        code += [0xEE101F10 | opc1 << 21 | crn << 16 | opc2 << 5 | crm]
    for operation in range(1 << 8):
        code += [0xEC410F00 | operation, 0xEC532F00 | operation]
    with Machine(SMALL) as machine:
        machine.write_phys(DATA, words(*code, SELF))
        start(machine, [], GO_ON)
        machine.reset(DATA)
        stop = machine.run(max_insns=200_000)
        assert stop.reason in ENDS
        assert not seed or machine.reg("pc") == DATA + 4 * len(code)


@pytest.mark.parametrize("device", [GICD, GICC, UART, 0x0901_0000, 0x0902_0000, 0x0903_0000, 0, 0x0400_0000])
@pytest.mark.parametrize("smp", [1, 8])
def test_every_device_register_takes_accesses_of_every_size_and_alignment(device: int, smp: int) -> None:
    """r1 walks over 4 KB of registers; r0 is a linear congruential generator."""
    accesses = [
        0xE5810000,
        0xE5C10000,
        0xE1C100B0,
        0xE1C120F0,
        0xE8810003,
        0xE5912000,
        0xE5D12000,
        0xE1D120B0,
    ]
    accesses += [0xE1C120D0, 0xE891000C, 0xE1912F9F, 0xE1A00000]
    step = [*load(5, 1664525), *load(6, 1013904223), 0xE0206095, 0xE2811001, 0xE1510007]
    code = [*load(1, device), *load(7, device + 0x1000), *accesses, *step]
    code += [0x1A000000 | -(len(accesses) + len(step) + 2) & 0xFFFFFF, SELF]
    with Machine(MachineConfig(16 * MIB, smp=smp)) as machine:
        start(machine, [*cp15(VBAR, VECTORS), 0xF1080080, *code], GO_ON)
        stop = machine.run(max_insns=120_000)
        assert stop.reason is StopReason.LIMIT
        assert machine.reg("r1") == device + 0x1000
        assert machine.stats().mmio > 4096 * 4


@pytest.mark.parametrize("compare", [0, 1, 0x3E8, 1 << 40, 1 << 50, 1 << 60, 1 << 63, (1 << 64) - 1])
def test_a_timer_fires_late_or_never_and_time_never_goes_back(compare: int) -> None:
    code = store(GICC, 1) + store(GICC + 4, 0xFF) + store(GICD, 1) + store(GICD + 0x100, 1 << 30)
    code += [*load(0, compare), *load(1, compare >> 32), CVAL, *cp15(TIMER_CTL, 1), WFI, SELF]
    with Machine(SMALL) as machine:
        start(machine, code)
        stop = machine.run(max_insns=1000)
        before = machine.time_ns
        assert stop.reason is (StopReason.LIMIT if compare <= 1 << 40 else StopReason.DEADLOCK)
        assert compare > 1 << 40 or before >= 16 * compare
        machine.run(max_insns=1000)
        assert machine.time_ns >= before


@pytest.mark.parametrize("seed", range(4))
def test_firmware_calls_take_any_arguments(seed: int) -> None:
    """Each CPU that is woken runs what lies at a random place, zeros mostly."""
    rng = random.Random(seed)
    code = []
    for _ in range(200):
        numbers = (0x8400_0000 + rng.choice((0, 2, 3, 3, 3, 4, 6, 10, rng.getrandbits(5))), rng.randrange(10))
        values = (*numbers, rng.choice((RAM, DATA, rng.getrandbits(32))), rng.getrandbits(32))
        code += [word for register, value in enumerate(values) for word in load(register, value)] + [HVC]
    assert run([*code, SELF], GO_ON, max_insns=100_000, smp=8).reason in ENDS


@pytest.mark.parametrize("seed", range(4))
def test_semihosting_takes_wild_pointers_and_lengths(seed: int) -> None:
    rng = random.Random(seed)
    wild = (0, 0xFFFF_FFFF, 0xFFFF_FFFC, RAM - 1, RAM + 16 * MIB - 2, UART, DATA, 0x7FFF_FFFF)
    code = []
    for _ in range(300):
        code += [*load(1, rng.choice(wild)), *load(0, rng.choice((*range(0x18), 0x30, 0x31, 0x99))), SVC_HOST]
    with Machine(SMALL) as machine:
        start(machine, [*cp15(VBAR, VECTORS), *code, SELF], GO_ON)
        machine.write_phys(DATA, words(*(rng.choice(wild) for _ in range(64))))
        machine.console.write(b"line\n" * 1000)
        stop = machine.run(max_insns=10_000)
        assert stop.reason is StopReason.LIMIT
        assert machine.reg("pc") == RAM + 4 * len([*cp15(VBAR, 0), *code])


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
