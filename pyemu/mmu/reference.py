"""A second stage-1 walker in plain Python, written from the architecture manual to judge the first.

The C core (csrc/mmu) answers every question that pyemu asks.  This module answers the same questions slowly
and independently: tests and ``python -m pyemu.mmu.check`` compare the two.  It shares no code and no table
with the C core; only the numbers of :class:`Fault` and :class:`Access` are those of csrc/abi/mmu.h, so that
results compare.

Sections are those of the ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition, ARM DDI 0406C.
The model is the Non-secure PL1&0 stage-1 regime of an implementation with the Large Physical Address and
Virtualization Extensions (Cortex-A7, Cortex-A15).

Memory is a function ``read(pa, size)`` that returns ``size`` bytes at ``pa`` as a little-endian integer, or
None where there is no memory.  A regime is any object with the CP15 registers as integers
(:class:`RegimeLike`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pyemu.mmu.reference_attributes import MemoryType, mair_type, short_type
from pyemu.mmu.reference_status import fault_status, par
from pyemu.mmu.reference_types import (
    TTBCR_EAE,
    Access,
    Fault,
    ReadMemory,
    RegimeLike,
    Step,
    Translation,
    bits,
)

__all__ = [
    "SCTLR_UWXN",
    "SCTLR_WXN",
    "Access",
    "Fault",
    "ReadMemory",
    "RegimeLike",
    "Step",
    "Translation",
    "bits",
    "fault_status",
    "par",
    "translate",
]

SCTLR_M, SCTLR_WXN, SCTLR_UWXN, SCTLR_EE, SCTLR_TRE, SCTLR_AFE = (1 << n for n in (0, 19, 20, 25, 28, 29))


@dataclass
class _Walker:
    """Reads descriptors in the regime's byte order and remembers each of them."""

    read: ReadMemory
    big_endian: bool
    size: int
    steps: list[Step] = field(default_factory=list)

    def fetch(self, level: int, ttbr: int, table: int, index: int) -> int | None:
        pa = table + index * self.size
        value = self.read(pa, self.size)
        if value is not None and self.big_endian:
            value = int.from_bytes(value.to_bytes(self.size, "little"), "big")
        self.steps.append(Step(level, ttbr, table, index, pa, value))
        return value

    def stop(self, fault: Fault, level: int, domain: int = 0) -> Translation:
        return Translation(fault=fault, level=level, steps=tuple(self.steps), domain=domain)


def translate(
    read: ReadMemory, regime: RegimeLike, va: int, access: Access | int, privileged: bool
) -> Translation:
    """Translate ``va`` (32 bits) for one access.  A fault is an answer, not an exception."""
    if not regime.sctlr & SCTLR_M:
        # B3.2.1: flat, no checks.  Data is Strongly-ordered; the type of a fetch depends on SCTLR.I and is
        # left open.
        memory = MemoryType(0x00, 0b10, defined=access != Access.FETCH)
        return Translation(Fault.NONE, 0, pa=va, rights="rwx", rights_other="rwx", memory=memory)
    walk = _walk_long if regime.ttbcr & TTBCR_EAE else _walk_short
    return walk(read, regime, va, Access(access), privileged)


# ---- permissions: B3.7 ----

# AP[2:0] -> rights at PL1, rights at PL0 (table B3-8).  0b100 is reserved: no access is given.
_DATA_RIGHTS = {
    0b000: ("", ""),
    0b001: ("rw", ""),
    0b010: ("rw", "r"),
    0b011: ("rw", "rw"),
    0b100: ("", ""),
    0b101: ("r", ""),
    0b110: ("r", "r"),
    0b111: ("r", "r"),
}


def _rights(regime: RegimeLike, ap: int, xn: bool, pxn: bool) -> tuple[str, str]:
    """Rights at PL1 and at PL0 as subsets of "rwx" (B3.7.1, B3.7.2)."""
    pl1, pl0 = _DATA_RIGHTS[ap]
    wxn = bool(regime.sctlr & SCTLR_WXN)
    uwxn = bool(regime.sctlr & SCTLR_UWXN)
    never_pl0 = xn or (wxn and "w" in pl0)
    never_pl1 = xn or pxn or (wxn and "w" in pl1) or (uwxn and "w" in pl0)
    if "r" in pl1 and not never_pl1:
        pl1 += "x"
    if "r" in pl0 and not never_pl0:
        pl0 += "x"
    return pl1, pl0


