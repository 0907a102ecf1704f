"""``tlb``, ``stale`` and ``flush`` on the cycle model, and what ``walk`` and ``why`` say of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.commands.tlb import Stale, TlbView, flush, stale, tlb
from pyemu.debug.commands.translation import walk, why
from pyemu.mmu import Access, TlbArray
from tests.debug.targets import run_image

REMAPPED, OLD, NEW = 0x8000_0000, 0x4040_0000, 0x4060_0000


@pytest.fixture
def session() -> Iterator[Session]:
    """A bring-up that gave 0x80000000 another address and forgot the TLBI."""
    found, _ = run_image("broken-missing_tlbi", timing="tlb")
    with found:
        yield found


def test_entries_are_those_of_the_model(session: Session) -> None:
    found = tlb(session)
    assert isinstance(found, TlbView)
    model = session.machine.cpus[0].tlb
    assert sum(each.where == "main TLB" for each in found.entries) == len(model.entries(TlbArray.MAIN)) > 0
    main = tlb(session, "main")
    assert {each.where for each in main.entries} == {"main TLB"}
    micro = tlb(session, "micro")
    assert len(main.entries) + len(micro.entries) == len(found.entries)
    held = tlb(session, va=REMAPPED + 0x123)
    assert {each.entry.pa for each in held.entries} == {OLD}


def test_an_entry_that_the_tables_contradict_is_stale(session: Session) -> None:
    found = stale(session)
    assert isinstance(found, Stale)
    assert {each.held.where for each in found.entries} == {"micro-TLB of loads", "main TLB"}
    for each in found.entries:
        assert each.va == REMAPPED
        assert each.text.startswith("the PTE is right, the TLB is stale")
        assert f"{OLD:#x}" in each.text
        assert f"{NEW:#x}" in each.text


def test_why_warns_of_a_stale_entry(session: Session) -> None:
    reason = why(session, REMAPPED)
    assert reason.works
    assert f"the entry maps {OLD:#x}" in reason.text
    assert "entry maps" not in why(session, 0x4030_0000).text


def test_flush_empties_the_tlbs_and_nothing_is_stale_any_more(session: Session) -> None:
    assert flush(session).entries > 0
    assert tlb(session).entries == ()
    assert stale(session).lines == ["no entry contradicts the tables"]


def test_a_correct_bring_up_leaves_nothing_stale() -> None:
    session, _ = run_image("broken-correct", timing="tlb")
    with session:
        assert stale(session).entries == ()


def test_a_miss_costs_what_the_core_says(session: Session) -> None:
    core = session.machine.core
    assert core is not None
    cost = walk(session, REMAPPED, Access.READ).cost
    assert cost is not None
    lookup = core["micro_load.miss_cycles"] + core["main_tlb.miss_cycles"]
    assert (cost.lookup, cost.reads) == (lookup, 2)
    assert cost.near == lookup + 2 * core["l2.hit_cycles"]
    assert cost.memory > cost.near
    assert cost.held == ("micro-TLB of loads", "main TLB")
    assert walk(session, 0x9000_0000).cost is not None
    assert walk(session, 0x9000_0000).cost.held == ()  # type: ignore[union-attr]


def test_without_a_cycle_model_there_is_no_tlb_to_look_at() -> None:
    session, _ = run_image("broken-correct")
    with session:
        with pytest.raises(UserError, match="no modelled TLB: give --timing tlb"):
            session.execute("tlb")
        assert walk(session, REMAPPED).cost is None
