"""What sweeps would find on kernels by plain rules, without a model."""

from __future__ import annotations

from pyemu.config import GIB, MIB
from pyemu.lab.sweep import GupRow, Job, Plan, Row, TablesRow

SMALL = Plan(sizes=(512 * MIB, GIB), calls=(1, 64), remedies=("no-highpte", "trylock"), megabytes=1)
CALL, PAGE, WINDOW, SLEEPING_LOCK = 300.0, 100.0, 200.0, 50.0
CHAIN = "gup_fast_pgd_range → gup_fast_pte_range → kmap_high_get → rt_spin_lock"
PAGES = 256
TABLES = 1030


def ideal_rows(job: Job) -> list[Row]:
    """The rows of a job: costs are sums, lowmem is 768 MB, a table 4 kB."""
    highmem = job.memory_bytes > 768 * MIB
    if not job.calls:
        low = min(job.memory_bytes, 768 * MIB) >> 10
        high = (job.memory_bytes >> 10) - low
        each = (0.0, 4.0 * TABLES) if highmem and job.highpte else (4.0 * TABLES, 0.0)
        room = int(low // (each[0] or 16))
        return [TablesRow(job.memory_bytes, job.highpte, low, high, TABLES, *each, room)]
    return [_gup_row(job, call, highmem) for call in job.calls]


def _gup_row(job: Job, call: int, highmem: bool) -> GupRow:
    windows = PAGES // call if highmem and job.highpte and job.remedy != "no-highpte" else 0
    locks = job.rt and windows > 0 and job.remedy == "none"
    each = PAGE + CALL / call + (WINDOW + SLEEPING_LOCK * job.rt) * windows / PAGES
    return GupRow(
        memory_bytes=job.memory_bytes,
        highpte=job.highpte,
        rt=job.rt,
        remedy=job.remedy,
        pages_per_call=call,
        pages=PAGES,
        fast_pages=PAGES,
        instructions=each,
        cycles=each / 2,
        put_cycles=10.0,
        windows=windows,
        tlbi=4 * windows,
        reports=2 * windows if locks else 0,
        blocked=0,
        locks=("kmap_lock", "page_address_htable[n].lock") if locks else (),
        chains=(CHAIN,) if locks else (),
        host_pages_per_second=1e6,
    )


def ideal_sweep(plan: Plan = SMALL) -> list[Row]:
    return [row for job in plan.jobs() for row in ideal_rows(job)]
