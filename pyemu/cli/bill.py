"""The bill of a run with timing, for a person: a table of categories, and a line for each part of a core."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyemu.machine.bill import Bill
from pyemu.mmu import Access
from pyemu.timing import Branch, Charge, Core, Cost, builtin_cores

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["add_categories", "cost_table", "print_bill"]

PIPE_WIDTH = 200


def print_bill(bill: Bill, core_file: Path | None) -> None:
    """Print to standard error; ``core_file`` is where a core that is not built in comes from."""
    from rich.console import Console

    width = None if sys.stderr.isatty() else PIPE_WIDTH
    console = Console(file=sys.stderr, highlight=False, markup=False, width=width)
    tables = [_categories(bill), _misses(bill)]
    if len(bill.cpus) > 1:
        tables.insert(1, _cpus(bill))
    with console.capture() as capture:
        for table in tables:
            console.print()
            console.print(table)
        console.print()
        for line in (_cpi_line(bill), _sources(bill.core, core_file)):
            console.print(line, soft_wrap=True)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), file=sys.stderr)


def cost_table(first: str, *columns: str) -> Table:
    """Columns of text and figures, without lines."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _categories(bill: Bill) -> Table:
    table = cost_table("", "cycles", "share", "events", "user", "kernel")
    add_categories(table, bill.charges, (bill.user, bill.kernel))
    return table


def add_categories(
    table: Table, charges: Mapping[Cost, Charge], sides: Sequence[Mapping[Cost, Charge]]
) -> None:
    """A row for each category that was billed, the largest first; ``sides`` are its last columns."""
    whole = sum(charge.cycles for charge in charges.values())
    for cost in sorted(Cost, key=lambda cost: -charges[cost].cycles):
        charge = charges[cost]
        if charge.events:
            row = (charge.cycles, _percent(charge.cycles, whole), charge.events)
            table.add_row(cost.text, *_cells(*row, *(side[cost].cycles for side in sides)))
    sums = (sum(charge.cycles for charge in side.values()) for side in sides)
    table.add_row("all", *_cells(whole, _percent(whole, whole), "", *sums))


def _cpus(bill: Bill) -> Table:
    table = cost_table("", "cycles", "instructions", "CPI", "L1D misses", "main TLB misses", "mispredicted")
    for cpu in bill.cpus:
        l1d = "" if cpu.l1d is None else cpu.l1d.misses
        mispredicted = sum(wrong for _, wrong in cpu.branches.values())
        row = (cpu.cycles, cpu.insns, _cpi(cpu.cpi), l1d, sum(cpu.tlb.main_misses), mispredicted)
        table.add_row(f"CPU {cpu.number}", *_cells(*row))
    return table


def _cpi_line(bill: Bill) -> str:
    return (
        f"CPI {_cpi(bill.cpi)} ({_side(bill, 0)} user, {_side(bill, 1)} kernel): {bill.insns:,} "
        f"instructions, {bill.cycles:,} cycles of {bill.core.name} at {bill.clock_hz / 1e6:g} MHz"
    )


def _side(bill: Bill, privilege: int) -> str:
    charges = (bill.user, bill.kernel)[privilege]
    insns = sum(cpu.executed.insns[privilege] for cpu in bill.cpus)
    return _cpi(sum(charge.cycles for charge in charges.values()) / insns if insns else None)


def _misses(bill: Bill) -> Table:
    """What was asked how often, and how often in vain; micro-TLBs are not asked by us while they hit."""
    table = cost_table("", "asked", "missed", "rate", "in 1,000 instructions")
    table.add_column("")

    def add(name: str, asked: int | None, missed: int, **notes: int) -> None:
        often = f"{1000 * missed / bill.insns:.3f}" if bill.insns else "-"
        known = ("", missed, "") if asked is None else (asked, missed, _percent(missed, asked))
        text = ", ".join(f"{count:,} {note.replace('_', '-')}" for note, count in notes.items() if count)
        table.add_row(name, *_cells(*known, often), text)

    _add_caches(bill, add)
    tlbs = [cpu.tlb for cpu in bill.cpus]
    for access, text in ((Access.FETCH, "fetches"), (Access.READ, "loads"), (Access.WRITE, "stores")):
        add(f"micro-TLB, {text}", None, sum(tlb.micro_misses[access] for tlb in tlbs))
    add(
        "main TLB",
        sum(sum(tlb.micro_misses) for tlb in tlbs),
        sum(sum(tlb.main_misses) for tlb in tlbs),
        evictions=sum(tlb.evictions for tlb in tlbs),
        invalidations=sum(sum(tlb.invalidates) for tlb in tlbs),
        stale_hits=sum(tlb.stale for tlb in tlbs),
    )
    walks = sum(tlb.walk_cache_misses for tlb in tlbs)
    add("walk cache", walks + sum(tlb.walk_cache_hits for tlb in tlbs), walks)
    for kind in Branch:
        executed, wrong = (sum(cpu.branches[kind][i] for cpu in bill.cpus) for i in (0, 1))
        if kind is not Branch.NONE and executed:
            add(f"{_words(kind.name)} branches", executed, wrong)
    return table


def _add_caches(bill: Bill, add: Callable[..., None]) -> None:
    if bill.l2 is None:
        return
    uncached = sum(cpu.executed.uncached for cpu in bill.cpus)
    parts = (
        ("L1I", [cpu.l1i for cpu in bill.cpus if cpu.l1i is not None], 0),
        ("L1D", [cpu.l1d for cpu in bill.cpus if cpu.l1d is not None], uncached),
        ("L2", [bill.l2], 0),
    )
    for name, caches, beside in parts:
        asked, missed = sum(each.accesses for each in caches), sum(each.misses for each in caches)
        add(name, asked, missed, write_backs=sum(each.write_backs for each in caches), uncached=beside)


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


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
