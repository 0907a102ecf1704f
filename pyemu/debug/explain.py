"""Why an access works or faults, in one sentence, and what would change it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyemu.debug.descriptors import decode
from pyemu.debug.linux import LinuxLayout, SoftwareBits, software_bits
from pyemu.debug.words import memory_type, prot_text, size_text
from pyemu.mem import Memory
from pyemu.mmu import Access, DescriptorKind, Fault, Flag, Regime, Step, Walk, walk
from pyemu.native import NativeError

__all__ = ["Change", "Reason", "asid", "explain"]

_SCTLR_WXN, _SCTLR_UWXN, _SCTLR_AFE = 1 << 19, 1 << 20, 1 << 29
_TTBCR_EAE, _TTBCR_A1 = 1 << 31, 1 << 22
_TTBCR_EPD = {True: (1 << 7, 1 << 23), False: (1 << 4, 1 << 5)}
_AP1, _AP2, _AF, _PXN, _XN = 1 << 6, 1 << 7, 1 << 10, 1 << 53, 1 << 54
_APTABLE0, _APTABLE1, _XNTABLE, _PXNTABLE = 1 << 61, 1 << 62, 1 << 60, 1 << 59
_DOMAIN_USER = 1  # asm/domain.h
_PAN = "This is Linux's software PAN: user memory is out of the kernel's reach outside uaccess windows."
_AP_TEXT = {
    0b00: "read and write for PL1 only",
    0b01: "read and write for both",
    0b10: "read-only for PL1 only",
    0b11: "read-only for both",
}
_SHORT_AP_TEXT = {
    0b000: "no access",
    0b001: "read and write for PL1 only",
    0b010: "read and write for PL1, read-only for PL0",
    0b011: "read and write for both",
    0b100: "reserved",
    0b101: "read-only for PL1 only",
    0b110: "read-only for both",
    0b111: "read-only for both",
}


@dataclass(frozen=True)
class Change:
    """An edit: bits of a descriptor (``where`` "descriptor", at ``pa``) or of a register (its name) to clear
    and then to set.
    """

    where: str
    pa: int | None
    clear: int
    set: int

    def of(self, value: int) -> int:
        """The value after the edit."""
        return value & ~self.clear | self.set


@dataclass(frozen=True)
class Reason:
    """``text`` goes on from "write at 0x0 from user mode": "faults: ..."."""

    works: bool
    text: str
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True)
class _Case:
    memory: Memory
    regime: Regime
    walk: Walk
    access: Access
    privileged: bool
    layout: LinuxLayout | None
    vma: str | None

    @property
    def last(self) -> Step:
        return self.walk.steps[-1]

    @property
    def software(self) -> SoftwareBits | None:
        if self.layout is None or not self.walk.steps:
            return None
        return software_bits(self.memory, self.regime, self.last)

    @property
    def user_address(self) -> bool:
        return self.layout is not None and self.walk.va < self.layout.task_size


def asid(regime: Regime) -> int:
    """The current ASID (ARM DDI 0406C B4.1.36, B4.1.153)."""
    if not regime.long_format:
        return regime.contextidr & 0xFF
    return (regime.ttbr1 if regime.ttbcr & _TTBCR_A1 else regime.ttbr0) >> 48 & 0xFF


def explain(
    memory: Memory,
    regime: Regime,
    walk: Walk,
    access: Access,
    privileged: bool,
    layout: LinuxLayout | None,
    vma: str | None = None,
) -> Reason:
    """Why the access that was walked works or faults; ``layout`` where the guest is Linux.

    ``vma`` says in a clause which VMA covers a user address, where that is known.
    """
    case = _Case(memory, regime, walk, access, privileged, layout, vma)
    if walk.result.ok:
        return _works(case)
    if walk.result.fault is Fault.TRANSLATION and not walk.steps:
        return _not_started(case)
    return _FAULTS[walk.result.fault](case)


def _at(step: Step, long_format: bool) -> str:
    width = 18 if long_format else 10
    return f"L{step.level}[{step.index}] @{step.descriptor_pa:#x} = {step.descriptor:#0{width}x}"


def _leaf(case: _Case, *, first: bool = False) -> str:
    kind = decode(case.regime, case.last).kind
    return f"{'The' if first else 'the'} {kind} {_at(case.last, case.regime.long_format)}"


def _works(case: _Case) -> Reason:
    t = case.walk.result
    nothing = (
        "" if _backed(case.memory, t.pa) else "; no memory is there: a device answers, or an external abort"
    )
    if t.flags & Flag.MMU_OFF:
        return Reason(True, f"works: the MMU is off (SCTLR.M = 0), so the address is physical{nothing}.", ())
    kernel, user = (t.prot, t.prot_other) if case.privileged else (t.prot_other, t.prot)
    both = f"permits {prot_text(kernel)} in kernel mode and {prot_text(user)} in user mode"
    if t.flags & Flag.DOMAIN_MANAGER:
        both = f"is in domain {t.domain}, whose manager is not checked (DACR {case.regime.dacr:#010x})"
    return Reason(
        True,
        f"works: it is {t.pa:#x}, {memory_type(t.attr)}; {_leaf(case)} maps {size_text(t.size)} and "
        f"{both}{nothing}.",
        (),
    )


def _backed(memory: Memory, pa: int) -> bool:
    try:
        memory.read(pa, 1)
    except NativeError:
        return False
    return True


# ---- translation faults ----


def _not_started(case: _Case) -> Reason:
    regime, t = case.regime, case.walk.result
    second = bool(t.flags & Flag.TTBR1)
    bit = _TTBCR_EPD[regime.long_format][second]
    if not regime.ttbcr & bit:
        return Reason(
            False,
            f"faults: translation, level 1. No TTBR translates it: {case.walk.text.partition(': ')[2]}; "
            "smaller values of T0SZ or T1SZ would close the gap.",
        )
    name = f"TTBCR.{'EPD' if regime.long_format else 'PD'}{int(second)}"
    pan = ""
    if case.layout is not None and not second and regime.long_format:
        pan = " This is Linux's TTBR0 PAN: user memory is out of the kernel's reach outside uaccess windows."
    return Reason(
        False,
        f"faults: translation, level 1. {name} = 1 disables walks from TTBR{int(second)}; clearing it would "
        f"let the walk begin.{pan}",
        (Change("ttbcr", None, bit, 0),),
    )


def _translation(case: _Case) -> Reason:
    step = case.last
    head = f"faults: translation, level {step.level}. {_at(step, case.regime.long_format)}"
    if step.kind is DescriptorKind.RESERVED:
        return Reason(
            False,
            f"{head} has bits 1:0 = 0b01, which are reserved at level 3; 0b11 would make it a page.",
            (Change("descriptor", step.descriptor_pa, 0, 2),),
        )
    return Reason(False, f"{head} is invalid{_invalid(case, step)}.")


def _invalid(case: _Case, step: Step) -> str:
    software = case.software
    if software is not None and software.swap is not None:
        kind, offset = software.swap
        return (
            f": Linux has a swap entry there (type {kind}, offset {offset:#x}): the fault reads the page in"
        )
    if software is not None and software.none:
        return ": Linux has PROT_NONE there; mprotect would make it accessible"
    if software is not None and software.present and not software.young:
        return (
            ": Linux's entry has YOUNG clear, so the hardware's is empty (this format has no access flag); "
            "the fault sets it"
        )
    if step.descriptor:
        return f" (bits 1:0 are {step.descriptor & 3:#04b}) though it is not zero"
    last = step.level == (3 if case.regime.long_format else 2)
    needed = f"a {'page' if last else 'table or block'} descriptor there would map it"
    if case.user_address:
        linux = case.vma or "if a VMA covers it Linux fills it at this fault, else it is a SIGSEGV"
        return f": nothing is mapped; {linux}; {needed}"
    return f": nothing is mapped; {needed}"


def _external_walk(case: _Case) -> Reason:
    step = case.last
    source = (
        f"TTBR{step.ttbr}" if len(case.walk.steps) == 1 else _at(case.walk.steps[-2], case.regime.long_format)
    )
    return Reason(
        False,
        f"faults: external abort on the walk, level {step.level}. The table at {step.table_pa:#x}, which "
        f"{source} points to, lies outside memory; a table in RAM would be read.",
    )


# ---- faults of a leaf ----


def _access_flag(case: _Case) -> Reason:
    level = case.walk.result.level
    name, bit = ("AF", _AF) if case.regime.long_format else ("AP[0]", _short_ap0(case.last))
    why = "" if case.regime.long_format else " (SCTLR.AFE = 1 makes it the access flag)"
    linux = ""
    if case.layout is not None:
        linux = " Linux marks it old (YOUNG is clear): the fault sets it and the access is repeated."
    return Reason(
        False,
        f"faults: access flag, level {level}. {_leaf(case, first=True)} has {name} = 0{why}; ARMv7 does not "
        f"set it by hardware, setting it would pass this check.{linux}",
        (Change("descriptor", case.last.descriptor_pa, 0, bit),),
    )


def _short_ap0(step: Step) -> int:
    return 1 << 10 if step.level == 1 else 1 << 4


def _domain(case: _Case) -> Reason:
    t = case.walk.result
    access = case.regime.dacr >> 2 * t.domain & 3
    linux = ""
    if case.layout is not None and t.domain == _DOMAIN_USER:
        linux = f" {_PAN}"
        if not case.privileged:
            linux += _as_client(case)
    return Reason(
        False,
        f"faults: domain, level {t.level}. {_leaf(case, first=True)} is in domain {t.domain}, to which DACR "
        f"{case.regime.dacr:#010x} gives {'no access' if not access else 'the reserved value 2'}; "
        f"client (1) in bits {2 * t.domain + 1}:{2 * t.domain} would let the permissions decide.{linux}",
        (Change("dacr", None, 3 << 2 * t.domain, 1 << 2 * t.domain),),
    )


def _as_client(case: _Case) -> str:
    """What user mode gets: Linux lets the domain be a client's on the way there."""
    regime = replace(case.regime, dacr=case.regime.dacr & ~(3 << 2 * _DOMAIN_USER) | 1 << 2 * _DOMAIN_USER)
    found = walk(case.memory, regime, case.walk.va, case.access, privileged=False)
    reason = explain(case.memory, regime, found, case.access, False, case.layout, case.vma)
    return f" With the domain a client's, as it is when user mode runs, it {reason.text}"


