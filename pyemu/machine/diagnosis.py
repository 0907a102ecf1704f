"""Where a stopped guest is and which fault it could not handle: what somebody whose board hangs asks first.

Read from the registers and tables as they are now; nothing is recorded while the guest runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyemu.machine.stop import Stop, StopReason
from pyemu.mmu import Access, Fault, Regime, Walk, decode_fault_status
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.machine.machine import Machine

__all__ = ["Diagnosis", "Location", "diagnose", "locate"]

# ARM DDI 0406C B1.3.1, B1.8.1
_MODES = {
    0x10: "user",
    0x11: "FIQ",
    0x12: "IRQ",
    0x13: "SVC",
    0x17: "abort",
    0x1A: "hyp",
    0x1B: "undefined",
    0x1F: "system",
}
_VECTORS = {
    0x04: "undefined instruction",
    0x08: "SVC",
    0x0C: "prefetch abort",
    0x10: "data abort",
    0x18: "IRQ",
    0x1C: "FIQ",
}
_MODE_ABT, _MODE_UND = 0x17, 0x1B
_CPSR_MODE, _CPSR_T, _CPSR_I = 0x1F, 1 << 5, 1 << 7
_SCTLR_V = 1 << 13
_LINE_BYTES = 64
_NEAR_BYTES = 1 << 16  # a symbol further below an address says nothing about it


@dataclass(frozen=True)
class Location:
    """Where a CPU is: ``mode`` in words ("SVC"), ``symbol`` the nearest at or below ``pc``, or None.

    ``empty``: the memory at ``pc`` holds only zeros, which ARM and Thumb run as if they were NOPs.
    """

    cpu: int
    pc: int
    mode: str
    thumb: bool
    irqs_masked: bool
    symbol: str | None
    empty: bool
    mmu: str

    @property
    def text(self) -> str:
        """One line."""
        at = f"{self.pc:#010x}" + (f" ({self.symbol})" if self.symbol else "")
        at += ", where memory holds only zeros" if self.empty else ""
        state = ", Thumb" if self.thumb else ""
        masked = ", IRQs masked" if self.irqs_masked else ""
        return f"CPU {self.cpu} is at {at}, {self.mode} mode{state}{masked}, {self.mmu}"


def locate(machine: Machine, cpu: int) -> Location:
    """Where a CPU is now."""
    regs = machine.cpus[cpu].regs
    pc, cpsr = regs["pc"], regs["cpsr"]
    return Location(
        cpu,
        pc,
        _mode(cpsr),
        bool(cpsr & _CPSR_T),
        bool(cpsr & _CPSR_I),
        _symbol(machine, pc),
        _empty(machine, pc, cpu),
        _mmu(machine.regime(cpu)),
    )


def _empty(machine: Machine, pc: int, cpu: int) -> bool:
    """Whether the 64 aligned bytes at an address are code that nobody wrote."""
    result = machine.translate(pc & -_LINE_BYTES, Access.FETCH, cpu=cpu)
    try:
        return result.ok and not any(machine.mem.read(result.pa, _LINE_BYTES))
    except NativeError:
        return False


def _mode(psr: int) -> str:
    return _MODES.get(psr & _CPSR_MODE, f"unknown ({psr & _CPSR_MODE:#x})")


def _mmu(regime: Regime) -> str:
    if not regime.mmu_on:
        return "MMU off"
    return f"MMU on with {'long' if regime.long_format else 'short'} descriptors"


def _symbol(machine: Machine, address: int) -> str | None:
    text = machine.symbols.describe(address)
    if text is None:
        return None
    offset = text.rpartition("+")[2]
    return text if "+" not in text or int(offset, 16) < _NEAR_BYTES else None


@dataclass(frozen=True)
class Diagnosis:
    """``cause``: why a LOCKUP cannot be left, in one clause; else None.

    ``cpus``   where each CPU is that was started.
    ``notes``  lines on aborts that are being handled, or that led to a LOCKUP, and the registers that decide.
    """

    cause: str | None
    cpus: tuple[Location, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """Where the CPUs are and the notes, as text."""
        return [*(at.text for at in self.cpus), *self.notes]


def diagnose(machine: Machine, stop: Stop) -> Diagnosis:
    """Look at a machine that has stopped."""
    cpus = tuple(locate(machine, cpu.number) for cpu in machine.cpus if _started(machine, cpu.number))
    if stop.reason is StopReason.LOCKUP:
        return Diagnosis(_lockup_cause(machine, stop), cpus, tuple(_lockup_notes(machine, stop)))
    return Diagnosis(None, cpus, tuple(line for at in cpus for line in _handler_notes(machine, at.cpu)))


def _started(machine: Machine, cpu: int) -> bool:
    """Whether a CPU has run: one that waits for CPU_ON keeps its reset state at the entry point."""
    at = locate(machine, cpu)
    entry = None if machine.plan is None else machine.plan.entry & ~1
    return cpu == 0 or at.pc != entry or machine.regime(cpu).mmu_on


def _lockup_cause(machine: Machine, stop: Stop) -> str:
    name = _VECTORS.get(stop.address & 0x1F, "exception")
    vector = f"the {name} vector at {stop.address:#010x}"
    walk = machine.walk(stop.address, Access.FETCH, True, stop.cpu)
    if not walk.result.ok:
        return f"{vector} cannot be fetched: {walk.text}"
    where = "" if walk.result.pa == stop.address else f" (physical {walk.result.pa:#x})"
    try:
        word = int.from_bytes(machine.mem.read(walk.result.pa, 4), "little")
    except NativeError:
        return f"{vector}{where} cannot be fetched: there is no memory"
    return f"the instruction {word:#010x} in {vector}{where} takes an exception itself"


def _lockup_notes(machine: Machine, stop: Stop) -> Iterator[str]:
    walk = machine.walk(stop.origin, Access.FETCH, True, stop.cpu)
    if not walk.result.ok:
        yield f"it began with the fetch of {_at(machine, stop.origin)}: {walk.text}"
    else:
        yield f"it began with an exception of the instruction at {_at(machine, stop.origin)}"
    for line, address in _aborts(machine, stop.cpu):
        if address != stop.address:
            yield line
    yield _registers(machine, stop.cpu)


def _handler_notes(machine: Machine, cpu: int) -> Iterator[str]:
    """The fault that a CPU is handling, where it is in abort or undefined mode; otherwise nothing."""
    regs = machine.cpus[cpu].regs
    mode = regs["cpsr"] & _CPSR_MODE
    if mode == _MODE_UND:
        pc = (regs["lr_und"] - (2 if regs["spsr_und"] & _CPSR_T else 4)) & 0xFFFF_FFFF
        yield f"CPU {cpu} handles an undefined instruction at {_at(machine, pc)}"
    elif mode == _MODE_ABT:
        # LR_abt is 4 past a fetch that aborts, 8 past a load or store (ARM DDI 0406C B1.8.3).
        prefetch = regs["lr_abt"] - 4 == regs["ifar"]
        pc = (regs["lr_abt"] - (4 if prefetch else 8)) & 0xFFFF_FFFF
        kind = "prefetch" if prefetch else "data"
        yield f"CPU {cpu} handles a {kind} abort of the instruction at {_at(machine, pc)}"
        yield from (line for line, _ in _aborts(machine, cpu) if line.startswith(f"last {kind}"))
        yield _registers(machine, cpu)


def _at(machine: Machine, address: int) -> str:
    symbol = _symbol(machine, address)
    return f"{address:#010x}" + (f" ({symbol})" if symbol else "")


def _aborts(machine: Machine, cpu: int) -> Iterator[tuple[str, int]]:
    """(line, address) of the last data abort and the last prefetch abort, as the registers tell them."""
    regs = machine.cpus[cpu].regs
    for kind, fsr, far in (("data", "dfsr", "dfar"), ("prefetch", "ifsr", "ifar")):
        status, address = decode_fault_status(regs[fsr]), regs[far]
        if not status.value:
            continue
        access = Access.FETCH if kind == "prefetch" else Access.WRITE if status.write else Access.READ
        what = {Access.FETCH: "fetch of", Access.WRITE: "write to", Access.READ: "read of"}[access]
        why = _why(machine, cpu, address, access, status.fault)
        line = f"last {kind} abort: {status.text}, {what} {address:#010x} ({fsr.upper()} {status.value:#x})"
        yield f"{line}: {why}", address


def _why(machine: Machine, cpu: int, address: int, access: Access, fault: Fault | None) -> str:
    """The walk's sentence for a fault that the tables still make; the privilege of then is not known."""
    walks: list[Walk] = []
    for privileged in (True, False):
        walk = machine.walk(address, access, privileged, cpu)
        if walk.result.fault is fault:
            return walk.text if privileged else f"for user mode, {walk.text}"
        walks.append(walk)
    if walks[0].result.ok and fault is Fault.EXTERNAL:
        return f"it translates to physical {walks[0].result.pa:#x}, where nothing answers"
    if fault is Fault.ALIGNMENT:
        return f"not aligned, {walks[0].text}"
    return f"by now, {walks[0].text}"


def _registers(machine: Machine, cpu: int) -> str:
    """The registers that decide translation and exception entry."""
    regime, vbar = machine.regime(cpu), machine.reg("vbar", cpu)
    parts = [f"SCTLR {regime.sctlr:#010x}", f"TTBCR {regime.ttbcr:#x}", f"TTBR0 {regime.ttbr0:#x}"]
    parts += [f"TTBR1 {regime.ttbr1:#x}"]
    if regime.long_format:
        parts += [f"MAIR0 {regime.mair0:#010x}", f"MAIR1 {regime.mair1:#010x}"]
    else:
        parts += [f"DACR {regime.dacr:#010x}"]
    vectors = "high vectors (SCTLR.V)" if regime.sctlr & _SCTLR_V else f"VBAR {vbar:#010x}"
    return f"{_mmu(regime)}: {', '.join(parts)}, {vectors}"
