"""Linux: its index of unwind tables in memory, and the registers that its entry code saves.

Facts: arch/arm/kernel/unwind.c, entry-armv.S, entry-header.S, entry-common.S, asm/vmlinux.lds.h,
asm/ptrace.h and asm/thread_info.h of 6.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyemu.debug.linux import LinuxLayout, linux_layout
from pyemu.debug.unwind.exceptions import Interrupted
from pyemu.debug.unwind.index import CANTUNWIND, ENTRY_BYTES, Index, prel31
from pyemu.debug.unwind.state import MODES, PC, SP, MemoryView, State

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["KernelTables", "entered", "kernel_exception", "user_registers"]

_PAGE = 4096
_MAX_IMAGE = 96 << 20
_SAMPLES = 16  # entries of a page that are looked at first
_MIN_ENTRIES = 4 * _PAGE // ENTRY_BYTES
_MAX_ENTRIES = 1 << 18
_LAST_FUNCTION = 1 << 20
_THREAD_BYTES = 8192
_THREAD_GAP = 8  # THREAD_START_SP below the end of a stack
_REGS_BYTES = 72  # struct pt_regs: r0 to r15, CPSR, the r0 of a system call
_ARGUMENTS = 8  # the fifth and sixth of a system call, below pt_regs while it runs
_KINDS = {
    "dabt": "data abort",
    "pabt": "prefetch abort",
    "irq": "IRQ",
    "fiq": "FIQ",
    "und": "undefined instruction",
}
_ENTRY = re.compile(f"__({'|'.join(_KINDS)})_(?:svc|usr)")


class KernelTables:
    """The index of a Linux kernel with CONFIG_ARM_UNWIND, once it has been found."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: tuple[int, int] | None = None  # (address, entries)
        self.index: Index | None = None
        self.covers = range(0)

    def look(self, memory: MemoryView) -> None:
        """See whether it is there now."""
        self.index = None
        if self._found is None or not _entry(memory, self._found[0]):
            layout = linux_layout(self._session)
            self._found = None if layout is None else _search(memory, layout)
        if self._found is not None:
            base, count = self._found
            self.index = Index(base, count, memory.word)
            self.covers = range(self.index.function(0), self.index.function(count - 1) + _LAST_FUNCTION)


def _entry(memory: MemoryView, at: int) -> int | None:
    """The function of what may be an entry; 0 and None where it is none."""
    data = memory.read(at, ENTRY_BYTES)
    if data is None:
        return None
    first, second = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")
    if first >> 31 or not first or not second or abs(prel31(first, at) - at) > _MAX_IMAGE:
        return None
    if second != CANTUNWIND and second >> 24 != 0x80 and second >> 31:
        return None
    if second != CANTUNWIND and not second >> 31 and abs(prel31(second, at + 4) - at) > _MAX_IMAGE:
        return None
    return prel31(first, at) & ~1


def _begins(memory: MemoryView, at: int) -> bool:
    """Whether entries are here: in the order of their functions, which are below, some with their code."""
    before = known = 0
    for here in range(at, at + _SAMPLES * ENTRY_BYTES, ENTRY_BYTES):
        function = _entry(memory, here)
        if not function or not before < function < at:
            return False
        before = function
        word = memory.word(here + 4) or 0
        known += word == CANTUNWIND or word >> 24 == 0x80
    return known >= _SAMPLES // 4


def _search(memory: MemoryView, layout: LinuxLayout) -> tuple[int, int] | None:
    """The run of entries in the kernel's image: a page that begins with some, and what is around it."""
    end = min(layout.lowmem_end, layout.page_offset + _MAX_IMAGE)
    left, past = _MAX_ENTRIES, 0
    for page in range(layout.page_offset, end, _PAGE):
        for at in (page, page + 4):
            if at < past or not _begins(memory, at):
                continue
            first, past = _extend(memory, at, left)
            count = (past - first) // ENTRY_BYTES
            if count >= _MIN_ENTRIES:
                return first, count
            left -= count
            if left <= 0:
                return None
    return None


def _extend(memory: MemoryView, at: int, limit: int) -> tuple[int, int]:
    """[first, last) of the entries around one, no more than a limit."""
    first, function = at, _entry(memory, at) or 0
    while at - first < limit * ENTRY_BYTES:
        below = _entry(memory, first - ENTRY_BYTES)
        if not below or below >= function:
            break
        first, function = first - ENTRY_BYTES, below
    last, function = at, 0
    while last - at < limit * ENTRY_BYTES:
        above = _entry(memory, last)
        if not above or above <= function:
            break
        last, function = last + ENTRY_BYTES, above
    return first, last


def kernel_exception(session: Session, pc: int) -> str:
    """The kind of the exception whose entry code an address is in: __dabt_svc, __irq_usr, ..."""
    name = (session.symbol(pc) or "").partition("+")[0]
    found = _ENTRY.fullmatch(name)
    return "exception" if found is None else _KINDS[found[1]]


def entered(session: Session, state: State, pc: int) -> tuple[bool, Interrupted | None]:
    """Whether an address is in the code that a vector's stub enters, and what was interrupted.

    At its first instruction r0 points to what the stub has kept: r0, PC and CPSR.
    """
    name = session.symbol(pc) or ""
    if _ENTRY.fullmatch(name.partition("+")[0]) is None:
        return False, None
    at = state.r[0]
    if "+" in name or not isinstance(at, int):
        return True, None
    r0, address, cpsr = (state.memory.word(at + 4 * i) for i in range(3))
    if address is None or cpsr is None:
        return True, None
    before = state.copy()
    before.r[0] = r0
    before.switch(MODES.get(cpsr & 0x1F))
    return True, Interrupted(kernel_exception(session, pc), before, address, cpsr)


def user_registers(session: Session, state: State, pc: int) -> Interrupted | None:
    """User mode's registers where the entry code has put them at the top of a kernel stack, and SP is there.

    ``pc`` is where the kernel's code is.
    """
    sp = state.r[SP]
    if not isinstance(sp, int) or state.mode == "usr":
        return None
    for regs in (sp, sp + _ARGUMENTS):
        if (regs + _REGS_BYTES + _THREAD_GAP) % _THREAD_BYTES == 0:
            break
    else:
        return None
    words = [state.memory.word(regs + 4 * i) for i in range(_REGS_BYTES // 4)]
    cpsr = words[16]
    if cpsr is None or None in words or cpsr & 0x1F != 0x10 or not words[PC]:
        return None
    kind = kernel_exception(session, pc)
    user = state.copy()
    user.switch(MODES[cpsr & 0x1F])
    user.r[:] = words[:16]
    return Interrupted("SVC" if kind == "exception" else kind, user, words[PC] or 0, cpsr)
