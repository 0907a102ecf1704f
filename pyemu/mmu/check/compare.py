"""Brings the C core, Unicorn and the reference together, batch by batch, and keeps the account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pyemu.mmu import reference
from pyemu.mmu.check import deviations as dev
from pyemu.mmu.check.core import Core
from pyemu.mmu.check.oracle import FAILED, Oracle
from pyemu.mmu.check.world import (
    LONG,
    SHORT,
    U8,
    U32,
    U64,
    Bools,
    Registers,
    World,
    random_addresses,
    random_registers,
)
from pyemu.mmu.reference import Access, Fault

__all__ = ["Judge", "Report"]

BATCH = 1536  # addresses under one register set, shared between the six questions
REGISTERS_A_WORLD = 6
SHOWN = 5  # mismatches kept in full
UNKNOWN = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

# What is asked of each address: the operation of the oracle (None: a fetch), access, privileged.
QUESTIONS: dict[str, tuple[int | None, Access, bool]] = {
    "ATS1CPR": (0, Access.READ, True),
    "ATS1CPW": (1, Access.WRITE, True),
    "ATS1CUR": (2, Access.READ, False),
    "ATS1CUW": (3, Access.WRITE, False),
    "fetch PL1": (None, Access.FETCH, True),
    "fetch PL0": (None, Access.FETCH, False),
}

# The engine's fault types.
_ENGINE_FAULT = {
    1: Fault.ACCESS_FLAG,
    4: Fault.DOMAIN,
    5: Fault.PERMISSION,
    6: Fault.TRANSLATION,
    9: Fault.EXTERNAL_WALK,
}


@dataclass
class Report:
    """``asked`` counts translations by (format, question); ``deviations`` by name."""

    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    deviations: Counter[str] = field(default_factory=Counter)
    sampled: int = 0
    register_sets: int = 0
    mismatches: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.asked.values())


class Asked(NamedTuple):
    """One question of the run."""

    registers: Registers
    va: int
    access: Access
    privileged: bool


def _par_table(long_format: bool) -> U64:
    """The low twelve bits of a failing PAR -> the answer that they mean; UNKNOWN where no walk gives them."""
    table = np.full(4096, UNKNOWN, dtype=np.uint64)
    for fault in (Fault.EXTERNAL_WALK, Fault.TRANSLATION, Fault.ACCESS_FLAG, Fault.DOMAIN, Fault.PERMISSION):
        for level in (1, 2, 3):
            t = reference.Translation(fault, level)
            registers = Registers(1, int(long_format) << 31, 0, 0, 0, 0, 0)
            if (long_format and fault is not Fault.DOMAIN) or (not long_format and level < 3):
                table[reference.par(registers, t)] = dev.fault_answer(fault, level)
    return table


_PAR_TABLES = {True: _par_table(True), False: _par_table(False)}


def answers_of_pars(pars: U64, long_format: bool) -> tuple[U64, U64]:
    """PARs as answers, and the 32-bit attribute bits that Unicorn leaves out (zero for the long format)."""
    failed = (pars & np.uint64(1)) != 0
    faults = _PAR_TABLES[long_format][pars & np.uint64(0xFFF)]
    faults[pars >> np.uint64(12) != 0] = UNKNOWN
    hidden = np.zeros_like(pars)
    if not long_format:
        supersection = (pars & np.uint64(2)) != 0
        attributes, extended = np.uint64(dev.PAR32_ATTRIBUTE_BITS), np.uint64(dev.PAR32_SUPERSECTION_BITS)
        bits = np.where(supersection, attributes | extended, attributes)
        hidden = np.where(failed, np.uint64(0), pars & bits)
    return np.where(failed, faults, pars & ~hidden), hidden


def answers_of_engine(raw: U64, successes: U64) -> U64:
    """The oracle's FAILED answers as fault answers; ``successes`` elsewhere."""
    types = raw >> np.uint64(8) & np.uint64(0xFF)
    level = raw & np.uint64(0xFF)
    known = np.full(256, UNKNOWN, dtype=np.uint64)
    for number, fault in _ENGINE_FAULT.items():
        known[number] = dev.fault_answer(fault, 0)
    return np.where(raw & np.uint64(FAILED) != 0, known[types] | level << np.uint64(5), successes)


def answers_of_core(pa: U64, status: U64) -> U64:
    """Batch results as answers; the address of a success without its page offset."""
    fault, level = status & np.uint64(0xF), status >> np.uint64(4)
    page = pa & ~np.uint64(0xFFF)
    return np.where(fault != 0, np.uint64(1) | fault << np.uint64(1) | level << np.uint64(5), page)


