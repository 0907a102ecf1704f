"""One job of a sweep: a kernel made, measured and let go."""

from __future__ import annotations

from pyemu.config import MIB, UserError
from pyemu.kernel import Kernel
from pyemu.kernel.gup_test import GupTest, GupTestResult, run_gup_test
from pyemu.kernel.memory import Zone
from pyemu.kernel.process import Advice, Map, Process, spawn
from pyemu.lab.sweep.plan import Job
from pyemu.lab.sweep.rows import GupRow, Row, TablesRow

__all__ = ["measure"]

# What is forked: one page touched in each 2 MB, so that a PTE page maps one page.
SPARSE_BYTES = 2048 * MIB
STRIDE = 2 * MIB
FORKS = 16
KB_PER_PAGE = 4


def measure(job: Job) -> list[Row]:
    """The rows of a job."""
    return [_gup(job, call) for call in job.calls] if job.calls else [_tables(job)]


def _gup(job: Job, call: int) -> GupRow:
    test = GupTest(size_bytes=job.plan.megabytes * MIB, pages_per_call=call)
    result = run_gup_test(job.kernel_config(), test)
    if result.pages != test.pages:
        raise UserError(f"{result.pages} of {test.pages} pages were got")
    return GupRow(
        memory_bytes=job.memory_bytes,
        highpte=job.highpte,
        rt=job.rt,
        remedy=job.remedy,
        pages_per_call=call,
        pages=result.pages,
        fast_pages=result.stats["gup_fast_pages"],
        instructions=_each(result, result.get.insns),
        cycles=_each(result, result.get.cycles),
        put_cycles=_each(result, result.put.cycles),
        windows=result.stats["pte_windows"],
        tlbi=result.stats["tlbi_local"],
        reports=sum(report.count for report in result.reports),
        blocked=sum(report.blocked for report in result.reports),
        locks=tuple(dict.fromkeys(report.lock.text for report in result.reports if report.lock is not None)),
        chains=tuple(report.call_chain for report in result.reports),
        host_pages_per_second=round(result.host_pages_per_second or 0.0),
    )


def _each(result: GupTestResult, amount: int) -> float:
    return amount / result.pages


def _tables(job: Job) -> TablesRow:
    with Kernel(job.kernel_config()) as kernel:
        parent = _sparse(kernel)
        before = kernel.meminfo
        room = _Room(kernel)
        for _ in range(FORKS):
            parent.fork()
        now = kernel.meminfo
    low_each = (before.low_free - now.low_free) / FORKS
    high_each = (before.high_free - now.high_free) / FORKS
    return TablesRow(
        memory_bytes=job.memory_bytes,
        highpte=job.highpte,
        low_kb=before.low_total * KB_PER_PAGE,
        high_kb=before.high_total * KB_PER_PAGE,
        tables_each=(now.page_tables - before.page_tables) / FORKS,
        low_each_kb=low_each * KB_PER_PAGE,
        high_each_kb=high_each * KB_PER_PAGE,
        processes=1 + room.processes(low_each, high_each),
    )


def _sparse(kernel: Kernel) -> Process:
    process = spawn(kernel, "sparse")
    address = process.mmap(SPARSE_BYTES, flags=Map.PRIVATE | Map.NORESERVE)
    process.madvise(address, SPARSE_BYTES, Advice.NOHUGEPAGE)
    process.touch(address, SPARSE_BYTES, write=True, stride=STRIDE)
    return process


class _Room:
    """Pages that are free above the watermarks; ``shared`` of lowmem may be had in place of highmem."""

    def __init__(self, kernel: Kernel) -> None:
        zones = [kernel.zone(zone) for zone in (Zone.DMA, Zone.NORMAL)]
        high = kernel.zone(Zone.HIGHMEM)
        self.low = sum(zone.free - zone.free_cma - zone.min for zone in zones if zone.managed)
        self.high = max(0, high.free - high.free_cma - high.min)
        self.shared = sum(
            max(0, zone.free - zone.free_cma - zone.min - zone.protection[Zone.HIGHMEM])
            for zone in zones
            if zone.managed
        )

    def processes(self, low_each: float, high_each: float) -> int:
        """How many that take so much of each; what finds no highmem falls back to lowmem."""
        if not high_each:
            return int(self.low / low_each)
        first = min(self.high / high_each, self.low / low_each)
        left = max(0.0, self.shared - first * low_each)
        return int(first + left / (low_each + high_each))
