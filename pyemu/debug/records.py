"""What running the machine of a session has to say: places, watched memory, stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyemu.config import UserError
from pyemu.machine.stop import StopReason
from pyemu.native import ffi, lib

__all__ = ["Halt", "LastWrite", "Position", "TableWrite", "Watch", "WatchHit"]


@dataclass(frozen=True, order=True)
class Position:
    """A place in a run: instructions executed and exceptions taken, all CPUs together."""

    insns: int
    exceptions: int

    @property
    def text(self) -> str:
        """``instruction 1234``"""
        return f"instruction {self.insns}"


@dataclass(frozen=True)
class Watch:
    """``size`` bytes whose ``access`` ("w", "r", "rw") stops; ``physical``: through any mapping."""

    address: int
    size: int
    access: str = "w"
    physical: bool = False

    def native(self) -> Any:
        """A ``pe_watch *``."""
        if not 0 <= self.address < 1 << 64 or not 0 <= self.size < 1 << 32:
            raise UserError(
                f"{self.size} bytes at {self.address:#x}: a watchpoint has 1 to 4096, within a page"
            )
        watch = ffi.new("pe_watch *")
        watch.address, watch.size, watch.physical = self.address, self.size, self.physical
        watch.access = lib.PE_WATCH_READ * ("r" in self.access) | lib.PE_WATCH_WRITE * ("w" in self.access)
        return watch


@dataclass(frozen=True)
class WatchHit:
    """An access to watched memory: by the instruction at ``pc``, which came after ``insns`` others.

    ``function``: as that of :class:`TableWrite`; a model goes by physical address, so ``va`` is None then.
    """

    watch: Watch
    va: int | None
    pa: int
    pc: int
    cpu: int
    size: int
    write: bool
    old: int
    new: int
    insns: int
    function: str | None = None


@dataclass(frozen=True)
class TableWrite:
    """A store to a table by the instruction at ``pc``, which came after ``insns`` others; LR was ``lr``.

    ``function``: of a Kernel model that stored for the instruction, which faulted or made a system call.
    """

    insns: int
    cpu: int
    pc: int
    lr: int
    va: int
    pa: int
    size: int
    old: int
    new: int
    function: str | None = None


@dataclass(frozen=True)
class LastWrite:
    """By the instruction at ``pc``, ``ago`` instructions before now."""

    pc: int
    ago: int


@dataclass(frozen=True)
class Halt:
    """Where a run stopped. ``history_end``: a run backwards found no earlier place."""

    reason: StopReason
    cpu: int
    pc: int
    status: int
    position: Position
    executed: int
    hit: WatchHit | None = None
    history_end: bool = False

    @property
    def final(self) -> bool:
        """Whether the guest has ended by itself."""
        return self.reason in (StopReason.EXIT, StopReason.POWEROFF, StopReason.RESET, StopReason.LOCKUP)
