"""Traps of the engine that change what is executed: state, exceptions, waiting, counting, construction.

The engine is Unicorn 2.1.4, used beyond what its interface promises; docs/engine.md lists the traps by the
numbers used here.  Each test fails when the remedy of its trap is taken out.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyemu.machine import Machine, StopReason
from tests.machine.images import words
from tests.machine.traps.guest import (
    DABT,
    FREE,
    HVC,
    NOP,
    PABT,
    SMALL,
    SVC,
    UDF,
    UNDEF,
    WFE,
    WFI,
    YIELD,
    Guest,
    Tables,
    add,
    assert_firmware_passes,
    blx,
    exceptions,
    ldr,
    logged,
    store,
    subs,
)

VA = 0x8000_0000
UART = 0x0900_0000
FLASH_LOOP_ROUNDS = 3


# ---- 1: IT state ----


def test_01_instructions_behind_an_it_block_run_whatever_missed_in_it() -> None:
    """Trap 1: a fill restores the IT state of the middle of a block, and the next block is skipped."""
    assert_firmware_passes("thumb")


@pytest.mark.parametrize("address", [VA, UART], ids=["memory", "device"])
def test_01_a_load_in_an_it_block_leaves_no_condition_behind(address: int) -> None:
    """Trap 1: the same for one load, of memory and of a device, missing and hitting."""
    code = Guest()
    code.mmu_on()
    code.mov(4, address)
    code.mov_label(8, "thumb")
    for _ in range(2):
        code.op(0xE3A00000, 0xE3A06007, 0xE3580000 | 8 << 16, 0xE1580008)  # r0 = 0; r6 = 7; cmp r8, r8
        code.op(add(8, 8, 1), blx(8), subs(8, 8, 1))
        code.log(0, 6)
    code.exit()
    code.label("thumb")
    code.op(0x6821BF0C)  # ite eq; ldreq r1, [r4]
    code.op(0xE7FF2600)  # movne r6, #0; b .+2
    code.op(0x0001F100)  # add.w r0, r0, #1
    code.op(0xBF004770)  # bx lr
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, FREE)
        code.run(machine)
        assert logged(machine) == [1, 7, 1, 7]


# ---- 7: `until` ----


def test_07_code_at_address_zero_is_code() -> None:
    """Trap 7: the engine stops at an `until` address, and drops the translated block there at each return."""
    code = [
        add(2, 2, 1),  # add r2, r2, #1
        0xE3520000 | FLASH_LOOP_ROUNDS,  # cmp r2, #3
        0x1AFFFFFC,  # bne 0
        0xE3A00018,  # mov r0, #0x18
        0xE59F1000,  # ldr r1, =0x20026
        0xEF123456,  # svc #0x123456
        0x20026,
    ]
    with Machine(SMALL) as machine:
        machine.load(flash=words(*code))
        assert machine.reg("pc") == 0
        stop = machine.run(max_insns=1000)
        assert (stop.reason, stop.insns) == (StopReason.EXIT, 3 * FLASH_LOOP_ROUNDS + 3)
        assert machine.stats().wfi == 0


# ---- 8: exact fault addresses ----

UNMAPPED = VA + 0x1000


@pytest.mark.parametrize(
    ("instruction", "base", "faulting"),
    [
        (0xE5942123, UNMAPPED, UNMAPPED + 0x123),  # ldr r2, [r4, #0x123]
        (0xE5D42FFF, UNMAPPED, UNMAPPED + 0xFFF),  # ldrb r2, [r4, #0xfff]
        (0xE5042004, UNMAPPED + 0x408, UNMAPPED + 0x404),  # str r2, [r4, #-4]
        (0xE5B42008, UNMAPPED, UNMAPPED + 8),  # ldr r2, [r4, #8]!
        (0xE894000C, UNMAPPED - 4, UNMAPPED),  # ldm r4, {r2, r3}: the second word
        (0xE1C422D8, UNMAPPED + 0x10, UNMAPPED + 0x38),  # ldrd r2, r3, [r4, #40]
        (0xE5942000, UNMAPPED - 2, UNMAPPED),  # ldr r2, [r4]: the second half of the word
    ],
    ids=["ldr", "ldrb", "str", "writeback", "ldm", "ldrd", "across"],
)
def test_08_dfar_is_the_exact_address(instruction: int, base: int, faulting: int) -> None:
    """Trap 8: the fill callback gets an address without its last twelve bits."""
    code = Guest()
    code.mmu_on()
    code.mov(4, base)
    code.op(instruction)
    code.exit()
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, FREE)
        code.run(machine)
        [fault] = exceptions(machine)
        assert (fault.kind, fault.dfar) == (DABT, faulting)
        assert machine.reg("r4") == base


def test_08_ifar_is_the_exact_address() -> None:
    """Trap 8, of a fetch."""
    code = Guest()
    code.mmu_on()
    code.mov_label(10, "back")
    code.mov(4, UNMAPPED + 0x124)
    code.op(blx(4))
    code.label("back")
    code.exit()
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, FREE)
        code.run(machine)
        [fault] = exceptions(machine)
        assert (fault.kind, fault.ifar, fault.lr) == (PABT, UNMAPPED + 0x124, UNMAPPED + 0x128)


# ---- 9: hints and undefined instructions ----


@pytest.mark.parametrize("before", ["nothing", "fill", "abort", "undefined", "svc", "trapped read"])
@pytest.mark.parametrize("hint", [WFE, YIELD], ids=["wfe", "yield"])
def test_09_a_hint_is_never_undefined_and_udf_always_is(hint: int, before: str) -> None:
    """Trap 9: WFE, YIELD and undefined instructions arrive at one hook; what tells them apart goes stale."""
    first: dict[str, tuple[Callable[[Guest], None], list[int]]] = {
        "nothing": (lambda code: None, []),
        "fill": (lambda code: code.op(ldr(2, 4)), []),
        "abort": (lambda code: code.op(ldr(2, 5)), [DABT]),
        "undefined": (lambda code: code.op(UDF), [UNDEF]),
        "svc": (lambda code: code.op(0xEF000001), [SVC]),
        "trapped read": (lambda code: code.mrrc((0, 14), 2, 3), []),  # CNTPCT
    }
    prepare, expected = first[before]
    code = Guest()
    code.mmu_on()
    code.mov(4, VA)
    code.mov(5, UNMAPPED)
    code.op(0xE3A06000)  # mov r6, #0
    at = []
    for _ in range(4):
        prepare(code)
        code.op(hint, add(6, 6, 1))  # a hint arrives with PC behind it
        at.append(code.here)
        code.op(UDF, hint, add(6, 6, 1), hint, add(6, 6, 1), add(4, 4, 0x400))
    code.exit()
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, FREE)
        code.run(machine)
        taken = exceptions(machine)
        assert [e.kind for e in taken] == 4 * [*expected, UNDEF]
        assert [e.lr - 4 for e in taken[len(expected) :: len(expected) + 1]] == at
        assert machine.reg("r6") == 12


# ---- 10: WFI ----


def test_10_wfi_waits_and_nothing_else_does() -> None:
    """Trap 10: the engine returns from WFI as it does from a stop that we asked for."""
    code = Guest()
    code.mov(2, 0)
    code.mov(5, 10_000)
    code.label("loop")
    code.op(subs(5, 5, 1))
    code.b("loop", "ne")
    code.op(WFI)
    code.label("behind")
    code.op(add(2, 2, 1))
    code.exit()
    with Machine(SMALL) as machine:
        machine.load(code.code())
        for _ in range(20):
            assert machine.run(max_insns=900).reason is StopReason.LIMIT
        assert machine.stats().wfi == 0
        stop = machine.run(max_insns=1_000_000)
        assert (stop.reason, machine.stats().wfi) == (StopReason.DEADLOCK, 1)
        assert (machine.reg("pc"), machine.reg("r2")) == (code.address_of("behind"), 0)


# ---- 11: aborts ----


def test_11_an_abort_is_taken_and_its_instruction_can_be_repeated() -> None:
    """Trap 11: an exception entered inside the fill callback is undone when the engine unwinds."""
    code = Guest()
    code.mmu_on()
    code.mov(4, UNMAPPED)
    code.mov_label(10, "back")
    loads = [code.here]
    code.op(ldr(2, 4))
    loads.append(code.here)
    code.op(store(2, 4))
    code.op(0xE10F0000)  # mrs r0, cpsr
    code.op(blx(4))
    code.label("back")
    code.op(0xE1A02000)  # mov r2, r0
    code.exit()
    with Machine(SMALL) as machine:
        Tables(machine).map(VA, FREE)
        code.run(machine)
        taken = exceptions(machine)
        assert [(e.kind, e.lr) for e in taken] == [
            (DABT, loads[0] + 8),
            (DABT, loads[1] + 8),
            (PABT, UNMAPPED + 4),
        ]
        assert [e.dfsr for e in taken[:2]] == [0x207, 0xA07]  # long format, translation fault, level 3; WnR
        assert all(e.spsr & 0x1F == 0x13 for e in taken)
        assert machine.reg("r2") & 0x1F == 0x13
        stats = machine.stats()
        assert (stats.data_aborts, stats.prefetch_aborts, stats.undefs) == (2, 1, 0)


# ---- 12: counting ----


def test_12_the_block_at_which_a_run_stops_is_not_counted() -> None:
    """Trap 12: a stop asked for in the block hook comes before the block, which was counted already."""
    loop = [add(0, 0, 1), 0xEAFFFFFF, NOP, NOP, add(1, 1, 1), 0xEAFFFFF9]  # blocks of 2 and 4 instructions
    with Machine(SMALL) as machine:
        machine.load(words(*loop))
        machine.set_reg("r1", 0)
        for limit in [*range(1, 40), 997]:
            machine.run(max_insns=limit)
            assert machine.stats().insns == 2 * machine.reg("r0") + 4 * machine.reg("r1")


def test_12_a_breakpoint_elsewhere_changes_neither_counts_nor_fault_addresses() -> None:
    """Trap 12: a hook on any instruction turns off the engine's own bookkeeping of PC, for all of them."""
    code = Guest()
    code.mmu_on()
    code.mov(4, UNMAPPED)
    code.op(NOP, NOP, ldr(2, 4), NOP, UDF, NOP, 0xEF000001, NOP, store(2, 4), NOP)
    code.exit()
    seen = []
    for until in (None, FREE):
        with Machine(SMALL) as machine:
            Tables(machine).map(VA, FREE)
            machine.load(code.code())
            stop = machine.run(max_insns=10_000, until=until)
            assert stop.reason is StopReason.EXIT
            seen.append((stop.insns, exceptions(machine)))
    assert seen[0] == seen[1]
    assert [e.kind for e in seen[0][1]] == [DABT, UNDEF, SVC, DABT]


@pytest.mark.parametrize(
    "instruction",
    [ldr(2, 4), UDF, 0xEE311F30, HVC, 0xEF000001],
    ids=["abort", "undefined", "undefined mrc", "hvc", "svc"],
)
def test_12_instructions_behind_an_exception_are_counted_once(instruction: int) -> None:
    """Trap 12: a block is counted as a whole before it runs."""
    counts = []
    for behind in (0, 40):
        code = Guest()
        code.mmu_on()
        code.mov(0, 0x84000000)
        code.mov(4, UNMAPPED)
        code.op(NOP, NOP, instruction, *[NOP] * behind)
        code.exit()
        with Machine(SMALL) as machine:
            Tables(machine).map(VA, FREE)
            counts.append(code.run(machine).insns)
    assert counts[1] == counts[0] + 40
