"""A debugging session: what is looked at, from which CPU, and what commands keep between two calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pyemu.config import UserError
from pyemu.debug.target import Capability, Target
from pyemu.mmu import Regime, TranslationFault, read_virtual
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.config import Timing
    from pyemu.machine import Machine, Power
    from pyemu.machine.loaders import Symbols
    from pyemu.mem import Memory
    from pyemu.mmu import Tlb
    from pyemu.timing import Core

__all__ = ["CycleModel", "Session"]

Part = TypeVar("Part")

_NEEDS = {
    Capability.RUN: "it is a dump, which cannot run: open a snapshot or an image",
    Capability.WRITE: "it is a dump, which cannot be changed: open a snapshot or an image",
    Capability.TLB: "it has no modelled TLB: give --timing tlb or --timing cache",
    Capability.KERNEL: "it has no Kernel model: pyemu debug --kernel has",
}
_ALONE = "it is a Kernel model alone, where no code runs: pyemu debug --kernel PROGRAM hosts some"
_NEAR_BYTES = 1 << 20  # a symbol further below an address says nothing about it
_TERM = re.compile(r"\s*([+-]?)\s*([^\s+-]+)\s*")


class CycleModel(NamedTuple):
    """The modelled core of a CPU, and its TLBs."""

    timing: Timing
    core: Core
    tlb: Tlb


class Session:
    """Commands act on it. A context manager: leaving it closes the target.

    ``cpu`` is the number of the CPU that is looked at. ``listener`` gets what the guest writes while a
    command runs it, every few milliseconds and empty mostly; without one the result has the output.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.cpu = 0
        self.listener: Callable[[bytes], None] | None = None
        self.last_write: Callable[[int], Any] | None = None  # of a descriptor: set where stores are recorded
        self._parts: dict[Callable[[Session], Any], Any] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the parts that can be closed, and the target."""
        for part in self._parts.values():
            close = getattr(part, "close", None)
            if close is not None:
                close()
        self._parts.clear()
        self.target.close()

    def part(self, make: Callable[[Session], Part]) -> Part:
        """What a topic keeps in this session: ``make(session)`` when it is first asked for."""
        if make not in self._parts:
            self._parts[make] = make(self)
        found: Part = self._parts[make]
        return found

    def execute(self, line: str) -> Any:
        """Carry out a command line and return its result, a frozen dataclass; None for an empty line.

        Raises :class:`~pyemu.config.UserError` with one line for a command that cannot be carried out.
        """
        from pyemu.debug.registry import execute

        try:
            return execute(self, line)
        except (NativeError, TranslationFault) as problem:
            raise UserError(str(problem)) from None

    def need(self, what: Capability) -> None:
        """Raise :class:`~pyemu.config.UserError` unless the target can do all of ``what``."""
        why = self.lacks(what)
        if why is not None:
            raise UserError(f"{self.target.name}: {why}")

    @property
    def cycle_model(self) -> CycleModel:
        """That of the current CPU; UserError where there is none."""
        self.need(Capability.TLB)
        machine = self.target.machine
        if machine is None:
            kernel = self.target.kernel
            return CycleModel(kernel.config.timing, kernel.core, kernel.tlb(self.cpu))
        assert machine.core is not None
        return CycleModel(machine.config.timing, machine.core, machine.cpus[self.cpu].tlb)

    def lacks(self, what: Capability) -> str | None:
        """Why the target cannot do all of ``what``, in a clause; None where it can."""
        alone = self.target.machine is None and self.target.kernel is not None
        for capability, why in _NEEDS.items():
            if capability in what and capability not in self.target.capabilities:
                return _ALONE if alone and capability is not Capability.TLB else why
        return None

    # ---- the CPU that is looked at ----

    @property
    def machine(self) -> Machine:
        """The machine; UserError where the target is none."""
        self.need(Capability.RUN)
        machine = self.target.machine
        assert machine is not None
        return machine

    def power(self, cpu: int) -> Power | None:
        """Whether a CPU executes; None in a dump, which does not say."""
        machine = self.target.machine
        return None if machine is None else machine.cpus[cpu].power

    @property
    def memory(self) -> Memory:
        return self.target.memory

    @property
    def regime(self) -> Regime:
        return self.target.regime(self.cpu)

    @property
    def privileged(self) -> bool:
        return self.target.privileged(self.cpu)

    @property
    def registers(self) -> Mapping[str, int]:
        return self.target.registers(self.cpu)

    def register(self, name: str) -> int:
        """A register of the current CPU; UserError where it is not known."""
        try:
            return self.registers[name]
        except KeyError:
            raise UserError(f"no register {name!r} is known of CPU {self.cpu}: `regs` lists them") from None

    def select(self, cpu: int) -> None:
        """Look at another CPU."""
        self.need_cpu(cpu)
        self.cpu = cpu

    def need_cpu(self, cpu: int) -> None:
        """Raise :class:`~pyemu.config.UserError` unless there is such a CPU."""
        if not 0 <= cpu < self.target.cpus:
            raise UserError(f"CPU {cpu}: there are {self.target.cpus}, counted from 0")

    def read(self, va: int, size: int) -> bytes:
        """Bytes at a virtual address, as PL1 of the current CPU translates it."""
        return read_virtual(self.memory, self.regime, va, size, privileged=True)

    # ---- names ----

    @property
    def symbols(self) -> Symbols:
        """Those of the target; where it has none, those that a Linux guest keeps of itself."""
        known = self.target.symbols
        if known.addresses:
            return known
        from pyemu.debug.linux import GuestSymbols

        return self.part(GuestSymbols).found or known

    def symbol(self, address: int) -> str | None:
        """``name+0x10`` of the nearest symbol at or below an address, or None."""
        text = self.symbols.describe(address)
        if text is None:
            return None
        offset = text.rpartition("+")[2]
        return text if "+" not in text or int(offset, 16) < _NEAR_BYTES else None

    def place(self, address: int) -> str:
        """``0xc0008000 (stext)``: an address with its symbol, if there is one."""
        symbol = self.symbol(address)
        return f"{address:#010x}" + (f" ({symbol})" if symbol else "")

    def value(self, text: str) -> int:
        """A number, symbol or register, or several added or subtracted: ``0xc0008000``, ``main+4``, ``sp-8``.

        Hexadecimal without 0x is understood where it has eight digits. Raises
        :class:`~pyemu.config.UserError`.
        """
        total, at = 0, 0
        while at < len(text) or not text:
            match = _TERM.match(text, at)
            if match is None or (at and not match[1]):
                raise UserError(f"{text!r} is no address: 0xc0008000, a symbol, a register, or a sum is one")
            term = self._term(match[2])
            total += -term if match[1] == "-" else term
            at = match.end()
        return total

    def _term(self, text: str) -> int:
        number = parse_number(text)
        if number is not None:
            return number
        address = self.symbols.find(text)
        if address is not None:
            return address
        try:
            return self.registers[text.removeprefix("$").lower()]
        except KeyError:
            pass
        if re.fullmatch(r"[0-9a-fA-F]{8}", text):
            return int(text, 16)
        hint = "" if self.target.symbols.addresses else "; no symbol is known: --symbols gives them"
        raise UserError(f"{text!r} is neither a number (0x...) nor a symbol nor a register{hint}")


def parse_number(text: str) -> int | None:
    """A number as C writes it; None for anything else."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,32}", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"[0-9]{1,39}", text) and (text == "0" or text[0] != "0") else None
