"""``doctor mmu``: what is wrong with the MMU's set-up, before or after it was turned on.

The checks look at registers, tables, memory types, the code around the PC, and with timing at the TLBs. Each
finding says what the architecture asks and where (sections of ARM DDI 0406C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from pyemu.debug.code import Omission, omissions
from pyemu.debug.commands.tlb import stale
from pyemu.debug.linux import LinuxLayout, linux_layout, undenied
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.debug.words import memory_type, shareability_text
from pyemu.mem import Memory
from pyemu.mmu import Access, Fault, Flag, MappedRange, Prot, Regime, Walk, mapped_ranges
from pyemu.mmu import walk as walk_tables
from pyemu.native import NativeError

__all__ = ["Examination", "Finding", "doctor_mmu"]

_SCTLR_M, _SCTLR_V, _TTBCR_EAE = 1, 1 << 13, 1 << 31
_CPSR_T, _CPSR_MODE, _USER = 1 << 5, 0x1F, 0x10
_NEAR_BYTES = 16 << 10
_MAX_EACH = 8
_MAX_RANGES = 1 << 17
_HIGH_VECTORS = 0xFFFF_0000


@dataclass(frozen=True)
class Finding:
    """``check`` is the check's name; ``text`` what is wrong; ``asks`` what the architecture asks for, in
    ``section`` of ARM DDI 0406C."""

    check: str
    text: str
    asks: str
    section: str


@dataclass(frozen=True)
class Examination:
    """``state`` in words, what was found, and ``notes`` on what could not be checked."""

    state: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        lines = [self.state]
        for number, each in enumerate(self.findings, 1):
            lines.append(f"{number}. {each.check}: {each.text}")
            lines.append(f"   the architecture: {each.asks} (ARM DDI 0406C {each.section})")
        if not self.findings:
            lines.append("no finding")
        return [*lines, *(f"note: {note}" for note in self.notes)]


@dataclass(frozen=True)
class _Case:
    """What the checks look at; ``regime`` has SCTLR.M set, ``on`` says whether the CPU's has."""

    session: Session
    memory: Memory
    regime: Regime
    on: bool
    privileged: bool
    pc: int | None
    thumb: bool
    vectors: int
    linux: LinuxLayout | None
    ranges: tuple[MappedRange, ...]

    def fetch(self, va: int, privileged: bool = True) -> Walk:
        return walk_tables(self.memory, self.regime, va, Access.FETCH, privileged=privileged)

    def is_ram(self, pa: int) -> bool:
        return any(
            segment.base <= pa < segment.base + segment.size
            for segment in self.memory.segments
            if not segment.readonly
        )


@command("doctor mmu", group="doctor", example="doctor mmu", aliases=("doctor",))
def doctor_mmu(session: Session) -> Examination:
    """Checks of the MMU's set-up; each finding says what the architecture asks and where.

    With the MMU off they tell what would happen once SCTLR.M is set. Checked are: that the PC and the vectors
    are mapped and may be executed; the format against TTBCR.EAE; the alignment of root tables; tables outside
    memory; the access flag; domains; attribute indices that MAIR leaves 0; reserved encodings; device memory
    that may be executed; mismatched aliases; barriers around SCTLR and TLB operations near the PC; and, with
    timing, TLB entries that contradict the tables.
    """
    real = session.regime
    state = _state(session, real)
    if not real.mmu_on and not real.ttbr0 and not real.ttbr1:
        note = "the MMU is off and no table is set: run to where SCTLR.M is set, then ask again"
        return Examination(state, (), (note,))
    case = _case(session, real)
    findings: list[Finding] = []
    for check in _CHECKS:
        findings += check(case)
        if any(each.check in _DECISIVE for each in findings):
            break
    notes = []
    if Capability.TLB not in session.target.capabilities:
        notes.append("TLB entries were not checked: that needs --timing tlb or --timing cache")
    if case.linux is not None:
        notes.append("Linux: the code and mismatched aliases were not checked")
    if len(case.ranges) == _MAX_RANGES:
        notes.append(
            f"of what is mapped, {case.ranges[-1].end:#x} and above was not checked: it is in many pieces"
        )
    old = sum(each.descriptors for each in case.ranges if not each.accessed)
    if old:
        notes.append(f"{old} leaves have their access flag clear: the first access to each faults")
    return Examination(state, tuple(findings), tuple(notes))


def _state(session: Session, regime: Regime) -> str:
    form = "long" if regime.long_format else "short"
    if regime.mmu_on:
        return f"CPU {session.cpu}: the MMU is on, {form} descriptors"
    return f"CPU {session.cpu}: the MMU is off; checked as if SCTLR.M were set, {form} descriptors"


