"""What the kernel would print: reports of a model, its own message and the chain of calls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from pyemu.native import ffi, lib

__all__ = ["Lock", "Report", "ReportKind", "clear_reports", "read_reports"]

# The I bit of CPSR, which is what ARM's irqs_disabled() gives.
_I_BIT = 128
_ARROW = " → "


class ReportKind(IntEnum):
    """Which check it was that reported."""

    SLEEPING_FUNCTION = lib.PE_REPORT_SLEEPING_FUNCTION
    SCHEDULING_ATOMIC = lib.PE_REPORT_SCHEDULING_ATOMIC
    KMAP_LIFO = lib.PE_REPORT_KMAP_LIFO
    KMAP_DEPTH = lib.PE_REPORT_KMAP_DEPTH
    KMAP_LEAK = lib.PE_REPORT_KMAP_LEAK
    KMAP_NOT_EMPTY = lib.PE_REPORT_KMAP_NOT_EMPTY
    HARDIRQ_WITH_IRQS_ON = lib.PE_REPORT_HARDIRQ_WITH_IRQS_ON
    TRYLOCK_IN_HARDIRQ = lib.PE_REPORT_TRYLOCK_IN_HARDIRQ
    UNBALANCED = lib.PE_REPORT_UNBALANCED
    BAD_PMD = lib.PE_REPORT_BAD_PMD
    KMAP_ADDRESS = lib.PE_REPORT_KMAP_ADDRESS


class Lock(IntEnum):
    """Locks that the model knows."""

    KMAP = lib.PE_LOCK_KMAP
    PAGE_ADDRESS = lib.PE_LOCK_PAGE_ADDRESS
    PAGE_TABLE = lib.PE_LOCK_PAGE_TABLE
    INIT_MM = lib.PE_LOCK_INIT_MM
    ZONE = lib.PE_LOCK_ZONE
    PKMAP_WAIT = lib.PE_LOCK_PKMAP_WAIT
    CPU_ASID = lib.PE_LOCK_CPU_ASID
    RQ = lib.PE_LOCK_RQ
    MMAP = lib.PE_LOCK_MMAP

    @property
    def text(self) -> str:
        """The name in the kernel: ``"kmap_lock"``."""
        return str(ffi.string(lib.pe_lock_name(int(self))).decode())


# Where the check stands in the kernel, and what it found.
_WARNINGS = {
    ReportKind.KMAP_LIFO: "WARNING: at mm/highmem.c kunmap_local_indexed: 0x{value:08x} is not the last one",
    ReportKind.KMAP_DEPTH: "kernel BUG at mm/highmem.c kmap_local_idx_push: idx {value}",
    ReportKind.KMAP_LEAK: "WARNING: at mm/highmem.c kmap_local_fork: kmap_ctrl.idx {value}",
    ReportKind.KMAP_NOT_EMPTY: "kernel BUG at mm/highmem.c __kmap_local_pfn_prot: 0x{value:08x} in use",
    ReportKind.HARDIRQ_WITH_IRQS_ON: "WARNING: at mm/highmem.c kmap_local_idx_push: interrupts are on",
    ReportKind.TRYLOCK_IN_HARDIRQ: "WARNING: at kernel/locking/rtmutex_api.c: trylock in hard-irq context",
    ReportKind.UNBALANCED: "WARNING: counts of the context do not balance",
    ReportKind.BAD_PMD: "bad pmd {value:08x}",
    ReportKind.KMAP_ADDRESS: "WARNING: at mm/highmem.c kunmap_local_indexed: 0x{value:08x} is user's",
}


@dataclass(frozen=True)
class Report:
    """A report, once for each kind, lock and chain; all but ``count`` and ``blocked`` is of the first.

    ``blocked``  another task held the lock, once at least: this one would really have had to sleep.
    ``value``    of the kind: the depth, the address.
    ``held``     locks held, outermost first.
    ``chain``    names of the functions, outermost first.
    """

    kind: ReportKind
    lock: Lock | None
    count: int
    blocked: bool
    cpu: int
    pid: int
    name: str
    in_hardirq: bool
    irqs_disabled: bool
    preempt_count: int
    preempt_expected: int
    rcu_depth: int
    rcu_expected: int
    migrate_disabled: int
    value: int
    held: tuple[Lock, ...]
    chain: tuple[str, ...]

    @classmethod
    def from_native(cls, native: Any) -> Report:
        """The Python form of a ``pe_kernel_report``."""
        plain = ("count", "blocked", "cpu", "pid", "in_hardirq", "irqs_disabled", "preempt_count", "value")
        counts = ("preempt_expected", "rcu_depth", "rcu_expected", "migrate_disabled")
        return cls(
            kind=ReportKind(native.kind),
            lock=Lock(native.lock) if native.lock < lib.PE_LOCKS else None,
            name=ffi.string(native.name).decode(errors="replace"),
            held=tuple(Lock(lock) for lock in native.locks[0 : native.held]),
            chain=tuple(_function(number) for number in native.chain[0 : native.depth]),
            **{name: getattr(native, name) for name in (*plain, *counts)},
        )

    @property
    def message(self) -> str:
        """The kernel's message, without the line number of its source, which each release has another."""
        if self.kind is ReportKind.SLEEPING_FUNCTION:
            return "\n".join(
                (f"BUG: sleeping function called from invalid context at {self._place}", *self._context)
            )
        if self.kind is ReportKind.SCHEDULING_ATOMIC:
            return "\n".join(
                (
                    f"BUG: scheduling while atomic: {self.name}/{self.pid}/0x{self.preempt_count:08x}",
                    *self._context,
                )
            )
        return "\n".join(
            (_WARNINGS[self.kind].format(value=self.value), *self._context[:1], *self._context[3:])
        )

    @property
    def _place(self) -> str:
        if self.lock is None:
            return "kernel/sched/core.c"
        return "kernel/locking/rwsem.c" if self.lock is Lock.MMAP else "kernel/locking/spinlock_rt.c"

    @property
    def _context(self) -> list[str]:
        held = f"{len(self.held)} lock{'s' if len(self.held) != 1 else ''} held by {self.name}/{self.pid}"
        return [
            f"in_atomic(): {int(self.preempt_count > 0)}, irqs_disabled(): {_I_BIT * self.irqs_disabled}, "
            f"non_block: 0, pid: {self.pid}, name: {self.name}",
            f"preempt_count: {self.preempt_count:x}, expected: {self.preempt_expected:x}",
            f"RCU nest depth: {self.rcu_depth}, expected: {self.rcu_expected}",
            f"{held}: {', '.join(lock.text for lock in self.held)}" if self.held else f"no {held[2:]}",
        ]

    @property
    def call_chain(self) -> str:
        """``"gup_fast_pgd_range → gup_fast_pte_range → ..."``, the innermost function last."""
        return _ARROW.join(self.chain)

    @property
    def text(self) -> str:
        """Message, lock, call chain, and how often it came."""
        lines = [self.message]
        if self.lock is not None:
            lines.append(f"lock: {self.lock.text}")
        times = "once" if self.count == 1 else f"{self.count:,} times"
        waited = "really blocked" if self.blocked else "never really blocked"
        return "\n".join((*lines, f"call chain: {self.call_chain}", f"reported {times}, {waited}"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "kind": self.kind.name.lower(),
            "lock": None if self.lock is None else self.lock.text,
            "held": [lock.text for lock in self.held],
            "chain": list(self.chain),
            "text": self.text,
        }


def read_reports(kernel: Any) -> list[Report]:
    """The reports of a :class:`~pyemu.kernel.Kernel`, in the order of their first occurrence."""
    out = ffi.new("pe_kernel_report[]", lib.PE_REPORTS_KEPT)
    count = lib.pe_kernel_reports(kernel.handle, out, lib.PE_REPORTS_KEPT)
    return [Report.from_native(out[i]) for i in range(count)]


def clear_reports(kernel: Any) -> None:
    """Forget them all."""
    lib.pe_kernel_reports_clear(kernel.handle)


def _function(number: int) -> str:
    name = lib.pe_kernel_function_name(number)
    return f"function {number}" if name == ffi.NULL else ffi.string(name).decode()
