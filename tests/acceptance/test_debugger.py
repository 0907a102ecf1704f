"""The debugger on live Debian kernels: their own symbols, and a kernel stopped with a window open."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyemu.config import MachineConfig, parse_memory
from pyemu.debug import LiveTarget, Session, open_target
from pyemu.debug.commands.history import history
from pyemu.debug.commands.tables_alias import alias
from pyemu.debug.commands.translation import walk
from pyemu.debug.control import Control, Watch
from pyemu.debug.dump import open_dump, write_core
from pyemu.debug.linux import Kallsyms, linux_layout, undenied
from pyemu.machine import Machine, StopReason
from pyemu.mem import PAGE_SIZE
from pyemu.mmu import translate_many
from tests.acceptance.guest import Guest
from tests.acceptance.initramfs import PROMPT
from tests.conftest import Completed
from tests.debug.raw_tables import mapped_bytes

pytestmark = pytest.mark.acceptance

LIMIT = 6_000_000_000
WINDOWS = range(0xFFC8_0000, 0xFFF0_0000)  # the fixmap
# Files in highmem are copied, and processes with tables in highmem come and go.
BUSY = b"while :; do dd if=/bin/busybox of=/tmp/x bs=64k 2>&1; md5sum /tmp/x; rm /tmp/x; done >/dev/null\n"


@dataclass(frozen=True)
class Booted:
    """A snapshot of a guest at work, and the MD5 sum of its /proc/kallsyms.

    ``highpte``: tables of processes lie in highmem, which a kernel for real time does not have.
    """

    path: Path
    highpte: bool
    kallsyms: str


@pytest.fixture(scope="module", params=["armmp-lpae", "armmp", "rt-armmp"])
def booted(
    request: pytest.FixtureRequest, debian: Callable[..., Guest], tmp_path_factory: pytest.TempPathFactory
) -> Booted:
    guest, path = debian(request.param, "1G"), tmp_path_factory.mktemp("debugger") / "busy.snap"
    assert guest.kernel is not None
    assert guest.initrd is not None
    with Machine(MachineConfig(parse_memory(guest.memory))) as machine:
        machine.load(guest.kernel, initrd=guest.initrd.read_bytes(), append=guest.append)
        machine.run(until=PROMPT, max_insns=LIMIT)
        machine.console.read()
        machine.console.write(b"grep -v '\\[' /proc/kallsyms | md5sum\n")
        machine.run(until=PROMPT, max_insns=LIMIT)
        said = re.search(rb"^([0-9a-f]{32})  -", machine.console.read(), re.M)
        machine.console.write(BUSY)
        machine.run(max_insns=60_000_000)
        machine.snapshot(path)
    assert said is not None
    return Booted(path, request.param != "rt-armmp", said[1].decode())


def as_in_proc(symbols: object) -> str:
    """The MD5 sum of symbols in the layout of /proc/kallsyms."""
    assert isinstance(symbols, Kallsyms)
    text = "".join(f"{address:08x} {kind} {name}\n" for address, kind, name in symbols)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_symbols_are_those_of_proc_kallsyms_to_the_last(booted: Booted) -> None:
    with Session(open_target(booted.path)) as session:
        assert as_in_proc(session.symbols) == booted.kallsyms


def test_a_dump_has_them_too(booted: Booted, tmp_path: Path) -> None:
    with Session(open_target(booted.path)) as session:
        write_core(session.target, tmp_path / "vmcore")
    with Session(open_dump(tmp_path / "vmcore")) as session:
        assert as_in_proc(session.symbols) == booted.kallsyms


def test_the_ranges_of_pt_add_up_to_what_raw_tables_map(booted: Booted, tmp_path: Path) -> None:
    with Session(open_target(booted.path)) as session:
        write_core(session.target, tmp_path / "vmcore")
        raw = mapped_bytes(session.memory.read, session.regime)
        assert session.execute("pt").mapped == raw > 512 << 20
    with Session(open_dump(tmp_path / "vmcore")) as session:
        assert session.execute("pt").mapped == raw == mapped_bytes(session.memory.read, session.regime)


def test_they_are_there_as_soon_as_linux_is(debian: Callable[..., Guest]) -> None:
    """From the first instruction on: none, then those of the kernel, in one session."""
    guest = debian("armmp-lpae", "1G")
    assert guest.kernel is not None
    machine = Machine(MachineConfig(parse_memory(guest.memory)))
    machine.load(guest.kernel, append=guest.append)
    with Session(LiveTarget(machine, owned=True)) as session:
        assert session.symbol(0xC040_0000) is None
        while session.symbols.find("rest_init") is None:
            assert session.part(Control).resume(100_000_000).reason is StopReason.LIMIT
        assert session.symbol(session.value("rest_init") + 4) == "rest_init+0x4"


# ---- a window ----


def windows(session: Session, count: int) -> Iterator[int]:
    """Run to where a window is about to be closed, ``count`` times; yields its address, which is in R0."""
    control = session.part(Control)
    control.add(session.value("kunmap_local_indexed"))
    while count:
        assert control.resume(LIMIT).reason is StopReason.BREAKPOINT
        if session.register("r0") in WINDOWS:
            count -= 1
            yield session.register("r0")


def mapped_at(session: Session, pa: int) -> list[int]:
    """Each page of the address space that is at a physical page, one translation after the other.

    Whether the domain of user memory is denied at the moment does not count (CONFIG_CPU_SW_DOMAIN_PAN).
    """
    va = array("I", range(0, 1 << 32, PAGE_SIZE))
    out, status = array("Q", bytes(8 * len(va))), bytearray(len(va))
    translate_many(session.memory, undenied(session.regime), va, out, status, privileged=True)
    page = pa & -PAGE_SIZE
    return [at for at, to, how in zip(va, out, status, strict=True) if to == page and not how & 15]


def test_a_window_of_a_stopped_kernel_its_aliases_and_who_opened_it(booted: Booted) -> None:
    users = tables = 0
    with Session(open_target(booted.path)) as session:
        layout = linux_layout(session)
        assert layout is not None
        width, address = (8, 0xFF_FFFF_F000) if layout.long_format else (4, 0xFFFF_F000)
        lowmem_end = layout.phys_offset + layout.lowmem_end - layout.page_offset
        for number, va in enumerate(windows(session, 120)):
            found = walk(session, va).result
            entry = int.from_bytes(session.memory.read(found.descriptor_pa, width), "little")
            assert found.ok
            assert found.pa == entry & address | va % PAGE_SIZE
            assert found.pa >= lowmem_end
            others = alias(session, found.pa)
            assert va in [at for at, _ in others.at]
            users += any(each.prot_user for _, each in others.at)
            tables += bool(others.tables)
            if number % 20 == 0:
                assert [at & -PAGE_SIZE for at, _ in others.at] == mapped_at(session, found.pa)
            last = history(session, va).descriptors[-1].writes[-1]
            assert last.write.new == entry
            assert "set_pte_ext" in last.place
            assert "kmap_local" in str(last.caller)
    assert users > 5
    assert (tables > 5) is booted.highpte


def test_the_store_that_opened_a_window_is_at_the_instruction_that_history_says(booted: Booted) -> None:
    with Session(open_target(booted.path)) as session:
        *_, va = windows(session, 3)
        control = session.part(Control)
        last = history(session, va).descriptors[-1]
        control.remove(session.value("kunmap_local_indexed"))
        control.add(Watch(last.pa, 8 if session.regime.long_format else 4, "w", True))
        halt = control.reverse_continue()
        assert halt.hit is not None
        assert (halt.hit.pc, halt.hit.insns) == (last.writes[-1].write.pc, last.writes[-1].write.insns)


def test_as_it_is_typed(booted: Booted, run_pyemu: Callable[..., Completed]) -> None:
    """Twice: the second time with the address that the first has shown."""

    def typed(*lines: str) -> str:
        done = run_pyemu("debug", booted.path, *(word for line in lines for word in ("-c", line)))
        assert done.status == 0, done.stderr
        return done.stdout

    first = typed("b kunmap_local_indexed", "c", "walk 0xffefe000", "history 0xffefe000")
    page = re.search(r"verdict  ok: 0xffefe000 is (0x[0-9a-f]+)", first)
    assert page is not None, first
    assert re.search(
        r"set_pte_ext\+0x\w+\), called from __kmap_local_pfn_prot\+0x\w+: 0x0 invalid -> ", first
    )
    second = typed("b kunmap_local_indexed", "c", f"alias {page[1]}", "kmap")
    assert re.search(r"^0xffefe000  kernel, 4K leaf", second, re.M)
    assert f"CPU 0 slot  0  0xffefe000 -> {page[1]}" in second
