"""What TLBs and caches of a core would have seen, from a recorder's trace: plain Python all the way down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pyemu.machine import Machine
from pyemu.mmu import reference
from pyemu.timing import CacheLevel
from tests.machine.oracle.caches import PlainCaches
from tests.machine.oracle.recorder import Write
from tests.mmu.plain_tlb import FETCH, MICRO, MISS, READ, WRITE, Leaf, PlainTlb
from tests.timing.plain_cache import random_numbers

SCTLR_M, SCTLR_C, SCTLR_I = 1, 1 << 2, 1 << 12
CACHED = SCTLR_M | SCTLR_C
EAE, A1 = 1 << 31, 1 << 22
RAM, FLASH_END = 0x4000_0000, 0x0800_0000
TLBI = ("ALL", "MVA", "ASID", "MVAA")
INNER_SHAREABLE = 3
MAKES_ENTRY = (reference.Fault.NONE, reference.Fault.PERMISSION, reference.Fault.DOMAIN)


@dataclass
class Regs:
    """The registers that decide translation, as the guest wrote them."""

    sctlr: int = 0
    ttbcr: int = 0
    ttbr0: int = 0
    ttbr1: int = 0
    dacr: int = 0
    mair0: int = 0
    mair1: int = 0
    contextidr: int = 0

    @property
    def asid(self) -> int:
        if self.ttbcr & EAE:
            return (self.ttbr1 if self.ttbcr & A1 else self.ttbr0) >> 48 & 0xFF
        return self.contextidr & 0xFF


# (crn, crm, opc2) of the registers of 32 bits; opc1 is 0
_NAMES = {
    (1, 0, 0): "sctlr",
    (2, 0, 0): "ttbr0",
    (2, 0, 1): "ttbr1",
    (2, 0, 2): "ttbcr",
    (3, 0, 0): "dacr",
    (10, 2, 0): "mair0",
    (10, 2, 1): "mair1",
    (13, 0, 1): "contextidr",
}


class OneCpu:
    """TLBs and registers of one CPU; ``micro`` and ``main`` count misses by READ, WRITE, FETCH."""

    def __init__(self, number: int, oracle: Oracle) -> None:
        self.number, self.oracle = number, oracle
        self.tlb = PlainTlb(oracle.core, random_numbers)
        self.regs = Regs()
        self.micro: Counter[int] = Counter()
        self.main: Counter[int] = Counter()
        self.maintained: Counter[str] = Counter()
        self.walk_hits = 0
        self.pages: dict[int, tuple[int, bool]] = {}  # of fetches and data: PA, whether it may be cached
        self.older: dict[int, tuple[int, bool]] = {}  # what they were when a walk last found them
        self.latest: dict[int, int] = {}  # by array of the TLB: the page that was asked for last
        self.code_page = self.fetched_line = -1
        self.started = False

    def start(self) -> None:
        regime = self.oracle.machine.regime(self.number)
        self.regs = Regs(**{name: getattr(regime, name) for name in Regs.__dataclass_fields__})
        self.started = True

    def forget(self) -> None:
        """Translations may be others from now on."""
        self.pages.clear()
        self.latest.clear()
        self.fetched_line = -1

    # ---- TLBs ----

    def translate(self, va: int, access: int, privileged: bool) -> reference.Translation:
        return reference.translate(self.oracle.read, self.regs, va, reference.Access(access), privileged)

    def ask_tlb(self, va: int, access: int, privileged: bool) -> None:
        if not self.regs.sctlr & SCTLR_M:
            return
        array, page = id(self.tlb.micro[access]), va >> 12
        if self.latest.get(array) == page:
            return
        level = self.tlb.access(va, self.regs.asid, access, None)
        self.micro[access] += level != MICRO
        self.main[access] += level == MISS
        if level == MISS:
            self._walk(va, access, privileged)
        if self.tlb.dropped:  # from another micro-TLB too
            self.tlb.dropped.clear()
            self.latest.clear()
        if self.tlb.micro[access].holds(va, self.regs.asid):
            self.latest[array] = page

    def _walk(self, va: int, access: int, privileged: bool) -> None:
        t = self.translate(va, access, privileged)
        hits = self.tlb.walk_hits
        if t.fault in MAKES_ENTRY and t.size_log2:
            self.tlb.fill(va, self.regs.asid, access, _leaf(va, self.regs.asid, t))
        cached = self.tlb.walk_hits > hits
        self.walk_hits += cached
        for step in t.steps[-1:] if cached else t.steps:
            if self.oracle.caches is not None:
                self.oracle.caches.walk(self.number, step.descriptor_pa)

    # ---- caches ----

    def page(self, va: int, access: int, privileged: bool) -> tuple[int, bool]:
        """The PA of a page, and whether its memory type may be cached.

        Where the tables have lost it, the access went through an entry of a TLB, which has what was before.
        """
        known = self.pages.get(va >> 12)
        if known is None:
            t = self.translate(va & ~0xFFF, access, privileged)
            if t.fault is reference.Fault.NONE or va >> 12 not in self.older:
                attr = t.memory.attr if t.memory is not None and t.memory.defined else 0
                self.older[va >> 12] = t.pa, attr >> 4 != 0 and attr != 0x44
            known = self.pages[va >> 12] = self.older[va >> 12]
        return known

    def fetch_line(self, va: int, privileged: bool) -> None:
        caches = self.oracle.caches
        if caches is None or not self.regs.sctlr & SCTLR_I:
            return
        base = self.page(va, FETCH, privileged)[0] if self.regs.sctlr & SCTLR_M else va & ~0xFFF
        pa = base | va & 0xFFF
        line = pa // caches.l1i[self.number].line_bytes
        if line != self.fetched_line:
            self.fetched_line = line
            caches.fetch(self.number, pa)


def _leaf(va: int, asid: int, t: reference.Translation) -> Leaf:
    size = 1 << t.size_log2
    base = va & ~(size - 1)
    last = t.size_log2 <= 16
    return Leaf(base, size, asid, not t.not_global, last, leaf_va=base, leaf_size=size)


class Oracle:
    """A watcher: TLBs and, if ``with_caches``, caches of a core fed with what a machine does."""

    def __init__(self, machine: Machine, core: Any, with_caches: bool) -> None:
        self.machine, self.core = machine, core
        count = machine.config.smp
        self.caches = PlainCaches(core, count) if with_caches else None
        self.cpus = [OneCpu(number, self) for number in range(count)]
        self.ram_end = RAM + machine.config.memory_bytes

    def is_memory(self, pa: int) -> bool:
        return pa < FLASH_END or RAM <= pa < self.ram_end

    def read(self, pa: int, size: int) -> int | None:
        if not self.is_memory(pa):
            return None
        return int.from_bytes(self.machine.read_phys(pa, size), "little")

    # ---- what the recorder tells ----

    def fetch(self, cpu: int, va: int, size: int, block: int, privileged: bool) -> None:
        """What a block holds has been fetched when it begins: what it loads cannot matter."""
        one = self.cpus[cpu]
        if not one.started:
            one.start()
        if block or va >> 12 != one.code_page:
            one.code_page = va >> 12
            one.ask_tlb(va, FETCH, privileged)
        line_bytes = int(self.core["l1i.line_bytes"])
        for line in range(va & -line_bytes, va + block, line_bytes):
            one.fetch_line(max(line, va), privileged)
        last = va + size - 1
        if (last ^ va) >> 12:
            one.code_page = last >> 12
            one.ask_tlb(last, FETCH, privileged)

    def data(self, cpu: int, va: int, pa: int, size: int, write: bool, privileged: bool) -> None:
        one = self.cpus[cpu]
        access = WRITE if write else READ
        one.ask_tlb(va, access, privileged)
        if (va & 0xFFF) + size > 0x1000:
            one.ask_tlb(va + size - 1, access, privileged)
        caches = self.caches
        if caches is None or one.regs.sctlr & CACHED != CACHED or not self.is_memory(pa):
            return
        if not one.page(va, access, privileged)[1]:
            return
        if write:
            caches.store(cpu, pa)
        else:
            caches.load(cpu, pa)

    def data_abort(self, cpu: int, va: int, write: bool, privileged: bool) -> None:
        self.cpus[cpu].ask_tlb(va, WRITE if write else READ, privileged)

    def fetch_abort(self, cpu: int, va: int, privileged: bool) -> None:
        self.cpus[cpu].ask_tlb(va, FETCH, privileged)

    def system(self, cpu: int, write: Write) -> None:
        one = self.cpus[cpu]
        if write.wide:
            self._translation(one, "ttbr1" if write.opc1 else "ttbr0", write.value)
        elif write.opc1:
            return
        elif write.crn == 8:
            self._tlbi(one, write)
        elif write.crn == 7:
            self._maintain(one, write)
        else:
            name = _NAMES.get((write.crn, write.crm, write.opc2))
            if name is not None:
                old = getattr(one.regs, name)
                high = old & ~0xFFFF_FFFF if name.startswith("ttbr") else 0
                self._translation(one, name, high | write.value)

    def _translation(self, one: OneCpu, name: str, value: int) -> None:
        if name in ("ttbr0", "ttbr1") or name not in ("sctlr", "ttbcr"):
            one.tlb.context_changed()
        setattr(one.regs, name, value)
        one.forget()

    def _tlbi(self, one: OneCpu, write: Write) -> None:
        for other in self.cpus if write.crm == INNER_SHAREABLE else [one]:
            other.maintained[TLBI[write.opc2]] += 1
            other.tlb.invalidate(TLBI[write.opc2], write.value & ~0xFFF, write.value & 0xFF)
            other.forget()

    def _maintain(self, one: OneCpu, write: Write) -> None:
        if self.caches is None:
            return
        if (write.crm == 1 and write.opc2 == 0) or (write.crm == 5 and write.opc2 == 0):
            for other in self.cpus if write.crm == 1 else [one]:
                self.caches.forget_fetched(other.number)
                other.fetched_line = -1
        elif write.crm == 5 and write.opc2 == 1:
            base = one.page(write.value, READ, True)[0] if one.regs.sctlr & SCTLR_M else write.value & ~0xFFF
            for other in self.cpus:
                self.caches.l1i[other.number].invalidate(base | write.value & 0xFFF)
                other.fetched_line = -1
        elif write.crm in (6, 10, 11, 14) and write.opc2 in (1, 2):
            clean, invalidate = write.crm != 6, write.crm in (6, 14)
            if write.opc2 == 2:
                self._by_set_and_way(one, write.value, clean, invalidate)
            else:
                base = (
                    one.page(write.value, READ, True)[0] if one.regs.sctlr & SCTLR_M else write.value & ~0xFFF
                )
                self.caches.maintain(base | write.value & 0xFFF, clean, invalidate)

    def _by_set_and_way(self, one: OneCpu, value: int, clean: bool, invalidate: bool) -> None:
        assert self.caches is not None
        second = bool(value >> 1 & 7)
        cache = self.caches.l2 if second else self.caches.l1d[one.number]
        bits = (cache.ways - 1).bit_length()
        way = value >> 32 - bits if bits else 0
        index = (value & (1 << 32 - bits) - 1) >> (cache.line_bytes.bit_length() - 1)
        self.caches.maintain_way(one.number, second, index, way, clean, invalidate)


# ---- comparison ----


@dataclass(frozen=True)
class Counts:
    """Misses of one CPU: of TLBs by READ, WRITE, FETCH, of caches (reads, writes)."""

    micro: tuple[int, ...]
    main: tuple[int, ...]
    walk_hits: int
    maintained: tuple[int, ...]  # TLB maintenance that arrived here: ALL, ASID, MVA, MVAA
    l1d: tuple[int, int] = (0, 0)
    l1i: int = 0
    taken: int = 0  # lines of L1D that other CPUs, L2 or maintenance took
    l2: tuple[int, int] = (0, 0)


def counted(machine: Machine, cpu: int) -> Counts:
    """By the model."""
    tlb = machine.cpus[cpu].tlb.stats()
    if machine.config.timing != "cache":
        return Counts(tlb.micro_misses, tlb.main_misses, tlb.walk_cache_hits, tlb.invalidates)
    l1d, l1i, l2 = (
        machine.caches.stats(level, cpu) for level in (CacheLevel.L1D, CacheLevel.L1I, CacheLevel.L2)
    )
    return Counts(
        tlb.micro_misses,
        tlb.main_misses,
        tlb.walk_cache_hits,
        tlb.invalidates,
        (l1d.read_misses, l1d.write_misses),
        l1i.read_misses,
        l1d.invalidations,
        (l2.read_misses, l2.write_misses),
    )


def expected(oracle: Oracle, cpu: int) -> Counts:
    """By the oracle."""
    one = oracle.cpus[cpu]
    micro, main = (tuple(count[access] for access in range(3)) for count in (one.micro, one.main))
    maintained = tuple(one.maintained[name] for name in ("ALL", "ASID", "MVA", "MVAA"))
    if oracle.caches is None:
        return Counts(micro, main, one.walk_hits, maintained)
    misses, cpus = oracle.caches.misses, range(len(oracle.cpus))
    return Counts(
        micro,
        main,
        one.walk_hits,
        maintained,
        (misses["l1d", cpu, False], misses["l1d", cpu, True]),
        misses["l1i", cpu, False],
        oracle.caches.l1d[cpu].invalidations,
        (sum(misses["l2", i, False] for i in cpus), sum(misses["l2", i, True] for i in cpus)),
    )
