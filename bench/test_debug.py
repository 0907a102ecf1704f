"""The debugger on a Debian with 16 GB: opening its snapshot, its tables, steps, and what watching costs.

    pytest bench/test_debug.py -s

Goals: opening, and `pt` of everything, under 1 s; a step under 1 ms; breakpoints cost nothing until they are
hit.  The last is a ratio: the same work of the guest with and without them, in turns.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.conftest import ROOT, Scoreboard, in_turns, in_unit
from pyemu.config import MachineConfig, parse_memory
from pyemu.debug import Session, open_target
from pyemu.debug.commands.mmu_doctor import doctor_mmu
from pyemu.debug.commands.run import reverse_step, step, step_over
from pyemu.debug.commands.tables import alias, pt
from pyemu.debug.commands.translation import walk, why
from pyemu.debug.control import Control, Watch
from pyemu.debug.gdb.packets import Packet, PacketReader, frame
from pyemu.debug.gdb.server import DEFAULT_HOST, GdbServer
from pyemu.debug.opening import OpenOptions
from pyemu.debug.render import as_json, as_text
from pyemu.machine import Machine, StopReason
from pyemu.mem import Memory
from pyemu.mmu import Access, PageTables
from pyemu.native import check, error, lib
from tests.acceptance.initramfs import initramfs
from tests.acceptance.packages import Packages, Unavailable
from tests.conftest import unavailable
from tests.debug.targets import TableTarget

ROUNDS, WALKS, STEPS = 5, 200, 1000
RAM = 0x4000_0000
WORK = b"md5sum /bin/busybox; ls -lR /sys >/dev/null; poweroff -f\n"
"""Typed into the guest's shell: some 300 million instructions of programs and kernel, and the end."""

BREAKPOINTS = 32
KERNEL_TEXT = (0xC040_0000, 0xC100_0000)
IDLE_PAGE = (
    0xC020_7000  # of the tables that the kernel began with: mapped, and no code has a reason to write it
)
NOISE = 1.03


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages = Packages()
    try:
        kernel, ramdisk = packages.kernel("armmp-lpae"), initramfs(packages)
    except Unavailable as why_not:
        unavailable(str(why_not))
    path = tmp_path_factory.mktemp("debug") / "up.snap"
    with Machine(MachineConfig(memory_bytes=parse_memory("16G"))) as machine:
        machine.load(kernel, initrd=ramdisk.read_bytes(), append="console=ttyAMA0 rdinit=/init")
        stop = machine.run(until=b"init: up", max_insns=8_000_000_000)
        assert stop.reason is StopReason.CONSOLE
        machine.snapshot(path)
    return path


