"""What the running CPU and its task have disabled, and locks that somebody else holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.kernel.kernel import Kernel

__all__ = [
    "Context",
    "Disabled",
    "disabled",
    "enter_section",
    "leave_section",
    "occupied",
    "occupy_lock",
    "read_context",
]


class Disabled(IntEnum):
    """A section that a caller of the model's functions is in; all of them nest."""

    IRQS = lib.PE_CONTEXT_IRQ_DISABLE
    PREEMPTION = lib.PE_CONTEXT_PREEMPT_DISABLE
    RCU = lib.PE_CONTEXT_RCU_LOCK
    MIGRATION = lib.PE_CONTEXT_MIGRATE_DISABLE
    HARDIRQ = lib.PE_CONTEXT_HARDIRQ_ENTER


# The way out of each section.
_END = {
    Disabled.IRQS: lib.PE_CONTEXT_IRQ_ENABLE,
    Disabled.PREEMPTION: lib.PE_CONTEXT_PREEMPT_ENABLE,
    Disabled.RCU: lib.PE_CONTEXT_RCU_UNLOCK,
    Disabled.MIGRATION: lib.PE_CONTEXT_MIGRATE_ENABLE,
    Disabled.HARDIRQ: lib.PE_CONTEXT_HARDIRQ_EXIT,
}


@dataclass(frozen=True)
class Context:
    """The execution context of a CPU and the task on it; ``locks`` are names, outermost first."""

    cpu: int
    pid: int
    irqs_disabled: bool
    in_hardirq: bool
    preempt_count: int
    rcu_depth: int
    migrate_disabled: int
    kmap_depth: int
    locks: tuple[str, ...]

    @property
    def may_sleep(self) -> bool:
        """Whether __might_resched has nothing to say."""
        return not (self.irqs_disabled or self.in_hardirq or self.preempt_count or self.rcu_depth)


def read_context(kernel: Kernel, cpu: int = 0) -> Context:
    """What a CPU and its task have disabled."""
    err = error()
    out = ffi.new("pe_kernel_context *")
    check(lib.pe_kernel_context_read(kernel.handle, cpu, out, err), err)
    return Context(
        out.cpu,
        out.pid,
        bool(out.irqs_disabled),
        bool(out.in_hardirq),
        out.preempt_count,
        out.rcu_depth,
        out.migrate_disabled,
        out.kmap_depth,
        tuple(_lock_name(lock) for lock in list(out.locks)[: out.held]),
    )


@contextmanager
def disabled(kernel: Kernel, what: Disabled) -> Iterator[None]:
    """The CPU that runs is in such a section until the block ends."""
    enter_section(kernel, what)
    try:
        yield
    finally:
        leave_section(kernel, what)


def enter_section(kernel: Kernel, what: Disabled) -> None:
    """The CPU that runs enters such a section."""
    _change(kernel, int(what))


def leave_section(kernel: Kernel, what: Disabled) -> None:
    """The CPU that runs leaves one; NativeError where it is in none."""
    _change(kernel, _END[what])


@contextmanager
def occupied(kernel: Kernel, lock: int) -> Iterator[None]:
    """A task of another CPU holds a lock (``lib.PE_LOCK_*``) until the block ends."""
    occupy_lock(kernel, lock, True)
    try:
        yield
    finally:
        occupy_lock(kernel, lock, False)


def occupy_lock(kernel: Kernel, lock: int, held: bool) -> None:
    """A task of another CPU takes a lock or gives it back; NativeError where it is so already."""
    err = error()
    check(lib.pe_kernel_lock_occupy(kernel.handle, lock, held, err), err)


def _change(kernel: Kernel, change: Any) -> None:
    err = error()
    check(lib.pe_kernel_context_change(kernel.handle, change, err), err)


def _lock_name(lock: int) -> str:
    return str(ffi.string(lib.pe_lock_name(lock)).decode())