def _permission(case: _Case) -> Reason:
    reasons, changes = (_long_permission if case.regime.long_format else _short_permission)(case)
    linux = _linux_permission(case)
    return Reason(
        False,
        f"faults: permission, level {case.walk.result.level}. {'; '.join(reasons)}.{linux}",
        tuple(changes),
    )


def _linux_permission(case: _Case) -> str:
    bits = case.software
    if bits is None or case.access is not Access.WRITE:
        return ""
    if not case.user_address and not case.privileged:
        return ""
    if bits.readonly:
        return (
            " Linux marks it read-only (RDONLY set): the fault copies the page if the VMA is writable, else "
            "it is a SIGSEGV."
        )
    if not bits.dirty:
        return " Linux marks it clean (DIRTY clear): the first write fault sets it."
    return ""


def _long_permission(case: _Case) -> tuple[list[str], list[Change]]:
    d, steps = case.last.descriptor, case.walk.steps
    above = 0
    for step in steps[:-1]:
        above |= step.descriptor
    reasons: list[str] = []
    clear = set_ = 0
    changes: list[Change] = []

    def tables(bit: int, name: str, effect: str) -> None:
        for step in steps[:-1]:
            if step.descriptor & bit:
                reasons.append(f"{name} in L{step.level}[{step.index}] @{step.descriptor_pa:#x} {effect}")
                changes.append(Change("descriptor", step.descriptor_pa, bit, 0))

    ap = d >> 6 & 3
    shown = f"AP[2:1]=0b{ap:02b} is {_AP_TEXT[ap]}"
    if not case.privileged and (not d & _AP1 or above & _APTABLE0):
        if not d & _AP1:
            reasons.append(shown)
            set_ |= _AP1
        tables(_APTABLE0, "APTable[0]", "takes PL0's access away")
    if case.access is Access.WRITE and (d & _AP2 or above & _APTABLE1):
        if d & _AP2:
            if shown not in reasons:
                reasons.append(shown)
            clear |= _AP2
        tables(_APTABLE1, "APTable[1]", "makes it read-only")
    if case.access is Access.FETCH:
        if d & _XN:
            reasons.append("XN = 1 forbids execution")
            clear |= _XN
        tables(_XNTABLE, "XNTable", "forbids execution")
        if case.privileged:
            if d & _PXN:
                reasons.append("PXN = 1 forbids execution at PL1")
                clear |= _PXN
            tables(_PXNTABLE, "PXNTable", "forbids execution at PL1")
        user_changed = not case.privileged and bool(set_ & _AP1)
        writable = not d & _AP2 and not above & _APTABLE1
        user_writable = writable and (bool(d & _AP1) or user_changed) and not above & _APTABLE0
        sctlr = _never_execute(case, writable, user_writable)
        reasons += [text for text, _ in sctlr]
        changes += [change for _, change in sctlr]
    if clear or set_:
        changes.append(Change("descriptor", case.last.descriptor_pa, clear, set_))
        reasons.append(_edit(case, clear, set_))
    return reasons, changes


