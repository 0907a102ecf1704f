"""Runs the machine of a session: breakpoints, watchpoints, single steps, and back in time.

A place in a run is a :class:`Position`. The run up to it is the same whenever it is repeated, so going back
is the latest checkpoint before, and running again from there. What comes from outside (typed input, memory or
registers that were changed) is not repeated: a checkpoint is made behind it, see :meth:`Control.touched`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyemu.config import UserError
from pyemu.machine.machine import SLICE_INSNS
from pyemu.machine.stop import Stop, StopReason
from pyemu.native import NativeError, check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.debug.session import Session
    from pyemu.machine import Machine

__all__ = ["Control", "Halt", "LastWrite", "Position", "TableWrite", "Watch", "WatchHit"]

CHECKPOINT_INSNS = 4 * SLICE_INSNS
MAX_CHECKPOINTS = 256
MAX_CHECKPOINT_BYTES = 512 << 20
TABLE_WRITES = 1 << 18
_LEAVE, _THROUGH, _HOLD = lib.PE_RUN_LEAVE, lib.PE_RUN_THROUGH, lib.PE_RUN_HOLD
_BATCH = 4096
_BY_DEBUGGER = (StopReason.BREAKPOINT, StopReason.STEP, StopReason.WATCHPOINT, StopReason.POSITION)


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
    """An access to watched memory: by the instruction at ``pc``, which came after ``insns`` others."""

    watch: Watch
    va: int
    pa: int
    pc: int
    cpu: int
    size: int
    write: bool
    old: int
    new: int
    insns: int


@dataclass(frozen=True)
class TableWrite:
    """A store to a table by the instruction at ``pc``, which came after ``insns`` others; LR was ``lr``.

    ``function``: the number of that of a Kernel model that stored for the instruction, plus 1; 0: none did.
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
    function: int = 0


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


