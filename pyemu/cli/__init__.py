"""The ``pyemu`` command: one file a subcommand; what a subcommand needs is imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pyemu.cli import boot, cores, debug, doctor, dump, gup, kernel, lab, report, run, sweep, translate
from pyemu.config import UserError

STATUS_USER = 2
STATUS_BROKEN = 1

EPILOG = """\
examples:
  pyemu boot firmware/elf/hello.elf                run a bare-metal ELF program
  pyemu boot --flash u-boot.bin --mem 512M         start firmware from flash
  pyemu boot vmlinuz --initrd initrd.gz --append console=ttyAMA0 --mem 4G --smp 2
  pyemu boot firmware/elf/user.elf --timing cache  the same, and what it costs on a Cortex-A15
  pyemu gup --mem 4G -n 64                         what get_user_pages_fast costs with HIGHPTE
  pyemu sweep                                      what HIGHPTE costs, saves and breaks, from 512 MB to 16 GB
  pyemu debug booted.snap                          look inside: walks, tables, TLBs, registers
  pyemu cores cortex-a15                           figures of the cycle model and their sources
  pyemu lab cores                                  what it measures, beside published figures
  pyemu translate linux.snap c0008000              what a snapshot or a dump maps there
  pyemu dump linux.snap -o vmcore                  an ELF core for other tools
  pyemu report linux.snap -o page.html             its address space as a page to look at
  pyemu doctor                                     check the installation

`pyemu COMMAND --help` explains a command and its exit status.
"""

# Habits of those who come from QEMU.
_OF_QEMU = {
    "-s": "--gdb 1234 serves gdb, and waits for it",
    "-S": "--gdb PORT waits for gdb before the first instruction",
    "-gdb": "--gdb PORT serves gdb, and waits for it",
    "-kernel": "the kernel is IMAGE, without an option",
    "-m": "--mem SIZE",
    "-smp": "--smp N",
    "-cpu": "--cpu NAME",
    "-append": "--append S",
    "-initrd": "--initrd F",
    "-dtb": "--dtb F",
    "-bios": "--flash F",
    "-nographic": "the console is this terminal anyway",
    "-semihosting": "semihosting is on unless there is --no-semihosting",
}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(STATUS_USER, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"pyemu {version('pyemu-armv7')}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = OneLineParser(
        prog="pyemu",
        description="A laboratory for 32-bit ARM memory management: ARM code on page tables that we walk.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (boot, debug, translate, dump, report, run, gup, sweep, kernel, cores, lab, doctor):
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    args, unknown = make_parser().parse_known_args(argv)
    if unknown:
        hint = next((f": {_OF_QEMU[each]}" for each in unknown if each in _OF_QEMU), "")
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"pyemu: {error}", file=sys.stderr)
        return STATUS_USER
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output is gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
