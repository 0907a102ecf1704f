"""What the page shows, as plain data: everything that a person would ask a session for first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyemu.config import UserError
from pyemu.debug.render import plain
from pyemu.debug.target import Capability
from pyemu.debug.tree import table_tree
from pyemu.debug.words import memory_type, prot_text, shareability_text
from pyemu.kernel.bill import read_spent
from pyemu.mmu import Flag, MappedRange, Regime, TlbArray, TlbEntry, mapped_ranges, translate

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["collect"]

MAX_RANGES = 60_000  # a page with more would not open; beyond it, only what differs in attributes is apart
_MODE_ABORT = 0x17
_FLAGS = {Flag.NG: "not global", Flag.NS: "non-secure", Flag.CONTIGUOUS: "contiguous", Flag.TTBR1: "TTBR1"}


def collect(session: Session) -> dict[str, Any]:
    """All that the page needs, for the session's current CPU."""
    target, regime = session.target, session.regime
    return {
        "name": target.name,
        "cpu": session.cpu,
        "cpus": target.cpus,
        "format": "long" if regime.long_format else "short",
        "mmu_on": regime.mmu_on,
        "registers": [_register(session, name, value) for name, value in vars(regime).items()],
        "pc": _place(session),
        "marks": _marks(session),
        "memory": [{"base": s.base, "size": s.size, "readonly": s.readonly} for s in session.memory.segments],
        "areas": _areas(session),
        **_ranges(session, regime),
        "tree": plain(table_tree(session.memory, regime)),
        "tlb": _tlb(session, regime) if Capability.TLB in target.capabilities else None,
        "bill": _bill(session) if Capability.TLB in target.capabilities else None,
        "findings": _findings(session),
    }


def _place(session: Session) -> str | None:
    pc = session.registers.get("pc")
    return None if pc is None else session.place(pc)


def _marks(session: Session) -> list[dict[str, Any]]:
    """Where registers point to: PC, SP, and in abort mode what the last data abort was about."""
    known = session.registers
    names = ["pc", "sp"]
    if known.get("cpsr", 0) & 0x1F == _MODE_ABORT and known.get("dfsr"):
        names.append("dfar")
    marks = [{"name": name.upper(), "va": known[name]} for name in names if known.get(name)]
    return sorted(marks, key=lambda mark: int(mark["va"]))


def _areas(session: Session) -> list[dict[str, Any]]:
    """Where Linux keeps what, if the guest is one."""
    from pyemu.debug.linux import linux_layout

    layout = linux_layout(session)
    if layout is None:
        return []
    return [{"va": 0, "name": "user"}, *({"va": va, "name": name} for va, name in layout.markers)]


def _ranges(session: Session, regime: Regime) -> dict[str, Any]:
    """Ranges as rows, and what their columns index."""
    kinds: dict[tuple[str, ...], int] = {}
    rows, mapped, contiguous = [], 0, True
    if regime.mmu_on:
        ranges = list(mapped_ranges(session.memory, regime, contiguous=True))
        if len(ranges) > MAX_RANGES:
            ranges, contiguous = list(mapped_ranges(session.memory, regime)), False
        for each in ranges[:MAX_RANGES]:
            if each.outside:
                continue
            kind = kinds.setdefault(_kind(each), len(kinds))
            rows.append([each.va, each.size, each.pa, each.leaf_size, each.level, kind])
            mapped += each.size
    columns = ("kernel", "user", "memory", "shareability", "flags")
    return {
        "ranges": rows,
        "kinds": [dict(zip(columns, kind, strict=True)) for kind in kinds],
        "mapped": mapped,
        "contiguous": contiguous,
    }


def _kind(each: MappedRange) -> tuple[str, ...]:
    flags = [text for flag, text in _FLAGS.items() if each.flags & flag]
    if not each.accessed:
        flags.append("access flag clear")
    return (
        prot_text(each.prot),
        prot_text(each.prot_user),
        memory_type(each.attr),
        shareability_text(each.shareability),
        ", ".join(flags),
    )


def _tlb(session: Session, regime: Regime) -> dict[str, Any]:
    tlb = session.cycle_model.tlb
    entries = [
        _entry(session, regime, which, entry)
        for which in (TlbArray.MAIN, TlbArray.INSTRUCTION, TlbArray.LOAD, TlbArray.STORE)
        for entry in tlb.entries(which)
    ]
    stats = tlb.stats()
    return {
        "entries": entries,
        "stale_hits": stats.stale,
        "main_misses": sum(stats.main_misses),
        "micro_misses": sum(stats.micro_misses),
        "evictions": stats.evictions,
        "invalidated": stats.invalidated,
    }


def _entry(session: Session, regime: Regime, which: TlbArray, entry: TlbEntry) -> dict[str, Any]:
    fresh = translate(session.memory, regime, entry.va)
    current = entry.is_global or entry.asid == _asid(regime)
    differs = current and (not fresh.size or fresh.pa != entry.pa or fresh.descriptor != entry.descriptor)
    return {
        "array": which.name.lower(),
        "va": entry.va,
        "pa": entry.pa,
        "size": entry.size,
        "asid": None if entry.is_global else entry.asid,
        "kernel": prot_text(entry.prot),
        "user": prot_text(entry.prot_user),
        "memory": memory_type(entry.attr),
        "stale": bool(differs),
        "tables": f"{fresh.pa:#x}" if fresh.ok else f"{fresh.fault.text} fault, level {fresh.level}",
    }


def _asid(regime: Regime) -> int:
    """The ASID that is current (ARM DDI 0406C B3.10.4)."""
    if not regime.long_format:
        return regime.contextidr & 0xFF
    holder = regime.ttbr1 if regime.ttbcr & 1 << 22 else regime.ttbr0
    return holder >> 48 & 0xFF


def _bill(session: Session) -> dict[str, Any]:
    core, machine = session.cycle_model.core, session.target.machine
    bill = read_spent(session.target.kernel) if machine is None else machine.bill()
    rows = [
        {"name": cost.text, "cycles": charge.cycles, "events": charge.events}
        for cost, charge in bill.charges.items()
        if charge.events
    ]
    return {
        "core": core.name,
        "cycles": bill.cycles,
        "insns": bill.insns,
        "rows": sorted(rows, key=lambda row: -int(row["cycles"])),
    }


def _register(session: Session, name: str, value: int) -> dict[str, Any]:
    """A register with its fields: those that are not 0 in a line, and all of them."""
    try:
        found = session.execute(f"cp15 {name}")
    except UserError:  # a dump may have it from elsewhere
        return {"name": name, "value": f"{value:#x}", "fields": "", "lines": []}
    title = f"{found.title} (ARM DDI 0406C {found.section})" if found.section else found.title
    shown = " ".join(each.short for each in found.fields if each.value)
    return {
        "name": found.name,
        "value": f"{found.value:#0{found.width // 4 + 2}x}",
        "fields": shown,
        "lines": [title, *(each.line for each in found.fields)],
    }


def _findings(session: Session) -> dict[str, Any]:
    """What ``doctor mmu`` says."""
    try:
        found: dict[str, Any] = plain(session.execute("doctor mmu"))
    except UserError as problem:
        return {"state": str(problem), "findings": [], "notes": [], "checked": False}
    return found
