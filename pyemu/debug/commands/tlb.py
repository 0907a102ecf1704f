"""``tlb``, ``stale`` and ``flush``: what the modelled TLBs hold, and what of it the tables contradict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyemu.debug.explain import asid
from pyemu.debug.parameters import Address, Choice
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.debug.words import kernel_size, memory_type, prot_text
from pyemu.mmu import Access, Flag, StaleHit, TlbArray, TlbEntry, TlbStats, Translation, translate

if TYPE_CHECKING:
    from pyemu.timing import Core

__all__ = ["ARRAYS", "Contradiction", "Flushed", "Held", "Stale", "TlbView", "flush", "stale", "tlb"]

ARRAYS = {
    TlbArray.INSTRUCTION: "micro-TLB of fetches",
    TlbArray.LOAD: "micro-TLB of loads",
    TlbArray.STORE: "micro-TLB of stores",
    TlbArray.MAIN: "main TLB",
}
_MICRO = (TlbArray.INSTRUCTION, TlbArray.LOAD, TlbArray.STORE)
_CHOSEN = {"main": (TlbArray.MAIN,), "micro": _MICRO}


@dataclass(frozen=True)
class Held:
    """An entry of one array."""

    where: str
    entry: TlbEntry

    @property
    def line(self) -> str:
        e = self.entry
        who = "global" if e.is_global else f"ASID {e.asid}"
        return (
            f"  {e.va:#010x}-{e.va + e.size:#010x} -> {e.pa:#012x} {kernel_size(e.size):>5} {who:<8} "
            f"kernel {prot_text(e.prot)} user {prot_text(e.prot_user)}  {memory_type(e.attr)}  "
            f"@{e.descriptor_pa:#x} = {e.descriptor:#x}"
        )


@dataclass(frozen=True)
class TlbView:
    """Entries by array, and counters since the machine began."""

    entries: tuple[Held, ...]
    capacities: dict[str, int]
    stats: TlbStats

    @property
    def lines(self) -> list[str]:
        lines = []
        for name, capacity in self.capacities.items():
            held = [each for each in self.entries if each.where == name]
            lines.append(f"{name}: {len(held)} of {capacity} entries")
            lines += [each.line for each in sorted(held, key=lambda each: each.entry.va)]
        s = self.stats
        lines.append(
            f"misses: micro {sum(s.micro_misses)}, main {sum(s.main_misses)}; {s.evictions} evictions, "
            f"{sum(s.invalidates)} invalidations, {s.asid_switches} changes of ASID, {s.stale} stale hits"
        )
        return lines


@dataclass(frozen=True)
class Contradiction:
    """An entry that says something else than the tables say now, in one sentence."""

    held: Held
    va: int
    text: str


@dataclass(frozen=True)
class Stale:
    """Entries that contradict the tables, and the latest hits on such entries."""

    entries: tuple[Contradiction, ...]
    hits: tuple[StaleHit, ...]

    @property
    def lines(self) -> list[str]:
        lines = [f"{each.held.where}: {each.va:#010x}: {each.text}" for each in self.entries]
        for hit in self.hits:
            now = f"{hit.fault.text} fault" if hit.fault else f"{hit.new_pa:#x}"
            lines.append(
                f"used: {hit.access.name.lower()} of {hit.va:#010x} went to {hit.old_pa:#x} by the stale "
                f"{hit.old_descriptor:#x}; the tables say {now}, "
                f"@{hit.descriptor_pa:#x} = {hit.new_descriptor:#x}"
            )
        return lines or ["no entry contradicts the tables"]


@dataclass(frozen=True)
class Flushed:
    """How many entries of the main TLBs went."""

    entries: int

    @property
    def lines(self) -> list[str]:
        return [f"flushed: {self.entries} entries of the main TLBs went"]


def arrays(core: Core) -> tuple[TlbArray, ...]:
    """The arrays that a core has."""
    return tuple(which for which in ARRAYS if which is not TlbArray.STORE or core["micro_store.entries"])


@command(
    "tlb",
    Choice("which", main="main", micro="micro"),
    Address("va", optional=True),
    group="tlb",
    example="tlb main",
    needs=Capability.TLB,
)
def tlb(session: Session, which: str | None = None, va: int | None = None) -> TlbView:
    """What the modelled TLBs of the current CPU hold; with an address, the entries that map it."""
    _, core, model = session.cycle_model
    chosen = [array for array in arrays(core) if which is None or array in _CHOSEN[which]]
    capacities = {ARRAYS[array]: int(core[f"{_KEYS[array]}.entries"]) for array in chosen}
    held = [each for each in _held(session) if each.where in capacities]
    if va is not None:
        held = [each for each in held if each.entry.va <= va < each.entry.va + each.entry.size]
    return TlbView(tuple(held), capacities, model.stats())


_KEYS = {
    TlbArray.INSTRUCTION: "micro_instruction",
    TlbArray.LOAD: "micro_load",
    TlbArray.STORE: "micro_store",
    TlbArray.MAIN: "main_tlb",
}


def _held(session: Session) -> Iterator[Held]:
    _, core, model = session.cycle_model
    for array in arrays(core):
        for entry in model.entries(array):
            yield Held(ARRAYS[array], entry)


def entries_at(session: Session, va: int) -> list[tuple[str, TlbEntry]]:
    """(array, entry) that an access of the current CPU to an address would hit."""
    current = asid(session.regime)
    return [
        (each.where, each.entry)
        for each in _held(session)
        if each.entry.va <= va < each.entry.va + each.entry.size
        and (each.entry.is_global or each.entry.asid == current)
    ]


def contradiction(entry: TlbEntry, va: int, fresh: Translation) -> str | None:
    """How an entry differs from a translation by PL1 now, in a clause; None where it does not."""
    tables = f"the tables have {fresh.descriptor:#x} @{fresh.descriptor_pa:#x}"
    if not fresh.size:
        return f"the entry maps {entry.pa + va - entry.va:#x}, {tables}: {fresh.fault.text} fault"
    if entry.pa + va - entry.va != fresh.pa:
        return f"the entry maps {entry.pa + va - entry.va:#x}, {tables}: {fresh.pa:#x}"
    if (entry.prot, entry.prot_user) != (fresh.prot, fresh.prot_other):
        was = f"kernel {prot_text(entry.prot)} user {prot_text(entry.prot_user)}"
        now = f"kernel {prot_text(fresh.prot)} user {prot_text(fresh.prot_other)}"
        return f"the entry permits {was}, {tables}: {now}"
    if (entry.attr, entry.shareability) != (fresh.attr, fresh.shareability):
        return f"the entry is {memory_type(entry.attr)}, {tables}: {memory_type(fresh.attr)}"
    if entry.is_global == bool(fresh.flags & Flag.NG):
        return f"the entry is {'global' if entry.is_global else 'of one ASID'}, {tables}: the other"
    return None


@command("stale", group="tlb", example="stale", needs=Capability.TLB)
def stale(session: Session) -> Stale:
    """Entries of the modelled TLBs that contradict the tables: a TLB invalidation is missing.

    Entries of another ASID belong to tables that are not known here, and are left out. An entry may
    also be right and the tables on the way to be changed: an invalidation then follows in the guest.
    """
    regime, current = session.regime, asid(session.regime)
    found = []
    for held in _held(session):
        e = held.entry
        if not e.is_global and e.asid != current:
            continue
        fresh = translate(session.memory, regime, e.va, Access.READ, privileged=True)
        text = contradiction(e, e.va, fresh)
        if text is not None:
            writer = _writer(session, fresh.descriptor_pa, e.descriptor_pa)
            found.append(Contradiction(held, e.va, f"{_verdict(fresh)}: {text}{writer}"))
    hits = session.cycle_model.tlb.stale_hits()
    return Stale(tuple(found), tuple(hits))


def _verdict(fresh: Translation) -> str:
    return "the PTE is right, the TLB is stale" if fresh.size else "the PTE is gone, the TLB is stale"


def _writer(session: Session, *places: int) -> str:
    """Who wrote the descriptor last, where that was recorded."""
    if session.last_write is None:
        return ""
    for pa in places:
        write = session.last_write(pa) if pa else None
        if write is not None:
            return f"; written at {session.place(write.pc)}, {write.ago} instructions ago, no TLBI since"
    return ""


@command("flush", group="tlb", example="flush", needs=Capability.TLB | Capability.WRITE)
def flush(session: Session) -> Flushed:
    """Empties the modelled TLBs of every CPU, as a TLBIALLIS would; the guest does not notice by its code."""
    before = [len(cpu.tlb.entries(TlbArray.MAIN)) for cpu in session.machine.cpus]
    session.machine.tlb_flush()
    after = [len(cpu.tlb.entries(TlbArray.MAIN)) for cpu in session.machine.cpus]
    return Flushed(sum(before) - sum(after))