class Control:
    """The running side of a session; ``session.part(Control)`` is the one of a session.

    ``record`` is whether checkpoints are made, for going back: not with a cycle model.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.machine: Machine = session.machine
        self.record = self.machine.config.timing == "off"
        self.points: dict[int, int | Watch] = {}
        self._numbers = 0
        self.ended: Halt | None = None
        err = error()
        check(lib.pe_machine_record_tables(self.machine.handle, TABLE_WRITES, err), err)
        self.recorded_from = self.position
        session.last_write = self.last_write
        self.touched()

    # ---- where it is ----

    @property
    def position(self) -> Position:
        """Where the run is now."""
        handle = self.machine.handle
        return Position(self.machine.stats().insns, lib.pe_machine_exceptions(handle))

    def pc(self, cpu: int) -> int:
        """The address of the instruction that a CPU executes next."""
        return self.machine.cpus[cpu].regs["pc"]

    def checkpoints(self) -> list[tuple[Position, int]]:
        """(position, id) of the checkpoints, oldest first."""
        out = ffi.new("pe_checkpoint[]", MAX_CHECKPOINTS + 8)
        count = lib.pe_machine_checkpoints(self.machine.handle, out, len(out))
        return [(Position(each.insns, each.exceptions), each.id) for each in out[0:count]]

    # ---- breakpoints and watchpoints ----

    @property
    def breakpoints(self) -> list[int]:
        """Addresses of the breakpoints."""
        return [point for point in self.points.values() if isinstance(point, int)]

    @property
    def watches(self) -> list[Watch]:
        """The watchpoints."""
        return [point for point in self.points.values() if isinstance(point, Watch)]

    def number(self, point: int | Watch) -> int | None:
        """The number of a breakpoint (its address) or a watchpoint."""
        return next((number for number, each in self.points.items() if each == point), None)

    def add(self, point: int | Watch) -> int:
        """Stop before the instruction at a virtual address, or behind each that reaches watched memory.

        Returns the number of the point, which stays that of one that is there already.
        """
        known = self.number(point)
        if known is not None:
            return known
        err = error()
        if isinstance(point, Watch):
            check(lib.pe_machine_watch_add(self.machine.handle, point.native(), err), err)
        else:
            check(lib.pe_machine_break_add(self.machine.handle, point, err), err)
        self._numbers += 1
        self.points[self._numbers] = point
        return self._numbers

    def remove(self, point: int | Watch) -> None:
        """Take a breakpoint or a watchpoint away; nothing where there is none."""
        number = self.number(point)
        if number is None:
            return
        err = error()
        if isinstance(point, Watch):
            check(lib.pe_machine_watch_remove(self.machine.handle, point.native(), err), err)
        else:
            check(lib.pe_machine_break_remove(self.machine.handle, point, err), err)
        del self.points[number]

    @contextmanager
    def temporary_break(self, address: int) -> Iterator[None]:
        """A breakpoint for a while; nothing where there is one already."""
        if self.number(address) is not None:
            yield
            return
        self.add(address)
        try:
            yield
        finally:
            self.remove(address)
            self._numbers -= 1

    # ---- forward ----

    def resume(self, max_insns: int | None = None) -> Halt:
        """Run on until something stops the guest; breakpoints where it is now do not count."""
        self._need_life()
        return self.halted(self._run(_LEAVE, max_insns=max_insns))

    def step(self, cpu: int | None = None) -> Halt:
        """One instruction of a CPU (None: of that whose turn it is), or one entry of an exception.

        Where it is another CPU's turn, that one runs first; a CPU that waits is waited for.
        """
        self._need_life()
        return self.halted(self._run(_LEAVE, step=lib.PE_STEP_ANY if cpu is None else cpu + 1))

    def slice(self, step: int | None = None) -> Halt | None:
        """Run on for a few milliseconds, or until a CPU has made a ``step``; None when that is not over."""
        self._need_life()
        stop = self._run(_LEAVE, max_insns=SLICE_INSNS, once=True, step=0 if step is None else step + 1)
        return None if stop.reason is StopReason.LIMIT else self.halted(stop)

    def forward(self, max_insns: int, *, stop_when_idle: bool = False) -> Stop:
        """A run that is recorded, as :meth:`~pyemu.machine.Machine.run` would do it."""
        return self._run(_LEAVE, max_insns=max_insns, stop_when_idle=stop_when_idle)

    def _need_life(self) -> None:
        if self.ended is not None:
            raise UserError(f"the guest has ended ({self.ended.reason.name.lower()}): rs or rc goes back")

    def _run(
        self,
        flags: int = 0,
        *,
        step: int = 0,
        stop_at: int = 0,
        max_insns: int | None = None,
        once: bool = False,
        quiet: bool = False,
        stop_when_idle: bool = False,
    ) -> Stop:
        run, native, err = ffi.new("pe_run *"), ffi.new("pe_stop *"), error()
        run.step, run.stop_at, run.stop_when_idle, done = step, stop_at, stop_when_idle, 0
        executed = self.machine.stats().insns
        run.flags = flags
        while True:
            run.max_insns = SLICE_INSNS - executed % SLICE_INSNS
            run.flags &= ~_HOLD
            if max_insns is not None and max_insns - done < run.max_insns:
                run.max_insns = max_insns - done
                run.flags |= _HOLD  # CPUs take the same turns when this is run again without the limit
            if self.machine.asked_to_stop():
                native.reason, native.insns = lib.PE_STOP_REQUESTED, 0
            else:
                check(lib.pe_machine_run(self.machine.handle, run, native, err), err)
            run.flags &= ~_LEAVE
            done, executed = done + native.insns, executed + native.insns
            native.insns = done
            stop = Stop.from_native(native)
            self._take_output(quiet)
            if stop.reason is StopReason.REQUESTED:
                self.machine.asked_to_stop()
                if quiet:
                    raise UserError(f"stopped on the way back, at {self.position.text}")
            if stop.reason is StopReason.LIMIT and not quiet:
                self._checkpoint_now_and_then(executed)
            if stop.reason not in (StopReason.LIMIT, StopReason.OUTPUT):
                return stop
            if once or (max_insns is not None and done >= max_insns):
                return stop

    def _take_output(self, quiet: bool) -> None:
        if not quiet:
            self.machine.console.collect()
            return
        scratch = ffi.new("char[]", 1 << 16)
        while lib.pe_machine_console_read(self.machine.handle, scratch, len(scratch)):
            pass

    def halted(self, stop: Stop) -> Halt:
        """What a stop means; its CPU is the one that is looked at then."""
        hit = self._hit() if stop.reason is StopReason.WATCHPOINT else None
        halt = Halt(stop.reason, stop.cpu, self.pc(stop.cpu), stop.status, self.position, stop.insns, hit)
        if halt.final:
            self.ended = halt
        self._session.select(stop.cpu)
        return halt

    def _hit(self) -> WatchHit | None:
        out = ffi.new("pe_watch_hit *")
        if not lib.pe_machine_watch_hit(self.machine.handle, out):
            return None
        w = out.watch
        access = "r" * bool(w.access & lib.PE_WATCH_READ) + "w" * bool(w.access & lib.PE_WATCH_WRITE)
        watch = Watch(w.address, w.size, access, bool(w.physical))
        return WatchHit(
            watch,
            out.va,
            out.pa,
            out.pc,
            out.cpu,
            out.size,
            bool(out.write),
            out.old_value,
            out.new_value,
            out.insns,
        )

    # ---- what was written to tables ----

    def table_writes(self, pa: int, size: int) -> list[TableWrite]:
        """Recorded stores to [pa, pa + size), oldest first: to memory from which a walk had read before."""
        out, first = ffi.new("pe_table_write[]", _BATCH), ffi.new("uint64_t *")
        found, at = [], 0
        while count := lib.pe_machine_table_writes(self.machine.handle, at, out, _BATCH, first):
            at = first[0] + count
            for w in out[0:count]:
                if w.pa < pa + size and pa < w.pa + w.size:
                    values = w.insns, w.cpu, w.pc, w.lr, w.va, w.pa, w.size, w.old_value, w.new_value
                    found.append(TableWrite(*values, w.function))
        return found

    def last_write(self, pa: int) -> LastWrite | None:
        """The latest recorded store to a descriptor."""
        writes = self.table_writes(pa, 8)
        if not writes:
            return None
        return LastWrite(writes[-1].pc, self.machine.stats().insns - writes[-1].insns)

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

    def _checkpoint_now_and_then(self, executed: int) -> None:
        if self.record:
            known = self.checkpoints()
            if not known or executed - known[-1][0].insns >= CHECKPOINT_INSNS:
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
            timed = self.machine.config.timing != "off"
            why = "with a cycle model" if timed else "without memory for checkpoints"
            raise UserError(f"there is no way back {why}: nothing was recorded")

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

    def _replay(self, target: Position) -> None:
        if self.position.insns < target.insns:
            self._run(_THROUGH, stop_at=target.insns, quiet=True)
        while self.position < target and self.position.insns == target.insns:
            before = self.position
            self._run(_THROUGH, step=lib.PE_STEP_ANY, quiet=True)
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
        if self.position.insns < start.insns:
            self._run(_THROUGH, stop_at=start.insns, quiet=True)
        places = [self.position]
        while self.position < end:
            if self.position.insns < end.insns:
                stop = self._run(_THROUGH, step=cpu + 1, stop_at=end.insns, quiet=True)
            else:
                stop = self._run(_THROUGH, step=lib.PE_STEP_ANY, quiet=True)
            if stop.cpu == cpu and stop.reason is StopReason.STEP and self.position <= end:
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
            flags = _LEAVE
            position = self.position
            if stop.reason is StopReason.WATCHPOINT and (hit := self._hit()) is not None:
                position = Position(hit.insns, position.exceptions)
                if position < end:
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
