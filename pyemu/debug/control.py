"""Runs the machine of a session: forward, and back in time.

A place in a run is a :class:`~pyemu.debug.records.Position`. The run up to it is the same whenever it is
repeated, so going back is the latest checkpoint before, and running again from there. What comes from outside
(typed input, memory or registers that were changed) is not repeated: a checkpoint is made behind it, see
:meth:`Control.touched`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyemu.config import UserError
from pyemu.debug.forward import LEAVE, THROUGH, Forward
from pyemu.debug.records import Halt, LastWrite, Position, TableWrite, Watch, WatchHit
from pyemu.machine.machine import SLICE_INSNS
from pyemu.machine.stop import StopReason
from pyemu.native import NativeError, check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["Control", "Halt", "LastWrite", "Position", "TableWrite", "Watch", "WatchHit"]

CHECKPOINT_INSNS = {"off": 4 * SLICE_INSNS, "tlb": 2 * SLICE_INSNS, "cache": SLICE_INSNS}
"""From one checkpoint to the next, by timing: a tenth of a second of the host's."""

MAX_CHECKPOINTS = 256
MAX_CHECKPOINT_BYTES = 512 << 20
FAR_INSNS, NEAR_INSNS = 200_000, 10_000
"""Who goes back from far away leaves a checkpoint near by, for the next step back."""

_BY_DEBUGGER = (StopReason.BREAKPOINT, StopReason.STEP, StopReason.WATCHPOINT, StopReason.POSITION)


