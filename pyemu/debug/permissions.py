"""Why AP, XN and their kin refuse an access, and the smallest edit that would permit it."""

from __future__ import annotations

from pyemu.debug.reasons import Case, Change, Reason, others
from pyemu.mmu import Access, Fault

__all__ = ["permission"]

_SCTLR_WXN, _SCTLR_UWXN, _SCTLR_AFE = 1 << 19, 1 << 20, 1 << 29
_AP1, _AP2, _PXN, _XN = 1 << 6, 1 << 7, 1 << 53, 1 << 54
_APTABLE0, _APTABLE1, _XNTABLE, _PXNTABLE = 1 << 61, 1 << 62, 1 << 60, 1 << 59
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


def permission(case: Case) -> Reason:
    """A permission fault."""
    reasons, changes = (_long_permission if case.regime.long_format else _short_permission)(case)
    linux = _linux_permission(case)
    return Reason(
        False,
        f"faults: permission, level {case.walk.result.level}. {'; '.join(reasons)}.{linux}",
        tuple(changes),
    )


def _linux_permission(case: Case) -> str:
    bits = case.software
    if bits is None or case.access is not Access.WRITE:
        return ""
    if not case.user_address and not case.privileged:
        return ""
    if not case.user_address:
        return " Linux keeps its text and constants so (STRICT_KERNEL_RWX)." if bits.readonly else ""
    if bits.readonly:
        return (
            " Linux marks it read-only (RDONLY set): the fault copies the page if the VMA is writable, else "
            "it is a SIGSEGV."
        )
    if not bits.dirty:
        return " Linux marks it clean (DIRTY clear): the first write fault sets it."
    return ""


def _long_permission(case: Case) -> tuple[list[str], list[Change]]:
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


def _never_execute(case: Case, writable: bool, user_writable: bool) -> list[tuple[str, Change]]:
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


def _edit(case: Case, clear: int, set_: int) -> str:
    """``changing L3[4] @0x1000 from 0x.. to 0x.. would permit it``"""
    value = case.last.descriptor
    width = 18 if case.regime.long_format else 10
    return (
        f"L{case.last.level}[{case.last.index}] @{case.last.descriptor_pa:#x} is {value:#0{width}x}, and "
        f"{value & ~clear | set_:#0{width}x} would permit it{others(case)}"
    )


def _short_permission(case: Case) -> tuple[list[str], list[Change]]:
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
