"""The memory of a machine, seen from outside."""

from __future__ import annotations

from typing import Any

from pyemu.mem import Memory
from pyemu.native import check, error, ffi, lib

__all__ = ["MachineMemory"]


class MachineMemory(Memory):
    """RAM and flash of a machine: code that was translated from bytes that are written here is dropped."""

    @classmethod
    def of(cls, machine: Any) -> MachineMemory:
        """The memory of a :class:`~pyemu.machine.Machine`; it keeps the machine alive."""
        return cls.borrow(lib.pe_machine_mem(machine.handle), machine)

    def write(self, pa: int, data: Any) -> None:
        """Write a contiguous buffer at ``pa``, also to flash."""
        err = error()
        with ffi.from_buffer(data) as source:
            check(lib.pe_machine_write(self._owner.handle, pa, source, len(source), err), err)
