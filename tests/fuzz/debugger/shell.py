"""Command lines of the shell: translate with any standard input, and whole command lines through main()."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pyemu.cli import main, make_parser
from pyemu.config import UserError
from tests.debug.bring_up import bring_up_elf
from tests.fuzz.damage import damage, hostile_number
from tests.fuzz.debugger.files import hostile_json, system_map
from tests.fuzz.debugger.fuzzer import Fuzzer, one_line
from tests.fuzz.debugger.limits import Guard, ctrl_c_after
from tests.fuzz.debugger.lines import random_line
from tests.fuzz.debugger.worlds import ROOT, core_of_a_guest, live_machine, make_world

__all__ = ["Shell", "Translations"]

_ODD = (
    "",
    "-",
    "--",
    "0x",
    "g",
    "-1",
    "1_0",
    "１",
    "\0",
    "\x1b[2J",
    "c000 8000",
    "+c0008000",
    "0xc0008000",
    "C0008000",
)
_ODD += (
    "f" * 9,
    "f" * 5000,
    "é",
    "\udcff",
    "swapper_pg_dir",
    "start",
    "start+4",
    "0b1",
    "nan",
    "c0008000,",
    ";",
)


class _Out(io.StringIO):
    """Standard output whose bytes go nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = io.BytesIO()


def run(argv: list[str], stdin: str = "", *, parser: Any = None) -> tuple[int, str, str]:
    """A command line in this process: status, standard output, standard error."""
    out, err, given = _Out(), _Out(), sys.stdin
    sys.stdin = io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(argv) if parser is None else _parsed(parser, argv)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdin = given
    return status, out.getvalue(), err.getvalue()


def _parsed(parser: Any, argv: list[str]) -> int:
    """As main() does it, with a parser that is made once."""
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except UserError as problem:
        one_line(problem)
        print(f"pyemu: {problem}", file=sys.stderr)
        return 2


@cache
def _parser() -> Any:
    return make_parser()


# ---- translate ----


class Translations(Fuzzer):
    """Addresses from standard input and the command line, of a dump and a snapshot."""

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.path, self.regs = self.directory / "core", self.directory / "regs"
        format = rng.choice(("lpae", "short"))
        self.path.write_bytes(core_of_a_guest(format))
        self.regs.write_text(
            f'{{"sctlr": "30c5387d", "ttbcr": {(format == "lpae") << 31}, "ttbr0": {ROOT}, "dacr": 1}}'
        )

    def case(self, rng: random.Random) -> str:
        argv = ["translate", str(self.path), "--regs", str(self.regs)]
        argv += rng.choice(([], ["--json"], ["--csv"], ["--csv"])) + rng.choice(([], ["--user"], ["--priv"]))
        argv += rng.choice(([], ["--access", rng.choice("rwx")]))
        words = (
            ["-"] if rng.randrange(4) else rng.choice((["c0008000", "-"], ["-", "-", "0"], [self._word(rng)]))
        )
        count = rng.choice((0, 1, 3, 50, 1000))
        odd = rng.randrange(3) == 0
        lines = [self._word(rng) if odd else f"{hostile_number(rng, 32):x}" for _ in range(count)]
        text = rng.choice(("\n", "\n", "\n", " ", "\r\n", "\t\x0b\n")).join(lines) + rng.choice(
            ("\n", "", "\n\n ")
        )
        status, out, err = run([*argv, *words], text, parser=_parser())
        assert status in (0, 1, 2), f"status {status}"
        if status == 2:
            assert len(err.splitlines()) == 1, f"{err!r}"
            return "refused"
        shown = len(out.splitlines()) - ("--csv" in argv)
        if words == ["-"] and "--json" not in argv:
            assert shown == len(text.split()), f"{shown} lines for {len(text.split())} addresses"
        return ("accepted", "faults")[status]

    @staticmethod
    def _word(rng: random.Random) -> str:
        return (
            rng.choice(_ODD)
            if rng.randrange(4) == 0
            else f"{hostile_number(rng, rng.choice((32, 32, 32, 40))):#x}"
        )


# ---- whole command lines ----


@cache
def _snapshot(directory: Path) -> bytes:
    machine = live_machine(random.Random("shell"), "off")
    path = directory / "made.snap"
    machine.snapshot(path)
    machine.close()
    return path.read_bytes()


