"""``pyemu dump``: memory and registers of a target as an ELF core, for crash, drgn, gdb and pyemu itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyemu.cli.targets import add_target_arguments, open_from

SUMMARY = "write an ELF core of a snapshot or a dump"
DESCRIPTION = (
    "Write an ELF core: memory by physical address (PT_LOAD), registers of each CPU (PRSTATUS), VMCOREINFO "
    "if the guest has one. Pages of zeros are holes of the file. Notes of its own hold the translation "
    "registers, so that pyemu needs no --regs to read it back."
)
EPILOG = """\
examples:
  pyemu dump linux.snap -o vmcore                              a snapshot for other tools
  pyemu dump ram.bin --ram-base 0x40000000 --regs regs.json -o vmcore   a raw image, with registers
  pyemu debug vmcore                                           look at it

exit status: 0, or 2 when the target cannot be read or the core not be written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``pyemu dump``."""
    add_target_arguments(parser)
    parser.add_argument("-o", "--output", metavar="CORE", type=Path, required=True, help="the file to write")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Write the core and say what is in it."""
    from pyemu.debug.dump import write_core
    from pyemu.debug.render import as_json, as_text
    from pyemu.machine.output import check_writable

    check_writable(args.output, "the core")
    target = open_from(args)
    try:
        written = write_core(target, args.output)
    finally:
        target.close()
    print(as_json(written) if args.json else as_text(written), file=sys.stdout)
    return 0
