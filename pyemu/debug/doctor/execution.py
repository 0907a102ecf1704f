"""The way of an instruction: the PC, the vectors and the stack, and the abort in which a CPU hangs."""

from __future__ import annotations

from collections.abc import Iterator

from pyemu.debug.doctor import attributes
from pyemu.debug.doctor.case import MODES, Case, Finding
from pyemu.debug.doctor.tables import OUTSIDE_ASKS
from pyemu.mmu import Access, Fault, Prot, Walk, decode_fault_status
from pyemu.mmu import walk as walk_tables

__all__ = ["hang", "notes", "program", "stack"]

_PREFETCH, _VECTOR_BYTES = 0xC, 32
_ABORT_MODE, _CPSR_MODE, _CPSR_T = 0x17, 0x1F, 1 << 5
_B_SELF, _B_SELF_THUMB = 0xEAFF_FFFE, 0xE7FE
_STACK_BYTES = 64 << 10  # an address so close below SP, or a page above it, is one of the stack
_SCTLR_WXN, _SCTLR_AFE = 1 << 19, 1 << 29

# What the architecture asks for where an access faults, and where it says so.
_ASKS = {
    Fault.TRANSLATION: ("an address is mapped before it is used", "B3.13.3"),
    Fault.EXTERNAL_WALK: (OUTSIDE_ASKS, "B3.12.3"),
    Fault.ACCESS_FLAG: (
        "software manages the access flag on ARMv7: the first access through a descriptor with AF = 0 faults",
        "B3.7.4",
    ),
    Fault.DOMAIN: (
        "DACR decides for each domain: 0b01 (client) checks the permissions, 0b00 and 0b10 fault each access",
        "B3.7.3",
    ),
    Fault.PERMISSION: ("an access is one that the descriptor's AP and XN bits permit", "B3.7.1"),
}
_IDENTITY = (
    "when SCTLR.M is set the following instructions are fetched by their virtual address: the code that "
    "turns the MMU on must be mapped to itself"
)


# ---- the PC and the vectors ----


def program(case: Case) -> Iterator[Finding]:
    """The PC and the vectors can be fetched."""
    vector = case.vectors + _PREFETCH
    at = f"the prefetch abort vector {case.session.place(vector)}"
    if case.high_vectors:
        at += " (SCTLR.V = 1)"
    if case.pc is None or _in_vectors(case, case.pc):
        yield from _fetchable(case, vector, f"the PC at {at}" if case.on else at, True)
        return
    found = list(_fetchable(case, case.pc, f"the PC {case.session.place(case.pc)}", case.privileged))
    yield from found or _elsewhere(case, case.pc)
    if not found or not _same_descriptor(case, vector):
        yield from _fetchable(case, vector, at, True)


def _same_descriptor(case: Case, va: int) -> bool:
    """Whether the walk for an address ends with the descriptor with which that for the PC ends."""
    assert case.pc is not None
    one, other = case.fetch(case.pc).steps, case.fetch(va).steps
    return bool(one and other) and one[-1].descriptor_pa == other[-1].descriptor_pa


def _in_vectors(case: Case, va: int) -> bool:
    return va & -_VECTOR_BYTES == case.vectors


def _elsewhere(case: Case, pc: int) -> Iterator[Finding]:
    """With the MMU off: the PC is mapped, but not to itself."""
    t = case.fetch(pc, case.privileged).result
    if t.ok and not case.on and t.pa != pc and case.backed(t.pa):
        yield Finding(
            "identity map",
            f"the PC {case.session.place(pc)} maps to {t.pa:#x}: the next instruction would be fetched there",
            "code that turns the MMU on lies where virtual and physical address are the same",
            "B3.2",
        )


