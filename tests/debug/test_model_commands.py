"""Commands that make things happen in a Kernel model, and `trace`, which shows what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from pyemu.config import UserError
from pyemu.debug import KernelTarget, Session
from pyemu.debug.commands.kernel import kmap, tasks, vma
from pyemu.debug.commands.model import Outcome
from pyemu.debug.commands.trace import Traced
from pyemu.debug.commands.translation import walk
from pyemu.debug.registry import commands
from pyemu.debug.render import as_json, as_text
from pyemu.kernel import Kernel, KernelConfig

PAGE = 4096
AT = 0x1000_0000
Make = Callable[..., Session]


@pytest.fixture
def make() -> Iterator[Make]:
    """A session on a Kernel of some configuration."""
    made = []

    def session(**config: object) -> Session:
        made.append(Session(KernelTarget(Kernel(KernelConfig(**config)), owned=True)))  # type: ignore[arg-type]
        return made[-1]

    yield session
    for each in made:
        each.close()


@pytest.fixture
def bench(make: Make) -> Session:
    session = make()
    for line in ("spawn bench", f"mmap 64K {AT:#x}", f"touch {AT:#x} 4 w"):
        session.execute(line)
    return session


def refused(session: Session, line: str) -> str:
    with pytest.raises(UserError) as problem:
        session.execute(line)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_a_task_maps_and_touches_memory(bench: Session) -> None:
    (task,) = tasks(bench).tasks
    assert (task.name, task.running, task.anon) == ("bench", True, 4)
    (area,) = vma(bench).areas
    assert (area.start, area.end, area.rss) == (AT, AT + 16 * PAGE, 4)
    again = bench.execute(f"touch {AT:#x} 4 w")
    assert again.lines == [
        f"4 writes, 0 faults; the last is of physical {walk(bench, AT + 3 * PAGE).result.pa:#x}"
    ]


def test_an_access_that_cannot_be_ends_in_a_signal_with_its_reason(bench: Session) -> None:
    wild = bench.execute("touch 0x20000000 w")
    assert wild.value == 0
    assert wild.text == "0 writes, 1 fault; then SIGSEGV at 0x20000000 (SEGV_MAPERR, nothing is mapped there)"
    bench.execute(f"mprotect {AT:#x} 8K r")
    assert "SEGV_ACCERR" in bench.execute(f"touch {AT:#x} w").text
    assert "SIGSEGV" not in bench.execute(f"touch {AT:#x} r").text


def test_a_name_of_a_task_does_nothing_to_the_terminal(bench: Session) -> None:
    assert "(a\\x1b[31m)" in as_text(bench.execute("spawn a\x1b[31m"))
    assert all(line.isprintable() for line in as_text(tasks(bench)).splitlines())


def test_fork_switch_and_kill(bench: Session) -> None:
    free = bench.target.kernel.meminfo.mem_free
    child = bench.execute("fork").value
    shared = walk(bench, AT).result.pa
    assert bench.execute(f"touch {AT:#x} w --pid {child}").text.startswith("1 write, 1 fault")
    assert [task.pid for task in tasks(bench).tasks if task.running] == [child]
    assert walk(bench, AT).result.pa != shared
    bench.execute("switch 1")
    assert walk(bench, AT).result.pa == shared
    bench.execute(f"kill {child}")
    assert "is alive" in refused(bench, f"switch {child}")
    assert free - bench.target.kernel.meminfo.mem_free == 2 + 1  # stack and slab of the zombie
    bench.execute("kill 1")
    assert "`spawn` makes one" in refused(bench, f"touch {AT:#x}")


def test_a_window_is_made_shown_and_closed(bench: Session) -> None:
    pa = walk(bench, AT).result.pa
    made = bench.execute(f"kmap_local {pa:#x}")
    assert (made.value, made.text) == (0xFFEF_E000, f"0xffefe000 -> {pa:#x} (window of CPU 0)")
    assert [window.pa for window in kmap(bench).windows] == [pa]
    assert bench.execute("kunmap_local 0xffefe000").text.endswith("windows of the task: 0")
    assert kmap(bench).windows == ()
    low = bench.execute("kmap_local 0x40001000")
    assert (low.value, "needs no window" in low.text) == (0xC000_1000, True)
    bench.execute(f"kmap_high {pa:#x}")
    assert len(bench.execute("pkmap").used) == 1
    bench.execute(f"kunmap_high {pa:#x}")
    assert [slot.count for slot in bench.execute("pkmap").used] == [1]


def test_windows_go_and_come_with_their_task(bench: Session) -> None:
    bench.execute(f"kmap_local {walk(bench, AT).result.pa:#x}")
    other = bench.execute("spawn other").value
    assert kmap(bench).windows == ()
    bench.execute("switch 1")
    assert len(kmap(bench).windows) == 1
    assert other != 1


def test_another_cpu_is_one_to_act_on(make: Make) -> None:
    session = make(cpus=2)
    session.execute("spawn first")
    session.execute("cpu 1")
    session.execute("spawn second")
    session.execute(f"mmap 4K {AT:#x}")
    session.execute(f"touch {AT:#x} w")
    pa = walk(session, AT).result.pa
    session.execute("cpu 0")
    assert not walk(session, AT).result.size
    assert session.execute(f"kmap_local {pa:#x}").text.endswith("window of CPU 0)")
    session.execute("cpu 1")
    assert session.execute(f"kmap_local {pa:#x}").text.endswith("window of CPU 1)")
    assert [window.cpu for window in kmap(session).windows] == [0, 1]


def test_what_the_kernel_would_print_comes_with_the_command(bench: Session) -> None:
    bench.execute("disable irqs")
    assert "IRQs disabled; must not sleep" in bench.execute("locks").lines[0]
    done = bench.execute(f"touch {AT:#x} 8 w")
    assert "BUG: sleeping function called from invalid context" in "\n".join(done.lines)
    assert "reported 4 times" in "\n".join(done.lines)
    bench.execute("enable irqs")
    assert bench.execute(f"touch {AT:#x} 9 w").reports == ()
    assert len(bench.execute("reports clear").reports) == 1
    assert bench.execute("reports").lines == ["no report"]
    assert "nothing to enable" in refused(bench, "enable irqs")


def test_the_forbidden_kernel_reports_both_locks_of_the_window(make: Make) -> None:
    session = make(preemption="rt", highpte=True, force=True)
    for line in ("spawn", f"mmap 64K {AT:#x}", f"touch {AT:#x} 2 w"):
        session.execute(line)
    found = session.execute(f"gup {AT:#x} 2")
    text = "\n".join(found.lines)
    assert text.count("BUG: sleeping function called from invalid context") == 2
    reports = [i for i, step in enumerate(found.steps) if step.text.startswith("report:")]
    assert [found.steps[i - 1].text for i in reports] == ["rt_spin_lock {"] * 2
    session.execute("reports clear")
    session.execute("occupy kmap")
    assert "really blocked" in "\n".join(session.execute(f"gup {AT:#x} 2").lines)
    assert "occupied already" in refused(session, "occupy kmap")
    session.execute("release kmap")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("mmap 64K 0x123", "mmap: Invalid argument"),
        ("mmap 64K 0x10000000", "mmap: File exists"),
        ("mmap 5G", "less than 4G"),
        ("mmap", "SIZE is missing"),
        ("mprotect 0x10000000 4K", "what it shall allow is missing: none, r, rw, rx, rwx"),
        ("mprotect 0x30000000 4K r", "mprotect: Cannot allocate memory"),
        ("touch 0x10000000 w --pid 9", "no process 9 is alive"),
        ("switch 9", "no process 9 is alive"),
        ("switch 1 3", "CPU 3: there are "),
        (f"switch 1 {1 << 62}", ": there are "),
        ("kmap_local 0x1000", "no frame has pfn 0x1"),
        ("kunmap_high 0xff00000000", "no frame has pfn"),
        ("disable everything", "'everything' is not one of irqs, preemption"),
        ("occupy kmap_lock", "'kmap_lock' is not one of kmap"),
        ("trace", "COMMAND is missing"),
        ("trace nothing", "no command 'nothing'"),
        ("vma 7", "no process 7"),
        ("rs", "no code runs"),
    ],
)
def test_a_mistake_is_one_line(bench: Session, line: str, part: str) -> None:
    assert part in refused(bench, line)


def test_trace_shows_a_copy_on_write_and_its_cycles_add_up(bench: Session) -> None:
    bench.execute("fork")
    before = tuple(bench.target.kernel.stats.items())
    traced = bench.execute(f"trace touch {AT:#x} w")
    assert isinstance(traced, Traced)
    texts = [event.text for event in traced.events]
    cow, copy = texts.index("do_wp_page {"), texts.index("copy_highpage {")
    assert texts[0] == "do_DataAbort {"
    assert cow < copy < texts.index("} copy_highpage") < texts.index(f"TLBIMVAIS {AT:#010x}")
    new = walk(bench, AT).result
    assert any(
        text.startswith(f"set @{new.descriptor_pa:#x}: ") and text.endswith(f" -> {new.descriptor:#x}")
        for text in texts
    )
    assert traced.cycles == sum(event.cycles for event in traced.events) > 1000
    assert isinstance(traced.result, Outcome)
    assert tuple(bench.target.kernel.stats.items()) != before


def test_each_command_answers_as_json(bench: Session) -> None:
    for line in (
        "tasks",
        "reports",
        f"touch {AT:#x}",
        f"gup {AT:#x} 1",
        f"trace touch {AT + 4 * PAGE:#x} w",
        "fork",
    ):
        assert json.loads(as_json(bench.execute(line)))


def test_help_of_a_model_alone_names_what_cannot_be_used_and_why(bench: Session) -> None:
    text = "\n".join(bench.execute("help").lines)
    usable, _, rest = text.partition("not here, it is a Kernel model alone")
    assert "  touch VA [PAGES] [r|w|x] [--pid PID]" in usable
    assert "\n  until ADDRESS" not in usable
    assert "until" in rest
    assert "``" not in text
    for name in ("spawn", "mmap", "touch", "trace", "kmap_local", "occupy"):
        assert commands()[name].example in "\n".join(bench.execute(f"help {name}").lines)


def test_modelled_tlbs_of_a_model_are_shown_with_timing(make: Make) -> None:
    session = make(timing="tlb", core="cortex-a15")
    for line in ("spawn", f"mmap 64K {AT:#x}", f"touch {AT:#x} 2 w"):
        session.execute(line)
    session.execute(f"kmap_local {walk(session, AT).result.pa:#x}")
    assert session.execute("tlb main").entries
    assert session.execute("stale").lines == ["no entry contradicts the tables"]
    assert walk(session, AT).lines[-1].startswith("  cycles   a TLB miss: ")
