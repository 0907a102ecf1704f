"""``kmap``, ``pkmap``, ``zones``, ``tasks``, ``vma``, ``locks`` and ``reports``: the Kernel model.

``kmap`` also shows the windows of a Linux that runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyemu.config import UserError
from pyemu.debug.linux import LinuxLayout, linux_layout
from pyemu.debug.parameters import Choice, Number
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.debug.words import kernel_size
from pyemu.mmu import translate

if TYPE_CHECKING:
    from pyemu.kernel import Area, Kernel, TaskInfo, ZoneInfo
    from pyemu.kernel.context import Context
    from pyemu.kernel.kmap import PkmapSlot
    from pyemu.kernel.reports import Report

__all__ = [
    "Contexts",
    "Pkmap",
    "Reports",
    "Tasks",
    "Vmas",
    "Windows",
    "Zones",
    "kernel_of",
    "running",
    "shown_reports",
    "touched",
]

_PAGE = 4096
# asm/fixmap.h, asm-generic/kmap_size.h: slot 0 of the window area is the second of fixmap.
_FIXADDR_TOP = 0xFFEF_F000
_FIX_KMAP_BEGIN = 1
_LAST_PKMAP = 512
_KM_MAX_IDX = (16, 33)


@dataclass(frozen=True)
class WindowLine:
    """A kmap_local window that is in use, or a guard of DEBUG_KMAP_LOCAL."""

    cpu: int
    slot: int
    va: int
    pa: int
    task: str

    @property
    def line(self) -> str:
        of = f"  {self.task}" if self.task else ""
        return f"CPU {self.cpu} slot {self.slot:>2}  {self.va:#010x} -> {self.pa:#x}{of}"


@dataclass(frozen=True)
class Windows:
    """The windows that are open, by CPU."""

    slots: int
    windows: tuple[WindowLine, ...]

    @property
    def lines(self) -> list[str]:
        lines = [each.line for each in self.windows]
        return [*lines, f"{len(lines)} of {self.slots} windows are open"]


@dataclass(frozen=True)
class Pkmap:
    """Slots of PKMAP that hold a page, or are yet to be flushed; ``counted``: with pkmap_count."""

    slots: int
    used: tuple[PkmapSlot, ...]
    counted: bool = True

    @property
    def lines(self) -> list[str]:
        lines = []
        for slot in self.used:
            if not self.counted:
                lines.append(f"{slot.va:#010x}  pfn {slot.pfn:#x}  entry {slot.pte:#x}")
                continue
            state = "unused, not flushed" if slot.count == 1 else f"{slot.count - 1} users"
            lines.append(f"{slot.va:#010x}  pfn {slot.pfn:#x}  count {slot.count} ({state})")
        return [*lines, f"{len(self.used)} of {self.slots} slots are taken"]


@dataclass(frozen=True)
class Zones:
    """Zones with their watermarks; pages."""

    zones: tuple[ZoneInfo, ...]

    @property
    def lines(self) -> list[str]:
        lines = [f"{'zone':<8} {'from':>10} {'managed':>9} {'free':>9} {'min':>7} {'low':>7} {'high':>7}"]
        for z in self.zones:
            lines.append(
                f"{z.name:<8} {z.start_pfn << 12:#10x} {z.managed:>9} {z.free:>9} {z.min:>7} {z.low:>7} "
                f"{z.high:>7}  {kernel_size(z.managed * _PAGE)}, page tables {z.page_tables}, anon {z.anon}"
            )
        return lines


@dataclass(frozen=True)
class Tasks:
    """Tasks, ordered by pid."""

    tasks: tuple[TaskInfo, ...]

    @property
    def lines(self) -> list[str]:
        lines = [
            f"{'pid':>5} {'parent':>6} {'cpu':>3} {'asid':>4}  {'pgd':<12} {'anon':>8} {'tables':>6} name"
        ]
        for t in self.tasks:
            state = " (exited)" if t.exited else " (running)" if t.running else ""
            lines.append(
                f"{t.pid:>5} {t.parent:>6} {t.cpu:>3} {t.asid:>4}  {t.pgd_pa:<#12x} {t.anon:>8} "
                f"{t.pte_tables + t.pmd_tables:>6} {t.name}{state}"
            )
        return lines


@dataclass(frozen=True)
class Vmas:
    """Areas of a process, as /proc/PID/maps has them."""

    pid: int
    areas: tuple[Area, ...]

    @property
    def lines(self) -> list[str]:
        lines = []
        for area in self.areas:
            prot = "".join(
                letter if area.prot & bit else "-" for letter, bit in zip("rwx", (1, 2, 4), strict=True)
            )
            shared = "s" if "SHARED" in str(area.flags) else "p"
            lines.append(
                f"{area.start:08x}-{area.end:08x} {prot}{shared} {kernel_size(area.end - area.start):>7}  "
                f"{area.rss} pages present"
            )
        return lines or [f"process {self.pid} has no areas"]


@dataclass(frozen=True)
class Contexts:
    """What each CPU has disabled and which locks it holds."""

    contexts: tuple[Context, ...]

    @property
    def lines(self) -> list[str]:
        lines = []
        for c in self.contexts:
            parts = [f"preempt_count {c.preempt_count}", f"RCU depth {c.rcu_depth}"]
            parts += [f"migration disabled {c.migrate_disabled}", f"{c.kmap_depth} windows"]
            parts += ["IRQs disabled"] if c.irqs_disabled else []
            parts += ["in a hard interrupt"] if c.in_hardirq else []
            sleep = "may sleep" if c.may_sleep else "must not sleep"
            held = f"holds {', '.join(c.locks)}" if c.locks else "holds no lock"
            lines.append(f"CPU {c.cpu}, pid {c.pid}: {held}; {', '.join(parts)}; {sleep}")
        return lines


@dataclass(frozen=True)
class Reports:
    """What the kernel would have printed, once for each kind, lock and chain of functions."""

    reports: tuple[Report, ...]

    @property
    def lines(self) -> list[str]:
        lines = []
        for each in self.reports:
            lines += ["", *each.text.splitlines()]
        return lines[1:] or ["no report"]


def kernel_of(session: Session) -> Kernel:
    """The Kernel model; UserError where the target has none."""
    session.need(Capability.KERNEL)
    kernel: Kernel = session.target.kernel
    return kernel


def running(session: Session) -> TaskInfo:
    """The process that runs on the current CPU; UserError where none does."""
    kernel = kernel_of(session)
    for task in kernel.tasks:
        if task.running and task.cpu == session.cpu:
            return task
    how = "`tasks` lists them" if kernel.tasks or session.target.machine else "`spawn` makes one"
    raise UserError(f"no process runs on CPU {session.cpu}: {how}")


def touched(session: Session) -> None:
    """A command has changed a machine's guest by the model: going back must find it so."""
    if Capability.RUN in session.target.capabilities:
        from pyemu.debug.control import Control

        session.part(Control).touched()