def median(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[rounds // 2]


# ---- looking ----


def test_opening_and_tables(snapshot: Path, scoreboard: Scoreboard) -> None:
    def opened() -> None:
        Session(open_target(snapshot)).close()

    def command() -> None:
        line = [sys.executable, "-m", "pyemu", "debug", str(snapshot), "-c", "walk 0xc0008000"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)

    scoreboard.value("open the snapshot", median(opened), 1.0, in_unit)
    scoreboard.value("`pyemu debug SNAPSHOT -c 'walk …'`, whole process", median(command), 1.0, in_unit)
    with Session(open_target(snapshot)) as session:
        assert pt(session).mapped > 700 << 20  # type: ignore[union-attr]
        scoreboard.value("pt of everything, as text", median(lambda: as_text(pt(session))), 1.0, in_unit)
        scoreboard.value("pt of everything, as JSON", median(lambda: as_json(pt(session))), 1.0, in_unit)
        scoreboard.value("pt --tree", median(lambda: as_text(pt(session, tree=True))), 1.0, in_unit)
        scoreboard.value("alias of a page", median(lambda: alias(session, 0x6EFF_4000)), 1.0, in_unit)
        scoreboard.value("doctor mmu", median(lambda: doctor_mmu(session)), 1.0, in_unit)
        each = median(lambda: [walk(session, va << 20) for va in range(WALKS)]) / WALKS
        scoreboard.value("walk", each, None, in_unit)
        each = median(lambda: [why(session, va << 20, Access.WRITE, False) for va in range(WALKS)]) / WALKS
        scoreboard.value("why", each, None, in_unit)


@pytest.mark.parametrize("form", ["lpae", "short"])
def test_4_gb_of_4_kb_pages(form: str, scoreboard: Scoreboard) -> None:
    with Memory() as memory:
        memory.add_ram(RAM, 64 << 20)
        tables = PageTables(memory, form, RAM, 64 << 20)
        tables.map(0, 0x1000, (1 << 32) - 4096)
        session = Session(TableTarget(memory, tables.regime))
        scoreboard.value(f"pt of 1,048,575 pages, {form}", median(lambda: as_text(pt(session))), 1.0, in_unit)


# ---- steps ----


def test_steps(snapshot: Path, scoreboard: Scoreboard) -> None:
    with Session(open_target(snapshot)) as session:
        control = session.part(Control)
        control.resume(1_000_000)

        def row(what: str, command: Callable[[Session], Any], rounds: int, at_most: float | None) -> None:
            each = median(lambda: as_text(command(session)), rounds)
            scoreboard.value(f"{what}, with what it prints", each, at_most, in_unit)

        row("s", step, 50, 1e-3)
        row("n", step_over, 50, 1e-3)
        each = median(lambda: step(session, STEPS)) / STEPS
        scoreboard.value(f"a step of `s {STEPS}`", each, 1e-3, in_unit)


@pytest.mark.parametrize("timing", ["off", "tlb", "cache"])
def test_back(snapshot: Path, timing: str, scoreboard: Scoreboard) -> None:
    options = OpenOptions(timing=None if timing == "off" else timing)  # type: ignore[arg-type]
    with Session(open_target(snapshot, options)) as session:
        control = session.part(Control)
        control.type(WORK)
        control.resume(20_000_000)
        control.touched()
        control.resume(3_000_000)
        what = f"rs, 3 million instructions behind a checkpoint, --timing {timing}"
        scoreboard.value(what, median(lambda: as_text(reverse_step(session)), 1), None, in_unit)
        scoreboard.value("the next ones", median(lambda: as_text(reverse_step(session)), 9), None, in_unit)


class Gdb:
    """The other end of the stub."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = PacketReader()
        self._packets: list[bytes] = []
        self.ask(b"QStartNoAckMode")

    def ask(self, payload: bytes) -> bytes:
        """The answer to a packet."""
        self._socket.sendall(frame(payload))
        while not self._packets:
            events = self._reader.feed(self._socket.recv(1 << 16))
            self._packets += [each.data for each in events if isinstance(each, Packet)]
        return self._packets.pop(0)


@contextmanager
def stub(session: Session) -> Iterator[Gdb]:
    """A gdb that is connected; the guest runs in a thread of its own until it is killed."""
    server = GdbServer(session, DEFAULT_HOST, 0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    gdb = Gdb(server.address)
    try:
        yield gdb
    finally:
        gdb._socket.sendall(frame(b"k"))
        thread.join()
        server.close()


def test_steps_through_the_stub(snapshot: Path, scoreboard: Scoreboard) -> None:
    with Session(open_target(snapshot)) as session, stub(session) as gdb:
        each = median(lambda: [gdb.ask(b"vCont;s:1") for _ in range(STEPS)]) / STEPS
        scoreboard.value("vCont;s, from packet to packet", each, 1e-3, in_unit)
        each = median(lambda: [(gdb.ask(b"vCont;s:1"), gdb.ask(b"g")) for _ in range(STEPS)]) / STEPS
        scoreboard.value("the same and all registers", each, None, in_unit)


# ---- what costs nothing ----


def work(session: Session, run: Callable[[], object]) -> float:
    """Seconds of CPU time that the guest's work takes."""
    session.part(Control).type(WORK)
    began = time.process_time()
    run()
    seconds = time.process_time() - began
    ended = session.part(Control).ended
    assert ended is not None
    assert ended.reason is StopReason.POWEROFF
    return seconds


@pytest.fixture(scope="module")
def never_reached(snapshot: Path) -> list[int]:
    """Addresses of kernel code that the work does not execute."""
    dice = random.Random(32)
    with Session(open_target(snapshot)) as session:
        control = session.part(Control)
        control.type(WORK)
        for _ in range(2 * BREAKPOINTS):
            control.add(dice.randrange(*KERNEL_TEXT, 4))
        while (halt := control.resume()).reason is StopReason.BREAKPOINT:
            control.remove(halt.pc)
        return control.breakpoints[:BREAKPOINTS]


def test_breakpoints_that_are_not_hit(
    snapshot: Path, never_reached: list[int], scoreboard: Scoreboard
) -> None:
    def by_control(points: list[int | Watch], record: bool = True) -> Callable[[], float]:
        def measure() -> float:
            with Session(open_target(snapshot)) as session:
                control = session.part(Control)
                for point in points:
                    control.add(point)
                if not record:
                    err = error()
                    check(lib.pe_machine_record_tables(control.machine.handle, 0, err), err)
                return work(session, control.resume)

        return measure

    def by_stub(points: list[int]) -> Callable[[], float]:
        def measure() -> float:
            with Session(open_target(snapshot)) as session, stub(session) as gdb:
                for point in points:
                    assert gdb.ask(b"Z0,%x,4" % point) == b"OK"
                return work(session, lambda: gdb.ask(b"vCont;c"))

        return measure

    assert len(never_reached) == BREAKPOINTS
    seconds = in_turns(
        {
            "none": by_control([]),
            "breakpoints": by_control([*never_reached]),
            "watchpoint": by_control([Watch(IDLE_PAGE, 4)]),
            "no history": by_control([], record=False),
            "stub": by_stub([]),
            "Z0": by_stub(never_reached),
        },
        ROUNDS,
    )

    def row(what: str, ours: str, peer: str, at_most: float | None = NOISE) -> None:
        scoreboard.compare(what, seconds[ours], "without", seconds[peer], at_most)

    row(f"md5sum and ls -lR under {BREAKPOINTS} breakpoints that are not hit", "breakpoints", "none")
    row(f"the same through gdb's stub, {BREAKPOINTS} Z0 packets", "Z0", "stub")
    row("under a watchpoint on a page that is not used", "watchpoint", "none")
    row("with `history` recorded, half a microsecond a store to a table", "none", "no history", None)
