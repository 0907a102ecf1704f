"""The debugger on a Debian with 16 GB: opening its snapshot, all of its tables, single walks.

pytest bench/test_debug_views.py -s
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.conftest import Scoreboard, in_unit
from pyemu.config import MachineConfig, parse_memory
from pyemu.debug import Session, open_target
from pyemu.debug.commands.mmu_doctor import doctor_mmu
from pyemu.debug.commands.tables import alias, pt
from pyemu.debug.commands.translation import walk, why
from pyemu.debug.render import as_json, as_text
from pyemu.machine import Machine
from pyemu.mem import Memory
from pyemu.mmu import Access, PageTables
from tests.acceptance.initramfs import initramfs
from tests.acceptance.packages import Packages, Unavailable
from tests.debug.targets import TableTarget

ROUNDS, WALKS = 5, 200
RAM = 0x4000_0000


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages = Packages()
    try:
        kernel, ramdisk = packages.kernel("armmp-lpae"), initramfs(packages)
    except Unavailable as why_not:
        pytest.skip(str(why_not))
    path = tmp_path_factory.mktemp("debug") / "up.snap"
    with Machine(MachineConfig(memory_bytes=parse_memory("16G"))) as machine:
        machine.load(kernel, initrd=ramdisk.read_bytes(), append="console=ttyAMA0 rdinit=/init")
        machine.run(until=b"init: up", max_insns=8_000_000_000)
        machine.snapshot(path)
    return path


def median(work: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[ROUNDS // 2]


def test_a_debian_of_16_gb(snapshot: Path, scoreboard: Scoreboard) -> None:
    def opened() -> None:
        Session(open_target(snapshot)).close()

    scoreboard.value("open the snapshot", median(opened), 1.0, in_unit)
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
