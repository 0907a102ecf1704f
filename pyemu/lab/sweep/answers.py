"""What a sweep answers, in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyemu.config import format_size
from pyemu.lab.sweep.rows import GupRow, Row, TablesRow

__all__ = ["Answer", "answers", "gup_rows", "reference_size", "table_rows"]

_KB = 1024


@dataclass(frozen=True)
class Answer:
    """A question, its answer, and the figures behind it; ``figure`` is the name of a plot, or empty."""

    question: str
    text: tuple[str, ...]
    head: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    figure: str = ""


def gup_rows(
    rows: Iterable[Row], *, highpte: bool | None = None, rt: bool | None = None, remedy: str | None = "none"
) -> list[GupRow]:
    """Those of these kernels, in the order of RAM and of pages a call."""
    found = [
        row
        for row in rows
        if isinstance(row, GupRow)
        and highpte in (None, row.highpte)
        and rt in (None, row.rt)
        and remedy in (None, row.remedy)
    ]
    return sorted(found, key=lambda row: (row.memory_bytes, row.pages_per_call))


def table_rows(rows: Iterable[Row], *, highpte: bool) -> list[TablesRow]:
    """Those of these kernels, in the order of RAM."""
    found = [row for row in rows if isinstance(row, TablesRow) and row.highpte == highpte]
    return sorted(found, key=lambda row: row.memory_bytes)


def reference_size(rows: Iterable[Row]) -> int | None:
    """The smallest RAM whose PTE pages come from highmem; None where none does."""
    return min((row.memory_bytes for row in gup_rows(rows, highpte=True) if row.windows), default=None)


def answers(rows: Sequence[Row]) -> list[Answer]:
    """To the questions of the mailing list, as far as the rows know."""
    makers: tuple[Callable[[Sequence[Row]], Answer | None], ...] = (_cost, _lowmem, _breaks, _remedies)
    return [answer for answer in (make(rows) for make in makers) if answer is not None]


# ---- cost ----


def _cost(rows: Sequence[Row]) -> Answer | None:
    size = reference_size(rows)
    pairs = [pair for pair in _pairs(rows, rt=False) if pair[0].memory_bytes == size]
    if not pairs:
        return None
    table = [
        (
            f"{low.pages_per_call:,}",
            f"{low.instructions:.1f}",
            f"{high.instructions:.1f}",
            f"{low.cycles:.1f}",
            f"{high.cycles:.1f}",
            _signed(high.cycles - low.cycles),
            _change(high.cycles, low.cycles),
        )
        for low, high in pairs
    ]
    said = [_cost_sentence(low, high) for low, high in pairs]
    ends = said if len(said) < 3 else [said[0], said[-1]]
    text = [
        f"HIGHPTE costs {'; '.join(ends)}. A window is made for each PTE table that a call reads, and "
        "serves all pages that it maps: the more pages a call asks for, the less each of them pays.",
        _spread(rows, pairs),
    ]
    none = [format_size(s) for s in _sizes(rows) if s not in _window_sizes(rows)]
    if none:
        text.append(f"With {_list(none)} of RAM there is no highmem, and HIGHPTE changes nothing.")
    head = (
        "pages a call",
        "instructions a page, lowmem",
        "highmem",
        "cycles a page, lowmem",
        "highmem",
        "HIGHPTE",
        "",
    )
    return Answer(
        "What does HIGHPTE cost a page of get_user_pages_fast?", tuple(text), head, tuple(table), "cost"
    )


def _cost_sentence(low: GupRow, high: GupRow) -> str:
    cycles, insns = high.cycles - low.cycles, high.instructions - low.instructions
    change = _change(high.cycles, low.cycles)
    return (
        f"{cycles:.1f} cycles and {insns:.1f} instructions a page at {_calls(low.pages_per_call)} "
        f"({change} cycles)"
    )


def _spread(rows: Sequence[Row], pairs: Sequence[tuple[GupRow, GupRow]]) -> str:
    """Whether RAM matters."""
    call = pairs[0][0].pages_per_call
    costs = [
        high.cycles - low.cycles
        for low, high in _pairs(rows, rt=False)
        if low.pages_per_call == call and high.windows
    ]
    size = format_size(pairs[0][0].memory_bytes)
    between = f"between {min(costs):.1f} and {max(costs):.1f} cycles"
    sizes = [format_size(s) for s in _window_sizes(rows)]
    if len(sizes) < 2:
        return f"Figures are those of {size} of RAM."
    return f"Figures are those of {size} of RAM; at {_list(sizes)} it is {between} a page at {_calls(call)}."


def _pairs(rows: Sequence[Row], *, rt: bool) -> list[tuple[GupRow, GupRow]]:
    """The same call without and with HIGHPTE."""
    with_it = {(r.memory_bytes, r.pages_per_call): r for r in gup_rows(rows, highpte=True, rt=rt)}
    without = gup_rows(rows, highpte=False, rt=rt)
    keys = [(row, (row.memory_bytes, row.pages_per_call)) for row in without]
    return [(row, with_it[key]) for row, key in keys if key in with_it]


# ---- lowmem ----


def _lowmem(rows: Sequence[Row]) -> Answer | None:
    without = {row.memory_bytes: row for row in table_rows(rows, highpte=False)}
    pairs = [
        (without[row.memory_bytes], row)
        for row in table_rows(rows, highpte=True)
        if row.memory_bytes in without
    ]
    if not pairs:
        return None
    table = [
        (
            format_size(low.memory_bytes),
            _megabytes(low.low_kb),
            _megabytes(low.high_kb),
            f"{low.low_each_kb:,.0f} kB",
            f"{high.low_each_kb:,.0f} kB",
            f"{low.low_each_kb - high.low_each_kb:,.0f} kB",
            f"{low.processes:,}",
            f"{high.processes:,}",
        )
        for low, high in pairs
    ]
    first, last = pairs[0], pairs[-1]
    text = [
        f"A process that touches one page in each 2 MB of 2 GB has {last[0].tables_each:,.0f} page tables. "
        + " ".join(
            _lowmem_sentence(low, high) for low, high in ([first] if first is last else [first, last])
        ),
    ]
    text.append(
        "Lowmem does not grow with RAM: mem_map, which describes every page of RAM, lies in it, and takes "
        "more of it the more RAM there is. What counts is how much is mapped, not how much there is."
    )
    head = (
        "RAM",
        "LowTotal",
        "HighTotal",
        "lowmem a process, HIGHPTE off",
        "on",
        "saved",
        "room for processes, off",
        "on",
    )
    return Answer("What lowmem does HIGHPTE save?", tuple(text), head, tuple(table), "lowmem")


def _lowmem_sentence(low: TablesRow, high: TablesRow) -> str:
    size = format_size(low.memory_bytes)
    saved = low.low_each_kb - high.low_each_kb
    if saved < 1:
        return f"At {size} HIGHPTE saves nothing: there is no highmem for them."
    share = _percent(saved, low.low_each_kb)
    return (
        f"At {size} HIGHPTE saves {saved:,.0f} kB of lowmem for each such process, {share} "
        f"of what it takes; without it there is room for {low.processes:,}, with it for {high.processes:,}."
    )


# ---- PREEMPT_RT ----


def _breaks(rows: Sequence[Row]) -> Answer | None:
    forced = gup_rows(rows, highpte=True, rt=True)
    if not forced:
        return None
    broken = [row for row in forced if row.reports]
    allowed = [row for row in gup_rows(rows) if not (row.highpte and row.rt)]
    text = []
    if broken:
        reports, calls = (sum(r.reports for r in broken), sum(_calls_of(r) for r in broken))
        locks = dict.fromkeys(lock for row in broken for lock in row.locks)
        text.append(
            "Kconfig forbids HIGHPTE with PREEMPT_RT. Built all the same, get_user_pages_fast takes "
            f"{_list([*locks])} with interrupts off, to look for a mapping of each highmem PTE page, and "
            f"under PREEMPT_RT these are locks that sleep: {reports:,} reports in {calls:,} calls, "
            f"{sum(row.blocked for row in broken):,} of them where the lock was really taken by another."
        )
        text += [f"Chain: {chain}." for chain in dict.fromkeys(c for row in broken for c in row.chains)]
    else:
        text.append(
            "Nothing was reported: no call of this sweep read a PTE page in highmem under PREEMPT_RT."
        )
    wrong = sum(row.reports for row in allowed)
    said = f"came {wrong:,} reports" if wrong else "none reports anything"
    text.append(f"Of the kernels that Kconfig allows, {said}.")
    table = [
        (
            format_size(row.memory_bytes),
            f"{row.pages_per_call:,}",
            f"{_calls_of(row):,}",
            f"{row.windows:,}",
            f"{row.reports:,}",
            f"{row.blocked:,}",
            ", ".join(row.locks),
        )
        for row in forced
    ]
    head = ("RAM", "pages a call", "calls", "windows", "reports", "blocked", "locks")
    return Answer("What breaks with PREEMPT_RT?", tuple(text), head, tuple(table))


def _calls_of(row: GupRow) -> int:
    return -(-row.pages // row.pages_per_call)


# ---- remedies ----


def _remedies(rows: Sequence[Row]) -> Answer | None:
    size = reference_size(rows)
    base = {r.pages_per_call: r for r in gup_rows(rows, highpte=True, rt=True) if r.memory_bytes == size}
    tried = [
        row
        for row in gup_rows(rows, highpte=True, rt=True, remedy=None)
        if row.memory_bytes == size and row.remedy != "none" and row.pages_per_call in base
    ]
    if not tried or size is None:
        return None
    lowmem = {
        row.highpte: row.low_each_kb
        for r in (True, False)
        for row in table_rows(rows, highpte=r)
        if row.memory_bytes == size
    }
    names = dict.fromkeys(row.remedy for row in tried)
    table = [
        (
            row.remedy,
            f"{row.pages_per_call:,}",
            f"{row.cycles:.1f}",
            _signed(row.cycles - base[row.pages_per_call].cycles),
            _change(row.cycles, base[row.pages_per_call].cycles),
            f"{row.fast_pages:,} of {row.pages:,}",
            f"{row.reports:,}",
        )
        for row in sorted(tried, key=lambda row: (list(names).index(row.remedy), row.pages_per_call))
    ]
    text = [
        f"Cycles a page at {format_size(size)} of RAM, against the forbidden kernel itself, which takes the "
        "locks and never had to wait for one."
    ]
    text += [_remedy_sentence(name, [r for r in tried if r.remedy == name], base, lowmem) for name in names]
    head = ("remedy", "pages a call", "cycles a page", "against none", "", "fast pages", "reports")
    return Answer("What does each remedy cost?", tuple(text), head, tuple(table), "remedies")


def _remedy_sentence(
    name: str, its: Sequence[GupRow], base: dict[int, GupRow], lowmem: dict[bool, float]
) -> str:
    changes = [
        f"{_signed(row.cycles - base[row.pages_per_call].cycles)} cycles a page "
        f"at {_calls(row.pages_per_call)}"
        for row in (its if len(its) < 3 else (its[0], its[-1]))
    ]
    reports = sum(row.reports for row in its)
    said = f"{name}: {_list(changes)}; {f'{reports:,} reports' if reports else 'no report'}"
    if name == "no-highpte" and len(lowmem) == 2:
        said += f"; {lowmem[False] - lowmem[True]:,.0f} kB more of lowmem for each process of the table above"
    return f"{said}."


# ---- words ----


def _sizes(rows: Sequence[Row]) -> list[int]:
    return sorted({row.memory_bytes for row in gup_rows(rows)})


def _window_sizes(rows: Sequence[Row]) -> list[int]:
    return sorted({row.memory_bytes for row in gup_rows(rows, highpte=True, rt=False) if row.windows})


def _calls(pages: int) -> str:
    return f"{pages:,} page{'s' if pages > 1 else ''} a call"


def _signed(value: float) -> str:
    return f"{value:+.1f}"


def _change(value: float, base: float) -> str:
    return f"{100 * (value - base) / base:+.1f} %" if base else "-"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _megabytes(kilobytes: int) -> str:
    return f"{kilobytes / _KB:,.0f} MB"


def _list(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