@contextmanager
def shown_reports(kernel: Kernel) -> Iterator[list[str]]:
    """Lines of what the kernel would print about this block."""
    from pyemu.kernel.reports import read_reports

    before = {(r.kind, r.lock, r.chain): r.count for r in read_reports(kernel)}
    lines: list[str] = []
    yield lines
    for report in read_reports(kernel):
        new = report.count - before.get((report.kind, report.lock, report.chain), 0)
        if new:
            lines += ["", *replace(report, count=new).text.splitlines()]


@command("kmap", group="kernel", example="kmap")
def kmap(session: Session) -> Windows:
    """The kmap_local windows that are open, by CPU and task.

    Of a Linux that runs: its fixmap entries.
    """
    if Capability.KERNEL not in session.target.capabilities:
        return _fixmap_windows(session, _linux(session, "kmap"))
    from pyemu.kernel.kmap import windows

    kernel = kernel_of(session)
    found, slots = [], 0
    names = {task.cpu: f"{task.name} (pid {task.pid})" for task in kernel.tasks if task.running}
    for cpu in range(session.target.cpus):
        for slot, window in enumerate(windows(kernel, cpu)):
            slots += 1
            if window.pte:
                found.append(WindowLine(cpu, slot, window.va, window.pfn << 12, names.get(cpu, "")))
    return Windows(slots, tuple(found))


