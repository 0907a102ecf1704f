"""Debian on QEMU: a dump that QEMU writes, and what it says itself about the same guest."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyemu.config import MachineConfig
from pyemu.debug import Session, open_target
from pyemu.debug.dump import DumpTarget, open_dump, write_core
from pyemu.debug.dump.registers import read_register_file
from pyemu.debug.target import Target
from pyemu.machine import Machine
from pyemu.mmu import mapped_ranges, translate
from tests.acceptance.conftest import debian, packages  # noqa: F401  (fixtures)
from tests.acceptance.guest import Guest
from tests.conftest import Completed, need_tool
from tests.debug.qemu import Qemu
from tests.debug.raw_tables import mapped_bytes

pytestmark = pytest.mark.acceptance

RAM = 0x4000_0000
PAGE = 4096
# swapper_pg_dir lies in front of the kernel's text: 5 pages with LPAE, 4 without (arch/arm/kernel/head.S).
FLAVOURS = {"armmp-lpae": 0x4020_3000, "armmp": 0x4020_4000}


@dataclass(frozen=True)
class Recorded:
    """A guest that was stopped at its shell: files, and QEMU's answers for some thousand addresses."""

    flavour: str
    core: Path
    raw: Path
    regs: Path
    size: int
    answers: dict[int, int | None]

    def open(self) -> DumpTarget:
        return open_dump(self.core, regs=self.regs)


def addresses(target: Target) -> list[int]:
    """Both sides of both ends of each range, and random ones."""
    rng = random.Random(7)
    found = {rng.getrandbits(32) for _ in range(300)} | {
        rng.randrange(0xC000_0000, 1 << 32) for _ in range(500)
    }
    for each in mapped_ranges(target.memory, target.regime(0), contiguous=True):
        found |= {each.va - 1, each.va, each.end - 1, each.end}
    return sorted(va for va in found if 0 <= va < 1 << 32)


@pytest.fixture(scope="module", params=FLAVOURS)
def recorded(
    request: pytest.FixtureRequest,
    debian: Callable[..., Guest],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Recorded]:
    need_tool("qemu-system-arm", "qemu-system-arm")
    need_tool("gdb-multiarch", "gdb-multiarch")
    directory = tmp_path_factory.mktemp("qemu")
    core, raw, regs, size = directory / "core", directory / "ram", directory / "regs.json", 1 << 30
    with Qemu(debian(request.param, "1G"), directory) as qemu:
        qemu.wait_for("init: up")
        qemu.stop()
        qemu.dump(core)
        qemu.save_memory(raw, RAM, size)
        regs.write_text(json.dumps(qemu.registers()))
        with open_dump(core, regs=regs) as target:
            answers = {va: qemu.gva2gpa(va) for va in addresses(target)}
    yield Recorded(request.param, core, raw, regs, size, answers)
    for path in (core, raw):
        path.unlink()


def check(target: Target, recorded: Recorded) -> None:
    """Every answer of QEMU is ours."""
    regime = target.regime(0)
    differences = []
    for va, expected in recorded.answers.items():
        t = translate(target.memory, regime, va, privileged=target.privileged(0))
        if (t.pa if t.ok else None) != expected:
            differences.append((hex(va), t, expected))
    assert differences == []
    mapped = sum(expected is not None for expected in recorded.answers.values())
    assert mapped > 200
    assert len(recorded.answers) - mapped > 200


def test_a_core_of_qemu_gives_its_answers(recorded: Recorded) -> None:
    with recorded.open() as target:
        assert [(s.base, s.size) for s in target.memory.segments] == [(RAM, recorded.size)]
        assert target.privileged(0)
        check(target, recorded)


def test_a_raw_image_gives_its_answers(recorded: Recorded) -> None:
    with open_dump(recorded.raw, ram_base=RAM, regs=recorded.regs) as target:
        check(target, recorded)


