"""Commands on a Kernel model: windows, PKMAP, zones, tasks, areas, locks, gup step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyemu.config import UserError
from pyemu.debug import KernelTarget, Session
from pyemu.debug.commands.kernel import kmap, locks, pkmap, tasks, vma, zones
from pyemu.debug.commands.tables import pt
from pyemu.debug.commands.trace import gup
from pyemu.debug.commands.translation import walk, why
from pyemu.debug.linux import linux_layout
from pyemu.kernel import Gfp, Kernel, KernelConfig, Process
from pyemu.kernel.bill import read_spent
from pyemu.kernel.kmap import kmap as map_high
from pyemu.kernel.kmap import kmap_local
from pyemu.mmu import Access
from tests.debug.targets import TableTarget, dump_session
from tests.mmu.dump_cases import dump

PAGE, PAGES = 4096, 8


@pytest.fixture
def world() -> Iterator[tuple[Session, Process, int]]:
    with Kernel(KernelConfig()) as kernel:
        process = kernel.spawn("bench")
        process.run()
        address = process.mmap(64 * PAGE)
        process.touch(address, PAGES * PAGE, write=True)
        yield Session(KernelTarget(kernel)), process, address


def high_page(session: Session, address: int) -> int:
    pa = walk(session, address).result.pa
    assert pa >= session.target.kernel.layout.lowmem_limit
    return pa >> 12


def test_the_layout_that_is_found_in_the_tables_is_that_of_the_model(
    world: tuple[Session, Process, int],
) -> None:
    session, _, _ = world
    layout, known = linux_layout(session), session.target.kernel.layout
    assert layout is not None
    assert layout.page_offset == known.page_offset
    assert layout.phys_offset == known.phys_offset
    assert layout.lowmem_end == known.high_memory
    assert layout.vmalloc_start == known.vmalloc_start
    assert layout.task_size == known.task_size


def test_tasks_and_their_areas(world: tuple[Session, Process, int]) -> None:
    session, process, address = world
    assert [task.pid for task in tasks(session).tasks] == [process.pid]
    (area,) = [area for area in vma(session).areas if area.start <= address < area.end]
    assert area.rss == PAGES
    assert vma(session, process.pid) == vma(session)
    with pytest.raises(UserError, match="no process 77"):
        session.execute("vma 77")


def test_an_open_window_is_shown_and_translates(world: tuple[Session, Process, int]) -> None:
    session, _, address = world
    pfn = high_page(session, address)
    assert kmap(session).windows == ()
    va = kmap_local(session.target.kernel, pfn)
    assert va is not None
    (window,) = kmap(session).windows
    assert (window.va, window.pa, window.task) == (va, pfn << 12, "bench (pid 1)")
    assert walk(session, va).result.pa == pfn << 12
    aliases = session.execute(f"alias {pfn << 12:#x}")
    assert {each for each, _ in aliases.at} == {address, va}


def test_pkmap_slots_have_their_counts(world: tuple[Session, Process, int]) -> None:
    session, _, address = world
    pfn = high_page(session, address)
    va = map_high(session.target.kernel, pfn)
    (slot,) = pkmap(session).used
    assert (slot.va, slot.pfn, slot.count) == (va, pfn, 2)
    assert "1 users" in pkmap(session).lines[0]


def test_zones_add_up_to_the_memory_that_is_managed(world: tuple[Session, Process, int]) -> None:
    session, _, _ = world
    shown = zones(session).zones
    assert sum(zone.managed for zone in shown) == session.target.kernel.meminfo.mem_total
    assert [zone.name for zone in shown][-1] == "HighMem"


def test_locks_say_whether_a_cpu_may_sleep(world: tuple[Session, Process, int]) -> None:
    (context,) = locks(world[0]).contexts
    assert context.may_sleep
    assert "holds no lock" in locks(world[0]).lines[0]


def test_gup_shows_each_step_and_puts_the_pages_back(world: tuple[Session, Process, int]) -> None:
    session, _, address = world
    kernel = session.target.kernel
    pfn = high_page(session, address)
    before, spent = kernel.page(pfn).refcount, read_spent(kernel).cycles
    found = gup(session, address, 4, write=True)
    assert (found.result.fast, found.result.pfns[0]) == (4, pfn)
    assert kernel.page(pfn).refcount == before
    texts = [step.text for step in found.steps]
    window = texts.index("__kmap_local_pfn_prot {")
    table = next(i for i, text in enumerate(texts) if text.startswith("L2 @") and text.endswith(", highmem"))
    pte = next(i for i, text in enumerate(texts) if f": pfn {pfn:#x} USER YOUNG DIRTY" in text)
    assert table < texts.index("lock kmap_lock") < window < texts.index("TLBIMVA 0xffefe000") < pte
    assert texts[pte + 1 : pte + 4] == [
        f"check {address:#010x}: the access is allowed",
        f"grab pfn {pfn:#x}: refcount {before + 1}",
        f"check {address:#010x}: the entry is still the same",
    ]
    assert sum(text.startswith("grab pfn") for text in texts) == 4
    assert texts.index("local_irq_save, depth 1") < table < pte < texts.index("local_irq_restore, depth 0")
    assert 0 < found.cycles < read_spent(kernel).cycles - spent  # which has the way back of the pages too


def test_gup_of_absent_pages_shows_why_the_fast_walk_stopped_and_the_fault(
    world: tuple[Session, Process, int],
) -> None:
    session, _, address = world
    found = gup(session, address + 16 * PAGE, 2)
    assert (len(found.result.pfns), found.result.fast) == (2, 0)
    texts = [step.text for step in found.steps]
    stop = texts.index(f"check {address + 16 * PAGE:#010x}: stop, pte access")
    assert stop < texts.index("lock mmap_lock (may sleep)") < texts.index("do_anonymous_page {")


def test_gup_of_many_pages_has_a_line_for_each(world: tuple[Session, Process, int]) -> None:
    session, process, address = world
    process.touch(address, 64 * PAGE, write=True)
    found = gup(session, address, 64)
    pages = [line for line in found.lines if ": allowed, grabbed (refcount 2), unchanged" in line]
    assert len(pages) == 64
    assert sum(line.cycles for line in found.shown) == found.cycles


def test_gup_slow_and_pin_are_calls_of_their_own(world: tuple[Session, Process, int]) -> None:
    session, _, address = world
    slow = [step.text for step in gup(session, address, 2, slow=True).steps]
    assert slow[:2] == ["lock mmap_lock (may sleep)", "__get_user_pages {"]
    pinned = gup(session, address, 2, pin=True)
    assert pinned.steps[0].text == "pin_user_pages_fast {"
    pfn = pinned.result.pfns[0]
    assert f"grab pfn {pfn:#x}: refcount {1 + 1024}" in [step.text for step in pinned.steps]
    assert session.target.kernel.page(pfn).refcount == 1


def test_a_clean_page_faults_on_write_because_linux_marks_it_so(world: tuple[Session, Process, int]) -> None:
    session, process, address = world
    process.touch(address + 32 * PAGE)
    reason = why(session, address + 32 * PAGE, Access.WRITE, False)
    assert not reason.works
    assert "Linux marks it" in reason.text
    process.touch(address + 32 * PAGE, write=True)
    assert why(session, address + 32 * PAGE, Access.WRITE, False).works


def test_why_knows_whether_a_vma_covers_what_is_not_mapped(world: tuple[Session, Process, int]) -> None:
    session, _, address = world
    (area,) = [area for area in vma(session).areas if area.start <= address < area.end]
    inside = why(session, area.end - PAGE, Access.READ, False)
    assert "of bench covers it, so Linux fills it at this fault" in inside.text
    assert "no VMA of bench covers it, so it is a SIGSEGV" in why(session, area.end, Access.READ, False).text


def test_user_tables_of_the_model_are_what_it_says_is_present(world: tuple[Session, Process, int]) -> None:
    session, process, _ = world
    listing = pt(session, side="user")
    assert listing.mapped == process.info.anon * PAGE  # type: ignore[union-attr]


def test_windows_of_a_linux_that_runs_are_read_from_its_fixmap() -> None:
    found = kmap(dump_session(dump("8G-usr")))
    assert found.slots == 16
    with pytest.raises(UserError, match="neither a Kernel model"):
        kmap(dump_session(dump("synth-lpae-00")))


def test_pkmap_of_a_linux_that_runs_is_read_from_its_tables() -> None:
    with Kernel(KernelConfig()) as kernel:
        session = Session(TableTarget(kernel.memory, kernel.regime()))
        assert pkmap(session).used == ()
        pfn = kernel.alloc_pages(gfp=Gfp.HIGHMEM)
        va = map_high(kernel, pfn)
        (slot,) = pkmap(session).used
        assert (slot.va, slot.pfn) == (va, pfn)
        assert pkmap(session).lines == [
            f"{va:#010x}  pfn {pfn:#x}  entry {slot.pte:#x}",
            "1 of 512 slots are taken",
        ]
        kernel.spawn("other").run()  # its own tables have PKMAP once it has used it
        assert pkmap(Session(TableTarget(kernel.memory, kernel.regime()))).used == ()
    with pytest.raises(UserError, match="neither a Kernel model"):
        pkmap(dump_session(dump("synth-lpae-00")))


def test_a_write_to_kernel_text_is_not_told_to_be_copied(world: tuple[Session, Process, int]) -> None:
    session, _, _ = world
    text = next(each for each in pt(session, side="kernel").ranges if not each.prot & 2)  # type: ignore[union-attr]
    reason = why(session, text.va, Access.WRITE, True)
    assert "STRICT_KERNEL_RWX" in reason.text
    assert "VMA" not in reason.text


def test_text_that_is_no_utf_8_is_shown_byte_by_byte(world: tuple[Session, Process, int]) -> None:
    session, process, address = world
    process.write(address, b"caf\xc3\xa9 \xff\\n\n\0")
    assert session.execute(f"x/s {address:#x}").lines == [f"{address:#010x}: " + r"'café \xff\\n\n'"]
