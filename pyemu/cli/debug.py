"""``pyemu debug``: look inside a snapshot, an image or a dump."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.cli.boot import MAX_INITRD_BYTES
from pyemu.cli.kernel_options import HELP, KERNEL_ONLY, add_kernel_options, kernel_config
from pyemu.cli.targets import add_target_arguments, open_from, with_cpu
from pyemu.config import MachineConfig, UserError, parse_memory, parse_size

if TYPE_CHECKING:
    from pyemu.debug import Target
    from pyemu.debug.session import Session

SUMMARY = "look inside a snapshot, an image or a dump: walks, tables, TLBs, registers"
DESCRIPTION = """\
Open a snapshot or a dump, load an image without running it, or make a model of Linux' memory management, and
carry out commands: those of -x and -c in their order, or else those that are typed or piped in.  `help` lists
the commands, `help walk` explains one.
"""
EPILOG = f"""\
TARGET may be a snapshot (pyemu boot --snapshot-at-exit), an image that pyemu boot runs, an ELF core of
QEMU's dump-guest-memory, or a raw image of memory with --ram-base and with --regs or --find-pgd.

--kernel without TARGET is a Kernel model alone, in which `spawn`, `mmap`, `touch`, `fork` and `kmap_local`
make things happen; with one TARGET is a user program (as for pyemu run) before its first instruction.
{HELP}

exit status: 0, or 2 when a command of -x, -c or standard input was refused, or TARGET cannot be opened

examples:
  pyemu debug booted.snap
  pyemu debug booted.snap -c 'walk 0xc0008000' -c 'why 0 w user' -c 'pt --kernel'
  printf 'walk 0xc0008000\\nwhy 0 w user\\npt --kernel\\n' | pyemu debug booted.snap
  pyemu debug bringup.elf -c 'c 100000' -c 'doctor mmu'
  pyemu debug vmcore --find-pgd -c 'pt --kernel'
  pyemu debug ram.bin --ram-base 0x40000000 --find-pgd -c 'walk 0xc0008000'
  pyemu debug --kernel --mem 4G -c spawn -c 'mmap 64K 0x10000000' -c 'gup 0x10000000 4 w'
  pyemu debug --kernel firmware/elf/hosted-cow.elf -c 'b main' -c c -c vma -c 'pt --user'
  pyemu debug --kernel --highpte --preempt-rt --force      what breaks, step by step: `gup`, `reports`
"""
# What a Kernel model has no use for.
_NOT_OF_KERNEL = ("regs", "find_pgd", "ram_base", "load_address", "initrd", "append")


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
    add_target_arguments(parser, optional=True)
    parser.add_argument("arguments", metavar="ARG", nargs="*", help="of a user program: see --kernel")
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
    live = parser.add_argument_group("snapshots, images and the Kernel model")
    live.add_argument("--core", metavar="NAME", help="whose cycles are counted; see pyemu cores")
    live.add_argument("--mem", metavar="SIZE", help="RAM, but of a snapshot: 16M to 64G (default 1G)")
    live.add_argument("--smp", metavar="N", type=int, help="number of CPUs, 1 to 8 (default 1)")
    parser.add_argument(
        "--kernel", action="store_true", help="a model of Linux' memory management; TARGET is a user program"
    )
    add_kernel_options(parser, title="the Kernel model", mem=False)
    image = parser.add_argument_group("images")
    image.add_argument("--load-address", metavar="ADDR", help="where a flat binary goes (default 0x40008000)")
    image.add_argument("--initrd", metavar="F", type=Path, help="initial ramdisk for Linux")
    image.add_argument("--append", metavar="S", help="kernel command line")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from pyemu.debug.prompt import Script, interact
    from pyemu.debug.session import Session

    with Session(_open(args)) as session:
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


def _open(args: argparse.Namespace) -> Target:
    """What the command line names."""
    others = _NOT_OF_KERNEL if args.kernel else KERNEL_ONLY
    for name in others:
        if getattr(args, name) != args.parser.get_default(name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option}: " + ("--kernel has no use for it" if args.kernel else "needs --kernel")
            )
    if args.kernel:
        return _open_kernel(args)
    if args.target is None:
        raise UserError("TARGET is missing: a snapshot, a dump or an image; or --kernel for a Kernel model")
    if args.arguments:
        raise UserError(f"{args.arguments[0]}: only a user program has arguments: see --kernel")
    return open_from(args, **_machine_options(args))


def _open_kernel(args: argparse.Namespace) -> Target:
    from pyemu.debug.opening import open_kernel

    more: dict[str, Any] = {
        "memory_bytes": parse_memory("1G" if args.mem is None else args.mem),
        "timing": args.timing or "off",
        "core": args.core or "cortex-a15",
        "cpus": args.smp or 1,
    }
    if args.target is not None and more["cpus"] != 1:
        raise UserError("--smp: a user program runs on one CPU")
    config = kernel_config(args, **more)
    return with_cpu(open_kernel(config, args.target, args.arguments, symbols=args.symbols), args.cpu)


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
