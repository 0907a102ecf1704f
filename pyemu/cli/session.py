"""A run of ``pyemu boot``: slices of guest work, and between them console, dialogue and limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pyemu.cli.terminal import Terminal
from pyemu.machine.diagnosis import diagnose
from pyemu.machine.dialogue import Dialogue
from pyemu.machine.machine import SLICE_INSNS
from pyemu.machine.stop import Stop, StopReason

if TYPE_CHECKING:
    from pyemu.machine import Machine

NS = 1_000_000_000
GOING_ON = (StopReason.LIMIT, StopReason.IDLE, StopReason.DEADLOCK, StopReason.REQUESTED)


@dataclass(frozen=True)
class Ending:
    """How a run ended: ``reason`` is a stop reason in lower case, or "quit", "killed", "interrupted" or
    "matched"."""

    reason: str
    stop: Stop
    insns: int
    host_s: float


@dataclass(frozen=True)
class Limits:
    """``max_insns`` instructions, ``timeout_s`` seconds of the host; None: no limit."""

    max_insns: int | None = None
    timeout_s: float | None = None


class Runner(Protocol):
    """What lets the guest run, and types to it: the machine itself, or a debugger's server."""

    quit: bool
    """The run shall end."""

    def run(self, max_insns: int, also: Sequence[int] = ()) -> Stop:
        """A slice; ``also`` are descriptors of which input ends a wait."""
        ...

    def type(self, data: bytes) -> None: ...


class Direct:
    """The machine as it is."""

    quit = False

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def run(self, max_insns: int, also: Sequence[int] = ()) -> Stop:
        """Run the guest."""
        return self._machine.run(max_insns=max_insns, stop_when_idle=True)

    def type(self, data: bytes) -> None:
        """Input for the guest."""
        self._machine.console.write(data)


class Log(Protocol):
    """Where console output is written as well."""

    def write(self, data: bytes, /) -> None: ...


class Session:
    """Runs a machine with a terminal until it ends.

    Input and dialogue act only at multiples of a fixed number of instructions and where the guest is idle, so
    that runs with the same input are the same to the last instruction.
    """

    def __init__(
        self,
        machine: Machine,
        terminal: Terminal,
        dialogue: Dialogue,
        limits: Limits,
        log: Log | None,
        runner: Runner | None = None,
    ) -> None:
        self._machine = machine
        self._runner = runner or Direct(machine)
        self._terminal = terminal
        self._dialogue = dialogue
        self._limits = limits
        self._log = log

    def run(self) -> Ending:
        """Run to the end; Ctrl-C ends it too."""
        self._begin = time.monotonic()
        self._done = 0
        self._input_ended = False
        alarm = threading.Timer(self._limits.timeout_s or 0.0, self._machine.stop)
        alarm.daemon = True
        if self._limits.timeout_s is not None:
            alarm.start()
        stop = Stop(StopReason.LIMIT, 0, 0, 0, 0, 0)
        try:
            self._runner.type(self._terminal.read_all() + self._dialogue.hear(b""))
            while True:
                stop = self._slice()
                reason = self._between(stop)
                if reason is not None:
                    break
        except KeyboardInterrupt:
            self._exchange(b"")
            reason = "interrupted"
        finally:
            alarm.cancel()
            if alarm.ident is not None:  # it must not reach for a machine that is gone
                alarm.join()
        return Ending(reason, stop, self._done, time.monotonic() - self._begin)

    def _slice(self) -> Stop:
        size = SLICE_INSNS - self._machine.stats().insns % SLICE_INSNS
        if self._limits.max_insns is not None:
            size = min(size, self._limits.max_insns - self._done)
        stop = self._runner.run(size, self._terminal.descriptors)
        self._done += stop.insns
        return stop

    def _between(self, stop: Stop) -> str | None:
        """Console and limits after a slice; the reason why the run ends, or None."""
        fed = self._exchange(self._listen(stop))
        if self._terminal.quit:
            return "quit"
        if self._runner.quit:
            return "killed"
        if self._dialogue.ended:
            return "matched"
        if stop.reason not in GOING_ON:
            return stop.reason.name.lower()
        if self._left() == 0.0:
            return "timeout"
        if self._limits.max_insns is not None and self._done >= self._limits.max_insns:
            return "limit"
        if fed or stop.reason not in (StopReason.IDLE, StopReason.DEADLOCK):
            return None
        return self._wait(stop)

    def _exchange(self, typed: bytes) -> bool:
        """Move console text both ways; whether the guest was given input."""
        output = self._machine.console.read()
        self._terminal.write(output)
        if self._log is not None:
            self._log.write(output)
        typed += self._dialogue.hear(output)
        self._runner.type(typed)
        return bool(typed)

    def _listen(self, stop: Stop, wait_s: float | None = 0.0) -> bytes:
        """What was typed for the guest; answers Ctrl-A i."""
        typed = self._terminal.read(wait_s)
        if self._terminal.asked:
            self._terminal.asked = False
            lines = diagnose(self._machine, stop).lines
            self._terminal.write("".join(f"\npyemu: {line}" for line in lines).encode() + b"\n")
        return typed

    def _wait(self, stop: Stop) -> str | None:
        """The guest waits.  With a person at the terminal so do we; without one guest time just passes."""
        waits_for_ever = stop.reason is StopReason.DEADLOCK
        if not waits_for_ever and not self._terminal.interactive:
            return None
        idle_s: float | None = None
        if not waits_for_ever:
            idle_s = max(0.0, (stop.next_event_ns - self._machine.time_ns) / NS)
        while True:
            if waits_for_ever and not self._terminal.open:
                return None if self._end_input() else "deadlock"
            left = self._left()
            waits = [value for value in (idle_s, left) if value is not None]
            typed = self._listen(stop, min(waits) if waits else None)
            if self._terminal.quit:
                return "quit"
            if typed:
                self._exchange(typed)
                return None
            if left is not None and self._left() == 0.0:
                return "timeout"
            if not waits_for_ever:
                return None

    def _end_input(self) -> bool:
        """Say once that input has ended; whether the guest was waiting to hear that."""
        if self._input_ended:
            return False
        self._input_ended = True
        return self._machine.console.close()

    def _left(self) -> float | None:
        if self._limits.timeout_s is None:
            return None
        return max(0.0, self._limits.timeout_s - (time.monotonic() - self._begin))
