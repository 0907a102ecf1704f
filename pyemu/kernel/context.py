"""Where a model executes: what its CPU has disabled, and which locks others hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.kernel.kernel import Kernel

__all__ = ["Context", "ContextChange", "change_context", "disabled", "occupy_lock", "read_context"]


class ContextChange(IntEnum):
    """What a caller of the modelled functions may have done before."""

    IRQ_DISABLE = lib.PE_CONTEXT_IRQ_DISABLE
    IRQ_ENABLE = lib.PE_CONTEXT_IRQ_ENABLE
    PREEMPT_DISABLE = lib.PE_CONTEXT_PREEMPT_DISABLE
    PREEMPT_ENABLE = lib.PE_CONTEXT_PREEMPT_ENABLE
    RCU_LOCK = lib.PE_CONTEXT_RCU_LOCK
    RCU_UNLOCK = lib.PE_CONTEXT_RCU_UNLOCK
    MIGRATE_DISABLE = lib.PE_CONTEXT_MIGRATE_DISABLE
    MIGRATE_ENABLE = lib.PE_CONTEXT_MIGRATE_ENABLE
    HARDIRQ_ENTER = lib.PE_CONTEXT_HARDIRQ_ENTER
    HARDIRQ_EXIT = lib.PE_CONTEXT_HARDIRQ_EXIT


@dataclass(frozen=True)
class Context:
    """A CPU and its task.

    ``kmap_depth``  kmap_ctrl.idx of the task: with guard slots 2 for each window.
    ``locks``       that the task holds (``pe_lock``), outermost first.
    """

    cpu: int
    pid: int
    irqs_disabled: bool
    in_hardirq: bool
    preempt_count: int
    rcu_depth: int
    migrate_disabled: int
    kmap_depth: int
    locks: tuple[int, ...]


def read_context(kernel: Kernel, cpu: int = 0) -> Context:
    """What a CPU has disabled now."""
    err = error()
    out = ffi.new("pe_kernel_context *")
    check(lib.pe_kernel_context_read(kernel.handle, cpu, out, err), err)
    plain = ("cpu", "pid", "irqs_disabled", "in_hardirq", "preempt_count", "rcu_depth", "migrate_disabled")
    return Context(
        **{name: getattr(out, name) for name in plain},
        kmap_depth=out.kmap_depth,
        locks=tuple(out.locks[0 : out.held]),
    )


def change_context(kernel: Kernel, change: ContextChange) -> None:
    """Changes the context of the CPU that runs; NativeError where it would not balance."""
    err = error()
    check(lib.pe_kernel_context_change(kernel.handle, int(change), err), err)


@contextmanager
def disabled(kernel: Kernel, change: ContextChange) -> Iterator[None]:
    """``change``, one of those that disable or enter, is undone at the end."""
    change_context(kernel, change)
    try:
        yield
    finally:
        change_context(kernel, ContextChange(change + 1))


def occupy_lock(kernel: Kernel, lock: int, occupied: bool = True) -> None:
    """A task of another CPU takes the lock (``pe_lock``), or gives it back."""
    err = error()
    check(lib.pe_kernel_lock_occupy(kernel.handle, int(lock), occupied, err), err)
