"""Where exception tables are: in the ELF file that was loaded or given, or in a kernel's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyemu.debug.unwind.index import ElfTables, Index, Rule, memory_index
from pyemu.debug.unwind.kernel import KernelTables
from pyemu.debug.unwind.state import MemoryView

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["Tables"]

# Names of the index's ends: those of GNU ld's scripts, and of Linux (asm/vmlinux.lds.h).
_NAMES = (("__exidx_start", "__exidx_end"), ("__start_unwind_idx", "__stop_unwind_idx"))


class Tables:
    """``session.part(Tables)`` is the one of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._elf: bytes | None = None
        self._file = ElfTables(None)
        self._kernel = KernelTables(session)
        self._memory: Index | None = None

    def look(self, memory: MemoryView) -> None:
        """See what there is now, in memory as it is."""
        elf = self._session.target.symbols.elf
        machine = self._session.target.machine
        if elf is None and machine is not None and machine.plan is not None:
            elf = machine.plan.elf
        if elf is not self._elf:
            self._elf, self._file = elf, ElfTables(elf)
        self._kernel.look(memory)
        self._memory = None if self._kernel.index is not None or elf is not None else self._named(memory)

    def _named(self, memory: MemoryView) -> Index | None:
        find = self._session.target.symbols.find
        for names in _NAMES:
            start, end = find(names[0]), find(names[1])
            if start is not None and end is not None:
                return memory_index(memory, start, end)
        return None

    def of_kernel(self, pc: int) -> bool:
        """Whether the index of Linux covers an address."""
        return self._kernel.index is not None and pc in self._kernel.covers

    def function(self, pc: int) -> range | None:
        """The addresses of the function that an address is in, where a symbol of the file says so."""
        return self._file.function(pc)

    def find(self, pc: int) -> Rule | None:
        """The rule of the function that an address is in."""
        if self._kernel.index is not None and self.of_kernel(pc):
            return self._kernel.index.find(pc)
        rule = self._file.find(pc)
        return self._memory.find(pc) if rule is None and self._memory is not None else rule
