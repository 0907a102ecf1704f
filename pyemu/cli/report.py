"""``pyemu report``: a target's address space as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyemu.cli.targets import add_target_arguments, open_from
from pyemu.config import UserError

SUMMARY = "write a page with the address space of a snapshot, a dump or a run"
DESCRIPTION = (
    "Write one HTML file that needs nothing else: the address space to scale, with zoom and attributes by "
    "colour, the tree of tables, findings of `doctor mmu`, and, with --timing, TLB and cycle bill."
)
EPILOG = """\
examples:
  pyemu report linux.snap -o linux.html
  pyemu report --find-pgd vmcore -o vmcore.html
  pyemu report firmware/elf/lpae.elf --timing cache --max-insns 1000000 -o lpae.html

exit status: 0, or 2 when the target cannot be read or the page not be written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``pyemu report``."""
    add_target_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE.html", type=Path, required=True, help="what to write")
    parser.add_argument(
        "--max-insns", metavar="N", type=int, help="run a snapshot or an image that far first"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from pyemu.debug import Session
    from pyemu.debug.report import write_report
    from pyemu.machine.output import check_writable

    if args.max_insns is not None and args.max_insns <= 0:
        raise UserError(f"--max-insns {args.max_insns}: a number of instructions above 0 would be right")
    check_writable(args.output, "the report")
    with Session(open_from(args)) as session:
        session.select(args.cpu)
        if args.max_insns is not None:
            session.execute(f"c {args.max_insns}")  # on record, so that findings can say who wrote what
        write_report(session, args.output)
    print(f"{args.output}: open it in a browser")
    return 0
