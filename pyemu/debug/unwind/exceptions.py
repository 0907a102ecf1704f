"""Exceptions on the way: which code is a vector's handler, and what it interrupted (ARM DDI 0406C, B1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyemu.debug.unwind.code import Exit, tail_of
from pyemu.debug.unwind.state import LR, MODES, PC, SP, SPSR, MemoryView, State

__all__ = ["KINDS", "MODE_OF", "Handlers", "Interrupted", "guess", "handlers", "interrupted"]

KINDS = (
    "reset",
    "undefined instruction",
    "SVC",
    "prefetch abort",
    "data abort",
    "hypervisor trap",
    "IRQ",
    "FIQ",
)
UNDEFINED, SVC, PREFETCH, DATA, IRQ, FIQ = 1, 2, 3, 4, 6, 7
MODE_OF = {UNDEFINED: "und", SVC: "svc", PREFETCH: "abt", DATA: "abt", IRQ: "irq", FIQ: "fiq"}
_BEHIND = {PREFETCH: 4, DATA: 8, IRQ: 4, FIQ: 4}  # LR of the instruction to return to, B1.8.3
_SCTLR_V, _HIGH = 1 << 13, 0xFFFF_0000
_CPSR_T = 0x20
_MASK = 0xFFFF_FFFF


class Interrupted:
    """``kind`` of an exception, and the CPU as it was when it was taken; its PC is ``state.r[15]``."""

    def __init__(self, kind: str, state: State, pc: int, cpsr: int) -> None:
        self.kind, self.state, self.thumb = kind, state, bool(cpsr & _CPSR_T)
        state.r[PC] = pc & ~1


@dataclass(frozen=True)
class Handlers:
    """``numbers`` of vectors by the code that they lead to, and by their own address.

    ``shared``: handlers by the code that they branch to at their end.
    """

    numbers: dict[int, list[int]]
    shared: dict[int, list[int]]

    def of(self, start: int | None, mode: str | None) -> int | None:
        """The handler that a function belongs to, by its start; None where it is none."""
        if start is None or start in self.numbers:
            return start
        found = self.shared.get(start, [])
        fits = [each for each in found if any(MODE_OF.get(number) == mode for number in self.numbers[each])]
        return next(iter(fits or found), None)


def handlers(memory: MemoryView, registers: Mapping[str, int]) -> Handlers:
    """What the vectors of a CPU lead to."""
    found = Handlers({}, {})
    high = registers.get("sctlr", 0) & _SCTLR_V
    base = _HIGH if high else registers.get("vbar")
    if base is None:
        return found
    for number in range(8):
        at = (base + 4 * number) & _MASK
        found.numbers.setdefault(at, []).append(number)
        target = _target(memory, at)
        if target is not None and target & ~1 != at:
            found.numbers.setdefault(target & ~1, []).append(number)
            end = tail_of(memory, target & ~1, bool(target & 1)) if number in MODE_OF else None
            if end is not None:
                found.shared.setdefault(end, []).append(target & ~1)
    return found


def _target(memory: MemoryView, at: int) -> int | None:
    """Where a vector leads to, with its Thumb bit: by B, or by LDR PC, [PC, #n]."""
    word = memory.word(at)
    if word is None:
        return None
    if word >> 24 == 0xEA:
        return (at + 8 + ((word & 0xFF_FFFF ^ 0x80_0000) - 0x80_0000) * 4) & _MASK
    if word & 0xFF7F_F000 == 0xE51F_F000:
        distance = word & 0xFFF
        return memory.word(at + 8 + (distance if word & 1 << 23 else -distance))
    return None


def _kind(numbers: list[int], mode: str | None, lr: int | None, ifar: int | None) -> int:
    """Which of the vectors that share a handler."""
    fits = [number for number in numbers if MODE_OF.get(number) == mode] or numbers
    if PREFETCH in fits and DATA in fits:
        return PREFETCH if lr is not None and lr - 4 == ifar else DATA
    return fits[0]


def interrupted(
    now: State, numbers: list[int], known: dict[int, int] | None, leave: Exit | None, ifar: int | None
) -> Interrupted | None:
    """What the handler of some vectors interrupted; None where that is lost, and for reset.

    ``known``: registers at its entry. ``leave``: where its code would go back to.
    """
    if leave is not None and not leave.exception:
        leave = None
    lr = None if known is None else known.get(LR)
    number = _kind(numbers, now.mode, lr, ifar)
    mode = MODE_OF.get(number)
    if mode is None:
        return None
    cpsr = leave.cpsr if leave is not None else None
    if cpsr is None:
        saved = known.get(SPSR) if known is not None else None
        spsr = saved if saved is not None else now.spsr if now.mode == mode else now.banks[mode][2]
        cpsr = spsr if isinstance(spsr, int) else None
    if lr is None and number == PREFETCH and ifar is not None:
        lr = ifar + 4
    if cpsr is None or (lr is None and leave is None):
        return None
    if lr is not None:
        size = 2 if cpsr & _CPSR_T else 4
        pc = lr - (size if number == UNDEFINED else _BEHIND.get(number, 0))
    else:
        assert leave is not None
        pc = leave.pc
    state = leave.state if leave is not None else _entry_state(now, mode, known or {})
    state.switch(MODES.get(cpsr & 0x1F))
    return Interrupted(KINDS[number], state, pc & _MASK, cpsr)


def _entry_state(now: State, mode: str, known: dict[int, int]) -> State:
    state = now.copy()
    state.switch(mode)
    for number in range(13):
        state.r[number] = known.get(number)
    state.r[SP], state.r[LR] = known.get(SP), None  # LR of this mode was overwritten by the exception
    return state


def guess(leave: Exit, memory: MemoryView) -> Interrupted | None:
    """What is left by a return from an exception whose vector is not known."""
    state, cpsr = leave.state, leave.cpsr
    mode = MODES.get(cpsr & 0x1F) if cpsr is not None else None
    if cpsr is None or mode is None:
        return None
    kinds = {"irq": "IRQ", "fiq": "FIQ", "und": "undefined instruction", "abt": "abort"}
    kind = kinds.get(state.mode or "", "exception")
    if kind == "exception" and _is_svc(memory, leave.pc, bool(cpsr & _CPSR_T)):
        kind = "SVC"
    state.switch(mode)
    return Interrupted(kind, state, leave.pc, cpsr)


def _is_svc(memory: MemoryView, pc: int, thumb: bool) -> bool:
    """Whether the instruction in front of an address is SVC."""
    data = memory.read((pc & ~1) - (2 if thumb else 4), 2 if thumb else 4)
    return data is not None and (data[1] == 0xDF if thumb else data[3] & 0xF == 0xF)
