"""The sessions in docs/cases are real: each command is typed again, and each answer is what the page says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pyemu.debug.dump import open_dump, write_core
from pyemu.debug.linux import linux_layout
from pyemu.debug.opening import open_target
from pyemu.debug.session import Session
from pyemu.mmu import walk
from tests.acceptance.conftest import debian, packages  # noqa: F401  (fixtures)
from tests.acceptance.guest import Guest
from tests.conftest import Completed
from tests.debug.cases import CASES, replay, sessions, target_of, typed
from tests.debug.oops import make_snapshot

ALL = [
    pytest.param(session, id=f"{path.stem}-{number}")
    for path in CASES
    for number, session in enumerate(sessions(path.read_text()))
    if not target_of(session).endswith(".snap")
]
OF_SNAPSHOT = [
    pytest.param(session, id=f"{path.stem}-{number}")
    for path in CASES
    for number, session in enumerate(sessions(path.read_text()))
    if target_of(session).endswith(".snap")
]


def test_there_are_three_cases_with_sessions() -> None:
    assert [path.stem for path in CASES] == ["bring-up", "highmem-oops", "stale-tlb"]
    assert len(ALL) >= 6
    assert len(OF_SNAPSHOT) >= 2


@pytest.mark.parametrize("session", ALL)
def test_a_session_with_firmware_is_as_the_page_shows_it(session: str) -> None:
    assert len(typed(session)) >= 2
    assert replay(session) == session


def test_the_command_line_says_the_same_to_a_pipe(run_pyemu: Callable[..., Completed]) -> None:
    session = ALL[0].values[0]
    assert isinstance(session, str)
    lines = session.splitlines()
    done = run_pyemu(*lines[0].split()[2:], input="\n".join(typed(session)))
    answers = [line for line in lines[1:] if not line.startswith("(pyemu) ")]
    assert done.stdout.splitlines() == answers


# ---- the oops ----


@pytest.fixture(scope="module")
def oops(debian: Callable[..., Guest], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:  # noqa: F811
    """The snapshot, and what the kernel printed."""
    path = tmp_path_factory.mktemp("oops") / "oops.snap"
    return path, make_snapshot(replace(debian("armmp-lpae", "1G"), append="console=ttyAMA0"), path)


@pytest.mark.acceptance
@pytest.mark.parametrize("session", OF_SNAPSHOT)
def test_a_session_with_the_oops_is_as_the_page_shows_it(session: str, oops: tuple[Path, str]) -> None:
    """But for numbers: addresses and instruction counts are those of one kernel package."""
    assert shape(replay(session, oops[0].parent)) == shape(session)


def shape(text: str) -> str:
    return re.sub(r"\b(?:0x)?[0-9a-f]*[0-9][0-9a-f]*\b", "#", text)


@pytest.mark.acceptance
def test_the_kernel_prints_two_levels_and_the_walk_has_the_third(oops: tuple[Path, str]) -> None:
    """show_pte stops before a PTE page in highmem: one behind the end of lowmem."""
    found = re.search(r"\[0000c00c\] \*pgd=([0-9a-f]+), \*pmd=([0-9a-f]+)\s*$", oops[1], re.M)
    assert found is not None, oops[1]
    with Session(open_target(oops[0])) as session:
        steps = walk(session.memory, session.regime, 0xC00C).steps
        layout = linux_layout(session)
    assert [f"{step.descriptor:08x}" for step in steps[:2]] == [found[1], found[2]]
    assert (steps[2].level, steps[2].descriptor) == (3, 0)
    assert layout is not None
    assert steps[2].table_pa >= layout.phys_offset + layout.lowmem_end - layout.page_offset


@pytest.mark.acceptance
def test_a_core_of_the_oops_shows_the_same(oops: tuple[Path, str], tmp_path: Path) -> None:
    places = (0xC00C, 0x10000, 0xC040_0000, 0xFFFF_0000)
    snapshot = open_target(oops[0])
    with Session(snapshot) as session:
        walks = [walk(session.memory, session.regime, va) for va in places]
        written = write_core(snapshot, tmp_path / "vmcore")
    assert written.vmcoreinfo
    with Session(open_dump(tmp_path / "vmcore")) as session:
        assert [walk(session.memory, session.regime, va) for va in places] == walks