def _permit(
    leaf: Translation,
    access_flag: bool,
    domain: int | None,
    rights: tuple[str, str],
    access: Access,
    pl1: bool,
) -> Translation:
    """The checks on a leaf, in the order of B3.13: access flag, domain, permission.

    ``domain`` is the field of DACR: 0 no access, 1 client, 3 manager; None where the format has no domains.
    """
    if domain == 3:
        # A manager's accesses are not checked, execute-never included (B3.12.3); the access flag still is.
        rights = ("rwx", "rwx")
        leaf = replace(leaf, manager=True)
    elif domain in (0, 2):
        rights = ("", "")
    mine, other = rights if pl1 else (rights[1], rights[0])
    leaf = replace(leaf, rights=mine, rights_other=other)
    if not access_flag:
        return replace(leaf, fault=Fault.ACCESS_FLAG)
    if domain in (0, 2):
        return replace(leaf, fault=Fault.DOMAIN)
    if "rwx"[access] not in mine:
        return replace(leaf, fault=Fault.PERMISSION)
    return leaf


# ---- long descriptors: B3.6 ----


def _select_long(regime: RegimeLike, va: int) -> tuple[int, int] | None:
    """(which TTBR, its TxSZ), or None for a VA in the gap between the two (B3.6.4, table B3-3)."""
    t0sz, t1sz = bits(regime.ttbcr, 2, 0), bits(regime.ttbcr, 18, 16)
    last0 = 0xFFFFFFFF >> t0sz
    if t1sz == 0:
        return (1, 0) if va > last0 else (0, t0sz)
    if va >= 0x100000000 - (1 << (32 - t1sz)):
        return 1, t1sz
    return (0, t0sz) if va <= last0 else None


def _walk_long(
    read: ReadMemory, regime: RegimeLike, va: int, access: Access, privileged: bool
) -> Translation:
    walker = _Walker(read, bool(regime.sctlr & SCTLR_EE), 8)
    selected = _select_long(regime, va)
    if selected is None:
        return walker.stop(Fault.TRANSLATION, 1)
    ttbr, txsz = selected
    if bits(regime.ttbcr, 23, 23) if ttbr else bits(regime.ttbcr, 7, 7):
        return walker.stop(Fault.TRANSLATION, 1)  # EPD1, EPD0

    # B3.6.6: TxSZ of 2 or more leaves so few bits that the walk starts at level 2.
    level = 1 if txsz <= 1 else 2
    input_bits = 32 - txsz
    align = 5 - txsz if level == 1 else 14 - txsz
    table = bits(regime.ttbr1 if ttbr else regime.ttbr0, 39, align) << align
    no_user = read_only = xn_table = pxn_table = ns_table = 0
    while True:
        low = 39 - 9 * level  # the lowest VA bit that this level resolves: 30, 21, 12
        high = input_bits - 1 if not walker.steps else low + 8
        descriptor = walker.fetch(level, ttbr, table, bits(va, high, low))
        if descriptor is None:
            return walker.stop(Fault.EXTERNAL_WALK, level)
        kind = bits(descriptor, 1, 0)
        if kind in (0b00, 0b10) or (level == 3 and kind == 0b01):
            return walker.stop(Fault.TRANSLATION, level)
        if level == 3 or kind == 0b01:
            break
        ns_table |= bits(descriptor, 63, 63)
        read_only |= bits(descriptor, 62, 62)
        no_user |= bits(descriptor, 61, 61)
        xn_table |= bits(descriptor, 60, 60)
        pxn_table |= bits(descriptor, 59, 59)
        table = bits(descriptor, 39, 12) << 12
        level += 1

    # B3.6.2: AP[2:1] read as AP[2:0] with AP[0] = 1, after the tables above took their share (B3.6.3).
    ap2 = bits(descriptor, 7, 7) | read_only
    ap1 = bits(descriptor, 6, 6) & ~no_user
    index = bits(descriptor, 4, 2)
    mair = regime.mair1 if index >= 4 else regime.mair0
    leaf = Translation(
        fault=Fault.NONE,
        level=level,
        steps=tuple(walker.steps),
        pa=bits(descriptor, 39, low) << low | bits(va, low - 1, 0),
        size_log2=low,
        not_global=bool(bits(descriptor, 11, 11)),
        contiguous=bool(bits(descriptor, 52, 52)),
        ns=bool(bits(descriptor, 5, 5) | ns_table),
        memory=mair_type(bits(mair, 8 * (index & 3) + 7, 8 * (index & 3)), bits(descriptor, 9, 8)),
    )
    rights = _rights(
        regime,
        ap2 << 2 | ap1 << 1 | 1,
        bool(bits(descriptor, 54, 54) | xn_table),
        bool(bits(descriptor, 53, 53) | pxn_table),
    )
    return _permit(leaf, bool(bits(descriptor, 10, 10)), None, rights, access, privileged)