def _fetchable(case: Case, va: int, at: str, privileged: bool) -> Iterator[Finding]:
    found = case.fetch(va, privileged)
    t = found.result
    if t.ok:
        if not case.backed(t.pa):
            step = found.steps[-1]
            yield Finding(
                "output address",
                f"{at} maps to {t.pa:#x}, where there is no memory: L{step.level}[{step.index}] "
                f"@{step.descriptor_pa:#x} = {step.descriptor:#x}",
                "a fetch from where nothing answers takes an external abort",
                "B3.12.3",
            )
    elif t.fault is Fault.TRANSLATION:
        yield _unmapped(case, at, va, found)
    elif t.fault is Fault.EXTERNAL_WALK:
        yield Finding(
            "table outside memory",
            f"the walk for {at} leaves memory: {found.text}",
            OUTSIDE_ASKS,
            "B3.12.3",
        )
    elif t.fault is Fault.ACCESS_FLAG:
        yield Finding("access flag", f"{at}: {found.text}; {_flag(case)} must be set", *_ASKS[t.fault])
    elif t.fault is Fault.DOMAIN:
        yield Finding("domain", f"{at}: {found.text}", *_ASKS[t.fault])
    else:
        yield _not_executable(case, at, found)


def _flag(case: Case) -> str:
    return "AF (bit 10)" if case.regime.long_format else "AP[0], which SCTLR.AFE = 1 makes the access flag,"


def _unmapped(case: Case, at: str, va: int, found: Walk) -> Finding:
    elsewhere = [r.va + va - r.pa for r in case.ranges if not r.outside and r.pa <= va < r.pa + r.size]
    hint = f"; physical {va:#x} is mapped at {elsewhere[0]:#010x}" if elsewhere else ""
    if _in_vectors(case, va) and _only_vectors(case):
        return Finding(
            "vectors",
            f"{at} is not mapped: {found.text}: the first exception leads to prefetch aborts without end",
            "exceptions are taken to VBAR, or with SCTLR.V = 1 to 0xffff0000, and that is a virtual address",
            "B1.8.1",
        )
    return Finding("identity map", f"{at} is not mapped: {found.text}{hint}", _IDENTITY, "B3.2")


def _only_vectors(case: Case) -> bool:
    """Whether the program itself can be fetched, so that its vectors alone are amiss."""
    if case.pc is not None and not _in_vectors(case, case.pc):
        return case.fetch(case.pc, case.privileged).result.ok
    machine = case.session.target.machine
    plan = None if machine is None else machine.plan
    return case.high_vectors or (plan is not None and case.fetch(plan.entry & ~1).result.ok)


def _not_executable(case: Case, at: str, found: Walk) -> Finding:
    prot = found.result.prot
    if Prot.READ not in prot:
        text, asks = "may not be read, so not executed", "to execute takes read permission and XN = 0"
    elif case.regime.sctlr & _SCTLR_WXN and Prot.WRITE in prot:
        text, asks = "is writable, and SCTLR.WXN = 1", "with SCTLR.WXN memory that can be written is XN"
    else:
        text, asks = "has XN or PXN set", "XN = 1 forbids execution, PXN = 1 at PL1"
    return Finding("execute never", f"{at} {text}: {found.text}", asks, "B3.7.2")


# ---- the stack ----


def stack(case: Case) -> Iterator[Finding]:
    """What is pushed next can be written, and is where it was."""
    sp = case.register("sp")
    if case.linux is not None or not case.privileged or sp is None or sp < 4 or _aborted(case):
        return
    va = sp - 4
    if not case.on and not case.is_ram(va):
        return  # not set yet
    found = walk_tables(case.memory, case.regime, va, Access.WRITE, privileged=True)
    t = found.result
    if case.pc is not None and not _runs(case) and _same_descriptor(case, va):
        return  # it has been said of the PC
    if not t.ok:
        text = f"SP = {sp:#010x}: the first push, at {va:#010x}, faults: {found.text}"
        yield Finding("stack", text, *_ASKS.get(t.fault, _ASKS[Fault.TRANSLATION]))
    elif not case.on and t.pa != va:
        yield Finding(
            "stack",
            f"SP = {sp:#010x}: {va:#010x} maps to {t.pa:#x}: what was pushed before cannot be popped",
            _IDENTITY,
            "B3.2",
        )


