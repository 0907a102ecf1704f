"""Commands that make things happen in a Kernel model: tasks, mappings, accesses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyemu.config import UserError
from pyemu.debug.commands.kernel import kernel_of, running, shown_reports, touched
from pyemu.debug.parameters import Address, Choice, Flag, Number, Option, Size, Word
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.debug.words import counted, kernel_size
from pyemu.mmu import Access

if TYPE_CHECKING:
    from pyemu.kernel import Kernel, Process

__all__ = ["Act", "Outcome", "act_on"]

_PAGE = 4096
_PROT = {"none": 0, "r": 1, "rw": 3, "rx": 5, "rwx": 7}
_SEGV = {1: "SEGV_MAPERR, nothing is mapped there", 2: "SEGV_ACCERR, the mapping forbids it"}


@dataclass(frozen=True)
class Outcome:
    """What an operation came to: its result (a pid, an address), a sentence, what the kernel would print."""

    value: int | None
    text: str
    reports: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        return [self.text, *self.reports]


class Act:
    """One operation: on the CPU that is looked at, with its reports."""

    def __init__(self, session: Session, kernel: Kernel, reports: list[str]) -> None:
        self.session, self.kernel, self.reports = session, kernel, reports

    def process(self, pid: int | None) -> Process:
        from pyemu.kernel import Process

        known = {task.pid: task for task in self.kernel.tasks}
        if pid is None:
            pid = running(self.session).pid
        if pid not in known or known[pid].exited:
            raise UserError(f"no process {pid} is alive: `tasks` lists them")
        return Process(self.kernel, pid)

    def run_here(self) -> None:
        """The model acts as the CPU that is looked at, and its task."""
        from pyemu.kernel import Process

        cpu = self.session.cpu
        task = next((task for task in self.kernel.tasks if task.running and task.cpu == cpu), None)
        Process(self.kernel, 0 if task is None else task.pid).run(cpu)


@contextmanager
def act_on(session: Session, name: str) -> Iterator[Act]:
    """What the kernel refuses is a mistake of the user's, with the name of its errno."""
    kernel = kernel_of(session)
    with shown_reports(kernel) as reports:
        try:
            yield Act(session, kernel, reports)
        except OSError as problem:
            raise UserError(f"{name}: {problem.strerror or problem}") from None
        except ValueError as problem:
            raise UserError(f"{name}: {problem}") from None
    touched(session)


def need_bare(session: Session, name: str) -> None:
    """UserError where the tasks are a hosted program's own doing: their registers are the machine's."""
    kernel_of(session)
    if session.target.machine is not None:
        raise UserError(f"{name}: the program here makes its own tasks; --kernel without a program has none")


# ---- tasks ----


@command(
    "spawn",
    Word("name", optional=True),
    group="kernel",
    example="spawn bench",
    needs=Capability.KERNEL,
)
def spawn(session: Session, name: str = "task") -> Outcome:
    """Makes a process with an empty address space, which runs on the current CPU."""
    need_bare(session, "spawn")
    with act_on(session, "spawn") as act:
        process = act.kernel.spawn(name, session.cpu)
        process.run(session.cpu)
    info = process.info
    text = f"pid {info.pid} ({info.name}) runs on CPU {info.cpu}: pgd {info.pgd_pa:#x}, ASID {info.asid}"
    return Outcome(info.pid, text, tuple(act.reports))


@command(
    "fork",
    Number("pid", optional=True),
    group="kernel",
    example="fork",
    needs=Capability.KERNEL,
)
def fork(session: Session, pid: int | None = None) -> Outcome:
    """A process makes a child, with its memory copied on write; without a pid, the one that runs."""
    need_bare(session, "fork")
    with act_on(session, "fork") as act:
        parent = act.process(pid)
        info = parent.fork().info
    tables = counted(info.pte_tables, "PTE table")
    text = f"pid {info.pid} is a child of {parent.pid}: pgd {info.pgd_pa:#x}, {tables} of its own"
    return Outcome(info.pid, text, tuple(act.reports))


@command(
    "switch",
    Number("pid"),
    Number("cpu", optional=True),
    group="kernel",
    example="switch 2",
    needs=Capability.KERNEL,
)
def switch(session: Session, pid: int, cpu: int | None = None) -> Outcome:
    """Makes a process the one that runs, on the current CPU or another; its windows come with it."""
    need_bare(session, "switch")
    target = session.cpu if cpu is None else cpu
    session.need_cpu(target)
    with act_on(session, "switch") as act:
        process = act.process(pid)
        process.run(target)
    session.select(target)
    info = process.info
    text = f"pid {pid} ({info.name}) runs on CPU {target}: pgd {info.pgd_pa:#x}, ASID {info.asid}"
    return Outcome(pid, text, tuple(act.reports))