# ---- short descriptors: B3.5 ----


@dataclass(frozen=True)
class _ShortLeaf:
    """The fields of a section, supersection, large or small page under their common names (B3.5.1)."""

    base: int
    size_log2: int
    ap: int
    texcb: int
    xn: int
    s: int
    ng: int


def _section(d: int) -> _ShortLeaf:
    if bits(d, 18, 18):
        base, size_log2 = bits(d, 8, 5) << 36 | bits(d, 23, 20) << 32 | bits(d, 31, 24) << 24, 24
    else:
        base, size_log2 = bits(d, 31, 20) << 20, 20
    ap = bits(d, 15, 15) << 2 | bits(d, 11, 10)
    texcb = bits(d, 14, 12) << 2 | bits(d, 3, 2)
    return _ShortLeaf(base, size_log2, ap, texcb, bits(d, 4, 4), bits(d, 16, 16), bits(d, 17, 17))


def _page(d: int) -> _ShortLeaf:
    ap = bits(d, 9, 9) << 2 | bits(d, 5, 4)
    if bits(d, 1, 1):
        base, size_log2, tex, xn = bits(d, 31, 12) << 12, 12, bits(d, 8, 6), bits(d, 0, 0)
    else:
        base, size_log2, tex, xn = bits(d, 31, 16) << 16, 16, bits(d, 14, 12), bits(d, 15, 15)
    return _ShortLeaf(base, size_log2, ap, tex << 2 | bits(d, 3, 2), xn, bits(d, 10, 10), bits(d, 11, 11))


def _walk_short(
    read: ReadMemory, regime: RegimeLike, va: int, access: Access, privileged: bool
) -> Translation:
    walker = _Walker(read, bool(regime.sctlr & SCTLR_EE), 4)
    # B3.5.4: TTBR1 translates every VA whose N top bits are not all zero.
    n = bits(regime.ttbcr, 2, 0)
    ttbr = 1 if n and va >> (32 - n) else 0
    if bits(regime.ttbcr, 5, 5) if ttbr else bits(regime.ttbcr, 4, 4):
        return walker.stop(Fault.TRANSLATION, 1)  # PD1, PD0
    if ttbr:
        table = bits(regime.ttbr1, 31, 14) << 14
        index = bits(va, 31, 20)
    else:
        table = bits(regime.ttbr0, 31, 14 - n) << (14 - n)
        index = bits(va, 31 - n, 20)

    first = walker.fetch(1, ttbr, table, index)
    if first is None:
        return walker.stop(Fault.EXTERNAL_WALK, 1)
    kind = bits(first, 1, 0)
    if kind == 0b00:
        return walker.stop(Fault.TRANSLATION, 1)
    if kind == 0b01:
        domain, pxn, ns, level = bits(first, 8, 5), bits(first, 2, 2), bits(first, 3, 3), 2
        second = walker.fetch(2, ttbr, bits(first, 31, 10) << 10, bits(va, 19, 12))
        if second is None:
            return walker.stop(Fault.EXTERNAL_WALK, 2, domain)
        if bits(second, 1, 0) == 0b00:
            return walker.stop(Fault.TRANSLATION, 2, domain)
        d = _page(second)
    else:
        d = _section(first)
        pxn, ns, level = bits(first, 0, 0), bits(first, 19, 19), 1
        domain = 0 if d.size_log2 == 24 else bits(first, 8, 5)

    # B3.7.4: with AFE, AP[0] is the access flag and AP[2:1] the simplified model.
    afe = bool(regime.sctlr & SCTLR_AFE)
    leaf = Translation(
        fault=Fault.NONE,
        level=level,
        steps=tuple(walker.steps),
        pa=d.base | bits(va, d.size_log2 - 1, 0),
        size_log2=d.size_log2,
        domain=domain,
        not_global=bool(d.ng),
        supersection=d.size_log2 == 24,
        large=d.size_log2 == 16,
        ns=bool(ns),
        memory=short_type(regime.mair0, regime.mair1, bool(regime.sctlr & SCTLR_TRE), d.texcb, d.s),
    )
    rights = _rights(regime, d.ap | afe, bool(d.xn), bool(pxn))
    access_flag = not afe or bool(d.ap & 1)
    domain_field = bits(regime.dacr, 2 * domain + 1, 2 * domain)
    return _permit(leaf, access_flag, domain_field, rights, access, privileged)