def _case(session: Session, real: Regime) -> _Case:
    known = session.registers
    regime = replace(real, sctlr=real.sctlr | _SCTLR_M)
    cpsr = known.get("cpsr", 0x13)
    vectors = _HIGH_VECTORS if real.sctlr & _SCTLR_V else known.get("vbar", 0)
    return _Case(
        session,
        session.memory,
        regime,
        real.mmu_on,
        cpsr & _CPSR_MODE != _USER,
        known.get("pc", known.get("r15")),
        bool(cpsr & _CPSR_T),
        vectors,
        linux_layout(session) if real.mmu_on else None,
        tuple(islice(mapped_ranges(session.memory, undenied(regime), contiguous=True), _MAX_RANGES)),
    )


# ---- registers ----


def _root_alignment(case: _Case) -> Iterator[Finding]:
    """Low bits of TTBR that are neither address nor attributes."""
    r = case.regime
    for number, value in enumerate((r.ttbr0, r.ttbr1)):
        if r.long_format:
            size = r.ttbcr >> 16 * number & 7
            used = number == 0 or size or r.ttbcr & 7
            align = 1 << (5 - size if size <= 1 else 14 - size)
            stray = value & align - 1 & ~7
        else:
            n = r.ttbcr & 7
            used = number == 0 or n
            align = 1 << (14 - n if number == 0 else 14)
            stray = value & align - 1 & ~0x7F
        if used and stray:
            yield Finding(
                "table alignment",
                f"TTBR{number} = {value:#x}: the root table must be aligned to {align:#x} bytes, the "
                f"hardware takes {value & ~0x7F & -align & 0xFF_FFFF_FFFF:#x}",
                "a root table is aligned to its size; lower bits of the base are ignored or unpredictable",
                "B4.1.154",
            )


def _format(case: _Case) -> Iterator[Finding]:
    """The PC translates only if TTBCR.EAE were the other way round."""
    if case.pc is None or case.fetch(case.pc, case.privileged).result.size:
        return
    other = replace(case.regime, ttbcr=case.regime.ttbcr ^ _TTBCR_EAE)
    guess = walk_tables(case.memory, other, case.pc, Access.FETCH, privileged=True).result
    if not guess.size or guess.pa >= 1 << 40 or not _holds_code(case, guess.pa):
        return
    now, then = ("long", "short") if case.regime.long_format else ("short", "long")
    yield Finding(
        "descriptor format",
        f"TTBCR.EAE = {int(case.regime.long_format)} selects {now} descriptors, but the tables at TTBR0 "
        f"{case.regime.ttbr0:#x} are {then} ones: read so, they map the PC {case.pc:#010x} to {guess.pa:#x}",
        "TTBCR.EAE selects the format of all stage 1 tables of PL1 and PL0",
        "B4.1.153",
    )


def _holds_code(case: _Case, pa: int) -> bool:
    """Whether physical memory there is the same as at the PC with the MMU off, or any memory with it on."""
    try:
        return any(case.memory.read(pa & -64, 64))
    except NativeError:
        return False


# ---- the way of an instruction ----


def _execution(case: _Case) -> Iterator[Finding]:
    """The PC and the vectors can be fetched."""
    if case.pc is not None:
        yield from _fetchable(case, case.pc, "the PC", case.privileged)
    vector = case.vectors + 0xC
    if case.pc is None or case.pc & -32 != case.vectors:
        yield from _fetchable(case, vector, "the prefetch abort vector", True)


def _fetchable(case: _Case, va: int, what: str, privileged: bool) -> Iterator[Finding]:
    found = case.fetch(va, privileged)
    t = found.result
    at = f"{what} {case.session.place(va)}"
    if t.ok:
        if not case.on and t.pa != va and what == "the PC":
            yield Finding(
                "identity map",
                f"{at} maps to {t.pa:#x}: the next instruction would be fetched from there",
                "code that turns the MMU on lies where virtual and physical address are the same",
                "B3.2.4",
            )
        return
    yield _FETCH_FAULTS[t.fault](case, at, va, found)


def _unmapped(case: _Case, at: str, va: int, found: Walk) -> Finding:
    elsewhere = [r.va + va - r.pa for r in case.ranges if not r.outside and r.pa <= va < r.pa + r.size]
    hint = f"; physical {va:#x} is mapped at {elsewhere[0]:#010x}" if elsewhere else ""
    return Finding(
        "identity map",
        f"{at} is not mapped: {found.text}{hint}",
        "when SCTLR.M is set the following instructions are fetched by their virtual address: the code that "
        "turns the MMU on must be mapped to itself",
        "B3.2.4",
    )