@command("kill", Number("pid"), group="kernel", example="kill 2", needs=Capability.KERNEL)
def kill(session: Session, pid: int) -> Outcome:
    """Ends a process: its pages and tables go back. A child stays in `tasks` while its parent lives."""
    need_bare(session, "kill")
    with act_on(session, "kill") as act:
        before = act.kernel.meminfo.mem_free
        act.process(pid).exit()
    freed = act.kernel.meminfo.mem_free - before
    return Outcome(None, f"pid {pid} has ended: {counted(freed, 'page')} given back", tuple(act.reports))


# ---- memory ----

_PROTECTION = Choice("prot", **_PROT)


def _map_line(process: Process, address: int) -> str:
    from pyemu.debug.commands.kernel import Vmas

    area = next(area for area in process.areas if area.start <= address < area.end)
    return Vmas(process.pid, (area,)).lines[0]


@command(
    "mmap",
    Size("size"),
    Address("address", optional=True),
    _PROTECTION,
    Flag("--shared"),
    Flag("--huge"),
    Flag("--populate"),
    group="kernel",
    example="mmap 64K 0x10000000 rw",
    needs=Capability.KERNEL,
)
def mmap(
    session: Session,
    size: int,
    address: int = 0,
    prot: int = 3,
    shared: bool = False,
    huge: bool = False,
    populate: bool = False,
) -> Outcome:
    """The process that runs maps anonymous memory, read and write if nothing else is said.

    An address is where it shall be (MAP_FIXED_NOREPLACE). ``--huge`` asks for huge pages, ``--populate``
    faults all in.
    """
    from pyemu.kernel import Map, Prot

    flags = (
        (Map.SHARED if shared else Map.PRIVATE)
        | (Map.HUGEPAGE if huge else Map.NONE)
        | (Map.POPULATE if populate else Map.NONE)
        | (Map.FIXED_NOREPLACE if address else Map.NONE)
    )
    with act_on(session, "mmap") as act:
        process = act.process(None)
        at = process.mmap(size, address, Prot(prot), flags)
    return Outcome(at, _map_line(process, at), tuple(act.reports))


@command(
    "munmap",
    Address("address"),
    Size("size"),
    group="kernel",
    example="munmap 0x10000000 64K",
    needs=Capability.KERNEL,
)
def munmap(session: Session, address: int, size: int) -> Outcome:
    """The process that runs gives mappings back, with their pages, tables and TLB entries."""
    with act_on(session, "munmap") as act:
        act.process(None).munmap(address, size)
    text = f"{address:#010x}-{address + size:#010x} ({kernel_size(size)}) is unmapped"
    return Outcome(None, text, tuple(act.reports))


@command(
    "mprotect",
    Address("address"),
    Size("size"),
    _PROTECTION,
    group="kernel",
    example="mprotect 0x10000000 64K r",
    needs=Capability.KERNEL,
)
def mprotect(session: Session, address: int, size: int, prot: int | None = None) -> Outcome:
    """The process that runs changes what a mapping allows."""
    from pyemu.kernel import Prot

    if prot is None:
        raise UserError(f"mprotect: what it shall allow is missing: {', '.join(_PROT)}")
    with act_on(session, "mprotect") as act:
        process = act.process(None)
        process.mprotect(address, size, Prot(prot))
    return Outcome(None, _map_line(process, address), tuple(act.reports))


@command(
    "touch",
    Address("va"),
    Number("pages", optional=True, low=1, high=1 << 20),
    Choice("access", r=Access.READ, w=Access.WRITE, x=Access.FETCH),
    Option("--pid", Number("pid")),
    group="kernel",
    example="touch 0x10000000 4 w",
    needs=Capability.KERNEL,
)
def touch(
    session: Session, va: int, pages: int = 1, access: Access = Access.READ, pid: int | None = None
) -> Outcome:
    """One access from user mode to each of some pages, with the faults that it takes."""
    from pyemu.kernel import Signal

    with act_on(session, "touch") as act:
        if pid is not None:
            need_bare(session, "touch --pid")
        process = act.process(pid)
        done = process.access(va, min(pages * _PAGE, (1 << 32) - 1 - va), access)
        session.select(process.info.cpu)
    verb = {Access.READ: "read", Access.WRITE: "write", Access.FETCH: "fetch"}[access]
    accesses = counted(done.count, verb, "fetches" if access is Access.FETCH else None)
    text = f"{accesses}, {counted(done.faults, 'fault')}"
    if done.signal is not Signal.NONE:
        why = f" ({_SEGV[done.code]})" if done.signal is Signal.SIGSEGV and done.code in _SEGV else ""
        text += f"; then {done.signal.name} at {done.address:#010x}{why}"
    elif done.count:
        text += f"; the last is of physical {done.pa:#x}"
    return Outcome(done.count, text, tuple(act.reports))
