"""Back in a run of a user program: the Kernel model is as it was, too."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyemu.debug import Session
from pyemu.debug.commands.run import Stopped
from pyemu.debug.control import Control, Position
from pyemu.debug.opening import open_kernel
from pyemu.kernel import Kernel, KernelConfig, Process
from pyemu.mmu import mapped_ranges
from tests.conftest import ROOT
from tests.debug.test_run_timed import billed

Open = Callable[..., Session]
PROGRAMS = ("cow", "fault", "gup", "touch", "window")


@pytest.fixture
def program() -> Iterator[Open]:
    """A session on a program of firmware/hosted."""
    made = []

    def session(name: str, **config: Any) -> Session:
        path = ROOT / f"firmware/elf/hosted-{name}.elf"
        made.append(Session(open_kernel(KernelConfig(**config), path)))
        return made[-1]

    yield session
    for each in made:
        each.close()


def state(session: Session) -> dict[str, Any]:
    """All that can be seen of machine and model; the model counts every frame anew."""
    kernel: Kernel = session.target.kernel
    kernel.check()
    digest = hashlib.sha256()
    for each in mapped_ranges(session.memory, session.regime, 0, 0xBF00_0000):
        digest.update(each.va.to_bytes(4, "little") + session.memory.read(each.pa, each.size))
    return {
        "position": session.part(Control).position,
        "registers": dict(session.registers),
        "stats": kernel.stats,
        "meminfo": kernel.meminfo,
        "tasks": kernel.tasks,
        "areas": {task.pid: Process(kernel, task.pid).areas for task in kernel.tasks},
        "memory": digest.hexdigest(),
    }


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("tables", ["lpae", "classic"])
def test_going_back_shows_model_and_memory_as_they_were(program: Open, name: str, tables: str) -> None:
    session = program(name, tables=tables)
    control = session.part(Control)
    seen = [state(session)]
    for insns in (1, 7, 1000, 5000, 20_000, 30_001, 60_000):
        if control.ended is None:
            control.resume(insns)
            seen.append(state(session))
    if control.ended is None:
        control.resume(400_000)
    for each in (*reversed(seen), *seen[::2]):
        control.go_to(each["position"])
        assert state(session) == each


def test_a_program_ends_the_same_from_any_place_that_was_gone_back_to(program: Open) -> None:
    session = program("cow")
    control = session.part(Control)
    places = [control.resume(insns).position for insns in (900, 50_001, 77_777, 76_543)]
    end = session.execute("c")
    assert end.output.endswith("1..11\n")
    whole = state(session)
    for place in places:
        control.go_to(place)
        again = session.execute("c")
        assert again.reason == "exit"
        assert state(session) == whole


def test_reverse_step_crosses_a_fault_and_undoes_its_page(program: Open) -> None:
    session = program("cow")
    session.execute("b main")
    session.execute("c")
    before = session.target.kernel.stats["faults"]
    while session.target.kernel.stats["faults"] == before:
        session.execute("s")
    after = state(session)
    session.execute("rs")
    assert session.target.kernel.stats["faults"] == before
    assert state(session) != after
    session.execute("s")
    assert state(session) == after


def test_reverse_continue_goes_to_the_latest_breakpoint(program: Open) -> None:
    session = program("cow")
    session.execute("b main")
    at = session.execute("c").place.pc
    session.execute("c 50000")
    assert session.execute("rc").place.pc == at
    assert [task.pid for task in session.target.kernel.tasks] == [1]


def test_what_a_command_changed_in_the_model_is_there_when_going_back_to_it(program: Open) -> None:
    session = program("cow")
    session.execute("b main")
    session.execute("c")
    mapped = session.execute("mmap 64K 0x20000000 --populate").value
    changed = state(session)
    session.execute("c 20000")
    session.part(Control).go_to(changed["position"])
    assert state(session) == changed
    assert any(area.start == mapped for area in changed["areas"][1])


def test_stops_of_the_debugger_change_nothing(program: Open) -> None:
    through, stepped = program("cow"), program("cow")
    through.execute("c")
    stepped.execute("b 0x10f64")
    for command in ("c", "s 40", "c 777", "s 3", "c 12345", "s", "c 1", "c"):
        stepped.execute(command)
    assert state(stepped) == state(through)


@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_the_bill_goes_back_too(program: Open, timing: str) -> None:
    session = program("cow", timing=timing, core="cortex-a15")
    control, machine = session.part(Control), session.machine
    seen = []
    for insns in (1, 1000, 5000, 20_000, 50_000):
        control.resume(insns)
        seen.append((state(session), machine.bill(), machine.cpus[0].tlb.stats()))
    for before, bill, tlb in (*reversed(seen), *seen[::2]):
        control.go_to(before["position"])
        assert state(session) == before
        assert (machine.bill().cycles, machine.cpus[0].tlb.stats()) == (bill.cycles, tlb)


def test_history_names_what_the_model_stored_for_which_instruction(program: Open) -> None:
    session = program("cow")
    session.execute("b main")
    main = session.execute("c").place.pc
    while not session.target.kernel.stats["faults_cow"]:
        session.execute("s")
    found = session.execute("history sp").descriptors
    assert all(each.now.startswith(f"{each.writes[-1].write.new:#x} ") for each in found if each.writes)
    functions = [each.write.function for each in found[-1].writes]
    assert functions[-1] == "do_wp_page"
    assert "copy_pte_range" in functions
    assert " in do_wp_page: " in "\n".join(session.execute("history sp").lines)
    insns = [each.write.insns for each in found[-1].writes]
    assert insns == sorted(insns)
    session.execute("rc")
    assert session.registers["pc"] == main
    assert "do_wp_page" not in [
        each.write.function for d in session.execute("history sp").descriptors for each in d.writes
    ]


@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_stops_of_the_debugger_change_no_cycle_of_program_and_kernel(program: Open, timing: str) -> None:
    through, stepped = (program("cow", timing=timing, core="cortex-a15") for _ in range(2))
    through.execute("c")
    stepped.execute("b 0x10f64")
    for command in ("c", "s 40", "c 777", "s 3", "c 12345", "s", "c 1", "c"):
        stepped.execute(command)
    assert (billed(stepped.machine), state(stepped)) == (billed(through.machine), state(through))


@pytest.mark.parametrize("timing", ["tlb", "cache"])
def test_nor_do_stops_at_the_models_stores(program: Open, timing: str) -> None:
    through, stepped = (program("cow", timing=timing, core="cortex-a15") for _ in range(2))
    through.execute("c")
    stepped.execute("b 0x10f64")
    stepped.execute("c")
    stepped.execute("watch pt sp")
    reasons = []
    while not reasons or reasons[-1] != "exit":
        reasons.append(stepped.execute("c").reason)
    assert reasons.count("watchpoint") > 3
    assert (billed(stepped.machine), state(stepped)) == (billed(through.machine), state(through))


def stop_at_cow(session: Session) -> Stopped:
    """Run to where the model has just copied the stack's page on write; its descriptors are watched."""
    session.execute("b main")
    session.execute("c")
    session.execute("watch pt sp")
    while "do_wp_page" not in (found := session.execute("c")).text:
        assert session.part(Control).ended is None
    assert isinstance(found, Stopped)
    return found