def _table_outside(case: _Case, at: str, va: int, found: Walk) -> Finding:
    return Finding(
        "table outside memory",
        f"the walk for {at} leaves memory: {found.text}",
        "a descriptor is read from memory; where nothing answers the walk takes an external abort",
        "B3.12.3",
    )


def _flag_clear(case: _Case, at: str, va: int, found: Walk) -> Finding:
    bit = "AF (bit 10)" if case.regime.long_format else "AP[0], which SCTLR.AFE = 1 makes the access flag,"
    return Finding(
        "access flag",
        f"{at}: {found.text}; {bit} must be set",
        "software manages the access flag on ARMv7: the first access through a descriptor with AF = 0 faults",
        "B3.7.4",
    )


def _no_domain(case: _Case, at: str, va: int, found: Walk) -> Finding:
    return Finding(
        "domain",
        f"{at}: {found.text}",
        "DACR decides for each domain: 0b01 (client) checks the permissions, 0b00 and 0b10 fault each access",
        "B3.7.3",
    )


def _not_executable(case: _Case, at: str, va: int, found: Walk) -> Finding:
    t = found.result
    prot = t.prot
    if Prot.READ not in prot:
        text, asks = "may not be read, so not executed", "to execute takes read permission and XN = 0"
    elif case.regime.sctlr & 1 << 19 and Prot.WRITE in prot:
        text, asks = "is writable, and SCTLR.WXN = 1", "with SCTLR.WXN memory that can be written is XN"
    else:
        text, asks = "has XN or PXN set", "XN = 1 forbids execution, PXN = 1 at PL1"
    return Finding("execute never", f"{at} {text}: {found.text}", asks, "B3.7.2")


_FETCH_FAULTS: dict[Fault, Callable[[_Case, str, int, Walk], Finding]] = {
    Fault.TRANSLATION: _unmapped,
    Fault.EXTERNAL_WALK: _table_outside,
    Fault.ACCESS_FLAG: _flag_clear,
    Fault.DOMAIN: _no_domain,
    Fault.PERMISSION: _not_executable,
}


# ---- tables ----


def _outside(case: _Case) -> Iterator[Finding]:
    for each in [r for r in case.ranges if r.outside][:_MAX_EACH]:
        yield Finding(
            "table outside memory",
            f"{each.va:#010x}-{each.end:#x} is translated by a table at {each.descriptor_pa & -4096:#x}, "
            "where there is no memory",
            "a descriptor is read from memory; where nothing answers the walk takes an external abort",
            "B3.12.3",
        )


def _memory_types(case: _Case) -> Iterator[Finding]:
    """Attribute indices whose byte of MAIR was never set, and devices that may be executed."""
    unset: dict[int, MappedRange] = {}
    for r in case.ranges:
        if r.outside or not case.regime.long_format:
            continue
        index = r.descriptor >> 2 & 7
        if r.attr == 0 and case.is_ram(r.pa):
            unset.setdefault(index, r)
    for index, r in unset.items():
        register = f"MAIR{index // 4} = {(case.regime.mair0, case.regime.mair1)[index // 4]:#010x}"
        yield Finding(
            "memory attributes",
            f"AttrIndx {index} is used for RAM at {r.va:#010x} (@{r.descriptor_pa:#x} = {r.descriptor:#x}), "
            f"and its byte of {register} is 0: Strongly-ordered, so not cached, no exclusives, no unaligned "
            "access",
            "AttrIndx selects a byte of MAIR0 or MAIR1, and 0x00 there means Strongly-ordered",
            "B4.1.104",
        )
    count = 0
    for r in case.ranges:
        device = r.attr in (0x00, 0x04) and not r.outside and not case.is_ram(r.pa)
        if device and Prot.EXEC in r.prot | r.prot_user and count < _MAX_EACH:
            count += 1
            yield Finding(
                "device memory",
                f"{r.va:#010x}-{r.end:#x} is {memory_type(r.attr)} at {r.pa:#x} and may be executed: a "
                "speculative fetch may read a device",
                "memory that contains read-sensitive devices is marked XN",
                "B3.7.2",
            )


def _reserved(case: _Case) -> Iterator[Finding]:
    found = 0
    for r in case.ranges:
        if r.outside or found == _MAX_EACH:
            continue
        if case.regime.long_format:
            wrong = "SH[1:0] = 0b01" if r.descriptor >> 8 & 3 == 1 and r.attr >> 4 else ""
            section = "B3.8.2"
        else:
            low, top = (10, 15) if r.level == 1 else (4, 9)
            ap = r.descriptor >> low & 3 | (r.descriptor >> top & 1) << 2
            wrong, section = ("AP[2:0] = 0b100" if ap == 4 else ""), "B3.7.1"
        if wrong:
            found += 1
            yield Finding(
                "reserved encoding",
                f"{r.va:#010x} has {wrong} (@{r.descriptor_pa:#x} = {r.descriptor:#x})",
                f"{wrong} is reserved: its effect is unpredictable",
                section,
            )


