"""Programs of a real compiler, and who called at each of their instructions: kept while stepping."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pyemu.debug.commands.memory import disassemble
from pyemu.debug.commands.run import backtrace
from pyemu.debug.control import Control
from pyemu.debug.session import Session
from pyemu.debug.target import LiveTarget
from pyemu.machine import Machine
from tests.conftest import need_tool
from tests.machine.traps.guest import SMALL

HERE = Path(__file__).parent
GCC = "arm-none-eabi-gcc"
_MAX_STEPS = 20_000


def build(directory: Path, *options: str, sources: tuple[str, ...] = ("start.S", "calls.c")) -> Path:
    """The program as an ELF file, built with some options."""
    need_tool(GCC, "gcc-arm-none-eabi")
    elf = directory / "program.elf"
    common = ["-nostdlib", "-static", "-ffreestanding", "-march=armv7-a", "-Wl,-Ttext-segment=0x40010000"]
    files = [str(HERE / name) for name in sources]
    done = subprocess.run(
        [GCC, *common, *options, *files, "-lgcc", "-o", str(elf)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return elf


def session_of(elf: Path) -> Session:
    """A session at the start of a program."""
    machine = Machine(SMALL)
    machine.load(elf)
    return Session(LiveTarget(machine, owned=True))


@dataclass
class Score:
    """Places where the chain was right, and those where it was not: what was found, and what is true."""

    right: int = 0
    wrong: list[tuple[int, list[int], list[int]]] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.right / (self.right + len(self.wrong))

    def report(self, session: Session) -> str:
        def name(pc: int) -> str:
            return session.symbol(pc) or hex(pc)

        return "\n".join(
            f"{name(pc)}: {' '.join(map(name, found))} is not {' '.join(map(name, true))}"
            for pc, found, true in self.wrong[:40]
        )


def _is_call(text: str) -> bool:
    """BL and BLX, with a condition of two letters or none."""
    name = text.split()[0].partition(".")[0]
    return name in ("bl", "blx") or (name.startswith("bl") and len(name) > 3)


def true_chains(session: Session) -> Iterator[list[int]]:
    """At each instruction of a run: the PC, and the return addresses of the calls that it is in, inner first.

    A call is BL or BLX, a return is any other jump to the latest return address.
    """
    control = session.part(Control)
    returns: list[int] = []
    for _ in range(_MAX_STEPS):
        pc = control.pc(0)
        yield [pc, *reversed(returns)]
        insn = disassemble(session, pc, 1).instructions[0]
        behind = pc + len(insn.code)
        if control.step().final:
            return
        now = control.pc(0)
        if _is_call(insn.text) and now != behind:
            returns.append(behind)
        elif now != behind and returns and now == returns[-1]:
            returns.pop()
    raise AssertionError("the program does not end")


def compare(session: Session) -> Score:
    """Backtraces at each instruction beside the truth."""
    score = Score()
    for true in true_chains(session):
        found = [frame.pc for frame in backtrace(session).frames]
        if found == true:
            score.right += 1
        else:
            score.wrong.append((true[0], found, true))
    return score
