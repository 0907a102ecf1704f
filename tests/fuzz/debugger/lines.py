"""Command lines: every command, with arguments as its own parameters take them, whole and mangled."""

from __future__ import annotations

import io
import random
import re
from functools import cache

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.commands.tables import FILTERS
from pyemu.debug.control import Control
from pyemu.debug.parameters import Address, Choice, Flag, Number, Option, Parameter, Range, Size, Suffix
from pyemu.debug.prompt import Script, completions
from pyemu.debug.registry import Command, commands
from pyemu.debug.render import as_json, as_text
from pyemu.debug.target import Capability
from pyemu.kernel import Kernel, Process
from pyemu.mem import Memory
from tests.fuzz.damage import hostile_number
from tests.fuzz.debugger.fuzzer import ACCEPTED, REFUSED, Fuzzer, one_line
from tests.fuzz.debugger.limits import Guard, ctrl_c_after
from tests.fuzz.debugger.worlds import make_world

__all__ = ["Lines", "execute", "line_of", "random_line"]

_NAMES = "main micro user priv r w rw x all core banked vfp cp15 mmu pt sctlr ttbr0 cpsr before now"
_SIGNS = "* ? *a* + - -- = , w+x,user / // ' \" \\ %s%n {0} $pc $ # ; | `"
_WORDS = (*_NAMES.split(" "), *_SIGNS.split(" "), "\0", "é", "\u2028", "\x1b[31m", "a" * 300)
_FORMATS = ("x", "d", "u", "o", "t", "c", "s", "a", "i", "b", "h", "w", "g", "p")


@cache
def _commands(can: Capability = ~Capability.NONE) -> list[Command]:
    """Those that a target of such capabilities carries out."""
    return sorted({each for each in commands().values() if each.needs in can}, key=lambda each: each.name)


@cache
def _names() -> list[str]:
    return sorted(commands())


def _number(rng: random.Random, bits: int) -> str:
    value = hostile_number(rng, bits)
    kind = rng.randrange(12)
    if kind == 0:
        return str(-value)
    if kind == 1:
        return f"{value:08x}"
    if kind == 2:
        return str(1 << rng.choice((64, 80, 128, 4096))) if rng.randrange(4) == 0 else f"0x{value:032x}"
    return f"{value:#x}" if kind < 9 else str(value)


def _place(rng: random.Random, session: Session, bits: int = 32) -> str:
    """An address in one of the ways in which it may be written."""
    kind = rng.randrange(10)
    symbols = session.target.symbols.addresses
    if kind == 0 and symbols:
        text = rng.choice(list(symbols))
    elif kind < 5 and session.target.kernel is not None:
        text = f"{_mapped(rng, session.target.kernel):#x}"
    elif kind < 3:
        text = rng.choice(
            ("pc", "sp", "lr", "r0", "r11", "$sp", "ttbr0", "ttbr1", "vbar", "dfar", "SP", "par", "d3")
        )
    else:
        text = _number(rng, bits)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 30))):
        text += rng.choice("+-") + _number(rng, rng.choice((4, 12, 32)))
    return text


def _mapped(rng: random.Random, kernel: Kernel) -> int:
    """An address in, or beside, an area of a process."""
    areas = [area for task in kernel.tasks for area in Process(kernel, task.pid).areas]
    if not areas:
        return 0x1_0000
    area = rng.choice(areas)
    return rng.choice((area.start, area.start, area.end, rng.randrange(area.start, area.end))) & 0xFFFF_FFFF


def _argument(rng: random.Random, session: Session, parameter: Parameter, files: list[str]) -> str:
    if isinstance(parameter, Address):
        return _place(rng, session, parameter.bits)
    if isinstance(parameter, Range):
        first, second = _number(rng, 32), _number(rng, rng.choice((12, 21, 32)))
        return rng.choice((f"{first}-{second}", f"{first}+{second}", _place(rng, session), "0-0x100000000"))
    if isinstance(parameter, Number):
        edges = (parameter.low, parameter.high, parameter.low - 1, parameter.high + 1)
        return str(rng.choice((*edges, *range(parameter.low, parameter.low + 9), hostile_number(rng, 64))))
    if isinstance(parameter, Size):
        return rng.choice(("4096", "1", "8K", "64K", "2M", "1G", "3G", "0", "4G", "-1", _number(rng, 32)))
    if isinstance(parameter, Suffix):
        count = rng.choice(("", "0", "1", "4", "100", "4096", "65536", "65537", "99999999999999999999"))
        return "/" + count + "".join(rng.choices(_FORMATS, k=rng.randrange(4)))
    if isinstance(parameter, Choice):
        return rng.choice(list(parameter.choices))
    if isinstance(parameter, Flag):
        return parameter.flag
    if isinstance(parameter, Option):
        return f"{parameter.flag} {_argument(rng, session, parameter.kind, files)}"
    return _word(rng, session, parameter, files)


