"""What the checks look at: registers as they are, or as they will be once SCTLR.M is set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from pyemu.debug.linux import LinuxLayout, linux_layout, undenied
from pyemu.debug.session import Session
from pyemu.mem import Memory
from pyemu.mmu import Access, MappedRange, Regime, Walk, mapped_ranges
from pyemu.mmu import walk as walk_tables
from pyemu.native import NativeError

__all__ = ["MAX_EACH", "MAX_RANGES", "MODES", "Case", "Finding", "make_case"]

MAX_EACH = 4  # findings of one check
MAX_RANGES = 1 << 17
MODES = {0x11: "fiq", 0x12: "irq", 0x13: "svc", 0x17: "abt", 0x1B: "und", 0x1F: "usr"}
_SCTLR_M, _SCTLR_V = 1, 1 << 13
_CPSR_T, _CPSR_MODE, _USER = 1 << 5, 0x1F, 0x10
_HIGH_VECTORS = 0xFFFF_0000
_MCR_SCTLR, _MCR_MASK = 0x0E01_0F10, 0x0FFF_0FFF


@dataclass(frozen=True)
class Finding:
    """``check`` is the check's name; ``text`` what is wrong; ``asks`` what the architecture asks for, in
    ``section`` of ARM DDI 0406C."""

    check: str
    text: str
    asks: str
    section: str


@dataclass(frozen=True)
class Case:
    """``regime`` has SCTLR.M set, ``on`` says whether the CPU's has. ``written``: what the next instruction
    writes to SCTLR, the MMU being off. ``mode`` is CPSR.M."""

    session: Session
    memory: Memory
    regime: Regime
    on: bool
    written: int | None
    mode: int
    pc: int | None
    thumb: bool
    vectors: int
    linux: LinuxLayout | None
    ranges: tuple[MappedRange, ...]

    @property
    def privileged(self) -> bool:
        return self.mode != _USER

    @property
    def high_vectors(self) -> bool:
        return bool(self.regime.sctlr & _SCTLR_V)

    def register(self, name: str) -> int | None:
        """A register of the CPU; None where a dump lacks it."""
        return self.session.registers.get(name)

    def fetch(self, va: int, privileged: bool = True) -> Walk:
        return walk_tables(self.memory, self.regime, va, Access.FETCH, privileged=privileged)

    def fetch_with(self, regime: Regime, va: int) -> int | None:
        """Where an instruction would come from with other registers, if there is code; else None."""
        found = walk_tables(self.memory, regime, va, Access.FETCH, privileged=True).result
        return found.pa if found.size and self.holds_code(found.pa) else None

    def is_ram(self, pa: int) -> bool:
        return any(
            segment.base <= pa < segment.base + segment.size
            for segment in self.memory.segments
            if not segment.readonly
        )

    def backed(self, pa: int) -> bool:
        """Whether there is memory."""
        try:
            self.memory.read(pa & -64, 64)
        except NativeError:
            return False
        return True

    def holds_code(self, pa: int) -> bool:
        """Whether 64 bytes of memory there are more than zeros."""
        try:
            return any(self.memory.read(pa & -64, 64))
        except NativeError:
            return False


def make_case(session: Session) -> Case:
    """The session's current CPU."""
    known, real = session.registers, session.regime
    cpsr = known.get("cpsr", 0x13)
    pc = known.get("pc", known.get("r15"))
    thumb = bool(cpsr & _CPSR_T)
    written = None if real.mmu_on or pc is None else _written_sctlr(session, pc, thumb)
    regime = replace(real, sctlr=(real.sctlr if written is None else written) | _SCTLR_M)
    return Case(
        session,
        session.memory,
        regime,
        real.mmu_on,
        written,
        cpsr & _CPSR_MODE,
        pc,
        thumb,
        _HIGH_VECTORS if regime.sctlr & _SCTLR_V else known.get("vbar", 0),
        linux_layout(session) if real.mmu_on else None,
        tuple(islice(mapped_ranges(session.memory, undenied(regime), contiguous=True), MAX_RANGES)),
    )


def _written_sctlr(session: Session, pc: int, thumb: bool) -> int | None:
    """What the instruction at the PC writes to SCTLR, the MMU being off; None where it is another."""
    try:
        data = session.memory.read(pc, 4)
    except NativeError:
        return None
    word = int.from_bytes(data, "little")
    if thumb:
        word = (word & 0xFFFF) << 16 | word >> 16
    if word & _MCR_MASK != _MCR_SCTLR or (word >> 28 != 0xE):
        return None
    number = word >> 12 & 15
    return session.registers.get({13: "sp", 14: "lr"}.get(number, f"r{number}"))
