"""Barriers and TLB maintenance: in the code that can be seen, and in the modelled TLBs."""

from __future__ import annotations

from collections.abc import Iterator

from pyemu.debug.code import Omission, first_sctlr_write, has_tlbi, omissions
from pyemu.debug.commands.tlb import stale
from pyemu.debug.doctor.case import MAX_EACH, Case, Finding
from pyemu.debug.target import Capability
from pyemu.native import NativeError

__all__ = ["barriers", "coherence", "notes", "reset", "stale_entries"]

_NEAR_BYTES = 16 << 10
_MAX_IMAGE_BYTES = 1 << 20
_SCTLR_C = 1 << 2
_NON_CACHEABLE = 0b0100  # the upper half of a MAIR byte; write-back has its bit 2 set too


def barriers(case: Case) -> Iterator[Finding]:
    """ISB behind SCTLR, DSB around TLB operations."""
    if case.linux is not None:
        return
    for start, data in _image(case) or _near(case):
        for each in omissions(data, start, thumb=case.thumb)[:MAX_EACH]:
            yield _omitted(case, each)


def _omitted(case: Case, each: Omission) -> Finding:
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


def reset(case: Case) -> Iterator[Finding]:
    """An image that writes SCTLR, and has no TLB operation anywhere."""
    image = _image(case)
    if any(has_tlbi(data) for _, data in image):
        return
    for start, data in image:
        at = first_sctlr_write(data, start, thumb=case.thumb)
        if at is not None:
            yield Finding(
                "missing TLBI",
                f"the image writes SCTLR at {case.session.place(at)} and has no TLB invalidation at all: "
                "what TLBs hold after reset, or from the loader before, may be used once the MMU is on",
                "TLBs need not be empty after reset: they are invalidated before the MMU is turned on",
                "B3.9.3",
            )
            return


def _image(case: Case) -> list[tuple[int, bytes]]:
    """What was loaded as a bare program; empty for anything else."""
    machine = case.session.target.machine
    if machine is None or machine.plan is None or machine.plan.kind not in ("elf", "flat"):
        return []
    return [
        (item.address, case.memory.read(item.address, min(len(item.data), _MAX_IMAGE_BYTES)))
        for item in machine.plan.placements
        if item.what != "device tree"
    ]


def _near(case: Case) -> Iterator[tuple[int, bytes]]:
    """The memory around the PC."""
    if case.pc is None:
        return
    walk = case.fetch(case.pc, case.privileged).result
    pa = walk.pa if walk.size else case.pc
    for offset in range(-_NEAR_BYTES, _NEAR_BYTES, 4096):
        try:
            yield (case.pc & -4096) + offset, case.memory.read((pa & -4096) + offset, 4096)
        except (NativeError, ValueError):
            continue


def stale_entries(case: Case) -> Iterator[Finding]:
    """TLB entries that contradict the tables."""
    if Capability.TLB not in case.session.target.capabilities or not case.on:
        return
    seen: set[int] = set()
    for each in stale(case.session).entries[: 4 * MAX_EACH]:
        if each.va not in seen and len(seen) < MAX_EACH:
            seen.add(each.va)
            yield Finding(
                "missing TLBI",
                f"{each.held.where}: {each.va:#010x}: {each.text}",
                "after a change of a valid descriptor its TLB entries are invalidated (DSB, TLBI, DSB, ISB); "
                "till then the old translation may be used",
                "B3.10.1",
            )


def notes(case: Case) -> Iterator[str]:
    """What no check can see."""
    if Capability.TLB not in case.session.target.capabilities:
        yield "TLB entries were not checked: that needs --timing tlb or --timing cache"
    if not case.on and case.written is None:
        starts = [first_sctlr_write(data, start, thumb=case.thumb) for start, data in _image(case)]
        places = [case.session.place(at) for at in starts if at is not None][:1]
        where = f": ask again at {places[0]}" if places else ""
        yield f"the next instruction does not write SCTLR, so what is not set up yet is named too{where}"
    if case.linux is not None:
        yield "Linux: the code and mismatched aliases were not checked"


def coherence(case: Case) -> Iterator[str]:
    """Tables whose stores walks may not see: that cannot be seen to go wrong here."""
    if case.linux is None and _walks_miss_the_cache(case):
        fields = "TTBCR.IRGN0 and ORGN0" if case.regime.long_format else "TTBR0.IRGN and RGN"
        yield (
            f"the tables lie in write-back memory, and walks do not look into caches ({fields} are 0): a "
            "descriptor is cleaned to memory after it is written. Caches are coherent here, a missing clean "
            "is not noticed"
        )


def _walks_miss_the_cache(case: Case) -> bool:
    """Whether stores to the root table may stay in a cache that walks do not look into."""
    r = case.regime
    if r.long_format:
        cached = r.ttbcr >> 8 & 3 and r.ttbcr >> 10 & 3
        base = r.ttbr0 & 0xFF_FFFF_FFE0
    else:
        cached = r.ttbr0 & 0x41 and r.ttbr0 >> 3 & 3
        base = r.ttbr0 & 0xFFFF_FF80
    if cached or not r.sctlr & _SCTLR_C:
        return False
    return any(
        m.attr >> 4 & 0b0100 and m.attr >> 4 != _NON_CACHEABLE
        for m in case.ranges
        if not m.outside and m.pa <= base < m.pa + m.size
    )