def _word(rng: random.Random, session: Session, parameter: Parameter, files: list[str]) -> str:
    if parameter.name == "filter":
        return ",".join(rng.choices([*FILTERS, "", "x"], k=rng.randrange(1, 5)))
    if parameter.name in ("save", "name") and rng.randrange(2):
        return rng.choice(("before", "now"))
    if rng.randrange(2) and (offered := parameter.words(session)):
        return rng.choice(offered)
    if parameter.name == "number":
        return rng.choice(("all", "1", "2", "3", "0", "-1", "99999999999"))
    known = [*files, *session.registers, *list(session.target.symbols.addresses)[:40], *_names()]
    return rng.choice((*_WORDS, *rng.choices(known, k=20)))


def line_of(rng: random.Random, session: Session, command: Command, name: str, files: list[str]) -> list[str]:
    """Words of a command, as its parameters take them."""
    words = [name]
    for parameter in command.parameters:
        if not parameter.optional or rng.randrange(5) < 2:
            words.append(_argument(rng, session, parameter, files))
    if rng.randrange(12) == 0:
        rng.shuffle(words)
    return words


def random_line(rng: random.Random, session: Session, files: list[str]) -> str:
    """One line: mostly right, or nearly."""
    command = rng.choice(_commands(session.target.capabilities) if rng.randrange(8) else _commands())
    name = rng.choice((command.name, command.name, *command.aliases))
    kind = rng.randrange(16)
    if kind == 0:
        words = [rng.choice(_names()), *(rng.choice(_WORDS) for _ in range(rng.randrange(5)))]
    elif kind == 1:
        words = [command.example]
    elif kind == 2:
        words = ["help", name]
    else:
        words = line_of(rng, session, command, name, files)
    line = " ".join(words).replace(" /", "/" if rng.randrange(8) else " /", 1)
    if rng.randrange(4) == 0:
        for _ in range(rng.choice((1, 1, 1, 3, 8))):
            at = rng.randrange(len(line) + 1)
            new = rng.choice(
                (chr(rng.randrange(256)), rng.choice(_WORDS), " ", rng.choice("0123456789abcdefx+-/"))
            )
            line = line[:at] + new + line[at + rng.randrange(3) :]
    return line


def execute(session: Session, line: str) -> str:
    """Carry out a line and render what it gives, as every door does."""
    try:
        result = session.execute(line)
    except UserError as problem:
        return one_line(problem)
    text, json = as_text(result), as_json(result)
    assert all(word.isprintable() for word in re.split("[\n\t]", text)), f"{line!r} prints {text[:300]!r}"
    assert "\n" not in json
    assert as_text(result, colour=True).replace("\x1b[0m", "").count("\n") == text.count("\n")
    return ACCEPTED


def keep_few_points(session: Session) -> None:
    """Breakpoints and watchpoints of many cases would stop every run at once."""
    if Capability.RUN in session.target.capabilities:
        control = session.part(Control)
        if len(control.points) > 6:
            for point in list(control.points.values()):
                control.remove(point)


class Lines(Fuzzer):
    """Lines in sessions on everything that can be looked at."""

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.name, self.session = make_world(rng, guard.directory)
        bad = self.directory / "bad file"
        bad.write_bytes(
            rng.choice((b"", b"PYEMUSNP\1\0\0\0" + bytes(50), b"\x7fELF" + bytes(60), b"text\n" * 9))
        )
        self.files = [str(bad), f"'{bad}'", str(self.directory), "/dev/null", "/nowhere", "."]
        self.looked_at = self.session.target.memory if self.name in ("dump", "tables") else None
        self.before = content(self.looked_at)

    def case(self, rng: random.Random) -> str:
        ctrl_c_after()
        line = random_line(rng, self.session, self.files)
        kind = rng.randrange(16)
        if kind == 0:
            words = completions(self.session, line)
            assert words == sorted(words)
            return f"{self.name}-completed"
        end = self._script(rng, line) if kind == 1 else execute(self.session, line)
        keep_few_points(self.session)
        return f"{self.name}-{end}"

    def _script(self, rng: random.Random, line: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        script = Script(self.session, json=bool(rng.randrange(2)), out=out, err=err)
        script.run(line)
        assert err.getvalue().startswith("pyemu: ") == (script.status == 2)
        assert len(err.getvalue().splitlines()) == (script.status == 2)
        return REFUSED if script.status else ACCEPTED

    def close(self) -> None:
        """What can only be looked at is as it was."""
        assert content(self.looked_at) == self.before, "a command has changed memory that can only be read"
        self.session.close()


def content(memory: Memory | None) -> list[tuple[int, bytes]]:
    """All of a memory that is not zero."""
    return [] if memory is None else list(memory.content())
