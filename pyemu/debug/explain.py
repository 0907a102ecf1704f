"""Why an access works or faults, in one sentence, and what would change it."""

from __future__ import annotations

from dataclasses import replace

from pyemu.debug.linux import LinuxLayout
from pyemu.debug.permissions import permission
from pyemu.debug.reasons import Case, Change, Reason, at, leaf, others
from pyemu.debug.words import memory_type, prot_text, size_text
from pyemu.mem import Memory
from pyemu.mmu import Access, DescriptorKind, Fault, Flag, Regime, Step, Walk, walk
from pyemu.native import NativeError

__all__ = ["Change", "Reason", "asid", "explain"]

_TTBCR_EAE, _TTBCR_A1 = 1 << 31, 1 << 22
_TTBCR_EPD = {True: (1 << 7, 1 << 23), False: (1 << 4, 1 << 5)}
_AF = 1 << 10
_BLOCK_ONLY = 0xFFC  # bits 11:2 of a long descriptor: a table has nothing there
_DOMAIN_USER = 1  # asm/domain.h
_PAN = "This is Linux's software PAN: user memory is out of the kernel's reach outside uaccess windows."


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
    case = Case(memory, regime, walk, access, privileged, layout, vma)
    if walk.result.ok:
        return _works(case)
    if walk.result.fault is Fault.TRANSLATION and not walk.steps:
        return _not_started(case)
    return _FAULTS[walk.result.fault](case)


def _works(case: Case) -> Reason:
    t = case.walk.result
    backed = _backed(case.memory, t.pa)
    nothing = "" if backed else "; no memory is there: a device answers, or an external abort"
    if t.flags & Flag.MMU_OFF:
        return Reason(True, f"works: the MMU is off (SCTLR.M = 0), so the address is physical{nothing}.", ())
    kernel, user = (t.prot, t.prot_other) if case.privileged else (t.prot_other, t.prot)
    both = f"permits {prot_text(kernel)} in kernel mode and {prot_text(user)} in user mode"
    if t.flags & Flag.DOMAIN_MANAGER:
        both = f"is in domain {t.domain}, whose manager is not checked (DACR {case.regime.dacr:#010x})"
    mapped = f"{leaf(case)} maps {size_text(t.size)} and {both}"
    if case.access is Access.FETCH and not backed:
        text = f"translates, but there is no memory at {t.pa:#x} to execute: an external abort; {mapped}."
        return Reason(False, text)
    return Reason(True, f"works: it is {t.pa:#x}, {memory_type(t.attr)}; {mapped}{nothing}.", ())


def _backed(memory: Memory, pa: int) -> bool:
    try:
        memory.read(pa, 1)
    except NativeError:
        return False
    return True


# ---- translation faults ----


def _not_started(case: Case) -> Reason:
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


def _translation(case: Case) -> Reason:
    step = case.last
    head = f"faults: translation, level {step.level}. {at(step, case.regime.long_format)}"
    if step.kind is DescriptorKind.RESERVED:
        return Reason(
            False,
            f"{head} has bits 1:0 = 0b01, which are reserved at level 3; 0b11 would make it a page.",
            (Change("descriptor", step.descriptor_pa, 0, 2),),
        )
    return Reason(False, f"{head} is invalid{_invalid(case, step)}.")


def _invalid(case: Case, step: Step) -> str:
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
    amiss = _registers_amiss(case)
    if amiss:
        return amiss
    if step.descriptor:
        return f" (bits 1:0 are {step.descriptor & 3:#04b}) though it is not zero{_block_as_table(case)}"
    last = step.level == (3 if case.regime.long_format else 2)
    needed = f"a {'page' if last else 'table or block'} descriptor there would map it"
    if case.user_address:
        linux = case.vma or "if a VMA covers it Linux fills it at this fault, else it is a SIGSEGV"
        return f": nothing is mapped; {linux}; {needed}"
    return f": nothing is mapped; {needed}{_block_as_table(case)}"


