"""The rules of the walk, each asked of both walkers, and what only the reference promises."""

from dataclasses import dataclass, field

import pytest

from pyemu.mmu import reference
from pyemu.mmu.reference import Access, Fault
from pyemu.mmu.reference_attributes import MemoryType, short_type
from pyemu.native import lib
from tests.mmu.walk_rules import LONG, PL1, PXN, RAM, READ, RO, SHORT, USER_PAGE, Regs, Row, chain, memory
from tests.mmu.walkers import WALKERS, Answer


def ask(walker_name: str, row: Row) -> Answer:
    walker = WALKERS[walker_name](memory(row.regs, row.words))
    return walker.translate(row.regs, row.va, row.access, row.privileged)


def verdict(answer: Answer) -> int | tuple[Fault, int]:
    return answer.pa if answer.fault == Fault.NONE else (Fault(answer.fault), answer.level)


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize("row", LONG, ids=lambda row: row.name)
def test_long_descriptor_rule(row: Row, walker_name: str) -> None:
    assert verdict(ask(walker_name, row)) == row.expect


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize("row", SHORT, ids=lambda row: row.name)
def test_short_descriptor_rule(row: Row, walker_name: str) -> None:
    assert verdict(ask(walker_name, row)) == row.expect


@dataclass
class Reads:
    """A memory without content that remembers what was read."""

    addresses: list[int] = field(default_factory=list)

    def __call__(self, pa: int, size: int) -> int | None:
        self.addresses.append(pa)
        return 0


def test_a_walk_reads_one_descriptor_a_level_and_none_with_the_mmu_off() -> None:
    reads = Reads()
    reference.translate(reads, Regs(), 0xC0000000, READ, PL1)
    assert reads.addresses == [RAM + 24]
    reads = Reads()
    reference.translate(reads, Regs(sctlr=0), 0xC0000000, READ, PL1)
    assert reads.addresses == []


def test_rights_are_given_for_both_privileges() -> None:
    row = Row("", 0, chain(USER_PAGE | RO | PXN), 0)
    read = WALKERS["reference"](memory(row.regs, row.words)).read  # type: ignore[union-attr]
    t = reference.translate(read, row.regs, 0, READ, PL1)
    assert (t.rights, t.rights_other) == ("r", "rx")


@pytest.mark.parametrize("number", list(Fault) + list(Access))
def test_numbers_are_those_of_the_c_core(number: Fault | Access) -> None:
    prefix = "PE_FAULT_" if isinstance(number, Fault) else "PE_"
    assert getattr(lib, prefix + number.name) == number


def test_reserved_memory_types_are_left_open_by_the_reference() -> None:
    assert not short_type(0xFF0A81A8, 0x40E040E0, True, 6, 0).defined
    assert not short_type(0xFF0A81A8 | 3, 0x40E040E0, True, 0, 0).defined
    assert not short_type(0, 0, False, 0b00101, 0).defined
    assert short_type(0, 0, False, 0b01000, 0) == MemoryType(0x04, 0b10)
