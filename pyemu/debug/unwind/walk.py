"""From frame to frame: by the code, exception tables, frame pointers, LR, and out of exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyemu.debug.unwind.bytecode import CannotUnwind, unwind
from pyemu.debug.unwind.code import Exit, behind_call, entry_of, exit_of
from pyemu.debug.unwind.exceptions import MODE_OF, Interrupted, guess, handlers, interrupted
from pyemu.debug.unwind.index import Rule
from pyemu.debug.unwind.kernel import entered, kernel_exception, user_registers
from pyemu.debug.unwind.state import FP, LR, PC, SP, MemoryView, State, start_state
from pyemu.debug.unwind.tables import Tables

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["Frame", "frames"]

_MAX_FRAME = 1 << 20
_NEAR_BYTES = 1 << 20
_CPSR_T = 0x20
_MASK = 0xFFFF_FFFF


@dataclass(frozen=True)
class Frame:
    """``pc`` is where a function is; ``how`` it was found: "pc", "exidx", "code", "fp", "lr" or "exception".

    ``exception`` is the kind of the exception that was taken there: the frames inside of it are its handler.
    ``inside`` is an address in the function: a call that never returns may be the last of its instructions.
    """

    pc: int
    sp: int
    how: str
    exception: str | None = None
    inside: int = 0


class _Walk:
    """Where the unwinder is: ``state`` with its PC, and whether the CPU is ``exact``\\ly there."""

    def __init__(self, session: Session, memory: MemoryView, state: State, thumb: bool) -> None:
        self.session, self.memory, self.state, self.thumb = session, memory, state, thumb
        self.exact = True
        self.tables = session.part(Tables)
        self.tables.look(memory)
        self.handlers = handlers(memory, session.registers)
        self.exception: str | None = None
        self.inside: range | None = None
        self.sure = False
        self.reached = False  # the code's way from the function's start to the PC is known

    @property
    def pc(self) -> int:
        value = self.state.r[PC]
        assert isinstance(value, int)
        return value & ~1

    @property
    def sp(self) -> int | None:
        value = self.state.r[SP]
        return value if isinstance(value, int) else None

    @property
    def place(self) -> int:
        """An address in the function: that of the PC, or of the call that will return to it."""
        return self.pc if self.exact or not behind_call(self.memory, self.pc, self.thumb) else self.pc - 1

    def start_of(self, at: int, rule: Rule | None) -> int | None:
        """The start of the function that an address is in, as far as vectors, tables and symbols know.

        ``inside`` are its addresses, if known; ``sure`` is whether the start is no label in a function.
        """
        starts = [start for start in self.handlers.numbers if start <= at]
        self.inside = self.tables.function(at)
        self.sure = self.inside is not None or rule is not None
        if self.inside is not None:
            return max(*starts, self.inside.start, 0)
        if rule is not None:  # of a row of functions, if they have the same rule
            self.inside = range(rule.start, rule.end)
            starts.append(rule.start)
        symbol = self.session.symbol(at)
        if symbol is not None:
            starts.append(at - int(symbol.partition("+")[2] or "0", 16))
        start = max(starts, default=0)
        return start if at - _NEAR_BYTES < start else None

    # ---- one frame outward ----

    def outward(self) -> str | None:
        """Go to the caller, or to what was interrupted; how, or None at the end."""
        pc, self.exception, self.reached = self.pc, None, False
        at = self.place
        rule = self.tables.find(at)
        start = self.start_of(at, rule)
        handler = self.handlers.of(start, self.state.mode)
        if handler in self.handlers.numbers:
            return self._out_of_handler(handler)
        if self.tables.of_kernel(at):
            user = user_registers(self.session, self.state, at)
            if user is not None:
                return self._interrupted(user)
            if rule is not None and (rule.code is None or self.exact):
                entry, before = entered(self.session, self.state, at)
                if before is not None:
                    return self._interrupted(before)
                if rule.code is None and (entry or not self.exact):
                    return None
                if rule.code is None:
                    return self._by_entry(start, calls=False)
        if self.exact and self.memory.read(pc, 2) is None and (how := self._by_lr()):
            return how  # a call of no code
        if self.exact:
            found = self._by_exit(calls=False) or self._by_entry(start, calls=False)
            if found is not None:
                return found
        return (
            self._by_rule(rule, at)
            or self._by_entry(start, calls=True)
            or self._by_exit(calls=True)
            or self._by_exit(calls=True, exception=True)
            or self._by_convention()
        )

    def _to(self, state: State, pc: int, how: str) -> str | None:
        """The caller's registers; those that a call does not keep are not known."""
        state.call()
        state.stored.clear()
        state.r[PC] = pc
        self.thumb, self.state, self.exact = bool(pc & 1), state, False
        return how

    def _interrupted(self, found: Interrupted | None) -> str | None:
        if found is None:
            return None
        self.state, self.thumb, self.exact, self.exception = found.state, found.thumb, True, found.kind
        self.state.stored.clear()
        return "exception"

    def _by_rule(self, rule: Rule | None, at: int) -> str | None:
        if rule is None or rule.code is None:
            return None
        state = self.state.copy()
        try:
            exception = unwind(state, rule.code)
        except CannotUnwind:
            return None
        pc = state.r[PC]
        assert isinstance(pc, int)
        if exception:
            return self._interrupted(Interrupted(kernel_exception(self.session, at), state, pc, 0))
        return self._to(state, pc, "exidx") if pc > 1 else None

    def _exit(self, *, calls: bool) -> Exit | None:
        return exit_of(self.state, self.pc, self.thumb, calls=calls, inside=self.inside)

    def _by_exit(self, *, calls: bool, exception: bool = False) -> str | None:
        found = self._exit(calls=calls)
        if found is None or found.exception is not exception:
            return None
        if exception:
            return self._interrupted(guess(found, self.memory))
        return self._to(found.state, found.pc, "code")

    def _by_entry(self, start: int | None, *, calls: bool) -> str | None:
        if start is None:
            return None
        known = entry_of(self.state, self.pc, self.thumb, start, calls=calls, exact=self.exact)
        self.reached = known is not None
        if known is None or SP not in known or known.get(LR, 0) <= 1:
            return None
        lr = known[LR]
        if not self.sure and not behind_call(self.memory, lr & ~1, bool(lr & 1)):
            return None
        state = self.state.copy()
        for number in (*range(4, 12), SP):
            state.r[number] = known.get(number)
        return self._to(state, lr, "code")

    def _out_of_handler(self, start: int) -> str | None:
        numbers = self.handlers.numbers[start]
        modes = [MODE_OF[number] for number in numbers if number in MODE_OF]
        mode = self.state.mode if self.state.mode in modes or not modes else modes[0]
        known = entry_of(self.state, self.pc, self.thumb, start, calls=True, exact=self.exact, mode=mode)
        leave = self._exit(calls=True)
        ifar = self.session.registers.get("ifar")
        return self._interrupted(interrupted(self.state, numbers, known, leave, ifar))

    def _by_convention(self) -> str | None:
        """By frame pointer and LR, unless the function's code shows that it kept neither."""
        if self.reached:
            return None
        return self._by_frame_pointer() or (self._by_lr() if self.exact else None)

    def _by_frame_pointer(self) -> str | None:
        """The caller of a function that has built its frame: GCC's for AAPCS, {r11, lr}, or for APCS,
        {fp, ip, lr, pc}.
        """
        fp, sp = self.state.r[FP], self.sp
        if not isinstance(fp, int) or sp is None or fp & 3 or not sp <= fp <= sp + _MAX_FRAME:
            return None
        word = self.memory.word
        below, here, old = word(fp - 4), word(fp), word(fp - 12)
        state = self.state.copy()
        if below is not None and here is not None and (fp < below <= fp + _MAX_FRAME or below == 0):
            state.r[FP], state.r[SP], pc = below, fp + 4, here
        elif old is not None and below is not None and (fp < old <= fp + _MAX_FRAME or old == 0):
            state.r[FP], state.r[SP], pc = old, word(fp - 8), below
        else:
            return None
        if not behind_call(self.memory, pc & ~1, bool(pc & 1)):
            return None
        for number in range(4, 11):
            state.r[number] = None
        return self._to(state, pc, "fp")

    def _by_lr(self) -> str | None:
        lr = self.state.r[LR]
        if (
            not isinstance(lr, int)
            or lr & ~1 == self.pc
            or not behind_call(self.memory, lr & ~1, bool(lr & 1))
        ):
            return None
        return self._to(self.state.copy(), lr, "lr")


def frames(session: Session, limit: int = 64) -> Iterator[Frame]:
    """The current function of a CPU, its callers, inner first, and what they have interrupted."""
    memory = MemoryView(session)
    known = session.registers
    state = start_state(memory, known)
    if state is None:
        return
    walk = _Walk(session, memory, state, bool(known.get("cpsr", 0) & _CPSR_T))
    yield Frame(walk.pc, walk.sp or 0, "pc", inside=walk.place)
    seen = {(walk.pc, walk.sp)}
    for _ in range(limit - 1):
        how = walk.outward()
        if how is None or walk.sp is None:
            return
        again = (walk.pc, walk.sp) in seen
        if not again or walk.exception is not None:
            yield Frame(walk.pc, walk.sp, how, walk.exception, inside=walk.place)
        if again:  # as a vector that cannot be fetched
            return
        seen.add((walk.pc, walk.sp))
