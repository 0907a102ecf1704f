"""Runs the machine of a session forward: breakpoints, watchpoints, single steps, stores to tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyemu.config import UserError
from pyemu.debug.records import Halt, LastWrite, Position, TableWrite, Watch, WatchHit
from pyemu.kernel.trace import function_name
from pyemu.machine.dialogue import Dialogue
from pyemu.machine.machine import SLICE_INSNS
from pyemu.machine.stop import Stop, StopReason
from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.debug.session import Session
    from pyemu.machine import Machine

__all__ = ["LEAVE", "THROUGH", "Forward"]

TABLE_WRITES = 1 << 18
OUTPUT_BYTES = 1 << 20
"""What a command shows of the guest's output: a guest that prints for ever fills no memory."""
LEAVE, THROUGH = lib.PE_RUN_LEAVE, lib.PE_RUN_THROUGH
_BATCH = 4096


class Forward:
    """What of :class:`~pyemu.debug.control.Control` needs no way back."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.machine: Machine = session.machine
        self.points: dict[int, int | Watch] = {}
        self._numbers = 0
        self.ended: Halt | None = None
        self.output_left_out = 0
        err = error()
        check(lib.pe_machine_record_tables(self.machine.handle, TABLE_WRITES, err), err)
        self.recorded_from = self.position
        session.last_write = self.last_write

    def _passed(self, executed: int) -> None:
        """A slice of a run is over, after so many instructions since the machine's start."""

    # ---- where it is ----

    @property
    def position(self) -> Position:
        """Where the run is now."""
        handle = self.machine.handle
        return Position(self.machine.stats().insns, lib.pe_machine_exceptions(handle))

    def pc(self, cpu: int) -> int:
        """The address of the instruction that a CPU executes next."""
        return self.machine.cpus[cpu].regs["pc"]

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

    # ---- on ----

    def resume(self, max_insns: int | None = None, until: Dialogue | None = None) -> Halt:
        """Run on until something stops the guest, a dialogue ends, or exactly so many instructions.

        Breakpoints where it is now do not count. The console is looked at at fixed counts of instructions,
        and when every CPU waits.
        """
        self._need_life()
        return self.halted(self._run(LEAVE, max_insns=max_insns, by_command=True, until=until))

    def step(self, cpu: int | None = None) -> Halt:
        """One instruction of a CPU (None: of that whose turn it is), or one entry of an exception.

        Where it is another CPU's turn, that one runs first; a CPU that waits is waited for.
        """
        self._need_life()
        chosen = lib.PE_STEP_ANY if cpu is None else cpu + 1
        return self.halted(self._run(LEAVE, step=chosen, by_command=True))

    def slice(self, step: int | None = None) -> Halt | None:
        """Run on for a few milliseconds, or until a CPU has made a ``step``; None when that is not over."""
        self._need_life()
        stop = self._run(LEAVE, max_insns=SLICE_INSNS, once=True, step=0 if step is None else step + 1)
        return None if stop.reason is StopReason.LIMIT else self.halted(stop)

    def forward(self, max_insns: int, *, stop_when_idle: bool = False) -> Stop:
        """A run that is recorded, as :meth:`~pyemu.machine.Machine.run` would do it."""
        return self._run(LEAVE, max_insns=max_insns, stop_when_idle=stop_when_idle)

    def _need_life(self) -> None:
        if self.ended is not None:
            raise UserError(f"the guest has ended ({self.ended.reason.name.lower()}): rs or rc goes back")

    def _run(
        self,
        flags: int = 0,
        *,
        step: int = 0,
        stop_at: int = 0,
        stop_exceptions: int = 0,
        max_insns: int | None = None,
        once: bool = False,
        quiet: bool = False,
        stop_when_idle: bool = False,
        by_command: bool = False,
        until: Dialogue | None = None,
    ) -> Stop:
        run, native, err = ffi.new("pe_run *"), ffi.new("pe_stop *"), error()
        run.step, run.stop_when_idle, done = step, stop_when_idle or until is not None, 0
        going_on = {StopReason.LIMIT, StopReason.OUTPUT} | (set() if stop_when_idle else {StopReason.IDLE})
        executed = self.machine.stats().insns
        limit = None if max_insns is None else executed + max_insns
        run.stop_at = min((each for each in (stop_at, limit) if each), default=0)
        run.flags, run.stop_exceptions = flags, stop_exceptions
        while True:
            run.max_insns = SLICE_INSNS - executed % SLICE_INSNS
            if self.machine.asked_to_stop():
                native.reason, native.insns = lib.PE_STOP_REQUESTED, 0
            else:
                check(lib.pe_machine_run(self.machine.handle, run, native, err), err)
            run.flags &= ~LEAVE
            done, executed = done + native.insns, executed + native.insns
            native.insns = done
            stop = Stop.from_native(native)
            said = self._take_output(quiet, by_command)
            if stop.reason is StopReason.REQUESTED:
                self.machine.asked_to_stop()
                if quiet:
                    raise UserError(f"stopped on the way back, at {self.position.text}")
            if stop.reason is StopReason.POSITION and executed == limit:
                stop = replace(stop, reason=StopReason.LIMIT)
            if stop.reason is StopReason.LIMIT and not quiet:
                self._passed(executed)
            if until is not None:
                until.hear(said)
                if until.ended and stop.reason in going_on:
                    return replace(stop, reason=StopReason.CONSOLE)
            if once or executed == limit or stop.reason not in going_on:
                return stop

    def _take_output(self, quiet: bool, by_command: bool) -> bytes:
        """What the guest has written in this slice; to who listens to a command, or its latest stays."""
        console, listener = self.machine.console, self._session.listener
        if quiet:  # it has been read when the run came here first
            scratch = ffi.new("char[]", 1 << 16)
            while lib.pe_machine_console_read(self.machine.handle, scratch, len(scratch)):
                pass
            if listener is not None:
                listener(b"")
            return b""
        said = console.collect()
        if by_command and listener is not None:
            listener(console.read())
        elif by_command:
            self.output_left_out += console.drop(OUTPUT_BYTES)
        return said

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
            None if out.function else out.va,
            out.pa,
            out.pc,
            out.cpu,
            out.size,
            bool(out.write),
            out.old_value,
            out.new_value,
            out.insns,
            _function(out),
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
                    found.append(TableWrite(*values, _function(w)))
        return found

    def last_write(self, pa: int) -> LastWrite | None:
        """The latest recorded store to a descriptor."""
        writes = self.table_writes(pa, 8)
        if not writes:
            return None
        return LastWrite(writes[-1].pc, self.machine.stats().insns - writes[-1].insns)


def _function(native: Any) -> str | None:
    """That of a Kernel model in a ``pe_watch_hit`` or ``pe_table_write``."""
    return function_name(native.function - 1) if native.function else None
