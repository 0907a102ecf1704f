"""What the model does, event by event, with cycles: functions, locks, entries, checks, references."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.kernel.kernel import Kernel

__all__ = ["Event", "EventKind", "Trace", "function_name", "tracing"]

_BATCH = 4096


class EventKind(IntEnum):
    """What happened; the fields of :class:`Event` are those of ``pe_trace_kind``."""

    ENTER = lib.PE_TRACE_ENTER
    LEAVE = lib.PE_TRACE_LEAVE
    CONTEXT = lib.PE_TRACE_CONTEXT
    LOCK = lib.PE_TRACE_LOCK
    UNLOCK = lib.PE_TRACE_UNLOCK
    TRYLOCK = lib.PE_TRACE_TRYLOCK
    READ = lib.PE_TRACE_READ
    WRITE = lib.PE_TRACE_WRITE
    TLBI = lib.PE_TRACE_TLBI
    BARRIER = lib.PE_TRACE_BARRIER
    CHECK = lib.PE_TRACE_CHECK
    GRAB = lib.PE_TRACE_GRAB
    RECHECK = lib.PE_TRACE_RECHECK
    PUT = lib.PE_TRACE_PUT
    REPORT = lib.PE_TRACE_REPORT


@dataclass(frozen=True)
class Event:
    """One event.

    ``cycles``, ``insns``  billed to its CPU since the event before it; of the first: since the beginning.
    ``depth``              functions that are open; an ENTER and its LEAVE are both inside.
    ``code``, ``value``    by kind: see csrc/abi/kernel/trace.h.
    """

    kind: EventKind
    code: int
    cpu: int
    depth: int
    cycles: int
    insns: int
    va: int
    pa: int
    value: int
    old_value: int
    size: int


@dataclass
class Trace:
    """The events of a block of :func:`tracing`, oldest first; ``left_out`` later ones were not kept."""

    events: tuple[Event, ...] = ()
    left_out: int = 0


@contextmanager
def tracing(kernel: Kernel, room: int = 1 << 16) -> Iterator[Trace]:
    """Record what the model does in this block; the trace is filled when the block ends.

    The first ``room`` events are kept. They do not nest.
    """
    err, trace = error(), Trace()
    check(lib.pe_kernel_trace(kernel.handle, room, err), err)
    try:
        yield trace
    finally:
        total = ffi.new("uint64_t *")
        trace.events = tuple(_events(kernel, total))
        trace.left_out = int(total[0]) - len(trace.events)
        check(lib.pe_kernel_trace(kernel.handle, 0, err), err)


def _events(kernel: Kernel, total: Any) -> Iterator[Event]:
    out, at = ffi.new("pe_trace_event[]", _BATCH), 0
    before: dict[int, tuple[int, int]] = {}
    while count := lib.pe_kernel_trace_read(kernel.handle, at, out, _BATCH, total):
        at += count
        for e in out[0:count]:
            cycles, insns = before.get(e.cpu, (0, 0))
            before[e.cpu] = e.cycles, e.insns
            yield Event(
                kind=EventKind(e.kind),
                code=e.code,
                cpu=e.cpu,
                depth=e.depth,
                cycles=e.cycles - cycles,
                insns=e.insns - insns,
                va=e.va,
                pa=e.pa,
                value=e.value,
                old_value=e.old_value,
                size=e.size,
            )


def function_name(number: int) -> str:
    """The kernel's name of a function of the model."""
    name = lib.pe_kernel_function_name(number)
    return f"function {number}" if name == ffi.NULL else str(ffi.string(name).decode())
