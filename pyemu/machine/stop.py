"""Why a run ended, and what was counted: data, never an exception. And what ends one after some seconds."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pyemu.native import ffi, lib

if TYPE_CHECKING:
    from pyemu.machine import Machine


class StopReason(IntEnum):
    """The reasons of ``pe_stop_reason`` (explained in csrc/abi/machine.h), and those only the host knows."""

    LIMIT = lib.PE_STOP_LIMIT
    TIME = lib.PE_STOP_TIME
    BREAKPOINT = lib.PE_STOP_BREAKPOINT
    EXIT = lib.PE_STOP_EXIT
    POWEROFF = lib.PE_STOP_POWEROFF
    RESET = lib.PE_STOP_RESET
    IDLE = lib.PE_STOP_IDLE
    DEADLOCK = lib.PE_STOP_DEADLOCK
    LOCKUP = lib.PE_STOP_LOCKUP
    OUTPUT = lib.PE_STOP_OUTPUT
    REQUESTED = lib.PE_STOP_REQUESTED
    CONSOLE = lib.PE_STOP_CONSOLE
    STEP = lib.PE_STOP_STEP
    WATCHPOINT = lib.PE_STOP_WATCHPOINT
    POSITION = lib.PE_STOP_POSITION
    TIMEOUT = -1
    """The host's clock reached the ``timeout`` of the run."""


@dataclass(frozen=True)
class Stop:
    """How a run ended.

    ``reason``         a :class:`StopReason`.
    ``cpu``            the CPU that ran last.
    ``status``         the guest's exit status (EXIT).
    ``address``        the PC (BREAKPOINT, STEP, WATCHPOINT, POSITION), or the vector that cannot be fetched
                       (LOCKUP).
    ``insns``          instructions executed in this run, all CPUs together.
    ``next_event_ns``  guest time of the next timer event (IDLE).
    ``origin``         the address of the instruction with whose exception it began (LOCKUP).
    """

    reason: StopReason
    cpu: int
    status: int
    address: int
    insns: int
    next_event_ns: int
    origin: int = 0

    @classmethod
    def from_native(cls, stop: Any) -> Stop:
        """The Python form of a ``pe_stop``."""
        reason = StopReason(stop.reason)
        return cls(reason, stop.cpu, stop.status, stop.address, stop.insns, stop.next_event_ns, stop.origin)


class Stats(dict[str, int]):
    """Counters since the machine was made, all CPUs together: the fields of ``pe_stats``, by name."""

    def __getattr__(self, name: str) -> int:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    @classmethod
    def from_native(cls, stats: Any) -> Stats:
        """The Python form of a ``pe_stats``."""
        return cls({name: getattr(stats, name) for name, _ in ffi.typeof("pe_stats").fields})


class Alarm:
    """Stops a machine after some seconds of the host."""

    def __init__(self, machine: Machine, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._timer = threading.Timer(max(0.0, seconds), machine.stop)
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._deadline

    def cancel(self) -> None:
        """The run ended before; afterwards the watch does not touch the machine any more."""
        self._timer.cancel()
        self._timer.join()