def _block_as_table(case: Case) -> str:
    """A table above that has the attributes of a block."""
    for step in case.walk.steps[:-1]:
        if case.regime.long_format and step.descriptor & _BLOCK_ONLY:
            return (
                f"; {at(step, True)}, which points to it, is a table by its bits 1:0 = 0b11 and has the "
                "attributes of a block, 0b01"
            )
    return ""


def _registers_amiss(case: Case) -> str:
    """Where TTBCR, and not the tables, keeps an address from its mapping; empty for anything else."""
    r = case.regime
    if case.layout is not None:
        return ""
    tried = [(r.ttbcr ^ _TTBCR_EAE, f"TTBCR.EAE = {int(r.long_format)}, and the table has the other format")]
    if r.ttbcr & 7 and not r.ttbr1:
        name = "TTBCR.T0SZ" if r.long_format else "TTBCR.N"
        tried.append(
            (
                r.ttbcr & ~(0x0007_0007 if r.long_format else 7),
                f"{name} = {r.ttbcr & 7} leaves it to TTBR1 = 0x0",
            )
        )
    for ttbcr, why in tried:
        found = walk(case.memory, replace(r, ttbcr=ttbcr), case.walk.va, case.access, privileged=True)
        if found.result.ok and _backed(case.memory, found.result.pa):
            return f": {why}; with TTBCR = {ttbcr:#x} it would be {found.result.pa:#x}"
    return ""


def _external_walk(case: Case) -> Reason:
    step = case.last
    source = (
        f"TTBR{step.ttbr}" if len(case.walk.steps) == 1 else at(case.walk.steps[-2], case.regime.long_format)
    )
    return Reason(
        False,
        f"faults: external abort on the walk, level {step.level}. The table at {step.table_pa:#x}, which "
        f"{source} points to, lies outside memory; a table in RAM would be read.",
    )


# ---- faults of a leaf ----


def _access_flag(case: Case) -> Reason:
    level = case.walk.result.level
    name, bit = ("AF", _AF) if case.regime.long_format else ("AP[0]", _short_ap0(case.last))
    why = "" if case.regime.long_format else " (SCTLR.AFE = 1 makes it the access flag)"
    linux = ""
    if case.layout is not None:
        linux = " Linux marks it old (YOUNG is clear): the fault sets it and the access is repeated."
    return Reason(
        False,
        f"faults: access flag, level {level}. {leaf(case, first=True)} has {name} = 0{why}; ARMv7 does not "
        f"set it by hardware, setting it would pass this check{others(case)}.{linux}",
        (Change("descriptor", case.last.descriptor_pa, 0, bit),),
    )


def _short_ap0(step: Step) -> int:
    return 1 << 10 if step.level == 1 else 1 << 4


def _domain(case: Case) -> Reason:
    t = case.walk.result
    access = case.regime.dacr >> 2 * t.domain & 3
    linux = ""
    if case.layout is not None and t.domain == _DOMAIN_USER:
        linux = f" {_PAN}"
        if not case.privileged:
            linux += _as_client(case)
    return Reason(
        False,
        f"faults: domain, level {t.level}. {leaf(case, first=True)} is in domain {t.domain}, to which DACR "
        f"{case.regime.dacr:#010x} gives {'no access' if not access else 'the reserved value 2'}; "
        f"client (1) in bits {2 * t.domain + 1}:{2 * t.domain} would let the permissions decide.{linux}",
        (Change("dacr", None, 3 << 2 * t.domain, 1 << 2 * t.domain),),
    )


def _as_client(case: Case) -> str:
    """What user mode gets: Linux lets the domain be a client's on the way there."""
    regime = replace(case.regime, dacr=case.regime.dacr & ~(3 << 2 * _DOMAIN_USER) | 1 << 2 * _DOMAIN_USER)
    found = walk(case.memory, regime, case.walk.va, case.access, privileged=False)
    reason = explain(case.memory, regime, found, case.access, False, case.layout, case.vma)
    return f" With the domain a client's, as it is when user mode runs, it {reason.text}"


_FAULTS = {
    Fault.TRANSLATION: _translation,
    Fault.EXTERNAL_WALK: _external_walk,
    Fault.ACCESS_FLAG: _access_flag,
    Fault.DOMAIN: _domain,
    Fault.PERMISSION: permission,
}
