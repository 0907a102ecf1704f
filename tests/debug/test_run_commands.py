"""The commands that run the guest: what they say."""

from __future__ import annotations

import pytest

from pyemu.config import UserError
from pyemu.debug.render import as_text
from pyemu.debug.session import Session
from pyemu.machine.loaders import Symbols
from tests.debug.bring_up import MAPPED, PTE, PTE_VALUE, arm_machine, bring_up, controlled


@pytest.fixture
def session() -> Session:
    guest = bring_up()
    found, _ = controlled(arm_machine(guest))
    names = ("make_tables", "mmu_is_on", "write_pte", "pte_store", "call", "after_call", "svc", "loop")
    found.target.symbols = Symbols.known({name: guest.address_of(name) for name in names})
    return found


def say(session: Session, line: str) -> str:
    return as_text(session.execute(line))


def test_a_session_from_a_breakpoint_to_the_writer_of_a_pte_and_back(session: Session) -> None:
    with session:
        assert "breakpoint at" in say(session, "b mmu_is_on")
        assert "breakpoint 1\nCPU 0 at" in say(session, "c")
        watched = say(session, f"watch pt {MAPPED + 0x20_0000:#x}")
        assert f"physical {PTE:#x}" in watched
        stop = say(session, "c")
        assert f"0x0 -> {PTE_VALUE:#x}" in stop
        assert "(pte_store)" in stop
        history = say(session, f"history {MAPPED + 0x20_0000:#x}")
        assert "(pte_store): 0x0 invalid -> 0x40600701 block, 2 MB at 0x40600000" in history
        assert "(pte_store), svc: strd" in say(session, "rs")
        assert "(mmu_is_on)" in say(session, "rc")
        assert "written by" in say(session, "rc")  # of level 1, when the tables were made
        say(session, "d all")
        assert "the beginning of what was recorded" in say(session, "rc")


def test_until_and_next_and_where(session: Session) -> None:
    with session:
        there = say(session, "until call")
        assert "(call), svc: svc" in there
        assert "breakpoint" not in there
        assert "(svc)" in say(session, "s 2")
        assert "(after_call" in say(session, "until after_call")
        assert "recorded from instruction 0 on" in say(session, "where")
        assert say(session, "bt").startswith("#0  ")


def test_points_are_listed_and_deleted_by_number(session: Session) -> None:
    with session:
        say(session, "b loop")
        say(session, f"wa {PTE:#x} 8 rw --physical")
        assert "2: watchpoint: read or write of 8 bytes at physical 0x40301008" in say(session, "b")
        assert "1: breakpoint" not in say(session, "d 1")
        assert say(session, "d all") == "no breakpoint, no watchpoint"
        with pytest.raises(UserError, match="no breakpoint or watchpoint 9"):
            say(session, "d 9")


def test_the_end_of_the_guest_is_said_and_there_is_a_way_back(session: Session) -> None:
    with session:
        assert "the guest has ended with status 0" in say(session, "c")
        with pytest.raises(UserError, match="rs or rc goes back"):
            say(session, "c")
        say(session, "rs")
        assert "the guest has ended with status 0" in say(session, "c")
