"""Hooks of single instructions and Thumb IT blocks: breakpoints, emulated instructions, alignment faults.

The engine leaves no IT block at a hook, nor the code that it translates behind one; docs/engine.md has
the traps and what is done about them.  Each test fails when that is taken out.
"""

from __future__ import annotations

import struct

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, StopReason
from tests.machine.images import words
from tests.machine.traps.guest import (
    COUNT,
    DABT,
    FREE,
    NOP,
    SCTLR,
    SMALL,
    Guest,
    add,
    blx,
    exceptions,
    ldr,
    logged,
)

CONFIGS = [MachineConfig(16 * MIB, timing=timing) for timing in ("off", "tlb", "cache")]
every_timing = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config.timing))

CMP_R0_R0, BX_LR, NOP_T = 0x4280, 0x4770, 0xBF00
IT_EQ, ITE_EQ, ITT_EQ, ITTE_EQ, ITTEE_EQ = 0xBF08, 0xBF0C, 0xBF04, 0xBF06, 0xBF07
ENDS_IN_IT = (CMP_R0_R0, IT_EQ, BX_LR, BX_LR)
ENDS_WITHOUT = (CMP_R0_R0, NOP_T, BX_LR, BX_LR)
CNTVCT = (0xEC51, 0x0F1E)  # mrrc p15, 1, r0, r1, c14


def calling(code: Guest, at: int = FREE) -> None:
    """Calls the Thumb function there."""
    code.mov(8, at + 1)
    code.op(blx(8))


def load(machine: Machine, code: Guest, *function: int) -> None:
    """The program, and the halfwords of the function that it calls."""
    machine.write_phys(FREE, struct.pack(f"<{len(function)}H", *function))
    machine.load(code.code())


# ---- ARM code behind an IT block ----


@every_timing
def test_a_breakpoint_in_arm_code_behind_an_it_block_stops_before_its_instruction(
    config: MachineConfig,
) -> None:
    code = Guest()
    calling(code)
    code.op(add(6, 6, 1))
    here = code.here
    code.op(add(6, 6, 1), add(6, 6, 1))
    code.exit()
    stops = []
    for function in (ENDS_IN_IT, ENDS_WITHOUT):
        with Machine(config) as machine:
            load(machine, code, *function)
            stop = machine.run(until=here, max_insns=1000)
            assert (stop.reason, machine.reg("pc"), machine.reg("r6")) == (StopReason.BREAKPOINT, here, 1)
            end = machine.run(max_insns=1000)
            assert (end.reason, machine.reg("r6")) == (StopReason.EXIT, 3)
            stops.append((stop.insns, end.insns))
    assert stops[0] == stops[1]


@every_timing
def test_the_counter_read_in_arm_code_behind_an_it_block_is_emulated(config: MachineConfig) -> None:
    code = Guest()
    calling(code)
    code.op(NOP)
    code.mrrc(COUNT["virtual"], 0, 1)
    code.op(add(6, 6, 1))
    code.log(0, 1, 6)
    code.exit()
    with Machine(config) as machine:
        load(machine, code, *ENDS_IN_IT)
        machine.run(max_insns=1000)
        low, high, after = logged(machine)
        assert (low < 1000, high, after) == (True, 0, 1)  # of the host's clock it would be billions


def test_an_alignment_fault_in_arm_code_behind_an_it_block_is_taken() -> None:
    code = Guest()
    code.mov(2, 0)
    code.mov(4, FREE + 0x101)
    code.mrc(SCTLR, 0)
    code.op(0xE3800002)  # orr r0, r0, #2
    code.mcr(SCTLR, 0)
    calling(code)
    code.op(NOP)
    at = code.here
    code.op(ldr(2, 4), add(6, 6, 1))
    code.exit()
    with Machine(SMALL) as machine:
        load(machine, code, *ENDS_IN_IT)
        machine.write_phys(FREE + 0x100, words(0x11111111, 0x11111111))
        machine.run(max_insns=1000)
        [taken] = exceptions(machine)
        assert (taken.kind, taken.lr - 8, taken.dfar) == (DABT, at, FREE + 0x101)
        assert (machine.reg("r2"), machine.reg("r6")) == (0, 1)


# ---- within an IT block ----

CONDITIONAL = (
    *(CMP_R0_R0, ITTEE_EQ),
    0x3601,  # 4: addeq r6, #1
    *(0xF107, 0x0701),  # 6: addeq.w r7, r7, #1
    *(0x3610, 0x3710),  # a: addne r6, #16; addne r7, #16
    *(0x3602, BX_LR),  # e: adds r6, #2
)


