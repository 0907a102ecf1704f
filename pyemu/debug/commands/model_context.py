"""Commands on a Kernel model: windows of kmap_local, PKMAP, what is disabled, locks of another CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyemu.config import UserError
from pyemu.debug.commands.model import Act, Outcome, act_on
from pyemu.debug.parameters import Address, Word
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability

if TYPE_CHECKING:
    from pyemu.kernel.context import Disabled
    from pyemu.kernel.reports import Lock

__all__: list[str] = []

_PAGE = 4096
_PHYSICAL_BITS = 40
# Members of Disabled, and of Lock.
_SECTIONS = ("irqs", "preemption", "rcu", "migration", "hardirq")
_LOCKS = ("kmap", "page_address", "page_table", "init_mm", "zone", "pkmap_wait", "cpu_asid", "rq", "mmap")


@command(
    "kmap_local",
    Address("pa", bits=_PHYSICAL_BITS),
    group="kernel",
    example="kmap_local 0x7fff3000",
    needs=Capability.KERNEL,
)
def map_local(session: Session, pa: int) -> Outcome:
    """kmap_local_page of the page at a physical address; `kmap` shows the windows, `walk` translates them."""
    from pyemu.kernel.kmap import kmap_local

    with act_on(session, "kmap_local") as act:
        act.run_here()
        va = kmap_local(act.kernel, pa >> 12)
    if va is None:
        return Outcome(None, "no address: a BUG or a lock stands against it", tuple(act.reports))
    low = pa < act.kernel.layout.lowmem_limit
    how = "linear map, lowmem needs no window" if low else f"window of CPU {session.cpu}"
    return Outcome(va, f"{va:#010x} -> {pa & -_PAGE:#x} ({how})", tuple(act.reports))


@command(
    "kunmap_local", Address("va"), group="kernel", example="kunmap_local 0xffefe000", needs=Capability.KERNEL
)
def unmap_local(session: Session, va: int) -> Outcome:
    """kunmap_local of an address; the last window first, or the kernel warns."""
    from pyemu.kernel.context import read_context
    from pyemu.kernel.kmap import kunmap_local

    with act_on(session, "kunmap_local") as act:
        act.run_here()
        kunmap_local(act.kernel, va)
    depth = read_context(act.kernel, session.cpu).kmap_depth
    return Outcome(None, f"{va:#010x} is unmapped; windows of the task: {depth}", tuple(act.reports))


@command(
    "kmap_high",
    Address("pa", bits=_PHYSICAL_BITS),
    group="kernel",
    example="kmap_high 0x7fff3000",
    needs=Capability.KERNEL,
)
def map_high(session: Session, pa: int) -> Outcome:
    """kmap of the page at a physical address: a slot of PKMAP, which `pkmap` shows."""
    from pyemu.kernel.kmap import kmap

    with act_on(session, "kmap_high") as act:
        act.run_here()
        va = kmap(act.kernel, pa >> 12)
    text = "no slot is free: the task waits" if va is None else f"{va:#010x} -> {pa & -_PAGE:#x}"
    return Outcome(va, text, tuple(act.reports))


@command(
    "kunmap_high",
    Address("pa", bits=_PHYSICAL_BITS),
    group="kernel",
    example="kunmap_high 0x7fff3000",
    needs=Capability.KERNEL,
)
def unmap_high(session: Session, pa: int) -> Outcome:
    """kunmap of the page at a physical address: a user of its slot less."""
    from pyemu.kernel.kmap import kunmap

    with act_on(session, "kunmap_high") as act:
        act.run_here()
        woken = kunmap(act.kernel, pa >> 12)
    names = f"; woken: {', '.join(map(str, woken))}" if woken else ""
    return Outcome(None, f"pfn {pa >> 12:#x} has a user less{names}", tuple(act.reports))


# ---- context ----


class _Named(Word):
    """One of some names."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name)
        self.names = names

    @property
    def usage(self) -> str:
        return "|".join(self.names) if len(self.names) < 6 else super().usage

    def words(self, session: Session) -> list[str]:
        return list(self.names)

    def parse(self, session: Session, text: str) -> str:
        if text not in self.names:
            raise UserError(f"{text!r} is not one of {', '.join(self.names)}")
        return text


_SECTION = _Named("what", _SECTIONS)


def _section(what: str) -> Disabled:
    from pyemu.kernel.context import Disabled

    return Disabled[what.upper()]


def _context_line(act: Act) -> str:
    from pyemu.debug.commands.kernel import Contexts
    from pyemu.kernel.context import read_context

    return Contexts((read_context(act.kernel, act.session.cpu),)).lines[0]


@command("disable", _SECTION, group="kernel", example="disable irqs", needs=Capability.KERNEL)
def disable(session: Session, what: str) -> Outcome:
    """The task that runs enters a section, as local_irq_disable or rcu_read_lock does; sections nest."""
    from pyemu.kernel.context import enter_section

    with act_on(session, "disable") as act:
        act.run_here()
        enter_section(act.kernel, _section(what))
    return Outcome(None, _context_line(act), tuple(act.reports))


@command("enable", _SECTION, group="kernel", example="enable irqs", needs=Capability.KERNEL)
def enable(session: Session, what: str) -> Outcome:
    """The task that runs leaves a section of `disable`."""
    from pyemu.kernel.context import leave_section

    with act_on(session, "enable") as act:
        act.run_here()
        leave_section(act.kernel, _section(what))
    return Outcome(None, _context_line(act), tuple(act.reports))


def _lock(name: str) -> Lock:
    from pyemu.kernel.reports import Lock

    return Lock[name.upper()]


@command("occupy", _Named("lock", _LOCKS), group="kernel", example="occupy kmap", needs=Capability.KERNEL)
def occupy(session: Session, lock: str) -> Outcome:
    """A task of another CPU takes a lock, so that whoever wants it has to wait; `release` gives it back."""
    from pyemu.kernel.context import occupy_lock

    with act_on(session, "occupy") as act:
        occupy_lock(act.kernel, _lock(lock), True)
    return Outcome(None, f"{_lock(lock).text} is held by another CPU", tuple(act.reports))


@command("release", _Named("lock", _LOCKS), group="kernel", example="release kmap", needs=Capability.KERNEL)
def release(session: Session, lock: str) -> Outcome:
    """The task of another CPU gives the lock of `occupy` back."""
    from pyemu.kernel.context import occupy_lock

    with act_on(session, "release") as act:
        occupy_lock(act.kernel, _lock(lock), False)
    return Outcome(None, f"{_lock(lock).text} is free", tuple(act.reports))