class Shell(Fuzzer):
    """debug, translate, dump and report, with any options and files, through main()."""

    block = 128

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        format = rng.choice(("lpae", "short"))
        ttbcr = (format == "lpae") << 31
        contents = {
            "core": core_of_a_guest(format, rng.choice((32, 64))),
            "snap": _snapshot(self.directory),
            "elf": bring_up_elf(),
            "regs": f'{{"sctlr": "30c5387d", "ttbcr": {ttbcr}, "ttbr0": {ROOT}, "dacr": 1}}'.encode(),
            "oddregs": hostile_json(rng),
            "map": system_map(rng),
            "empty": b"",
        }
        self.files: dict[str, Path] = {}
        for name, content in contents.items():
            self.files[name] = self._put(name, content)
            if content:
                self.files[f"bad-{name}"] = self._put(f"bad-{name}", damage(rng, content))
        self.world, self.session = make_world(rng, guard.directory, "off")
        self.script, self.out = self.directory / "script", self.directory / "out"
        self.before = {path: path.read_bytes() for path in self.files.values()}

    def _put(self, name: str, content: bytes) -> Path:
        path = self.directory / f"{name}.file"
        path.write_bytes(content)
        return path

    def case(self, rng: random.Random) -> str:
        ctrl_c_after()
        self.calm = rng.randrange(2) == 0
        command = rng.choice(("debug", "debug", "debug", "translate", "dump", "report"))
        argv = [command, self._file(rng, "core", "core", "snap", "elf"), *self._target_options(rng)]
        stdin = ""
        if command == "debug":
            argv += self._debug_options(rng)
            stdin = "\n".join(self._line(rng) for _ in range(rng.randrange(4)))
        elif command == "translate":
            argv += rng.choice((["-"], ["0xc0008000"], [rng.choice(_ODD)], []))
            stdin = " ".join(rng.choices(_ODD, k=3))
        else:
            argv += [
                "-o",
                str(rng.choice((self.out, self.out, self.out, self.directory, "/nowhere/out", ""))),
            ]
        if command == "report" and rng.randrange(2):
            argv += ["--max-insns", rng.choice(("1", "1000", "0", "-1", "x"))]
        if not self.calm and rng.randrange(6) == 0:
            argv[rng.randrange(len(argv))] = rng.choice((*_ODD, "--help", "--json", "--version", "--cpu"))
        named = [argv[at + 1] for at in range(len(argv) - 1) if argv[at] in ("-o", "--output")]
        with self.guard.naming(*named):
            status, _, err = run([word.replace("\0", "") for word in argv], stdin)
        assert status in (0, 1, 2), f"status {status} of {argv}"
        lines = err.splitlines()
        if status == 2 and command != "debug":
            assert lines, f"no complaint of {argv}"
            assert len(lines) == 1 or "--find-pgd" in argv, f"{argv}: {err!r}"
        assert all(line.strip() for line in lines)
        return f"{command}-{status}"

    def _file(self, rng: random.Random, *likely: str) -> str:
        kind = rng.randrange(10)
        if self.calm:
            return str(self.files[rng.choice(likely)])
        if kind == 0:
            return str(rng.choice(list(self.files.values())))
        if kind == 1:
            return rng.choice(("", ".", "/nowhere", "/dev/null", "a\tb", "x" * 300))
        name = rng.choice(likely)
        known = f"bad-{name}" if rng.randrange(4) == 0 else name
        return str(self.files.get(known, self.directory / "missing"))

    def _target_options(self, rng: random.Random) -> list[str]:
        options: list[str] = []
        if self.calm:
            return rng.choice(([], [], ["--regs", str(self.files["regs"])], ["--find-pgd"]))
        if rng.randrange(2):
            options += ["--regs", self._file(rng, "regs", "regs", "oddregs")]
        if rng.randrange(4) == 0:
            options.append("--find-pgd")
        if rng.randrange(8) == 0:
            options += [
                "--ram-base",
                rng.choice((hex(hostile_number(rng, 40)), "0x40000000", "x", "1G", "-1")),
            ]
        if rng.randrange(5) == 0:
            options += ["--symbols", self._file(rng, "elf", "map", "snap")]
        if rng.randrange(6) == 0:
            options += ["--timing", rng.choice(("off", "tlb", "cache", "x"))]
        if rng.randrange(8) == 0:
            options += ["--cpu", rng.choice(("0", "1", "-1", "99999999999999999999", "x"))]
        return options

    def _debug_options(self, rng: random.Random) -> list[str]:
        options: list[str] = []
        for _ in range(rng.choice((0, 1, 1, 2))):
            options += ["-c", self._line(rng)]
        if rng.randrange(4) == 0:
            with self.guard.off():
                text = "\n".join(self._line(rng) for _ in range(rng.randrange(6)))
                content = text.encode("utf-8", "surrogatepass")
                self.script.write_bytes(
                    damage(rng, content) if content and rng.randrange(4) == 0 else content
                )
            options += ["-x", rng.choice((str(self.script), str(self.script), self._file(rng, "core")))]
        if rng.randrange(3) == 0:
            options.append("--json")
        if rng.randrange(12) == 0:
            options += ["--gdb", rng.choice(("x", "70000", ":", "-1", "host:", "\udcff:1"))]
        if rng.randrange(6) == 0:
            sizes = ("16M", "17", "1T", "64M", "x", "")
            options += rng.choice((["--mem", rng.choice(sizes)], ["--smp", rng.choice(("1", "2", "9", "x"))]))
        if rng.randrange(16) == 0:
            options += ["--load-address", rng.choice(("0x40008000", "0", "x", "0xffffffffff"))]
        return options

    def _line(self, rng: random.Random) -> str:
        files = [str(self.files["snap"]), str(self.files["bad-snap"]), str(self.files["core"])]
        return random_line(rng, self.session, files).replace("\0", "")

    def close(self) -> None:
        self.session.close()
        for path, content in self.before.items():
            assert path.read_bytes() == content, f"{path} has been changed"