@every_timing
def test_a_breakpoint_in_an_it_block_stops_before_its_instruction(config: MachineConfig) -> None:
    code = Guest()
    calling(code)
    code.exit()
    with Machine(config) as machine:
        load(machine, code, *CONDITIONAL)
        whole = machine.run(max_insns=1000)
    with Machine(config) as machine:
        load(machine, code, *CONDITIONAL)
        begin = machine.run(until=FREE).insns
    for offset, done, r6, r7 in ((4, 2, 0, 0), (6, 3, 1, 0), (0xE, 6, 1, 1)):
        with Machine(config) as machine:
            load(machine, code, *CONDITIONAL)
            stop = machine.run(until=FREE + offset, max_insns=1000)
            assert (stop.reason, machine.reg("pc")) == (StopReason.BREAKPOINT, FREE + offset)
            assert (stop.insns, machine.reg("r6"), machine.reg("r7")) == (begin + done, r6, r7)
            end = machine.run(max_insns=1000)
            assert (end.reason, machine.reg("r6"), machine.reg("r7")) == (StopReason.EXIT, 3, 1)
            assert stop.insns + end.insns == whole.insns


@every_timing
def test_a_breakpoint_in_an_it_block_behind_an_exception_keeps_the_it_state(config: MachineConfig) -> None:
    """A PC that is written while no block runs leaves a flag: the engine need not bring its state back."""
    code = Guest()
    calling(code)
    code.exit()
    # mov r5, lr; svc #1; cmp r0, r0; ite eq; addeq r6, #1; addne r6, #16; bx r5
    function = (0x4675, 0xDF01, CMP_R0_R0, ITE_EQ, 0x3601, 0x3610, 0x4728)
    with Machine(config) as machine:
        load(machine, code, *function)
        assert machine.run(until=FREE + 8, max_insns=1000).reason is StopReason.BREAKPOINT
        assert (machine.reg("pc"), machine.reg("r6")) == (FREE + 8, 0)
        assert machine.run(max_insns=1000).reason is StopReason.EXIT
        assert machine.reg("r6") == 1


def test_a_breakpoint_on_an_instruction_whose_condition_fails_is_passed() -> None:
    code = Guest()
    calling(code)
    code.exit()
    with Machine(SMALL) as machine:
        load(machine, code, *CONDITIONAL)
        assert machine.run(until=FREE + 0xA, max_insns=1000).reason is StopReason.EXIT


@every_timing
@pytest.mark.parametrize("equal", [True, False], ids=["eq", "ne"])
@pytest.mark.parametrize("stopping", [False, True], ids=["", "breakpoint"])
def test_an_emulated_instruction_in_an_it_block(config: MachineConfig, equal: bool, stopping: bool) -> None:
    """It is executed once, if at all, and the rest of the block keeps its conditions."""
    results = []
    for instruction in (CNTVCT, (0xF04F, 0x0003)):  # mov.w r0, #3
        code = Guest()
        code.mov(0, 0x7777_7777)
        code.op(*[0xE3A00000 | register << 12 for register in (2, 3, 6)])  # mov rN, #0
        code.op(0xE1500000 if equal else 0xE3500000)  # cmp r0, r0 or #0
        calling(code)
        code.log(0, 2, 3, 6)
        code.exit()
        with Machine(config) as machine:
            # itte eq; ...; moveq r2, #1; movne r3, #1; adds r6, #1; bx lr
            load(machine, code, ITTE_EQ, *instruction, 0x2201, 0x2301, 0x3601, BX_LR)
            insns = machine.run(until=FREE + 2, max_insns=1000).insns if stopping and equal else 0
            assert not insns or machine.reg("pc") == FREE + 2
            insns += machine.run(max_insns=1000).insns
            r0, *others = logged(machine)
            assert others == ([1, 0, 1] if equal else [0, 1, 1])
            assert r0 < 1000 if equal else r0 == 0x7777_7777
            results.append(insns)
    assert results[0] == results[1]


@every_timing
def test_an_alignment_fault_in_an_it_block_saves_the_it_state(config: MachineConfig) -> None:
    code = Guest()
    code.mov(2, 0)
    code.mov(4, FREE + 0x101)
    code.mrc(SCTLR, 0)
    code.op(0xE3800002)  # orr r0, r0, #2
    code.mcr(SCTLR, 0)
    calling(code)
    code.log(6)
    code.exit()
    with Machine(config) as machine:
        # cmp r0, r0; itt eq; addeq r6, #1; ldreq.w r2, [r4]; adds r6, #1; bx lr
        load(machine, code, CMP_R0_R0, ITT_EQ, 0x3601, 0xF8D4, 0x2000, 0x3601, BX_LR)
        machine.write_phys(FREE + 0x100, words(0x11111111, 0x11111111))
        machine.run(max_insns=1000)
        kind, lr, spsr, dfsr, dfar, *_, r6 = logged(machine)
        assert (kind, lr - 8, dfsr, dfar) == (DABT, FREE + 6, 1, FREE + 0x101)
        assert (spsr >> 8 & 0xFC | spsr >> 25 & 3) == 0x08  # EQ, and nothing behind it (ARM DDI 0406C A2.5.2)
        assert (machine.reg("r2"), r6) == (0, 2)
