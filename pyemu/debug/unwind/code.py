"""Who called, by the code itself: instructions are followed from the PC to a return, or from the function's
start to the PC.

At a place in a function the stack is the same whichever way it was reached, as every compiler has it: so one
way is enough. A function that is called leaves SP and r4 to r11 as they were (AAPCS32, 6.1.1).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from pyemu.debug.unwind.instructions import Flow, Instruction, decode
from pyemu.debug.unwind.state import LR, PC, SP, MemoryView, State, Value

__all__ = ["Exit", "behind_call", "entry_of", "exit_of", "tail_of"]

_MASK = 0xFFFF_FFFF
_MAX_INSNS = 4000
_MAX_FRAME = 1 << 22
_MAX_STRAIGHT = 64


@dataclass(frozen=True)
class Exit:
    """``state`` behind the return; ``pc`` with its Thumb bit; ``cpsr`` of a return from an exception."""

    state: State
    pc: int
    exception: bool
    cpsr: int | None


@dataclass
class _Way:
    """Where a search goes on."""

    pc: int
    it: int
    state: State


class _Search:
    """Ways with the fewest calls first."""

    def __init__(self, thumb: bool, calls: bool) -> None:
        self.thumb, self.calls = thumb, calls
        self._heap: list[tuple[int, int, _Way]] = []
        self._order = 0
        self._seen: set[int] = set()
        self._left = _MAX_INSNS

    def push(self, calls: int, way: _Way) -> None:
        if calls == 0 or self.calls:
            self._order += 1
            heapq.heappush(self._heap, (calls, self._order, way))

    def steps(self) -> Iterator[tuple[int, _Way, Instruction]]:
        """Each instruction that is reached, before it is carried out. ``follow`` continues a way."""
        while self._heap and self._left:
            calls, _, way = heapq.heappop(self._heap)
            if way.pc in self._seen:
                continue
            self._seen.add(way.pc)
            memory = way.state.memory
            self._left -= 1
            memory.insns_left -= 1
            if memory.insns_left < 0:
                return
            data = memory.read(way.pc, 4) or memory.read(way.pc, 2)
            insn = decode(data, self.thumb) if data else None
            if insn is not None:
                yield calls, way, insn

    def follow(self, calls: int, way: _Way, insn: Instruction) -> bool:
        """Carry it out and go on behind it. True for a jump that is the caller's to judge."""
        state, conditional = way.state, insn.conditional or way.it > 0
        behind, it = (way.pc + insn.size) & _MASK, insn.it or max(way.it - 1, 0)
        state.r[PC] = (way.pc + (4 if self.thumb else 8)) & _MASK
        jump = False
        if insn.flow is Flow.BRANCH:
            if conditional:
                self.push(calls, _Way(behind, it, state.copy()))
            self.push(calls, _Way((way.pc + insn.target) & _MASK, 0, state))
        elif insn.flow is Flow.CALL:
            state.call()
            self.push(calls + 1, _Way(behind, it, state))
        elif insn.flow is Flow.NEXT:
            _carry_out(state, insn, conditional)
            self.push(calls, _Way(behind, it, state))
        elif insn.flow in (Flow.JUMP, Flow.EXCEPTION):
            if conditional:
                self.push(calls, _Way(behind, it, state.copy()))
            calling = state.r[LR] == behind  # MOV LR, PC in front
            insn.run(state)
            if calling and insn.flow is Flow.JUMP and insn.jump != LR:
                state.call()
                self.push(calls + 1, _Way(behind, it, state))
            else:
                jump = True
        return jump


def _carry_out(state: State, insn: Instruction, conditional: bool) -> None:
    if not conditional:
        insn.run(state)
        return
    # It may be carried out or not: what differs is not known.
    other = state.copy()
    insn.run(other)
    for number in range(PC):
        if other.r[number] != state.r[number]:
            state.r[number] = None


def exit_of(start: State, pc: int, thumb: bool, *, calls: bool, inside: range | None) -> Exit | None:
    """Follow the code from `pc`, whose registers are `start`, to a return.

    With `calls` also behind calls, as if each returned. `inside` are the addresses of the function, if known:
    a branch out of it is a tail call.
    """
    search = _Search(thumb, calls)
    search.push(0, _Way(pc, 0, start.copy()))
    bottom = start.r[SP]
    for cost, way, insn in search.steps():
        state = way.state
        if inside is not None and way.pc not in inside:
            continue  # fell out at the end
        if insn.flow is Flow.BRANCH and inside is not None:
            target = (way.pc + insn.target) & _MASK
            if target not in inside:
                left = _left(state.copy(), state.r[LR], bottom)
                if left is not None:
                    return left
                if not (insn.conditional or way.it):
                    continue
        if not search.follow(cost, way, insn):
            continue
        found = _leave(state, insn, bottom)
        if found is not None:
            return found
    return None


