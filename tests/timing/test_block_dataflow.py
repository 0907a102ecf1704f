"""Accesses of random blocks: against a plain dataflow, and against what the engine does with them."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

import pytest
import unicorn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unicorn import arm_const

from pyemu.timing import read_core
from pyemu.timing.blocks import BlockCost, Blocks
from tests.timing.arm_code import FLAGS, NOTHING, Insn, code_of, instructions
from tests.timing.test_block_accesses import BASE, RULES

LOAD = "load"
blocks_of_code = st.lists(instructions(), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    return Blocks(read_core("cortex-a15"))


def plain_dataflow(block: list[Insn]) -> tuple[list[tuple[str, frozenset[int | str]]], set[int]]:
    """Each access with what its address comes from, and the registers that hold loaded values at the end."""
    origin: dict[int | str, frozenset[int | str]] = defaultdict(frozenset)
    origin |= {r: frozenset([r]) for r in range(15)}

    def of(registers: frozenset[int | str]) -> frozenset[int | str]:
        return NOTHING.union(*(origin[r] for r in registers))

    accesses = []
    for insn in block:
        condition = origin[FLAGS] if insn.conditional else NOTHING
        address = of(insn.address) | condition
        accesses += [(kind, address) for kind in insn.kinds]
        value = (frozenset([LOAD]) if "L" in insn.kinds else of(insn.reads)) | condition
        results = dict.fromkeys(insn.writes, value)
        if insn.base is not None:
            results[insn.base] = address | of(insn.step)
        for r, new in results.items():
            origin[r] = new | origin[r] if insn.conditional or r in insn.partly else new
    return accesses, {r for r in range(15) if LOAD in origin[r]}


@settings(max_examples=600, deadline=None)
@given(blocks_of_code)
def test_addresses_depend_on_what_a_plain_dataflow_says(blocks: Blocks, block: list[Insn]) -> None:
    accesses, loaded = plain_dataflow(block)
    cost = blocks.cost(code_of(block), BASE)
    assert (cost.insns, cost.unknown) == (len(block), 0)
    found = [
        ("LS"[a.store], a.address_regs | (frozenset([LOAD]) if a.after_load else NOTHING))
        for a in cost.accesses
    ]
    assert found == accesses
    assert cost.loaded_regs == loaded
    offsets = [offset for i, insn in enumerate(block) for offset in [4 * i] * len(insn.kinds)]
    assert [a.offset for a in cost.accesses] == offsets


class Engine:
    """Runs a block and notes each access: by offset of its instruction, kind and address.

    Memory is there where it is asked for, filled with values that depend on the address and ``seed``; with
    seed 0 it is empty.
    """

    def __init__(self, code: bytes, thumb: bool, registers: list[int], zero: bool, seed: int) -> None:
        self.seed, self.offset, self.end = seed, 0, len(code)
        self.accesses: dict[int, list[tuple[str, int]]] = defaultdict(list)
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB if thumb else unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_A15)
        uc.mem_map(BASE, 0x1000)
        uc.mem_write(BASE, code)
        uc.reg_write(arm_const.UC_ARM_REG_CPSR, 0x1D3 | zero << 30 | thumb << 5)
        uc.reg_write(arm_const.UC_ARM_REG_C1_C0_2, 0xF << 20)
        uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
        names = [arm_const.UC_ARM_REG_R0 + r for r in range(13)]
        names += [arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_LR]
        for name, value in zip(names, registers, strict=True):
            uc.reg_write(name, value)
        uc.hook_add(unicorn.UC_HOOK_CODE, self.step)
        uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self.note)
        uc.hook_add(unicorn.UC_HOOK_MEM_READ_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED, self.map)
        self.stopped = True  # before the end: by a branch, or at the last page of all, which cannot be mapped
        with suppress(unicorn.UcError):
            uc.emu_start(BASE | thumb, BASE + len(code))
            self.stopped = False
        self.registers = [uc.reg_read(name) for name in names]

    def step(self, uc: unicorn.Uc, address: int, _size: int, _user: object) -> None:
        self.offset = address - BASE
        if not 0 <= self.offset < self.end:
            uc.emu_stop()

    def note(self, _uc: unicorn.Uc, kind: int, address: int, _size: int, _value: int, _user: object) -> None:
        self.accesses[self.offset].append(("L" if kind == unicorn.UC_MEM_READ else "S", address))

    def map(self, uc: unicorn.Uc, _kind: int, address: int, size: int, _value: int, _user: object) -> bool:
        for page in {address & ~0xFFF, (address + size - 1 & 0xFFFF_FFFF) & ~0xFFF}:
            if not any(start <= page <= end for start, end, _ in uc.mem_regions()):
                uc.mem_map(page, 0x1000)
                if not self.seed:
                    continue
                words = [
                    (page + at) * 0x9E37_79B1 + self.seed * 0x85EB_CA6B & 0x0F7F_7F78
                    for at in range(0, 4096, 4)
                ]
                uc.mem_write(page, b"".join(word.to_bytes(4, "little") for word in words))
        return True


def registers_from(seed: int) -> list[int]:
    return [(seed * 0x9E37_79B1 + r * 0x85EB_CA6B) % 0x1000_0000 & ~7 | 0x1000_0000 for r in range(15)]


def kinds_by_offset(cost: BlockCost) -> dict[int, str]:
    found: dict[int, str] = defaultdict(str)
    for access in cost.accesses:
        found[access.offset] += "LS"[access.store]
    return found


def moved(one: Engine, other: Engine) -> set[int]:
    """Offsets of instructions whose addresses differ, or that one of them did not execute."""
    return {at for at in {*one.accesses, *other.accesses} if one.accesses.get(at) != other.accesses.get(at)}


@pytest.mark.parametrize(
    ("thumb", "text", "code"), [(thumb, text, code) for thumb, text, code, _, _ in RULES]
)
def test_the_engine_makes_the_accesses_of_each_instruction(
    blocks: Blocks, thumb: bool, text: str, code: str
) -> None:
    raw = bytes.fromhex(code)
    found: dict[int, str] = {}
    equal = [0x1000_0000, 0x1000_0000, 0, *[0x1000_0000] * 12]
    for registers, zero, seed in ((registers_from(1), False, 1), (equal, True, 0)):  # NE, then EQ
        engine = Engine(raw, thumb, registers, zero, seed)
        found |= {at: "".join(kind for kind, _ in accesses) for at, accesses in engine.accesses.items()}
    assert found == kinds_by_offset(blocks.cost(raw, BASE, thumb=thumb))


@settings(max_examples=150, deadline=None)
@given(blocks_of_code, st.integers(0, 1000), st.integers(0, 14), st.booleans())
def test_in_the_engine_nothing_else_moves_an_address(
    blocks: Blocks, block: list[Insn], seed: int, register: int, zero: bool
) -> None:
    code, start = code_of(block), registers_from(seed)
    cost, changed = blocks.cost(code, BASE), list(start)
    changed[register] ^= 0x0123_4560
    first = Engine(code, False, start, zero, 1)
    other_start = Engine(code, False, changed, zero, 1)
    other_memory = Engine(code, False, start, zero, 2)
    assume(not any(engine.stopped for engine in (first, other_start, other_memory)))
    by_offset = {access.offset: access for access in cost.accesses}
    kinds = kinds_by_offset(cost)
    for engine in (first, other_start, other_memory):
        for at, accesses in engine.accesses.items():
            assert "".join(kind for kind, _ in accesses) == kinds[at]
    for i, insn in enumerate(block):
        assert insn.conditional or 4 * i in first.accesses or not insn.kinds
    for at in moved(first, other_start):
        assert register in by_offset[at].address_regs or by_offset[at].after_load
    for at in moved(first, other_memory):
        assert by_offset[at].after_load
    differ = {r for r in range(15) if first.registers[r] != other_memory.registers[r]}
    assert differ <= cost.loaded_regs
