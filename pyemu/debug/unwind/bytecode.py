"""The bytecode of exception tables: Table 4 of IHI 0038, section 9.3."""

from __future__ import annotations

from pyemu.debug.unwind.state import LR, PC, SP, State, add

__all__ = ["CannotUnwind", "unwind"]

_FINISH = 0xB0
_ALL = 1 << SP | 1 << LR | 1 << PC | 0xF


class CannotUnwind(Exception):
    """The caller is not to be found by this bytecode."""


class _Machine:
    def __init__(self, state: State, code: bytes) -> None:
        self.state, self.code, self.at = state, code, 0
        self.popped = 0

    def byte(self) -> int:
        if self.at >= len(self.code):
            raise CannotUnwind
        self.at += 1
        return self.code[self.at - 1]

    def pop(self, mask: int) -> None:
        state, sp = self.state, self.state.r[SP]
        for number in range(16):
            if mask >> number & 1:
                value = state.memory.word(sp) if isinstance(sp, int) else None
                if value is None:
                    raise CannotUnwind
                state.r[number] = value
                sp = add(sp, 4)
        if not mask >> SP & 1:
            state.r[SP] = sp
        self.popped |= mask

    def move(self, change: int) -> None:
        self.state.r[SP] = add(self.state.r[SP], change)

    def run(self) -> None:
        while self.at < len(self.code):
            op = self.byte()
            if op == _FINISH:
                return
            if op < 0x80:
                change = ((op & 0x3F) << 2) + 4
                self.move(-change if op & 0x40 else change)
            elif op < 0x90:
                mask = (op & 0xF) << 8 | self.byte()
                if not mask:
                    raise CannotUnwind  # refuse to unwind
                self.pop(mask << 4)
            elif op < 0xA0:
                if op & 0xF in (SP, PC):
                    raise CannotUnwind
                self.state.r[SP] = self.state.r[op & 0xF]
            elif op < 0xB0:
                self.pop((1 << (op & 7) + 1) - 1 << 4 | (op & 8) << 11)
            else:
                self.rest(op)

    def rest(self, op: int) -> None:
        """Codes from 0xb1."""
        if op == 0xB1:
            mask = self.byte()
            if not 0 < mask < 0x10:
                raise CannotUnwind  # spare
            self.pop(mask)
        elif op == 0xB2:
            self.move(0x204 + (self.uleb128() << 2))
        elif op == 0xB3:  # VFP as FSTMFDX leaves it: one word more
            self.move(8 * ((self.byte() & 0xF) + 1) + 4)
        elif 0xB8 <= op < 0xC0:
            self.move(8 * ((op & 7) + 1) + 4)
        elif op in (0xC8, 0xC9):
            self.move(8 * ((self.byte() & 0xF) + 1))
        elif 0xD0 <= op < 0xD8:
            self.move(8 * ((op & 7) + 1))
        else:
            raise CannotUnwind

    def uleb128(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 28:
                raise CannotUnwind


def unwind(state: State, code: bytes) -> bool:
    """Make a function's registers those of its caller; PC is the return address.

    True where every register was restored: then it was no call, but an exception. Raises
    :class:`CannotUnwind`; the state is of no use then.
    """
    machine = _Machine(state, code)
    machine.run()
    if not machine.popped >> PC & 1:
        state.r[PC] = state.r[LR]
    if not isinstance(state.r[PC], int) or not isinstance(state.r[SP], int):
        raise CannotUnwind
    return machine.popped & _ALL == _ALL
