"""``walk`` and ``why``: how one address translates, and why an access works or faults."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug import explain
from pyemu.debug.commands.tlb import ARRAYS, arrays, contradiction, entries_at
from pyemu.debug.descriptors import Decoded, decode
from pyemu.debug.explain import Change
from pyemu.debug.linux import SoftwareBits, linux_layout, software_bits
from pyemu.debug.parameters import Address, Choice
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.debug.words import access_text, memory_type, prot_text, shareability_text, size_text, who_text
from pyemu.kernel.process import Process
from pyemu.mmu import Access, Flag, Regime, Step, Translation, Walk
from pyemu.mmu import walk as walk_tables
from pyemu.native import lib
from pyemu.timing import Core

__all__ = ["Ladder", "MissCost", "Rung", "Why", "walk", "why"]

ACCESS = Choice("access", r=Access.READ, w=Access.WRITE, x=Access.FETCH)
PRIVILEGE = Choice("privileged", user=False, priv=True)


@dataclass(frozen=True)
class Rung:
    """One level of a walk: the descriptor that was read, and what it says."""

    step: Step
    decoded: Decoded

    @property
    def line(self) -> str:
        s = self.step
        width = 8 if s.descriptor < 1 << 32 else 16
        value = "?" if self.decoded.kind == "outside memory" else f"{s.descriptor:#0{width + 2}x}"
        where = f"table {s.table_pa:#x}[{s.index}] @{s.descriptor_pa:#x}"
        return f"  level {s.level}  {where} = {value}  {self.decoded.text}"


@dataclass(frozen=True)
class MissCost:
    """Cycles of a miss in all TLBs on the core, by where the descriptors are found.

    ``walk_cached``: with a hit in the walk cache, which leaves only the last descriptor to read.
    ``held``: which modelled TLBs have the address now.
    """

    core: str
    lookup: int
    reads: int
    near: int
    memory: int
    walk_cached: int | None
    held: tuple[str, ...]

    @property
    def line(self) -> str:
        text = f"{self.near} cycles with cached descriptors ({self.lookup} + {self.reads} reads)"
        if self.walk_cached is not None:
            text += f", {self.walk_cached} with the walk cache"
        text += f", {self.memory} with descriptors in memory; {self.core}"
        held = f"now in the {' and '.join(self.held)}" if self.held else "now in no TLB"
        return f"  cycles   a TLB miss: {text}; {held}"


@dataclass(frozen=True)
class Ladder:
    """A walk, level by level. ``start`` says from which register it starts, ``text`` how it ends."""

    va: int
    access: Access
    privileged: bool
    start: str
    rungs: tuple[Rung, ...]
    result: Translation
    text: str
    software: SoftwareBits | None
    area: str | None
    cost: MissCost | None

    @property
    def lines(self) -> list[str]:
        where = f" ({self.area})" if self.area else ""
        what = f"{access_text(self.access)} from {who_text(self.privileged)}"
        lines = [f"{self.va:#010x}{where}: {what}, {self.start}", *(rung.line for rung in self.rungs)]
        if self.software is not None and (self.software.names or self.software.swap):
            lines.append(f"  Linux    {_software_text(self.software)}")
        if self.result.size:
            lines.append(f"  result   {_result_text(self.result)}")
            lines.append(f"  permits  {_permits_text(self.result, self.privileged)}")
        verdict = "ok" if self.result.ok else f"{self.result.fault.text} fault, level {self.result.level}"
        lines.append(f"  verdict  {verdict}: {self.text}")
        if self.cost is not None:
            lines.append(self.cost.line)
        return lines


@dataclass(frozen=True)
class Why:
    """One sentence; ``changes`` are edits that together make the access work, None where there is none
    that is known.
    """

    va: int
    access: Access
    privileged: bool
    works: bool
    text: str
    changes: tuple[Change, ...] | None

    @property
    def lines(self) -> list[str]:
        return [self.text]


@command(
    "walk",
    Address("va"),
    ACCESS,
    PRIVILEGE,
    group="translation",
    example="walk 0xc0008000 w user",
    aliases=("translate", "vtop"),
)
def walk(session: Session, va: int, access: Access = Access.READ, privileged: bool | None = None) -> Ladder:
    """The translation of an address, a line for each table level.

    Each line has the table, the index, the descriptor and its fields by name; below them are the output
    address with its memory type, what each privilege may do, the verdict on this access, and with timing
    what a TLB miss costs. ``user`` and ``priv`` choose the privilege; without them it is that of the CPU.
    """
    regime, who = session.regime, session.privileged if privileged is None else privileged
    found = walk_tables(session.memory, regime, va, access, privileged=who)
    layout = linux_layout(session)
    last = found.steps[-1] if found.steps else None
    software = software_bits(session.memory, regime, last) if layout and last else None
    return Ladder(
        va,
        access,
        who,
        start_text(regime, va, found.result),
        tuple(Rung(step, decode(regime, step)) for step in found.steps),
        found.result,
        found.text,
        software,
        layout.area(va) if layout else None,
        _miss_cost(session, va, access, found),
    )


@command(
    "why",
    Address("va"),
    ACCESS,
    PRIVILEGE,
    group="translation",
    example="why 0 w user",
)
def why(session: Session, va: int, access: Access = Access.READ, privileged: bool | None = None) -> Why:
    """Why an access works or faults, and what would change it, in one sentence."""
    regime, who = session.regime, session.privileged if privileged is None else privileged
    found = walk_tables(session.memory, regime, va, access, privileged=who)
    layout = linux_layout(session)
    reason = explain.explain(session.memory, regime, found, access, who, layout, _vma_text(session, va))
    subject = f"{access_text(access)} at {va:#010x} from {who_text(who)}"
    stale = _stale_text(session, va, found.result)
    return Why(va, access, who, reason.works, f"{subject} {reason.text}{stale}", reason.changes)


def _vma_text(session: Session, va: int) -> str | None:
    """Which VMA of the process that runs covers an address; None without a Kernel model."""
    if Capability.KERNEL not in session.target.capabilities:
        return None
    kernel = session.target.kernel
    for task in kernel.tasks:
        if task.running and task.cpu == session.cpu:
            for area in Process(kernel, task.pid).areas:
                if area.start <= va < area.end:
                    span = f"{area.start:#010x}-{area.end:#010x}"
                    return f"the VMA {span} of {task.name} covers it, so Linux fills it at this fault"
            return f"no VMA of {task.name} covers it, so it is a SIGSEGV"
    return None


def start_text(regime: Regime, va: int, result: Translation) -> str:
    """``long descriptors from TTBR1 = 0x40204000``"""
    if result.flags & Flag.MMU_OFF:
        return "MMU off"
    second = bool(result.flags & Flag.TTBR1)
    base = regime.ttbr1 if second else regime.ttbr0
    form = "long" if regime.long_format else "short"
    asid = f", ASID {explain.asid(regime)}"
    return f"{form} descriptors from TTBR{int(second)} = {base:#x}{asid}"


def _result_text(t: Translation) -> str:
    traits = [
        f"{t.pa:#x}",
        f"in a leaf of {size_text(t.size)}",
        memory_type(t.attr),
        shareability_text(t.shareability),
    ]
    traits.append("of one ASID" if t.flags & Flag.NG else "global")
    if t.flags & Flag.NS:
        traits.append("non-secure")
    if t.flags & Flag.DOMAIN_MANAGER:
        traits.append(f"domain {t.domain} is a manager: nothing is checked")
    return ", ".join(traits)


def _permits_text(t: Translation, privileged: bool) -> str:
    kernel, user = (t.prot, t.prot_other) if privileged else (t.prot_other, t.prot)
    return f"{prot_text(kernel)} in kernel mode, {prot_text(user)} in user mode"


def _software_text(bits: SoftwareBits) -> str:
    if bits.swap is not None:
        return f"swap entry, type {bits.swap[0]}, offset {bits.swap[1]:#x}: @{bits.at:#x} = {bits.value:#x}"
    return f"{' '.join(bits.names)}: @{bits.at:#x} = {bits.value:#x}"


def _miss_cost(session: Session, va: int, access: Access, found: Walk) -> MissCost | None:
    """What the walk costs on the core of a machine with timing (csrc/machine/timed/tlb.c bills the same)."""
    reads = len(found.steps)
    if Capability.TLB not in session.target.capabilities or not reads:
        return None
    timing, core, tlb = session.cycle_model
    micro = "micro_load" if access is Access.READ else "micro_instruction"
    if access is Access.WRITE:
        micro = "micro_store" if core["micro_store.entries"] else "micro_load"
    lookup = core[f"{micro}.miss_cycles"] + core["main_tlb.miss_cycles"]
    cached = timing == "cache" and core["walk.through_l1d"]
    near = core["l1d.hit_cycles"] if cached else core["l2.hit_cycles"]
    far = core["l2.hit_cycles"] + _dram_cycles(core)
    asid = explain.asid(session.regime)
    held = [ARRAYS[which] for which in arrays(core) if tlb.holds(which, va, asid)]
    # The walk cache holds last-level tables (csrc/mmu/tlb.c).
    last = 3 if session.regime.long_format else 2
    kept = core["walk.cache_entries"] and found.steps[-1].level == last
    return MissCost(
        core.name,
        lookup,
        reads,
        lookup + reads * near,
        lookup + reads * far,
        lookup + near if kept else None,
        tuple(held),
    )


def _dram_cycles(core: Core) -> int:
    return int(lib.pe_core_dram_cycles(core.native()))


def _stale_text(session: Session, va: int, fresh: Translation) -> str:
    """A warning where a modelled TLB has something else than the tables say."""
    if Capability.TLB not in session.target.capabilities:
        return ""
    for where, entry in entries_at(session, va):
        text = contradiction(entry, va, fresh)
        if text:
            return f" But the {where} holds another translation: {text}."
    return ""
