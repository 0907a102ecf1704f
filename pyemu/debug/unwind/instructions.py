"""What an instruction does to the registers and the stack, as far as it matters for who called.

Capstone decodes; ARM DDI 0406C, A8 and B9, says what is done. An instruction that is not known here makes the
registers unknown that it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Any

from pyemu.debug.unwind.effects import (
    ARITHMETIC,
    Effect,
    Read,
    aligned,
    assign,
    compute,
    jump_to,
    set_register,
)
from pyemu.debug.unwind.state import LR, MODES, PC, SP, State, Value, add

__all__ = ["Flow", "Instruction", "decode"]

_MASK = 0xFFFF_FFFF
_CPSR_T = 0x20
_CACHED = 1 << 16
_NAMES = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": SP, "lr": LR, "pc": PC}
_NAMES |= {f"r{number}": number for number in range(16)}
_DEAD = ("udf", "bkpt", "hlt")


class Flow(Enum):
    """Where it goes on: ``JUMP`` and ``EXCEPTION``, a return from one, to ``state.next``."""

    NEXT = auto()
    BRANCH = auto()
    CALL = auto()
    JUMP = auto()
    EXCEPTION = auto()
    STOP = auto()


@dataclass(frozen=True)
class Instruction:
    """``target`` of a branch counts from the instruction.

    ``jump`` of a JUMP is the register of BX, LR of MOV PC, LR, PC where it is loaded from the stack, else -1.
    ``it`` is how many instructions behind it are conditional.
    """

    size: int
    flow: Flow
    conditional: bool
    run: Effect
    target: int = 0
    jump: int = PC
    it: int = 0


@cache
def _engine(thumb: bool) -> Any:
    import capstone

    mode = capstone.CS_MODE_THUMB if thumb else capstone.CS_MODE_ARM
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode | capstone.CS_MODE_V8)
    engine.detail = True
    return engine


@lru_cache(maxsize=_CACHED)
def decode(data: bytes, thumb: bool) -> Instruction | None:
    """The instruction that four bytes (two at the end of memory) begin with; None for none."""
    import capstone

    insn = next(_engine(thumb).disasm(data, 0, 1), None)
    if insn is None:
        return None
    conditional = insn.cc not in (capstone.arm.ARM_CC_INVALID, capstone.arm.ARM_CC_AL)
    name = str(insn.insn_name())
    if name == "it":
        return Instruction(insn.size, Flow.NEXT, False, _nothing, it=len(insn.mnemonic.split(".")[0]) - 1)
    if name in ("b", "cbz", "cbnz"):
        target = _signed(insn.operands[-1].imm)
        return Instruction(insn.size, Flow.BRANCH, conditional or name != "b", _nothing, target)
    if name in ("bl", "blx"):
        return Instruction(insn.size, Flow.CALL, conditional, _nothing)
    if name in _DEAD:
        return Instruction(insn.size, Flow.STOP, False, _nothing)
    flow, run, jump = _Decoder(insn, name, thumb).meaning()
    return Instruction(insn.size, flow, conditional, run, jump=jump)


def _nothing(state: State) -> None:
    pass


def _signed(value: int) -> int:
    return (value & _MASK ^ 1 << 31) - (1 << 31)


class _Decoder:
    """One instruction that is no direct branch."""

    def __init__(self, insn: Any, name: str, thumb: bool) -> None:
        self.insn, self.name, self.thumb = insn, name, thumb
        self.operands = list(insn.operands)

    def meaning(self) -> tuple[Flow, Effect, int]:
        name = self.name
        if name in ("bx", "bxj"):
            number = self.register(self.operands[0])
            return Flow.JUMP, jump_to(number), number
        if name in ("mov", "add", "sub", "mvn", "adr", "subs") or name in ARITHMETIC:
            return self.computation()
        if name in ("ldr", "ldrd", "str", "strd"):
            return self.single()
        if name in ("push", "pop", "vpush", "vpop") or name[:3] in ("ldm", "stm"):
            return self.multiple()
        if name[:4] in ("vldm", "vstm") or name[:6] in ("fldmia", "fstmdb", "fldmdb", "fstmia"):
            return self.multiple()
        if name[:3] in ("srs", "rfe"):
            return self.exception_frame()
        if name in ("cps", "msr", "mrs"):
            return Flow.NEXT, self.status(), PC
        if name == "eret":  # of Hyp mode: by ELR_hyp, which is none of ours
            return Flow.STOP, _nothing, PC
        return self.unknown()

    def unknown(self) -> tuple[Flow, Effect, int]:
        written = [_NAMES[n] for n in map(self.insn.reg_name, self.insn.regs_access()[1]) if n in _NAMES]
        if self.name in ("svc", "hvc", "smc"):
            written = [0, 1, 2, 3]
        if PC in written or self.name in ("tbb", "tbh"):
            return Flow.STOP, _nothing, PC

        def run(state: State) -> None:
            for number in written:
                state.r[number] = None
                state.popped &= ~(1 << number)

        return Flow.NEXT, run, PC

    # ---- operands ----

    def register(self, operand: Any) -> int:
        return _NAMES.get(self.insn.reg_name(operand.reg), -1)

    def value(self, operand: Any) -> Read:
        """What an operand is when the instruction is executed."""
        import capstone

        if operand.type == capstone.arm.ARM_OP_IMM:
            constant: int = operand.imm & _MASK
            return lambda state: constant
        number = self.register(operand) if operand.type == capstone.arm.ARM_OP_REG else -1
        if number < 0:
            return lambda state: None
        kind, amount = operand.shift.type, operand.shift.value
        if not kind:
            return lambda state: state.r[number]

        def shifted(state: State) -> Value:
            value = state.r[number]
            if not isinstance(value, int) or kind not in (capstone.arm.ARM_SFT_LSL, capstone.arm.ARM_SFT_LSR):
                return None
            return int(value << amount & _MASK if kind == capstone.arm.ARM_SFT_LSL else value >> amount)

        return shifted

    # ---- kinds ----

    def computation(self) -> tuple[Flow, Effect, int]:
        operands, name = self.operands, self.name
        if name == "subs" and len(operands) == 1:  # Thumb's SUBS PC, LR, #n
            change = -operands[0].imm

            def leave(state: State) -> None:
                state.next, state.next_mode = add(state.r[LR], change), state.spsr

            return Flow.EXCEPTION, leave, PC
        number = self.register(operands[0])
        if name == "adr":
            base: Read = lambda state: aligned(state.r[PC])  # noqa: E731
            sources = [base, self.value(operands[1])]
            name = "add"
        else:
            if name in ("lsl", "lsr") and operands[-1].shift.type:  # a move whose operand is shifted
                name = "mov"
            first = operands[1:] if len(operands) > 2 or name in ("mov", "mvn") else operands
            sources = [self.value(each) for each in first]
        result = compute(name, sources)
        if number != PC:
            return Flow.NEXT, set_register(number, result), PC
        if self.insn.update_flags:

            def back(state: State) -> None:
                state.next, state.next_mode = result(state), state.spsr

            return Flow.EXCEPTION, back, PC

        def jump(state: State) -> None:
            state.next = result(state)

        return Flow.JUMP, jump, LR if name == "mov" and self.register(operands[1]) == LR else -1

    def single(self) -> tuple[Flow, Effect, int]:
        """LDR, LDRD and their stores."""
        import capstone

        count = 2 if self.name.endswith("d") else 1
        numbers = [self.register(each) for each in self.operands[:count]]
        operand = self.operands[count]
        base, memory = _NAMES.get(self.insn.reg_name(operand.mem.base), -1), operand.mem
        index = _NAMES.get(self.insn.reg_name(memory.index), -1) if memory.index else None
        post = self.operands[count + 1] if len(self.operands) > count + 1 else None
        shifts = operand.shift.type not in (capstone.arm.ARM_SFT_INVALID, capstone.arm.ARM_SFT_LSL)
        amount, sign = operand.shift.value, -1 if operand.subtracted else 1

        def address(state: State) -> Value:
            at = state.r[base] if base != PC else aligned(state.r[PC])
            if index is None:
                return add(at, memory.disp)
            distance = state.r[index]
            return None if shifts or not isinstance(distance, int) else add(at, sign * (distance << amount))

        after = None if post is None else self.value(post)
        back = -1 if post is not None and post.subtracted else 1
        changes = self.insn.writeback or post is not None

        def written(state: State, at: Value) -> None:
            if not changes:
                return
            if after is None:
                state.r[base] = at
                return
            change = after(state)
            state.r[base] = add(at, back * change) if isinstance(change, int) else None

        if self.name.startswith("str"):

            def store(state: State) -> None:
                at = address(state)
                for i, number in enumerate(numbers):
                    state.store(add(at, 4 * i), state.r[number])
                written(state, at)

            return Flow.NEXT, store, PC

        def load(state: State) -> None:
            at = address(state)
            values = [state.load(add(at, 4 * i)) for i in range(count)]
            written(state, at)
            assign(state, numbers, values, base == SP)

        return (Flow.JUMP if PC in numbers else Flow.NEXT), load, PC if base == SP else -1

    def multiple(self) -> tuple[Flow, Effect, int]:
        """LDM, STM, PUSH, POP and those of VFP, whose values do not matter."""
        name, operands = self.name, self.operands
        stack = name in ("push", "pop", "vpush", "vpop")
        base = SP if stack else self.register(operands[0])
        writeback = stack or self.insn.writeback
        numbers = [self.register(each) for each in (operands if stack else operands[1:])]
        first_name = self.insn.reg_name(operands[0 if stack else 1].reg) if numbers else ""
        width = 8 if first_name.startswith("d") else 4
        size = width * len(numbers) + (4 if name[0] == "f" else 0)
        loads = "ld" in name or "pop" in name
        down = "push" in name or name.endswith(("db", "da", "dbx"))
        before = name.endswith(("ib", "da"))  # 4 bytes further up than IA and DB
        user = "usr" if self.insn.usermode and PC not in numbers else None

        def run(state: State) -> None:
            top = state.r[base]
            at = add(top, (-size if down else 0) + (4 if before else 0))
            if loads:
                values = [state.load(add(at, width * i)) for i in range(len(numbers))]
                if writeback:
                    state.r[base] = add(top, -size if down else size)
                assign(state, numbers, values, base == SP, user)
                return
            for i, number in enumerate(numbers):
                value = None if number < 0 else state.banked(number, user) if user else state.r[number]
                for half in range(0, width, 4):
                    state.store(add(at, width * i + half), value)
            if writeback:
                state.r[base] = add(top, -size if down else size)

        if not loads or PC not in numbers:
            return Flow.NEXT, run, PC
        if not self.insn.usermode:
            return Flow.JUMP, run, PC

        def leave(state: State) -> None:
            run(state)
            state.next_mode = state.spsr

        return Flow.EXCEPTION, leave, PC

    def exception_frame(self) -> tuple[Flow, Effect, int]:
        """SRS and RFE: LR and SPSR on a mode's stack, PC and CPSR from memory."""
        kind, writeback = self.name[3:5], self.insn.writeback
        first = {"ia": 0, "ib": 4, "da": -4, "db": -8}.get(kind or "ia", 0)
        after = -8 if kind in ("da", "db") else 8
        if self.name.startswith("rfe"):
            base = self.register(self.operands[0])

            def rfe(state: State) -> None:
                at = add(state.r[base], first)
                state.next, state.next_mode = state.load(at), state.load(add(at, 4))
                if writeback:
                    state.r[base] = add(state.r[base], after)

            return Flow.EXCEPTION, rfe, PC
        mode = MODES.get(self.operands[-1].imm & 0x1F, "")

        def srs(state: State) -> None:
            top = state.banked(SP, mode)
            at = add(top, first)
            state.store(at, state.r[LR])
            state.store(add(at, 4), state.spsr)
            if writeback:
                state.set_banked(SP, mode, add(top, after))

        return Flow.NEXT, srs, PC

    def status(self) -> Effect:
        """CPS, MSR and MRS."""
        text, operands = str(self.insn.op_str), self.operands
        if self.name == "cps":
            if not operands or not operands[-1].imm:
                return _nothing
            mode = MODES.get(operands[-1].imm & 0x1F)
            return lambda state: state.switch(mode)
        if self.name == "mrs":
            number = self.register(operands[0])
            return set_register(
                number, (lambda state: state.spsr) if text.endswith("spsr") else lambda state: None
            )
        field, source = text.split(",")[0], self.value(operands[-1])
        if field.startswith("spsr"):
            return lambda state: setattr(state, "spsr", source(state))
        if not field.startswith("cpsr") or "c" not in field.partition("_")[2]:
            return _nothing

        def cpsr(state: State) -> None:
            value = source(state)
            state.switch(MODES.get(value & 0x1F) if isinstance(value, int) else None)

        return cpsr
