"""What an unwinder knows of a CPU: registers that may be unknown, the stack, banked registers, memory.

A value is a number; or (register, offset), what a register held at the entry of a function and a distance
from it; or None, when it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyemu.mmu import TranslationFault
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["FP", "LR", "MODES", "PC", "SP", "SPSR", "MemoryView", "State", "Value", "add", "start_state"]

Value = int | tuple[int, int] | None

FP, SP, LR, PC, SPSR = 11, 13, 14, 15, 16
MODES = {0x10: "usr", 0x11: "fiq", 0x12: "irq", 0x13: "svc", 0x17: "abt", 0x1B: "und", 0x1F: "usr"}
_MASK, _HALF = 0xFFFF_FFFF, 1 << 31
_PAGE = 4096
_MAX_PAGES = 4096
_MAX_INSNS = 50_000
_BANKED = 32  # symbols of banked registers are numbered from here on
_FIQ = range(8, 13)  # these have a bank in FIQ mode only


def add(value: Value, change: int) -> Value:
    """A value so much further on."""
    if value is None:
        return None
    if isinstance(value, int):
        return (value + change) & _MASK
    return value[0], (value[1] + change + _HALF & _MASK) - _HALF


class MemoryView:
    """Guest memory by virtual address, a page at a time; each page is read once.

    ``insns_left`` is how many more instructions may be followed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.insns_left = _MAX_INSNS
        self._pages: dict[int, bytes | None] = {}

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes within two pages; None where something of them is not there."""
        address &= _MASK
        page = self._page(address // _PAGE)
        at = address % _PAGE
        if page is None:
            return None
        data = page[at : at + size]
        if len(data) < size:
            more = self._page((address // _PAGE + 1) & 0xF_FFFF)
            data += b"" if more is None else more[: size - len(data)]
        return data if len(data) == size else None

    def word(self, address: int) -> int | None:
        """The word at an address, None where none is there."""
        data = self.read(address, 4)
        return None if data is None else int.from_bytes(data, "little")

    def _page(self, number: int) -> bytes | None:
        if number not in self._pages:
            if len(self._pages) >= _MAX_PAGES:
                self._pages.clear()
            try:
                self._pages[number] = self._session.read(number * _PAGE, _PAGE)
            except (TranslationFault, NativeError):
                self._pages[number] = None
        return self._pages[number]


class State:
    """Registers r0 to r15, the SPSR and mode, banks, and what was stored on the way.

    ``next`` is where an instruction jumps to that leaves a function; ``popped`` has a bit for each register
    that was loaded from the stack last.
    """

    __slots__ = (
        "banks",
        "memory",
        "mode",
        "next",
        "next_mode",
        "next_thumb",
        "popped",
        "r",
        "spsr",
        "stored",
    )

    def __init__(self, memory: MemoryView, r: list[Value], mode: str | None = None) -> None:
        self.memory = memory
        self.r = r
        self.mode = mode
        self.spsr: Value = None
        self.banks: dict[str, list[Value]] = {}
        self.stored: dict[Value, Value] = {}
        self.popped = 0
        self.next: Value = None
        self.next_mode: Value = None

    def copy(self) -> State:
        """One that goes another way."""
        other = State(self.memory, list(self.r), self.mode)
        other.spsr, other.popped = self.spsr, self.popped
        other.banks = {name: list(bank) for name, bank in self.banks.items()}
        other.stored = dict(self.stored)
        return other

    @classmethod
    def entry(cls, memory: MemoryView, mode: str | None) -> State:
        """A state whose every register is what it was at the entry of a function."""
        state = cls(memory, [(number, 0) for number in range(16)], mode)
        state.spsr = SPSR, 0
        for i, other in enumerate(dict.fromkeys(MODES.values())):
            state.banks[other] = [(_BANKED + 4 * i + number, 0) for number in range(3)]
        for i, other in enumerate(("usr", "fiq")):
            state.banks["r8_" + other] = [(_BANKED + 32 + 8 * i + number, 0) for number in range(5)]
        return state

    def everything(self, *, calls: bool) -> list[Value]:
        """Registers and banks in an order of their own; those that a call changes are None with ``calls``."""
        lost = (0, 1, 2, 3, 12, LR) if calls else ()
        found = [self.r[SP], *(None if n in lost else self.r[n] for n in range(PC)), self.spsr]
        for mode in dict.fromkeys(MODES.values()):
            found += [None] * 3 if mode == self.mode else self.banks.get(mode, [None] * 3)
        return found

    def load(self, address: Value) -> Value:
        if address in self.stored:
            return self.stored[address]
        return self.memory.word(address) if isinstance(address, int) else None

    def store(self, address: Value, value: Value) -> None:
        if address is not None:
            self.stored[address] = value

    def call(self) -> None:
        """What a function that was called leaves (AAPCS32, 6.1.1)."""
        for number in (0, 1, 2, 3, 12, LR):
            self.r[number] = None

    # ---- banked registers (ARM DDI 0406C, B1.3.2) ----

    def switch(self, mode: str | None) -> None:
        """Another mode's SP, LR and SPSR, and r8 to r12 of FIQ; None: of a mode that is not known."""
        if mode == self.mode:
            return
        r, old = self.r, self.mode
        if old is not None:
            self.banks[old] = [r[SP], r[LR], self.spsr]
        if "fiq" in (old, mode):
            self.banks["r8_" + ("fiq" if old == "fiq" else "usr")] = r[8:13]
            r[8:13] = self.banks.get("r8_" + ("fiq" if mode == "fiq" else "usr"), [None] * 5)
        r[SP], r[LR], self.spsr = self.banks.get(mode or "", [None] * 3)
        self.mode = mode

    def banked(self, number: int, mode: str) -> Value:
        """A register as a mode has it."""
        if mode == self.mode or number not in (SP, LR):
            return self.r[number]
        return self.banks.get(mode, [None] * 3)[number - SP]

    def set_banked(self, number: int, mode: str, value: Value) -> None:
        if mode == self.mode or number not in (SP, LR):
            self.r[number] = value
        else:
            self.banks.setdefault(mode, [None] * 3)[number - SP] = value


def start_state(memory: MemoryView, known: Mapping[str, int]) -> State | None:
    """A CPU as it is; None where core registers are not known."""
    try:
        r: list[Value] = [known[f"r{number}"] for number in range(13)]
        r += [known["sp"], known["lr"], known["pc"]]
    except KeyError:
        return None
    state = State(memory, r, MODES.get(known.get("cpsr", 0) & 0x1F))
    for mode in dict.fromkeys(MODES.values()):
        state.banks[mode] = [known.get(f"{name}_{mode}") for name in ("sp", "lr", "spsr")]
    state.spsr = state.banks.get(state.mode or "", [None] * 3)[2]
    for mode in ("usr", "fiq"):
        state.banks["r8_" + mode] = [known.get(f"r{number}_{mode}") for number in _FIQ]
    return state