class Judge:
    """One run: a world, its oracle, and the core that is judged.

    ``sample``: one in so many translations is compared field by field with the plain-Python reference.
    """

    def __init__(
        self, seed: int, formats: Sequence[str] = (LONG, SHORT), sample: int = 200, core: type[Core] = Core
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.formats = formats
        self.sample = sample
        self.world = World()
        self.oracle = Oracle(self.world)
        self.core = core(self.world)
        self.report = Report()
        self._next_sample = 0

    def run(self, count: int, progress: Callable[[int], None] = lambda done: None) -> Report:
        """Ask ``count`` questions; ``progress`` is told how many are done after each register set."""
        turn = 0
        while self.report.count < count:
            self.world.fill(self.rng, self.formats[turn % len(self.formats)])
            turn += 1
            for _ in range(REGISTERS_A_WORLD):
                self._one_register_set(min(BATCH, count - self.report.count))
                progress(self.report.count)
                if self.report.count >= count:
                    break
        return self.report

    def _one_register_set(self, n: int) -> None:
        registers = random_registers(self.rng, self.world)
        self.oracle.set_registers(registers)
        self.report.register_sets += 1
        addresses = random_addresses(self.rng, registers, n)
        shares = np.array_split(addresses, len(QUESTIONS))
        for name, va in zip(QUESTIONS, shares, strict=True):
            if len(va):
                self._one_question(registers, name, va)

    def _one_question(self, registers: Registers, name: str, va: U32) -> None:
        operation, access, privileged = QUESTIONS[name]
        pa, status = self.core.translations(registers, va, access, privileged)
        batch = answers_of_core(pa, status.astype(np.uint64))
        inconsistent = (status & 0xF == 0) & ((pa ^ va) & np.uint64(0xFFF) != 0)
        if operation is None:
            raw = self.oracle.fetch(va, privileged)
            ours, theirs = batch, answers_of_engine(raw, raw & ~np.uint64(0xFFF))
        else:
            raw = self.oracle.translate(va, operation)
            theirs = answers_of_engine(raw, answers_of_pars(raw, registers.long_format)[0])
            pars = self.core.pars(registers, va, access, privileged)
            ours, hidden = answers_of_pars(pars, registers.long_format)
            self._count_hidden(hidden, registers.long_format)
            inconsistent |= self._ats_differs(ours, hidden, batch, registers.long_format)
        self._count(registers, name, status)
        for index in np.flatnonzero((ours != theirs) | (theirs == UNKNOWN)):
            asked = Asked(registers, int(va[index]), access, privileged)
            self._difference(asked, int(ours[index]), int(theirs[index]))
        for index in np.flatnonzero(inconsistent):
            asked = Asked(registers, int(va[index]), access, privileged)
            self._mismatch("core: batch translation and ATS disagree", asked, [])
        for sampled in range(self._next_sample, len(va), self.sample):
            self._compare_with_reference(Asked(registers, int(va[sampled]), access, privileged))
        self._next_sample = (self._next_sample - len(va)) % self.sample

    def _count(self, registers: Registers, name: str, status: U8) -> None:
        table_format = LONG if registers.long_format else SHORT
        self.report.asked[table_format, name] += len(status)
        for value, times in zip(*np.unique(status, return_counts=True), strict=True):
            fault = Fault(int(value) & 0xF)
            text = "translated" if fault is Fault.NONE else fault.name.lower().replace("_", " ")
            self.report.outcomes[table_format, f"{text}, level {int(value) >> 4}"] += int(times)

    def _count_hidden(self, hidden: U64, long_format: bool) -> None:
        if long_format:
            return
        attributes = np.count_nonzero(hidden & np.uint64(dev.PAR32_ATTRIBUTE_BITS))
        extended = np.count_nonzero(hidden & np.uint64(dev.PAR32_SUPERSECTION_BITS))
        self.report.deviations[dev.PAR32_ATTRIBUTES] += int(attributes)
        self.report.deviations[dev.PAR32_SUPERSECTION] += int(extended)

    @staticmethod
    def _ats_differs(ours: U64, hidden: U64, batch: U64, long_format: bool) -> Bools:
        """Where the core's PAR says something else than its batch translation of the same address."""
        failed = batch & np.uint64(1) != 0
        if long_format:
            address, expected = ours & np.uint64(0xFF_FFFF_F000), batch
        else:
            supersection = ours & np.uint64(2) != 0
            high = (hidden & np.uint64(dev.PAR32_SUPERSECTION_BITS)) << np.uint64(16)
            address = np.where(
                supersection, ours & np.uint64(0xFF000000) | high, ours & np.uint64(0xFFFFF000)
            )
            expected = np.where(supersection, batch & ~np.uint64(0xFFFFFF), batch)
        return np.asarray(np.where(failed, ours != batch, address != expected))

    def _difference(self, asked: Asked, ours: int, theirs: int) -> None:
        walk = reference.translate(self.world.read, *asked)
        question = dev.Question(self.world.read, *asked, walk)
        name = dev.explain(question, theirs)
        if name is not None and ours == dev.expected_answer(question):
            self.report.deviations[name] += 1
            return
        answers = [f"core answers {ours:#x}, Unicorn {theirs:#x}"]
        self._mismatch("core and Unicorn differ", asked, answers)

    def _compare_with_reference(self, asked: Asked) -> None:
        self.report.sampled += 1
        walk = reference.translate(self.world.read, *asked)
        differences = self.core.differences(*asked, walk)
        if differences:
            self._mismatch("core and reference differ", asked, differences)

    def _mismatch(self, kind: str, asked: Asked, details: list[str]) -> None:
        """Count one; the first few are kept in full."""
        self.report.mismatches[kind] += 1
        if len(self.report.shown) < SHOWN:
            lines = [kind, *self._describe(asked), *(f"  {line}" for line in details)]
            self.report.shown.append("\n".join(lines))

    def _describe(self, asked: Asked) -> list[str]:
        registers, va, access, privileged = asked
        t = reference.translate(self.world.read, *asked)
        lines = [
            f"  va {va:#010x} {access.name.lower()} at PL{int(privileged)}, {self.world.format} tables",
            f"  {registers}",
            f"  core: {self.core.describe(*asked)}",
            f"  reference: {t.fault.name} level {t.level} pa {t.pa:#x} rights {t.rights!r}",
        ]
        for s in t.steps:
            value = "outside memory" if s.descriptor is None else f"{s.descriptor:#x}"
            where = f"{s.table_pa:#x}[{s.index}] @{s.descriptor_pa:#x}"
            lines.append(f"    level {s.level} TTBR{s.ttbr} {where} = {value}")
        return lines
