"""The bill of a run with timing, for a person: a table of categories, and a line for each part of a core."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyemu.machine.bill import Bill, CpuBill
from pyemu.mmu import Access
from pyemu.timing import Branch, CacheStats, Core, Cost, builtin_cores

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["print_bill"]

PIPE_WIDTH = 200


def print_bill(bill: Bill, core_file: Path | None) -> None:
    """Print to standard error; ``core_file`` is where a core that is not built in comes from."""
    from rich.console import Console

    width = None if sys.stderr.isatty() else PIPE_WIDTH
    console = Console(file=sys.stderr, highlight=False, markup=False, width=width)
    console.print()
    console.print(_categories(bill))
    console.print()
    if len(bill.cpus) > 1:
        console.print(_cpus(bill))
        console.print()
    for line in [*_lines(bill), _sources(bill.core, core_file)]:
        console.print(line, soft_wrap=True)


def _table(first: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _categories(bill: Bill) -> Table:
    """Categories that were billed, the largest first."""
    table = _table("", "cycles", "share", "events", "user", "kernel")
    user, kernel, charges = bill.user, bill.kernel, bill.charges
    for cost in sorted(Cost, key=lambda cost: -charges[cost].cycles):
        charge = charges[cost]
        if charge.events:
            row = (charge.cycles, _percent(charge.cycles, bill.cycles), charge.events)
            table.add_row(cost.text, *_cells(*row, user[cost].cycles, kernel[cost].cycles))
    sums = (sum(charge.cycles for charge in side.values()) for side in (user, kernel))
    table.add_row("all", *_cells(bill.cycles, _percent(bill.cycles, bill.cycles), "", *sums))
    return table


def _cpus(bill: Bill) -> Table:
    table = _table("", "cycles", "instructions", "CPI", "L1D misses", "main TLB misses", "mispredicted")
    for cpu in bill.cpus:
        l1d = "" if cpu.l1d is None else cpu.l1d.misses
        mispredicted = sum(wrong for _, wrong in cpu.branches.values())
        row = (cpu.cycles, cpu.insns, _cpi(cpu.cpi), l1d, sum(cpu.tlb.main_misses), mispredicted)
        table.add_row(f"CPU {cpu.number}", *_cells(*row))
    return table


def _lines(bill: Bill) -> list[str]:
    name, cpus = bill.core.name, bill.cpus
    lines = [
        f"CPI {_cpi(bill.cpi)} ({_side(bill, 0)} user, {_side(bill, 1)} kernel): "
        f"{bill.insns:,} instructions, {bill.cycles:,} cycles of {name} at {bill.clock_hz / 1e6:g} MHz"
    ]
    if bill.l2 is not None:
        l1i = [cpu.l1i for cpu in cpus if cpu.l1i is not None]
        l1d = [cpu.l1d for cpu in cpus if cpu.l1d is not None]
        parts = (("L1I", l1i), ("L1D", l1d), ("L2", [bill.l2]))
        lines.append("caches: " + "; ".join(_cache(level, stats) for level, stats in parts))
    return [*lines, _tlbs(cpus, bill.insns), _branches(cpus)]


def _side(bill: Bill, privilege: int) -> str:
    charges = (bill.user, bill.kernel)[privilege]
    insns = sum(cpu.executed.insns[privilege] for cpu in bill.cpus)
    return _cpi(sum(charge.cycles for charge in charges.values()) / insns if insns else None)


def _cache(level: str, stats: list[CacheStats]) -> str:
    accesses, misses = sum(each.accesses for each in stats), sum(each.misses for each in stats)
    text = f"{level} {accesses:,} accesses, {_percent(misses, accesses)} miss"
    written = sum(each.write_backs for each in stats)
    return f"{text}, {written:,} write-backs" if written else text


def _tlbs(cpus: tuple[CpuBill, ...], insns: int) -> str:
    tlbs = [cpu.tlb for cpu in cpus]
    names = {Access.FETCH: "fetch", Access.READ: "load", Access.WRITE: "store"}

    def misses(level: str) -> str:
        counts = {access: sum(getattr(tlb, level)[access] for tlb in tlbs) for access in names}
        each = ", ".join(f"{counts[access]:,} {text}" for access, text in names.items())
        often = f"{1000 * sum(counts.values()) / insns:.2f}" if insns else "-"
        return f"{often} misses in 1,000 instructions ({each})"

    hits, walks = (
        sum(tlb.walk_cache_hits for tlb in tlbs),
        sum(tlb.walk_cache_hits + tlb.walk_cache_misses for tlb in tlbs),
    )
    text = f"TLBs: micro {misses('micro_misses')}; main {misses('main_misses')}"
    text += f"; walk cache {_percent(hits, walks)} hits; {sum(tlb.evictions for tlb in tlbs):,} evictions"
    text += f", {sum(sum(tlb.invalidates) for tlb in tlbs):,} invalidations"
    stale = sum(tlb.stale for tlb in tlbs)
    return f"{text}; {stale:,} stale hits" if stale else text


def _branches(cpus: tuple[CpuBill, ...]) -> str:
    executed = {kind: sum(cpu.branches[kind][0] for cpu in cpus) for kind in Branch}
    wrong = {kind: sum(cpu.branches[kind][1] for cpu in cpus) for kind in Branch}
    every = sum(executed.values()) - executed[Branch.NONE]
    parts = [
        f"{kind.name.lower().replace('_', ' ')} {_percent(wrong[kind], executed[kind])} of {executed[kind]:,}"
        for kind in Branch
        if wrong[kind]
    ]
    text = f"branches: {every:,}, {_percent(sum(wrong.values()), every)} mispredicted"
    return f"{text} ({', '.join(parts)})" if parts else text


def _sources(core: Core, core_file: Path | None) -> str:
    known = builtin_cores().get(core.name) == core
    file = "" if known or core_file is None else f" --file {core_file}"
    where = f"`pyemu cores {core.name}{file}` lists them" if known or core_file else "--stats lists them"
    return f"{len(core.assumed)} of the {len(core.parameters)} parameters of {core.name} are assumed: {where}"


def _cpi(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _cells(*values: int | str) -> list[str]:
    return [f"{value:,}" if isinstance(value, int) else value for value in values]
