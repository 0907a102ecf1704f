"""``trace`` and ``gup``: what the Kernel model does for one command, a line each, with cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import errorcode
from typing import TYPE_CHECKING, Any

from pyemu.debug.commands.kernel import kernel_of, running, shown_reports, touched
from pyemu.debug.fields import layouts
from pyemu.debug.parameters import Address, Choice, Flag, Number, Rest
from pyemu.debug.registry import command, execute
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.debug.words import counted

if TYPE_CHECKING:
    from pyemu.kernel import Kernel
    from pyemu.kernel.gup import GupCall, GupResult
    from pyemu.kernel.trace import Event, Trace

__all__ = ["EventLine", "GupSteps", "Traced", "gup", "trace"]

_MAX_GUP = 4096
_ROOM = 1 << 16
_ALL_LINES = 8  # pages of gup whose every step has a line
_TLBI = ("TLBIALL", "TLBIASID", "TLBIMVA", "TLBIMVAA")
_CONTEXT = (
    "local_irq_save",
    "local_irq_restore",
    "preempt_disable",
    "preempt_enable",
    "rcu_read_lock",
    "rcu_read_unlock",
    "migrate_disable",
    "migrate_enable",
    "hardirq enter",
    "hardirq exit",
)
# Bits of an LPAE entry that are the hardware's too (ARM DDI 0406C B3.6.2).
_LPAE_USER, _LPAE_YOUNG = 1 << 6, 1 << 10
_FRAME = 0xFF_FFFF_F000


@dataclass(frozen=True)
class EventLine:
    """An event in words; ``depth`` is how many functions it is inside, ``cycles`` since the line above."""

    cycles: int
    insns: int
    depth: int
    text: str

    @property
    def line(self) -> str:
        return f"{self.cycles or '':>8}  {'  ' * self.depth}{self.text}"


@dataclass(frozen=True)
class Traced:
    """What a command did in the model; the cycles of its lines add up to ``cycles``."""

    events: tuple[EventLine, ...]
    cycles: int
    insns: int
    left_out: int
    result: Any

    @property
    def lines(self) -> list[str]:
        lines = [*_heading(self.cycles), *(each.line for each in self.events)]
        if self.left_out:
            lines.append(f"{self.left_out} more events are not shown")
        lines.append(f"{self.cycles:>8}  cycles, {self.insns} instructions")
        return [*lines, *(self.result.lines if self.result is not None else ())]


@dataclass(frozen=True)
class GupSteps:
    """Steps of a call of get_user_pages, and what it came to; its pages were put back."""

    call: str
    steps: tuple[EventLine, ...]
    left_out: int
    result: GupResult
    shown: tuple[EventLine, ...] = field(repr=False)
    reports: tuple[str, ...] = ()

    @property
    def cycles(self) -> int:
        return sum(step.cycles for step in self.steps)

    @property
    def lines(self) -> list[str]:
        lines = [*_heading(self.cycles), *(step.line for step in self.shown)]
        if self.left_out:
            lines.append(f"{self.left_out} more events are not shown")
        r = self.result
        lines.append(
            f"{self.call}: {counted(len(r.pfns), 'page')}, {r.fast} by the fast walk; "
            f"{counted(r.windows, 'PTE table')} through a window; {self.cycles} cycles, "
            f"{sum(step.insns for step in self.steps)} instructions"
            + (f"; {errorcode.get(-r.error, -r.error)}" if r.error else "")
        )
        if r.stop.name != "NONE":
            lines.append(f"the fast walk stopped at {r.stop_address:#010x}: {_stop(r.stop)}")
        return [*lines, *self.reports]


def _heading(cycles: int) -> list[str]:
    return ["  cycles"] if cycles else []


def _stop(stop: Any) -> str:
    return str(stop.name.lower().replace("_", " "))


class _Words:
    """Events of one kernel in words."""

    def __init__(self, kernel: Kernel) -> None:
        self._high = kernel.layout.lowmem_limit
        self._long = kernel.config.lpae
        self._leaf = 3 if self._long else 2

    def line(self, event: Event) -> EventLine:
        depth = event.depth - (event.kind.name in ("ENTER", "LEAVE"))
        return EventLine(event.cycles, event.insns, depth, self._text(event))

    def _text(self, e: Event) -> str:
        from pyemu.kernel.gup import GupStop
        from pyemu.kernel.reports import Lock, ReportKind
        from pyemu.kernel.trace import function_name

        kind = e.kind.name
        if kind in ("ENTER", "LEAVE"):
            return f"{function_name(e.code)} {{" if kind == "ENTER" else f"}} {function_name(e.code)}"
        if kind == "CONTEXT":
            return f"{_CONTEXT[e.code]}, depth {e.value}"
        if kind in ("LOCK", "UNLOCK", "TRYLOCK"):
            return self._lock(e, Lock(e.code).text)
        if kind == "READ":
            return f"L{e.code} @{e.pa:#x} = {e.value:#x}: {self._entry(e.code, e.value)}"
        if kind == "WRITE":
            return f"set @{e.pa:#x}: {e.old_value:#x} -> {e.value:#x}"
        if kind == "TLBI":
            where = f" {e.va:#010x}" if e.code >= 2 else ""
            return f"{_TLBI[e.code]}{'IS' if e.value else ''}{where}"
        if kind == "BARRIER":
            return ("DSB", "ISB")[e.code]
        if kind in ("GRAB", "PUT"):
            return f"{'grab' if kind == 'GRAB' else 'put'} pfn {e.pa >> 12:#x}: refcount {e.value}"
        if kind == "REPORT":
            return f"report: {ReportKind(e.code).name.lower().replace('_', ' ')}"
        stopped = f"stop, {_stop(GupStop(e.code))}" if e.code else ""
        passed = "the access is allowed" if kind == "CHECK" else "the entry is still the same"
        return f"check {e.va:#010x}: {stopped or passed}"

    def _lock(self, e: Event, name: str) -> str:
        if e.kind.name == "TRYLOCK":
            return f"trylock {name}: not free"
        if e.kind.name == "UNLOCK":
            return f"unlock {name}"
        return f"lock {name}" + (" (may sleep)" if e.value else "") + (", not free" if e.old_value else "")

    def _entry(self, level: int, value: int) -> str:
        if not value:
            return "none"
        if level == self._leaf:
            return self._pte(value)
        at = value & (_FRAME if self._long else 0xFFFF_F000)
        table = value & 3 == (3 if self._long else 1)
        if not table:
            return f"block at {at:#x}" if self._long else f"section at {value & 0xFFF0_0000:#x}"
        return f"table at {at:#x}" + (", highmem" if at >= self._high else "")

    def _pte(self, value: int) -> str:
        """pfn and the kernel's names of the bits that decide."""
        names = (
            ("DIRTY", "RDONLY", "NONE", "SPECIAL")
            if self._long
            else ("USER", "YOUNG", "DIRTY", "RDONLY", "NONE")
        )
        layout = layouts("descriptors")["linux-long" if self._long else "linux-short"]
        found = [name for name in names if layout[name].of(value)]
        if self._long:
            found = [
                name for name, bit in (("USER", _LPAE_USER), ("YOUNG", _LPAE_YOUNG)) if value & bit
            ] + found
        pfn = (value & _FRAME if self._long else value & 0xFFFF_F000) >> 12
        return " ".join([f"pfn {pfn:#x}", *found])