def _runs(case: Case) -> bool:
    """Whether the PC can be fetched."""
    assert case.pc is not None
    t = case.fetch(case.pc, case.privileged).result
    return t.ok and case.backed(t.pa)


# ---- an abort that is not left ----


def _aborted(case: Case) -> bool:
    return case.on and case.mode == _ABORT_MODE and case.pc is not None


def hang(case: Case) -> Iterator[Finding]:
    """The abort in which the CPU hangs: its handler is a branch to itself, or aborts too."""
    if not _aborted(case) or case.linux is not None or not _stuck(case):
        return
    text, fault, check = _abort(case)
    if text is not None:
        yield Finding(check, text, *_ASKS.get(fault, ("an abort is handled, or does not happen", "B3.13.3")))


def _stuck(case: Case) -> bool:
    assert case.pc is not None
    if not _runs(case):
        return True
    t = case.fetch(case.pc).result
    word = int.from_bytes(case.memory.read(t.pa, 4), "little")
    here = (word & 0xFFFF) == _B_SELF_THUMB if case.thumb else word == _B_SELF
    nested = (case.register("spsr_abt") or 0) & _CPSR_MODE == _ABORT_MODE
    return here or nested


def _abort(case: Case) -> tuple[str | None, Fault, str]:
    """(sentence, fault, name of the check) of the last abort, as LR, FAR and FSR tell it."""
    lr, ifar, dfar = (case.register(name) for name in ("lr_abt", "ifar", "dfar"))
    ifsr, dfsr = case.register("ifsr"), case.register("dfsr")
    if lr is None or ifar is None or dfar is None or ifsr is None or dfsr is None:
        return None, Fault.NONE, ""
    if lr - 4 == ifar:
        if _in_vectors(case, ifar):
            return None, Fault.NONE, ""  # the vector's own: `program` has named it
        status, address, access = decode_fault_status(ifsr), ifar, Access.FETCH
        head = "the CPU hangs in its prefetch abort handler: it went to "
        head += f"{case.session.place(ifar)}, and the fetch"
    else:
        status, address = decode_fault_status(dfsr), dfar
        access = Access.WRITE if status.write else Access.READ
        head = (
            f"the CPU hangs in its data abort handler: the {access.name.lower()} of {_what(case, dfar)} by "
        )
        head += f"the instruction at {case.session.place(lr - 8 & 0xFFFF_FFFF)}"
    privileged = (case.register("spsr_abt") or 0x13) & _CPSR_MODE != 0x10
    found = walk_tables(case.memory, case.regime, address, access, privileged=privileged)
    fault = found.result.fault
    if fault is not Fault.NONE:
        why = f"faults: {found.text}"
    elif not case.backed(found.result.pa) and attributes.device_at(case, found.result.pa) is None:
        why = f"took an abort ({status.text}): it maps to {found.result.pa:#x}, where there is no memory"
    else:
        why = f"took an abort ({status.text}); {found.text}"
    check = "prefetch abort" if access is Access.FETCH else "stack" if _of_stack(case, dfar) else "data abort"
    return f"{head} {why}", fault, check


def _what(case: Case, va: int) -> str:
    """An address, and what it is known to be."""
    text = f"{va:#010x}"
    device = attributes.device_at(case, va)
    if device is not None:
        return f"{text} (the {device.name})"
    return f"{text} (the stack)" if _of_stack(case, va) else text


def _of_stack(case: Case, va: int) -> bool:
    """Whether an address is at the stack of the mode in which the abort happened."""
    mode = MODES.get((case.register("spsr_abt") or 0) & _CPSR_MODE, "usr")
    sp = case.register(f"sp_{mode}")
    return sp is not None and sp - _STACK_BYTES <= va < sp + 4096


def notes(case: Case) -> Iterator[str]:
    """What SCTLR is taken to be, and an abort that is being handled."""
    if case.written is not None:
        yield f"SCTLR is taken to be {case.written:#010x}, which the next instruction writes"
    if _aborted(case) and case.linux is None and not _stuck(case):
        text, _, _ = _abort(case)
        if text is not None:
            yield text.replace("hangs in", "is in", 1)
