"""``history`` and ``watch pt``: who writes the descriptors of an address."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyemu.config import UserError
from pyemu.debug.commands.run import Points, set_breakpoint
from pyemu.debug.control import Control, TableWrite, Watch
from pyemu.debug.descriptors import decode
from pyemu.debug.parameters import Address, Flag, Number
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.mmu import Access, DescriptorKind, Regime, Step, walk

__all__ = ["DescriptorHistory", "History", "Written", "history", "watch_tables"]


@dataclass(frozen=True)
class Written:
    """One store; ``old`` and ``new`` are what it changed, decoded where it is a whole descriptor.

    ``caller`` is where LR points, if that is another function: the one that called.
    """

    write: TableWrite
    place: str
    caller: str | None
    old: str
    new: str

    @property
    def line(self) -> str:
        w = self.write
        by = f", called from {self.caller}" if self.caller else ""
        if w.function:
            by = f" in {w.function}"
        return f"  instruction {w.insns}, CPU {w.cpu}, {self.place}{by}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class DescriptorHistory:
    """The stores to one descriptor, oldest first; ``now`` is what it holds."""

    level: int | None
    pa: int
    now: str
    writes: tuple[Written, ...]
    left_out: int


@dataclass(frozen=True)
class History:
    """Stores to descriptors since recording began, at instruction ``since``."""

    since: int
    descriptors: tuple[DescriptorHistory, ...]

    @property
    def lines(self) -> list[str]:
        lines = []
        for each in self.descriptors:
            level = "" if each.level is None else f"level {each.level} "
            lines.append(f"{level}descriptor @{each.pa:#x}, now {each.now}")
            if each.left_out:
                lines.append(f"  {each.left_out} earlier ones are left out")
            lines += [write.line for write in each.writes]
            if not each.writes:
                lines.append(
                    f"  no store since it is known as a table; recorded from instruction {self.since} on"
                )
        return lines


def _kind(regime: Regime, level: int, value: int) -> DescriptorKind:
    """ARM DDI 0406C B3.5.1, B3.6.1."""
    bits = value & 3
    if regime.long_format:
        if not bits & 1:
            return DescriptorKind.INVALID
        if level == 3:
            return DescriptorKind.PAGE if bits == 3 else DescriptorKind.RESERVED
        return DescriptorKind.TABLE if bits == 3 else DescriptorKind.BLOCK
    if not bits:
        return DescriptorKind.INVALID
    if level == 2:
        return DescriptorKind.PAGE
    return DescriptorKind.TABLE if bits == 1 else DescriptorKind.BLOCK


def _text(regime: Regime, step: Step | None, value: int, whole: bool) -> str:
    if step is None or not whole:
        return f"{value:#x}"
    shown = replace(step, descriptor=value, kind=_kind(regime, step.level, value))
    return f"{value:#x} {decode(regime, shown).text}"


def _steps(session: Session, va: int) -> tuple[Step, ...]:
    found = walk(session.memory, session.regime, va, Access.READ, privileged=True).steps
    if not found:
        raise UserError(f"{va:#010x}: no descriptor translates it: the MMU is off, or no table covers it")
    return found


@command(
    "history",
    Address("address", bits=40),
    Number("count", optional=True, low=1),
    Flag("--pte"),
    group="history",
    example="history 0xffefe000",
    needs=Capability.RUN,
)
def history(session: Session, address: int, count: int = 20, pte: bool = False) -> History:
    """Every store to the descriptors that translate an address: PC, instruction count, old and new value.

    ``--pte`` takes the physical address of a descriptor. The latest ``count`` of each are shown. Recording
    begins with the first command that runs the guest or sets a breakpoint; a table is known when it is in use
    then, when it is linked into another, or when a walk reads it. For earlier stores: ``wa --physical`` and
    ``rc``.
    """
    control, regime = session.part(Control), session.regime
    size = 8 if regime.long_format else 4
    steps: list[tuple[Step | None, int]]
    if pte:
        steps = [(None, address & -size)]
    elif address >= 1 << 32:
        raise UserError(f"{address:#x} is outside the 32-bit address space: --pte takes a physical address")
    else:
        steps = [(step, step.descriptor_pa) for step in _steps(session, address)]
    found = []
    for step, pa in steps:
        writes = control.table_writes(pa, size)
        shown = writes[-count:]
        value = int.from_bytes(session.memory.read(pa, size), "little")
        found.append(
            DescriptorHistory(
                None if step is None else step.level,
                pa,
                _text(regime, step, value, True),
                tuple(_written(session, regime, step, each, size) for each in shown),
                len(writes) - len(shown),
            )
        )
    return History(control.recorded_from.insns, tuple(found))


def _written(session: Session, regime: Regime, step: Step | None, write: TableWrite, size: int) -> Written:
    whole = write.size == size
    return Written(
        write,
        session.place(write.pc),
        _caller(session, write),
        _text(regime, step, write.old, whole),
        _text(regime, step, write.new, whole),
    )


def _caller(session: Session, write: TableWrite) -> str | None:
    inside, outside = session.symbol(write.pc), session.symbol(write.lr)
    if inside is None or outside is None or inside.partition("+")[0] == outside.partition("+")[0]:
        return None
    return outside


@command(
    "watch pt",
    Address("va"),
    group="history",
    example="watch pt 0xffefe000",
    needs=Capability.RUN,
)
def watch_tables(session: Session, va: int) -> Points:
    """Stops behind the next store to a descriptor that translates an address now, at any level.

    A store that a Kernel model makes for a program counts too: the stop comes before the program goes on.
    """
    control = session.part(Control)
    size = 8 if session.regime.long_format else 4
    numbers = {control.add(Watch(step.descriptor_pa, size, "w", True)) for step in _steps(session, va)}
    return Points(tuple(each for each in set_breakpoint(session).points if each.number in numbers))
