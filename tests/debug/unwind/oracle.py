"""Programs of a real compiler, and who called at each of their instructions: kept while stepping."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
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
_MAX_STEPS = 5000


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


def _leaves_exception(text: str) -> bool:
    return "^" in text.partition("}")[2] or re.match(r"rfe|(subs|movs)\s+pc", text) is not None


@dataclass(frozen=True)
class _Entry:
    """``kind`` is "call", "exception" or "start"; ``pc`` is where it goes on."""

    kind: str
    pc: int


class Truth:
    """The calls, exceptions and returns of a run.

    A call is BL or BLX, a return any other jump to the latest return address. A return from an exception that
    was not taken begins a program of its own. ``skip``: functions that leave in another way.
    ``returns``: return addresses of the calls at the beginning, inner first.
    """

    def __init__(self, session: Session, skip: tuple[str, ...] = (), returns: Sequence[int] = ()) -> None:
        self.session, self.control, self.skip = session, session.part(Control), skip
        self.stack = [_Entry("call", pc) for pc in reversed(returns)]

    def chain(self) -> list[int]:
        """The PC, return addresses, and places where exceptions were taken, inner first."""
        found = [self.control.pc(0)]
        for entry in reversed(self.stack):
            if entry.kind == "start":
                break
            found.append(entry.pc)
        return found

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(_MAX_STEPS):
            name = (self.session.symbol(self.control.pc(0)) or "").partition("+")[0]
            if name not in self.skip:
                yield self.chain()
            if self._step():
                return
        raise AssertionError("the program does not end")

    def _step(self) -> bool:
        pc = self.control.pc(0)
        taken = self.control.position.exceptions
        found = disassemble(self.session, pc, 1).instructions
        if self.control.step().final:
            return True
        now = self.control.pc(0)
        if self.control.position.exceptions != taken:
            number = now % 32 // 4
            # SVC goes on behind; after UDF and aborts the same instruction would be executed.
            behind = pc + len(found[0].code) if number == 2 and found[0].text.startswith("svc") else pc
            self.stack.append(_Entry("exception", behind))
            return False
        behind = pc + len(found[0].code)
        if _leaves_exception(found[0].text):
            if self.stack and self.stack[-1].kind == "exception":
                self.stack.pop()
                self._jump(now)
            else:
                self.stack.append(_Entry("start", now))
        elif _is_call(found[0].text) and now != behind:
            self.stack.append(_Entry("call", behind))
        elif now != behind:
            self._jump(now)
        return False

    def _jump(self, now: int) -> None:
        calls = [n for n, entry in enumerate(self.stack) if (entry.kind, entry.pc) == ("call", now)]
        if calls and (calls[-1] == len(self.stack) - 1 or any(e.kind == "start" for e in self.stack)):
            del self.stack[calls[-1] :]


def compare(session: Session, skip: tuple[str, ...] = ()) -> Score:
    """Backtraces at each instruction beside the truth."""
    score = Score()
    for true in Truth(session, skip):
        found = [frame.pc for frame in backtrace(session).frames]
        if found == true:
            score.right += 1
        else:
            score.wrong.append((true[0], found, true))
    return score