def test_a_core_of_that_core_gives_its_answers(recorded: Recorded, tmp_path: Path) -> None:
    with recorded.open() as target:
        written = write_core(target, tmp_path / "core")
    assert written.vmcoreinfo
    assert (tmp_path / "core").stat().st_blocks * 512 < recorded.size / 4
    with open_dump(tmp_path / "core") as target:
        check(target, recorded)


def test_a_snapshot_of_the_same_state_gives_its_answers(recorded: Recorded, tmp_path: Path) -> None:
    """Memory and registers of the dump go into a machine, and its snapshot is opened."""
    with recorded.open() as target, Machine(MachineConfig(memory_bytes=recorded.size)) as machine:
        for pa in range(RAM, RAM + recorded.size, 1 << 20):
            data = target.memory.read(pa, 1 << 20)
            if any(data.strip(b"\0")):
                machine.write_phys(pa, data)
        machine.reset(target.registers(0)["pc"])
        for name, value in target.registers(0).items():
            machine.set_reg(name, value)
        machine.snapshot(tmp_path / "snap")
    snapshot = open_target(tmp_path / "snap")
    try:
        check(snapshot, recorded)
    finally:
        snapshot.close()


def test_the_command_gives_its_answers(recorded: Recorded, run_pyemu: Callable[..., Completed]) -> None:
    words = "\n".join(f"{va:08x}" for va in recorded.answers)
    done = run_pyemu("translate", recorded.core, "--regs", recorded.regs, "-", "--json", input=words)
    assert {result["va"]: result["pa"] for result in done.json["results"]} == recorded.answers
    assert done.status == 1


def test_the_tables_of_the_kernel_are_found(recorded: Recorded) -> None:
    """Its lowmem and vectors are as QEMU has them; what differs is user space, which swapper has not."""
    with open_dump(recorded.core, find_pgd=True) as target:
        best = target.guesses[0]
        assert best.pa == FLAVOURS[recorded.flavour]
        assert any("VMCOREINFO has swapper_pg_dir" in reason for reason in best.reasons)
        assert any("PC of CPU 0" in reason and "is code" in reason for reason in best.reasons)
        regime = target.regime(0)
        lowmem = [va for va in recorded.answers if 0xC000_0000 <= va < 0xF000_0000 or va >= 0xFFFF_0000]
        assert len(lowmem) > 100
        for va in lowmem:
            t = translate(target.memory, regime, va)
            assert (t.pa if t.ok else None) == recorded.answers[va], hex(va)
    with open_dump(recorded.raw, ram_base=RAM, find_pgd=True) as target:
        assert target.guesses[0].pa == best.pa


def test_commands_of_a_session_work_on_it(recorded: Recorded) -> None:
    """walk and why agree with QEMU, pt adds up to the mapped total, registers are those of PRSTATUS."""
    target = open_target(recorded.core)
    assert isinstance(target, DumpTarget)
    target.close()
    dumped = recorded.open()
    with Session(dumped) as session:
        listing = session.execute("pt")
        total = sum(r.size for r in mapped_ranges(dumped.memory, dumped.regime(0)) if not r.outside)
        assert listing.mapped == total > 500 << 20
        assert mapped_bytes(dumped.memory.read, dumped.regime(0)) == total
        for va in random.Random(1).sample(sorted(recorded.answers), 100):
            assert session.execute(f"walk {va:#x}").result.ok == (recorded.answers[va] is not None)
        assert dumped.registers(0)["pc"] >> 28 in (0xC, 0xF)  # the kernel, or its vectors
        assert session.execute("cp15") is not None
        assert session.execute("doctor mmu") is not None


def test_the_registers_of_the_stub_are_those_of_the_dump(recorded: Recorded) -> None:
    (given,) = read_register_file(recorded.regs)
    assert bool(given["ttbcr"] >> 31) == (recorded.flavour == "armmp-lpae")
    assert given["sctlr"] & 1