def _never_execute(case: _Case, writable: bool, user_writable: bool) -> list[tuple[str, Change]]:
    """SCTLR.WXN and SCTLR.UWXN (ARM DDI 0406C B3.7.2)."""
    found = []
    if case.regime.sctlr & _SCTLR_WXN and (writable if case.privileged else user_writable):
        change = Change("sctlr", None, _SCTLR_WXN, 0)
        found.append(
            ("SCTLR.WXN = 1 forbids execution of what is writable; clearing it would allow it", change)
        )
    if case.regime.sctlr & _SCTLR_UWXN and case.privileged and user_writable:
        change = Change("sctlr", None, _SCTLR_UWXN, 0)
        found.append(
            ("SCTLR.UWXN = 1 forbids PL1 to execute what PL0 can write; clearing it would allow it", change)
        )
    return found


def _edit(case: _Case, clear: int, set_: int) -> str:
    """``changing L3[4] @0x1000 from 0x.. to 0x.. would permit it``"""
    value = case.last.descriptor
    width = 18 if case.regime.long_format else 10
    return (
        f"L{case.last.level}[{case.last.index}] @{case.last.descriptor_pa:#x} is {value:#0{width}x}, and "
        f"{value & ~clear | set_:#0{width}x} would permit it"
    )


def _short_permission(case: _Case) -> tuple[list[str], list[Change]]:
    t, step = case.walk.result, case.last
    d, low = step.descriptor, 10 if step.level == 1 else 4
    top = 15 if step.level == 1 else 9
    ap = d >> low & 3 | (d >> top & 1) << 2
    afe = bool(case.regime.sctlr & _SCTLR_AFE)
    held = ap | afe
    reasons: list[str] = []
    changes: list[Change] = []
    clear = set_ = 0
    needed = _short_ap(held, case.access, case.privileged, afe)
    if needed is not None:
        reasons.append(f"AP[2:0]=0b{held:03b} is {_SHORT_AP_TEXT[held]}")
        clear |= 3 << low | 1 << top
        set_ |= (needed & 3) << low | (needed >> 2) << top
        held = needed
    if case.access is Access.FETCH:
        xn = 1 << (4 if step.level == 1 else 15 if d & 3 == 1 else 0)
        if d & xn:
            reasons.append("XN = 1 forbids execution")
            clear |= xn
        if case.privileged:
            pxn_step, bit = (step, 1) if step.level == 1 else (case.walk.steps[0], 1 << 2)
            if pxn_step.descriptor & bit:
                where = f"L1[{pxn_step.index}] @{pxn_step.descriptor_pa:#x}"
                reasons.append(f"PXN = 1 in {where} forbids execution at PL1")
                changes.append(Change("descriptor", pxn_step.descriptor_pa, bit, 0))
        sctlr = _never_execute(case, held in (1, 2, 3), held == 3)
        reasons += [text for text, _ in sctlr]
        changes += [change for _, change in sctlr]
    clear &= ~set_
    if clear or set_:
        changes.append(Change("descriptor", step.descriptor_pa, clear, set_))
        reasons.append(_edit(case, clear, set_))
    assert t.fault is Fault.PERMISSION
    return reasons, changes


def _short_ap(ap: int, access: Access, privileged: bool, afe: bool) -> int | None:
    """AP[2:0] that would permit the access with as little more as can be; None where AP does (B3-8);
    with SCTLR.AFE, AP[0] stays 1."""
    write = access is Access.WRITE
    readers, writers = (0xEE, 0x0E) if privileged else (0xCC, 0x08)
    if (writers if write else readers) >> ap & 1:
        return None
    if write:
        return 0b001 if privileged else 0b011
    if privileged:
        return 0b101
    return 0b010 if ap == 0b001 and not afe else 0b111


_FAULTS = {
    Fault.TRANSLATION: _translation,
    Fault.EXTERNAL_WALK: _external_walk,
    Fault.ACCESS_FLAG: _access_flag,
    Fault.DOMAIN: _domain,
    Fault.PERMISSION: _permission,
}
