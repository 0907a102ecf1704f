"""``pyemu debug``: look inside a snapshot, an image or a dump."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.cli.boot import MAX_INITRD_BYTES
from pyemu.cli.targets import add_target_arguments, open_from
from pyemu.config import MachineConfig, UserError, parse_memory, parse_size

if TYPE_CHECKING:
    from pyemu.debug.session import Session

SUMMARY = "look inside a snapshot, an image or a dump: walks, tables, TLBs, registers"
DESCRIPTION = """\
Open a snapshot or a dump, or load an image without running it, and carry out commands: those of -x and -c in
their order, or else those that are typed or piped in.  `help` lists the commands, `help walk` explains one.
"""
EPILOG = """\
TARGET may be a snapshot (pyemu boot --snapshot-at-exit), an image that pyemu boot runs, an ELF core of
QEMU's dump-guest-memory, or with --regs or --find-pgd a raw image of memory.

exit status: 0, or 2 when a command of -x, -c or standard input was refused, or TARGET cannot be opened

examples:
  pyemu debug booted.snap
  pyemu debug booted.snap -c 'walk 0xc0008000' -c 'why 0 w user' -c 'pt --kernel'
  printf 'walk 0xc0008000\\nwhy 0 w user\\npt --kernel\\n' | pyemu debug booted.snap
  pyemu debug bringup.elf -c 'c 100000' -c 'doctor mmu'
  pyemu debug vmcore --find-pgd -c 'pt --kernel'
"""


class _Script(argparse.Action):
    """-x and -c in the order in which they were given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option: str | None = None,
    ) -> None:
        namespace.script = [*(namespace.script or []), (self.dest, value)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_target_arguments(parser)
    parser.add_argument("-c", metavar="CMD", dest="command_line", action=_Script, help="carry out a command")
    parser.add_argument(
        "-x",
        metavar="FILE",
        dest="command_file",
        type=Path,
        action=_Script,
        help="carry out a file's commands",
    )
    parser.add_argument("--json", action="store_true", help="print each result as one line of JSON")
    parser.add_argument(
        "--gdb",
        metavar="[HOST:]PORT",
        help="serve gdb here, after -x and -c; on this host alone unless HOST is given",
    )
    parser.set_defaults(script=None)
    live = parser.add_argument_group("snapshots and images")
    live.add_argument("--core", metavar="NAME", help="whose cycles are counted; see pyemu cores")
    image = parser.add_argument_group("images")
    image.add_argument("--mem", metavar="SIZE", help="RAM, 16M to 64G (default 1G)")
    image.add_argument("--smp", metavar="N", type=int, help="number of CPUs, 1 to 8 (default 1)")
    image.add_argument("--load-address", metavar="ADDR", help="where a flat binary goes (default 0x40008000)")
    image.add_argument("--initrd", metavar="F", type=Path, help="initial ramdisk for Linux")
    image.add_argument("--append", metavar="S", help="kernel command line")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from pyemu.debug.prompt import Script, interact
    from pyemu.debug.session import Session

    with Session(open_from(args, **_machine_options(args))) as session:
        session.select(args.cpu)
        if args.script is None and args.gdb is None:
            return interact(session, json=args.json)
        script = Script(session, json=args.json)
        for kind, value in args.script or []:
            lines = [value] if kind == "command_line" else _lines(value)
            for line in lines:
                if not script.run(line):
                    return script.status
        if args.gdb is not None:
            _serve(session, args.gdb)
        return script.status


def _serve(session: Session, where: str) -> None:
    from pyemu.debug.gdb.server import GdbServer, announce, parse_endpoint

    server = GdbServer(session, *parse_endpoint(where))
    announce(server)
    try:
        server.serve(sys.stdout.buffer)
    except KeyboardInterrupt:
        print("pyemu: interrupted", file=sys.stderr)
    finally:
        server.close()


def _machine_options(args: argparse.Namespace) -> dict[str, Any]:
    """What only a target that runs has: fields of OpenOptions."""
    from pyemu.machine import LoadOptions
    from pyemu.machine.loaders.files import read_file

    memory = None if args.mem is None else parse_memory(args.mem)
    initrd = None if args.initrd is None else read_file(args.initrd, MAX_INITRD_BYTES, "initrd")
    address = None if args.load_address is None else parse_size(args.load_address)
    return {
        "core": args.core,
        "config": MachineConfig().with_options(memory_bytes=memory, smp=args.smp),
        "load": LoadOptions(initrd=initrd, append=args.append, load_address=address),
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror or problem}") from None