def _folded(lines: tuple[EventLine, ...], trace: Trace) -> Iterator[EventLine]:
    """With one line for each page that the fast walk got without ado."""
    kinds = [event.kind.name for event in trace.events]
    at = 0
    while at < len(lines):
        if kinds[at : at + 4] == ["READ", "CHECK", "GRAB", "RECHECK"]:
            part = lines[at : at + 4]
            entry, va = part[0].text, trace.events[at + 1].va
            references = trace.events[at + 2].value
            yield EventLine(
                sum(each.cycles for each in part),
                sum(each.insns for each in part),
                part[0].depth,
                f"{va:#010x}: {entry}: allowed, grabbed (refcount {references}), unchanged",
            )
            at += 4
        else:
            yield lines[at]
            at += 1


@command(
    "trace", Rest("command"), group="kernel", example="trace touch 0x10000000 1 w", needs=Capability.KERNEL
)
def trace(session: Session, command: str) -> Traced:
    """What another command does in the model: functions, locks, entries, windows, TLB maintenance.

    Each line has the cycles that were billed since the one above; `--timing tlb` or `cache` bills accesses
    too. `rcu_read_lock, depth 1` is the depth behind it.
    """
    from pyemu.kernel.trace import tracing

    kernel = kernel_of(session)
    with tracing(kernel, _ROOM) as recorded:
        result = execute(session, command)
    words = _Words(kernel)
    lines = tuple(words.line(event) for event in recorded.events)
    return Traced(
        lines,
        sum(line.cycles for line in lines),
        sum(line.insns for line in lines),
        recorded.left_out,
        result,
    )


@command(
    "gup",
    Address("va"),
    Number("pages", low=1, high=_MAX_GUP),
    Choice("write", w=True),
    Flag("--pin"),
    Flag("--slow"),
    group="kernel",
    example="gup 0x10000000 4 w",
    needs=Capability.KERNEL,
)
def gup(
    session: Session, va: int, pages: int, write: bool = False, pin: bool = False, slow: bool = False
) -> GupSteps:
    """get_user_pages_fast of the process that runs, step by step; the pages are put back.

    The call is the real one: it faults pages in, and opens windows for PTE tables in highmem. Each line has
    the cycles since the one above; with more than 8 pages a page has one line. ``--pin`` is
    pin_user_pages_fast, ``--slow`` get_user_pages (or pin_user_pages).
    """
    from pyemu.kernel.gup import Foll, GupCall, get_user_pages, put_pages, unpin_pages
    from pyemu.kernel.trace import tracing

    kernel = kernel_of(session)
    running(session)
    call: GupCall = {
        (False, False): GupCall.GUP_FAST,
        (True, False): GupCall.PIN_FAST,
        (False, True): GupCall.GUP,
        (True, True): GupCall.PIN,
    }[pin, slow]
    with shown_reports(kernel) as reports:
        with tracing(kernel, _ROOM) as recorded:
            result = get_user_pages(kernel, call, va, pages, flags=Foll.WRITE if write else Foll.NONE)
        (unpin_pages if pin else put_pages)(kernel, result.pfns)
    touched(session)
    words = _Words(kernel)
    lines = tuple(words.line(event) for event in recorded.events)
    shown = lines if pages <= _ALL_LINES else tuple(_folded(lines, recorded))
    name = f"{'pin' if pin else 'get'}_user_pages{'' if slow else '_fast'}"
    return GupSteps(name, lines, recorded.left_out, result, shown, tuple(reports))