def _leave(state: State, insn: Instruction, bottom: Value) -> Exit | None:
    if insn.flow is Flow.EXCEPTION:
        if not isinstance(state.next, int) or not isinstance(state.next_mode, int) or not state.next:
            return None
        return Exit(state, state.next, True, state.next_mode)
    if insn.jump in (LR, PC) or (insn.jump >= 0 and state.popped >> insn.jump & 1):
        return _left(state, state.next, bottom)
    if insn.jump >= 0:  # BX to a function: a tail call
        return _left(state, state.r[LR], bottom)
    return None


def _left(state: State, pc: Value, bottom: Value) -> Exit | None:
    """A return to `pc`, unless something of it is not known, or the stack is not below."""
    sp = state.r[SP]
    if not isinstance(pc, int) or not isinstance(sp, int) or not isinstance(bottom, int) or pc <= 1:
        return None
    return Exit(state, pc, False, None) if 0 <= sp - bottom <= _MAX_FRAME else None


def entry_of(
    now: State, pc: int, thumb: bool, start: int, *, calls: bool, exact: bool, mode: str | None = None
) -> dict[int, int] | None:
    """Follow the code from the start of a function to `pc`, and find in `now` what was at its entry.

    `exact`: the CPU is at `pc`; else `pc` is where a call will return to. Registers that can be found are
    returned by number; 16 is the SPSR. None: no way leads to `pc`. `mode` is that of the entry.
    """
    entry = State.entry(now.memory, mode or now.mode)
    if start == pc:  # which may be a place without code
        return _solve(entry, now, exact)
    search = _Search(thumb, calls)
    search.push(0, _Way(start, 0, entry))
    for cost, way, insn in search.steps():
        if way.pc == pc:
            return _solve(way.state, now, exact)
        search.follow(cost, way, insn)
    return None


def _solve(then: State, now: State, exact: bool) -> dict[int, int]:
    """What the symbols of `then` stand for: by the registers of `now`, and by what the code has put where."""
    known: dict[int, int] = {}

    def learn(symbol: Value, value: Value) -> None:
        if isinstance(symbol, tuple) and isinstance(value, int):
            known.setdefault(symbol[0], (value - symbol[1]) & _MASK)

    # First what is the same whichever way the code came here: a loop may have called since LR was stored.
    for symbol, value in zip(then.everything(calls=True), now.everything(calls=True), strict=True):
        learn(symbol, value)
    for _ in range(2):  # where one stack was kept on another
        for at, symbol in then.stored.items():
            if isinstance(at, tuple) and at[0] in known and isinstance(symbol, tuple):
                learn(symbol, now.memory.word(known[at[0]] + at[1]))
    if exact:
        for symbol, value in zip(then.everything(calls=False), now.everything(calls=False), strict=True):
            learn(symbol, value)
    return known


def tail_of(memory: MemoryView, start: int, thumb: bool) -> int | None:
    """Where straight code branches to, if it does."""
    at = start
    for _ in range(_MAX_STRAIGHT):
        data = memory.read(at, 4)
        insn = decode(data, thumb) if data else None
        if insn is None or insn.flow not in (Flow.NEXT, Flow.BRANCH, Flow.JUMP):
            return None
        if insn.flow is Flow.BRANCH and not insn.conditional:
            target = (at + insn.target) & _MASK
            return target if not start <= target <= at else None
        if insn.flow is Flow.JUMP:
            state = State(memory, [None] * 16)
            state.r[PC] = (at + (4 if thumb else 8)) & _MASK
            insn.run(state)
            return state.next & ~1 if isinstance(state.next, int) else None
        at = (at + insn.size) & _MASK
    return None


def behind_call(memory: MemoryView, pc: int, thumb: bool) -> bool:
    """Whether the instruction in front of an address is a call."""
    if thumb:
        data = memory.read(pc - 4, 4)
        if data is None:
            return False
        first, second = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:], "little")
        return second & 0xFF87 == 0x4780 or (first & 0xF800 == 0xF000 and second & 0xC000 == 0xC000)
    word = memory.word(pc - 4)
    if word is None:
        return False
    if word & 0xFE00_0000 == 0xFA00_0000 or (word >> 28 != 0xF and word & 0x0F00_0000 == 0x0B00_0000):
        return True
    return word & 0x0FFF_FFF0 == 0x012F_FF30 or memory.word(pc - 8) == 0xE1A0_E00F  # MOV LR, PC
