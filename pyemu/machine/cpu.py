"""One CPU of a machine: its registers, and what the cycle model saw of it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pyemu.config import UserError
from pyemu.machine.registers import Registers
from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.machine.bill import Executed
    from pyemu.mmu import Tlb
    from pyemu.timing import Predictor

__all__ = ["Cpu", "Power", "need_timing"]


class Power(IntEnum):
    """Whether a CPU executes: off until PSCI CPU_ON and after CPU_OFF, waiting in WFI."""

    OFF = lib.PE_POWER_OFF
    ON = lib.PE_POWER_ON
    WAITING = lib.PE_POWER_WAITING

    @property
    def text(self) -> str:
        """What is said of a CPU that does not execute; empty for one that does."""
        return {Power.OFF: "off", Power.WAITING: "waits for an interrupt"}.get(self, "")


def need_timing(machine: Any, what: str, *levels: str) -> None:
    """Raise :class:`~pyemu.config.UserError` unless the machine's timing is one of ``levels``."""
    timing = machine.config.timing
    if timing not in levels:
        right = " or ".join(f'"{level}"' for level in levels)
        raise UserError(f'no {what} with timing "{timing}": timing {right} would have it')


class Cpu:
    """One CPU of a machine: its ``number`` and its registers, ``regs``."""

    def __init__(self, machine: Any, number: int) -> None:
        self.number = number
        self.regs = Registers(machine, number)
        self._machine = machine

    @property
    def power(self) -> Power:
        """Whether it executes."""
        return Power(lib.pe_machine_power(self._machine.handle, self.number))

    @property
    def tlb(self) -> Tlb:
        """Its modelled TLBs, to look at: entries, statistics, stale hits. Needs timing."""
        from pyemu.mmu import Tlb

        need_timing(self._machine, "modelled TLB", "tlb", "cache")
        return Tlb.borrow(lambda: lib.pe_machine_tlb(self._machine.handle, self.number))

    @property
    def predictor(self) -> Predictor:
        """Its branch predictor, to look at. Needs timing."""
        from pyemu.timing import Predictor

        need_timing(self._machine, "branch predictor", "tlb", "cache")
        return Predictor.borrow(lambda: lib.pe_machine_predictor(self._machine.handle, self.number))

    def executed(self) -> Executed:
        """Instructions, blocks, loads and stores by privilege since the model began. Needs timing."""
        from pyemu.machine.bill import Executed

        need_timing(self._machine, "count by privilege", "tlb", "cache")
        out, err = ffi.new("pe_executed *"), error()
        check(lib.pe_machine_executed(self._machine.handle, self.number, out, err), err)
        return Executed.from_native(out)