def _aliases(case: _Case) -> Iterator[Finding]:
    """RAM that is mapped twice with different memory types."""
    if case.linux is not None:
        return
    ram = sorted((r for r in case.ranges if not r.outside and case.is_ram(r.pa)), key=lambda r: r.pa)
    found, last = 0, None
    for r in ram:
        again = last is not None and r.pa < last.pa + last.size
        if last is not None and again and _type(r) != _type(last) and found < _MAX_EACH:
            found += 1
            other = last.va + r.pa - last.pa
            yield Finding(
                "mismatched attributes",
                f"physical {r.pa:#x} is {_type(last)} at {other:#010x} and {_type(r)} at {r.va:#010x}",
                "all aliases of a location have the same memory type, cacheability and shareability",
                "A3.5.7",
            )
        if last is None or r.pa + r.size > last.pa + last.size:
            last = r


def _type(r: MappedRange) -> str:
    return f"{memory_type(r.attr)}, {shareability_text(r.shareability)}"


# ---- code and TLBs ----


def _barriers(case: _Case) -> Iterator[Finding]:
    if case.linux is not None:
        return
    for start, data in _code(case):
        for each in omissions(data, start, thumb=case.thumb)[:_MAX_EACH]:
            yield _omitted(case, each)


def _omitted(case: _Case, each: Omission) -> Finding:
    at = case.session.place(each.address)
    if each.what == "sctlr-isb":
        return Finding(
            "missing barrier",
            f"the write of SCTLR at {at} has no ISB behind it: instructions after it may still run as before",
            "a change of a system control register is certain to be seen after an ISB, an exception or the "
            "return from one",
            "B3.15.5",
        )
    if each.what == "tlbi-dsb":
        return Finding(
            "missing barrier",
            f"the TLB operation at {at} has no DSB behind it: it need not be complete when the code goes on",
            "TLB maintenance is complete after a DSB, and its effect on fetches certain after an ISB",
            "B3.10.1",
        )
    return Finding(
        "missing barrier",
        f"no DSB between the store at {each.other:#010x} and the TLB operation at {at}: if it writes a "
        "descriptor, a walk may read the old one after the invalidation",
        "a DSB makes a write of a translation table visible to walks before TLB maintenance",
        "B3.10.1",
    )


def _code(case: _Case) -> Iterator[tuple[int, bytes]]:
    """What was loaded as an image, or else the memory around the PC."""
    machine = case.session.target.machine
    if machine is not None and machine.plan is not None and machine.plan.kind in ("elf", "flat"):
        for item in machine.plan.placements:
            if item.what != "device tree":
                yield item.address, case.memory.read(item.address, min(len(item.data), 1 << 20))
        return
    if case.pc is None:
        return
    walk = case.fetch(case.pc, case.privileged).result
    pa = walk.pa if walk.size else case.pc
    for offset in range(-_NEAR_BYTES, _NEAR_BYTES, 4096):
        try:
            yield (case.pc & -4096) + offset, case.memory.read((pa & -4096) + offset, 4096)
        except (NativeError, ValueError):
            continue


def _stale(case: _Case) -> Iterator[Finding]:
    if Capability.TLB not in case.session.target.capabilities or not case.on:
        return
    seen: set[int] = set()
    for each in stale(case.session).entries[: 4 * _MAX_EACH]:
        if each.va not in seen and len(seen) < _MAX_EACH:
            seen.add(each.va)
            yield Finding(
                "missing TLBI",
                f"{each.held.where}: {each.va:#010x}: {each.text}",
                "after a change of a valid descriptor its TLB entries are invalidated (DSB, TLBI, DSB, ISB); "
                "till then the old translation may be used",
                "B3.10.1",
            )


def _broken_flags(case: _Case) -> Iterator[Finding]:
    """Hints that ARMv7 without the extension has no meaning for."""
    for r in case.ranges:
        if r.flags & Flag.LARGE and r.descriptors % 16:
            yield Finding(
                "repeated descriptors",
                f"{r.va:#010x}-{r.end:#x} has {r.descriptors} descriptors of large pages: each takes 16",
                "a large page or supersection is described by 16 identical descriptors",
                "B3.5.1",
            )


# Behind one of these, what the tables seem to say means little.
_DECISIVE = ("descriptor format", "memory attributes")
_CHECKS: tuple[Callable[[_Case], Iterator[Finding]], ...] = (
    _root_alignment,
    _format,
    _execution,
    _outside,
    _memory_types,
    _reserved,
    _broken_flags,
    _aliases,
    _barriers,
    _stale,
)