def test_a_watched_descriptor_stops_behind_the_models_store_and_back_before_it(program: Open) -> None:
    session = program("cow")
    control = session.part(Control)
    found = stop_at_cow(session)
    behind, copied = control.position, session.target.kernel.stats["faults_cow"]
    assert found.text.startswith("watchpoint 4: 8 bytes at physical 0x")
    back = session.execute("rc")
    assert back.text == found.text
    assert (control.position.insns, control.position.exceptions) == (behind.insns, behind.exceptions - 1)
    assert session.target.kernel.stats["faults_cow"] == copied - 1
    assert session.execute("c").text == found.text
    assert control.position == behind
    session.execute("s")
    assert control.position == Position(behind.insns + 1, behind.exceptions)
    session.execute("rs")
    assert control.position == Position(behind.insns, behind.exceptions - 1)
    control.go_to(behind)
    session.execute("rs")
    assert control.position == Position(behind.insns, behind.exceptions - 1)


def test_a_watch_of_a_virtual_address_takes_no_store_of_the_model_for_its_own(program: Open) -> None:
    session = program("cow")
    session.execute("wa 0x0 4 rw")
    assert session.execute("c").reason == "exit"


def test_going_back_to_behind_a_store_of_the_model_keeps_it_in_the_history(program: Open) -> None:
    session = program("cow")
    control = session.part(Control)
    stop_at_cow(session)
    control.touched()
    behind, known = control.position, session.execute("history sp").lines
    assert " in do_wp_page: " in known[-1]
    session.execute("c 1000")
    control.go_to(behind)
    assert session.execute("history sp").lines == known
