"""``walk`` and ``why``: the answers that a CPU model gave, and reasons that hold when they are acted on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.debug import Session
from pyemu.debug.commands.translation import Ladder, Why, walk, why
from pyemu.debug.explain import Change
from pyemu.mem import Memory
from pyemu.mmu import Access, Fault, Regime, translate
from tests.debug.targets import TableTarget, dump_session
from tests.mmu.dump_cases import NAMES, Dump, dump
from tests.mmu.guest_tables import OUTSIDE, VA, long_guest, short_guest
from tests.mmu.test_dumps import GVA2GPA_DEVIATIONS

LONG, SHORT = 1 << 10 | 3, 0b10
AP1, AP2, XN, PXN = 1 << 6, 1 << 7, 1 << 54, 1 << 53


def session_of(guest: object, **options: object) -> Session:
    return Session(TableTarget(guest.memory, guest.regime, **options))  # type: ignore[attr-defined, arg-type]


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Dump:
    return dump(request.param)


def test_walk_gives_the_address_that_gva2gpa_gave(case: Dump) -> None:
    """But where gva2gpa looked past a clear access flag, which tests/mmu counts."""
    session = dump_session(case)
    past_the_flag = 0
    for va, recorded, _region, _verdict in case.gva2gpa[::11]:
        ladder = walk(session, va, Access.READ, case.privileged)
        if ladder.result.fault is Fault.ACCESS_FLAG and recorded == ladder.result.pa:
            past_the_flag += 1
            continue
        assert (ladder.result.pa if ladder.result.ok else None) == recorded, "\n".join(ladder.lines)
        assert why(session, va, Access.READ, case.privileged).works is ladder.result.ok
    assert bool(past_the_flag) <= bool(GVA2GPA_DEVIATIONS.get(case.name))


def test_a_ladder_has_a_line_for_each_level_with_table_index_and_fields() -> None:
    ladder = walk(session_of(long_guest(0xAB_CDE0_0000 | LONG | AP1 | XN)), VA, Access.WRITE)
    lines = ladder.lines
    assert [rung.step.level for rung in ladder.rungs] == [1, 2, 3]
    assert "table at 0x40002000" in lines[1]
    assert "AP[2:1]=0b01" in lines[3]
    assert "XN=1" in lines[3]
    assert any(line.startswith("  result   0xabcde00678") for line in lines)
    assert any("rw- in kernel mode, rw- in user mode" in line for line in lines)
    assert lines[-1].startswith("  verdict  ok")


def test_a_walk_that_ends_early_has_only_the_levels_that_were_read() -> None:
    ladder = walk(session_of(long_guest(l2=0)), VA)
    assert [rung.decoded.kind for rung in ladder.rungs] == ["table", "invalid"]
    assert ladder.lines[-1].startswith("  verdict  translation fault, level 2")


def test_a_table_outside_memory_is_a_rung_of_its_own() -> None:
    ladder = walk(session_of(long_guest(l1=OUTSIDE | 3)), VA)
    assert ladder.rungs[-1].decoded.kind == "outside memory"
    assert "external" in ladder.lines[-1]


@pytest.mark.parametrize(
    ("l3", "access", "privileged", "words"),
    [
        (0, Access.READ, True, ["translation, level 3", "is invalid", "would map it"]),
        (0x40000001, Access.READ, True, ["reserved at level 3"]),
        (3, Access.READ, True, ["access flag, level 3", "AF = 0"]),
        (LONG, Access.READ, False, ["permission, level 3", "AP[2:1]=0b00", "PL1 only", "would permit it"]),
        (LONG | AP1 | AP2, Access.WRITE, False, ["AP[2:1]=0b11 is read-only for both"]),
        (LONG | XN, Access.FETCH, True, ["XN = 1 forbids execution"]),
        (LONG | PXN, Access.FETCH, True, ["PXN = 1 forbids execution at PL1"]),
    ],
)
def test_why_names_what_a_fault_comes_from(
    l3: int, access: Access, privileged: bool, words: list[str]
) -> None:
    reason = why(session_of(long_guest(l3)), VA, access, privileged)
    assert not reason.works
    for word in words:
        assert word in reason.text


def test_why_names_the_table_descriptor_that_takes_the_right_away() -> None:
    guest = long_guest(0x40000000 | LONG | AP1, l2=0x40003003 | 1 << 61)
    reason = why(session_of(guest), VA, Access.READ, False)
    assert "APTable[0] in L2[" in reason.text
    assert "takes PL0's access away" in reason.text


def test_why_says_that_epd_disables_a_walk() -> None:
    guest = long_guest(ttbcr=1 << 7)
    reason = why(session_of(guest), VA)
    assert "TTBCR.EPD0 = 1 disables walks from TTBR0" in reason.text
    assert reason.changes == (Change("ttbcr", None, 1 << 7, 0),)


def test_why_says_which_domain_dacr_denies() -> None:
    guest = short_guest(dacr=0)
    reason = why(session_of(guest), VA)
    assert "faults: domain" in reason.text
    assert "no access" in reason.text


def test_why_says_that_a_large_page_has_16_descriptors_to_change() -> None:
    with Memory() as memory:
        memory.add_ram(0x4000_0000, 1 << 20)
        memory.write(0x4000_4000 + 4 * 0x600, (0x4000_2001).to_bytes(4, "little"))
        memory.write(0x4000_2000, (0x4005_8031).to_bytes(4, "little") * 16)  # XN
        memory.write(0x4000_2040, (0x4006_0033).to_bytes(4, "little"))  # a small page, XN
        session = Session(TableTarget(memory, Regime(sctlr=1, ttbr0=0x4000_4000, dacr=1)))
        assert (
            "and 0x40050031 would permit it, in each of its 16 descriptors."
            in session.execute("why 0x60000000 x").text
        )
        assert session.execute("why 0x60010000 x").text.endswith("would permit it.")


def test_why_says_that_there_is_nothing_to_execute() -> None:
    guest = long_guest(0xAB_CDE0_0003 | 1 << 10)
    reason = why(session_of(guest), VA, Access.FETCH)
    assert not reason.works
    assert "translates, but there is no memory at 0xabcde00678 to execute" in reason.text
    assert why(session_of(guest), VA).works  # a device may answer


def test_with_the_mmu_off_each_address_is_physical() -> None:
    with Memory() as memory:
        memory.add_ram(0x4000_0000, 4096)
        session = Session(TableTarget(memory, Regime()))
        assert "the MMU is off" in why(session, 0x4000_0000).text
        assert "no memory is there" in why(session, 0x9000_0000).text
        assert walk(session, 0x4000_0000).result.pa == 0x4000_0000


def apply(memory: Memory, regime: Regime, change: Change) -> Regime:
    """The regime after an edit; edits of descriptors go to memory."""
    if change.pa is None:
        return replace(regime, **{change.where: change.of(getattr(regime, change.where))})
    size = 8 if regime.long_format else 4
    value = int.from_bytes(memory.read(change.pa, size), "little")
    memory.write(change.pa, change.of(value).to_bytes(size, "little"))
    return regime


def acted_on(memory: Memory, regime: Regime, access: Access, privileged: bool) -> tuple[Why, Regime]:
    """The first reason, and the regime after its edits and those of the faults behind it."""
    first = None
    for _ in range(6):
        reason = why(Session(TableTarget(memory, regime)), VA, access, privileged)
        first = first or reason
        if reason.works or not reason.changes:
            break
        for change in reason.changes:
            regime = apply(memory, regime, change)
    assert first is not None
    return first, regime


LEAF_BITS = st.lists(st.sampled_from((5, 6, 7, 8, 9, 10, 11, 53, 54)), unique=True)
TABLE_BITS = st.lists(st.sampled_from((59, 60, 61, 62, 63)), unique=True)
WHO = st.tuples(st.sampled_from(list(Access)), st.booleans())


@given(LEAF_BITS, TABLE_BITS, TABLE_BITS, st.integers(0, 3), WHO)
@settings(max_examples=200, deadline=None)
def test_what_why_would_change_makes_a_long_access_work(
    leaf: list[int], upper: list[int], lower: list[int], never: int, who: tuple[Access, bool]
) -> None:
    guest = long_guest(
        0xAB_CDE0_0003 | sum(1 << bit for bit in leaf),
        l2=0x4000_3003 | sum(1 << bit for bit in lower),
        l1=0x4000_2003 | sum(1 << bit for bit in upper),
        sctlr=never << 19,
    )
    with guest.memory:
        reason, regime = acted_on(guest.memory, guest.regime, *who)
        assert reason.works or reason.changes or "there is no memory at" in reason.text
        assert translate(guest.memory, regime, VA, who[0], privileged=who[1]).ok


@given(
    st.booleans(),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 3),
    st.integers(0, 15),
    WHO,
)
@settings(max_examples=300, deadline=None)
def test_what_why_would_change_makes_a_short_access_work(
    section: bool, first: int, second: int, never: int, dacr: int, who: tuple[Access, bool]
) -> None:
    l1 = first | 2 if section else 0x4000_8000 | first & 0x1FC | 1
    guest = short_guest(
        l2=second | 2,
        l1=l1,
        sctlr=never << 19 | (first >> 3 & 1) << 29,
        dacr=dacr * 0x1111_1111 & 0xFFFF_FFFF,
    )
    with guest.memory:
        _, regime = acted_on(guest.memory, guest.regime, *who)
        assert translate(guest.memory, regime, VA, who[0], privileged=who[1]).ok


def test_results_are_the_same_by_name_and_by_function() -> None:
    session = session_of(long_guest())
    assert isinstance(session.execute(f"walk {VA:#x} w user"), Ladder)
    assert session.execute(f"walk {VA:#x} w user") == walk(session, VA, Access.WRITE, False)
    assert session.execute(f"why {VA:#x} x priv") == why(session, VA, Access.FETCH, True)