class Control(Forward):
    """The running side of a session; ``session.part(Control)`` is the one of a session.

    ``record`` is whether checkpoints are made, for going back: as long as the host has memory for them.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.record = True
        self.touched()

    def checkpoints(self) -> list[tuple[Position, int]]:
        """(position, id) of the checkpoints, oldest first."""
        out = ffi.new("pe_checkpoint[]", MAX_CHECKPOINTS + 8)
        count = lib.pe_machine_checkpoints(self.machine.handle, out, len(out))
        return [(Position(each.insns, each.exceptions), each.id) for each in out[0:count]]

    # ---- checkpoints ----

    def touched(self) -> None:
        """Something from outside has changed the guest; going back will find it so."""
        if self.record:
            self._checkpoint()

    def type(self, data: bytes) -> None:
        """Console input."""
        if data:
            self.machine.console.write(data)
            self.touched()

    def _checkpoint(self) -> None:
        made, err = ffi.new("uint64_t *"), error()
        try:
            check(lib.pe_machine_checkpoint(self.machine.handle, made, err), err)
        except NativeError:  # no memory, or never started: then there is no way back
            self.record = False
            return
        self._thin()

    def _passed(self, executed: int) -> None:
        if self.record:
            known, distance = self.checkpoints(), CHECKPOINT_INSNS[self.machine.config.timing]
            if not known or executed - known[-1][0].insns >= distance:
                self._checkpoint()

    def _thin(self) -> None:
        """Every other one of the older half goes; when that is not enough, the oldest."""
        out = ffi.new("pe_checkpoint[]", MAX_CHECKPOINTS + 8)
        count = lib.pe_machine_checkpoints(self.machine.handle, out, len(out))
        size = sum(each.bytes for each in out[0:count])
        if count < MAX_CHECKPOINTS and size < MAX_CHECKPOINT_BYTES:
            return
        err = error()
        old = [each.id for each in out[0 : count // 2]]
        for number in old[1::2] if len(old) > 2 else old:
            check(lib.pe_machine_checkpoint_drop(self.machine.handle, number, err), err)

    # ---- backward ----

    def _need_history(self) -> None:
        if not self.record or not self.checkpoints():
            raise UserError("there is no way back: the host has no memory for checkpoints")

    def _rewind(self, number: int) -> None:
        err = error()
        check(lib.pe_machine_rewind(self.machine.handle, number, err), err)
        self.ended = None

    def go_to(self, target: Position) -> None:
        """Make the machine as it was at a position. Raises :class:`~pyemu.config.UserError`."""
        self._need_history()
        before = [each for each in self.checkpoints() if each[0] <= target]
        if not before:
            raise UserError(f"{target.text} is before what was recorded")
        self._rewind(before[-1][1])
        self._replay(target)

    def _run_to(self, insns: int) -> None:
        """Run again up to an instruction, and leave a checkpoint on the way if that is far."""
        if insns - self.position.insns > FAR_INSNS:
            self._run(THROUGH, stop_at=insns - NEAR_INSNS, quiet=True)
            self._checkpoint()
        if insns > self.position.insns:
            self._run(THROUGH, stop_at=insns, quiet=True)

    def _replay(self, target: Position) -> None:
        self._run_to(target.insns)
        while self.position < target and self.position.insns == target.insns:
            before = self.position
            self._run(THROUGH, step=lib.PE_STEP_ANY, stop_exceptions=target.exceptions, quiet=True)
            if self.position == before:  # it cannot go on, which it did when it ran first
                break
        if self.position != target:
            raise UserError(f"the run was not the same again: {self.position.text} instead of {target.text}")

    def reverse_step(self, cpu: int | None = None) -> Halt:
        """Back to before the latest instruction, or entry of an exception, of a CPU."""
        self._need_history()
        chosen = self._session.cpu if cpu is None else cpu
        here, first, back = self.position, self.checkpoints()[0][0], 1
        while here > first:
            start = max(first, Position(max(here.insns - back, 0), 0))
            places = self._places(start, here, chosen)
            if len(places) > 1:
                self.go_to(places[-2])
                return self._here(chosen)
            if start == first:
                break
            back *= 64
        self.go_to(first)
        return self._here(chosen, history_end=True)

    def _places(self, start: Position, end: Position, cpu: int) -> list[Position]:
        """Positions from `start` to `end` behind each step of a CPU, and the first of all."""
        before = [each for each in self.checkpoints() if each[0] <= start or each[0] == start]
        self._rewind((before or self.checkpoints())[-1][1])
        self._run_to(start.insns)
        places = [self.position]
        while self.position < end:
            steps = [StopReason.STEP]
            if self.position.insns < end.insns:
                stop = self._run(THROUGH, step=cpu + 1, stop_at=end.insns, quiet=True)
            else:
                stop = self._run(THROUGH, step=lib.PE_STEP_ANY, stop_exceptions=end.exceptions, quiet=True)
                steps.append(StopReason.POSITION)  # within an instruction, for which a Kernel model has acted
            if stop.cpu == cpu and stop.reason in steps and self.position <= end:
                places.append(self.position)
            if stop.reason not in (StopReason.STEP, StopReason.POSITION):
                break
        return places

    def reverse_continue(self) -> Halt:
        """Back to the latest place where a breakpoint or a watchpoint would have stopped.

        At a watchpoint that is before the instruction that reaches it. Without any the beginning of what was
        recorded.
        """
        self._need_history()
        end, cpu = self.position, self._session.cpu
        for position, number in reversed(self.checkpoints()):
            if position >= end:
                continue
            self._rewind(number)
            found = self._hits_before(end)
            if found:
                halt = found[-1]
                self.go_to(halt.position)
                if halt.hit is not None and halt.hit.function:
                    self.reverse_step(halt.cpu)
                    halt = replace(halt, position=self.position)
                self._session.select(halt.cpu)
                return halt
            end = position
        self.go_to(self.checkpoints()[0][0])
        return self._here(cpu, history_end=True)

    def _hits_before(self, end: Position) -> list[Halt]:
        """Stops from here to a position, as :meth:`reverse_continue` reports them."""
        found: list[Halt] = []
        flags = 0
        while self.position < end:
            at_end = self.position.insns >= end.insns
            stop = self._run(
                flags, step=lib.PE_STEP_ANY if at_end else 0, stop_at=0 if at_end else end.insns, quiet=True
            )
            flags = LEAVE
            position = self.position
            if stop.reason is StopReason.WATCHPOINT and (hit := self._hit()) is not None:
                if not hit.function:  # a model has stored before the stop: see reverse_continue
                    position = Position(hit.insns, position.exceptions)
                if position < end or (hit.function and position == end):
                    found.append(Halt(stop.reason, hit.cpu, hit.pc, 0, position, 0, hit))
            elif stop.reason is StopReason.BREAKPOINT and position < end:
                found.append(Halt(stop.reason, stop.cpu, stop.address, 0, position, 0))
            elif stop.reason not in _BY_DEBUGGER:
                break
        return found

    def _here(self, cpu: int, *, history_end: bool = False) -> Halt:
        self._session.select(cpu)
        reason = StopReason.POSITION if history_end else StopReason.STEP
        return Halt(reason, cpu, self.pc(cpu), 0, self.position, 0, history_end=history_end)