def _linux(session: Session, name: str) -> LinuxLayout:
    layout = linux_layout(session)
    if layout is None:
        raise UserError(f"{name}: neither a Kernel model nor the tables of a Linux are here")
    return layout


def _table_slots(session: Session, layout: LinuxLayout) -> Iterator[PkmapSlot]:
    """Below PAGE_OFFSET (asm/highmem.h: PKMAP_BASE)."""
    from pyemu.kernel.kmap import PkmapSlot

    base = layout.page_offset - (_LAST_PKMAP << 12)
    for index in range(_LAST_PKMAP):
        t = translate(session.memory, session.regime, base + (index << 12))
        if t.size:
            yield PkmapSlot(base + (index << 12), 0, t.descriptor, t.pa >> 12)


def _fixmap_windows(session: Session, layout: LinuxLayout) -> Windows:
    per_cpu = _KM_MAX_IDX[0]
    found, slots = [], per_cpu * session.target.cpus
    for index in range(slots):
        va = _FIXADDR_TOP - ((_FIX_KMAP_BEGIN + index) << 12)
        t = translate(session.memory, session.regime, va)
        if t.size:
            found.append(WindowLine(index // per_cpu, index % per_cpu, va, t.pa, ""))
    return Windows(slots, tuple(found))


@command("pkmap", group="kernel", example="pkmap")
def pkmap(session: Session) -> Pkmap:
    """Slots of PKMAP, with their counts.

    Of a Linux that runs: what the tables in use map there. They have no counts, and a process has PKMAP in
    its own tables only once it has used it.
    """
    from pyemu.kernel.kmap import pkmap as slots_of

    if Capability.KERNEL not in session.target.capabilities:
        return Pkmap(_LAST_PKMAP, tuple(_table_slots(session, _linux(session, "pkmap"))), False)

    slots = slots_of(kernel_of(session))
    return Pkmap(len(slots), tuple(slot for slot in slots if slot.count))


@command("zones", group="kernel", example="zones", needs=Capability.KERNEL)
def zones(session: Session) -> Zones:
    """Zones: what they manage, what is free, and their watermarks."""
    from pyemu.kernel.memory import Zone

    kernel = kernel_of(session)
    return Zones(tuple(each for each in (kernel.zone(zone) for zone in Zone) if each.managed))


@command("tasks", group="kernel", example="tasks", aliases=("ps",), needs=Capability.KERNEL)
def tasks(session: Session) -> Tasks:
    """Tasks of the model, with their page tables."""
    return Tasks(tuple(kernel_of(session).tasks))


@command("vma", Number("pid", optional=True), group="kernel", example="vma 1", needs=Capability.KERNEL)
def vma(session: Session, pid: int | None = None) -> Vmas:
    """Areas of a process; without a pid, of the one that runs on the current CPU."""
    from pyemu.kernel import Process

    kernel = kernel_of(session)
    if pid is None:
        pid = running(session).pid
    if pid not in {task.pid for task in kernel.tasks}:
        raise UserError(f"vma: no process {pid}: `tasks` lists them")
    return Vmas(pid, tuple(Process(kernel, pid).areas))


@command("locks", group="kernel", example="locks", needs=Capability.KERNEL)
def locks(session: Session) -> Contexts:
    """Locks that each CPU holds, what it has disabled, and whether it may sleep."""
    from pyemu.kernel.context import read_context

    kernel = kernel_of(session)
    return Contexts(tuple(read_context(kernel, cpu) for cpu in range(session.target.cpus)))


@command(
    "reports", Choice("clear", clear=True), group="kernel", example="reports clear", needs=Capability.KERNEL
)
def reports(session: Session, clear: bool = False) -> Reports:
    """What the kernel would have complained about, with the chain of calls; ``clear`` forgets it."""
    from pyemu.kernel.reports import clear_reports, read_reports

    kernel = kernel_of(session)
    found = Reports(tuple(read_reports(kernel)))
    if clear:
        clear_reports(kernel)
    return found
