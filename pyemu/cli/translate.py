"""``pyemu translate``: virtual addresses to physical ones, as the registers and tables of a target say."""

from __future__ import annotations

import argparse
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple, TextIO

from pyemu.cli.targets import add_target_arguments, open_from
from pyemu.config import UserError

if TYPE_CHECKING:
    from pyemu.debug import Session, Target
    from pyemu.mmu import Access

SUMMARY = "translate virtual addresses of a snapshot or a dump"
DESCRIPTION = (
    "Translate virtual addresses by the registers and page tables of a target. Addresses are hexadecimal, "
    "with or without 0x, or symbols; '-' reads them from standard input, separated by white space."
)
EPILOG = """\
examples:
  pyemu translate linux.snap c0008000 ffff0000        a line each: address and what it maps to
  pyemu translate --find-pgd vmcore swapper_pg_dir --symbols System.map
  pyemu translate ram.bin --ram-base 0x40000000 --regs regs.json --access w --user 10000
  pyemu translate linux.snap --csv - < addresses      a million in a few seconds

exit status: 0 when every address translates, 1 when one faults, 2 for a mistake on the command line
"""

STATUS_FAULT = 1
BATCH_BYTES = 4 << 20  # of standard input at a time
_ACCESSES = {"r": "READ", "w": "WRITE", "x": "FETCH"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``pyemu translate``."""
    add_target_arguments(parser)
    parser.add_argument("va", metavar="VA", nargs="+", help="a virtual address, a symbol, or '-'")
    parser.add_argument("--access", choices=tuple(_ACCESSES), default="r", help="read, write or execute")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--user", action="store_true", help="as user mode (PL0)")
    who.add_argument("--priv", action="store_true", help="as a privileged mode (default: as the CPU is)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--csv", action="store_true", help="print va,pa,fault,level")


class Form(NamedTuple):
    """How results are printed: around them, between them, and each: va, pa, fault in words, level."""

    head: str
    good: str
    bad: str
    between: str
    tail: str


TEXT = Form("", "0x%08x  0x%08x", "0x%08x  %s fault, level %d", "\n", "")
CSV = Form("va,pa,fault,level\n", "0x%08x,0x%x,,%d", "0x%08x,,%s,%d", "\n", "")
JSON = Form(
    '{"results": [',
    '{"va": %d, "pa": %d, "fault": null, "level": %d}',
    '{"va": %d, "pa": null, "fault": "%s", "level": %d}',
    ", ",
    "]",
)


def run(args: argparse.Namespace) -> int:
    """Print the translation of each address."""
    from pyemu.debug import Session

    form = JSON if args.json else CSV if args.csv else TEXT
    with Session(open_from(args)) as session:
        asked = _batches(args.va, session, sys.stdin)
        total, faults = _print(session.target, args, asked, form, sys.stdout.write)
    if args.json:
        sys.stdout.write(f', "translated": {total - faults}, "faults": {faults}}}\n')
    return STATUS_FAULT if faults else 0


def _print(
    target: Target,
    args: argparse.Namespace,
    batches: Iterable[array[int]],
    form: Form,
    write: Callable[[str], int],
) -> tuple[int, int]:
    """Translate and print all batches; returns how many addresses there were and how many fault."""
    from pyemu.mmu import Access, translate_many

    regime = target.regime(args.cpu)
    privileged = not args.user if args.user or args.priv else target.privileged(args.cpu)
    access: Access = Access[_ACCESSES[args.access]]
    total = faults = 0
    write(form.head)
    for va in batches:
        pa, status = array("Q", bytes(8 * len(va))), bytearray(len(va))
        good = translate_many(target.memory, regime, va, pa, status, access=access, privileged=privileged)
        lines = form.between.join(_lines(form, va, pa, status))
        if lines:
            write((form.between if total and form is JSON else "") + lines + ("" if form is JSON else "\n"))
        total, faults = total + len(va), faults + len(va) - good
    write(form.tail)
    return total, faults


def _lines(form: Form, va: array[int], pa: array[int], status: bytearray) -> Iterator[str]:
    from pyemu.mmu import Fault

    words = [Fault(number).text if number < len(Fault) else "?" for number in range(16)]
    good, bad, level = form.good, form.bad, form is not TEXT
    for address, output, how in zip(va, pa, status, strict=True):
        if how & 15:
            yield bad % (address, words[how & 15], how >> 4)
        elif level:
            yield good % (address, output, how >> 4)
        else:
            yield good % (address, output)


def _batches(words: list[str], session: Session, stdin: TextIO) -> Iterator[array[int]]:
    """The addresses in the order in which they were given, many at a time."""
    given: list[str] = []
    for word in words:
        if word != "-":
            given.append(word)
            continue
        if given:
            yield _addresses(given, session)
            given = []
        for lines in iter(lambda: stdin.readlines(BATCH_BYTES), []):
            yield _addresses("".join(lines).split(), session)
    if given:
        yield _addresses(given, session)


def _addresses(words: list[str], session: Session) -> array[int]:
    try:
        return array("I", map(int, words, repeat(16)))
    except (ValueError, OverflowError):
        return array("I", [_address(word, session) for word in words])


def _address(word: str, session: Session) -> int:
    shown = word if len(word) <= 40 else word[:37] + "..."
    try:
        value = int(word, 16)
    except ValueError:
        found = session.symbols.find(word)
        if found is None:
            raise UserError(f"{shown!r} is neither a hexadecimal address nor a symbol") from None
        value = found
    if not 0 <= value < 1 << 32:
        raise UserError(f"{shown} is no 32-bit address")
    return value
