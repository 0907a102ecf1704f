"""``pyemu boot``: run an image on the machine, with the terminal as its console."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.cli.expect import StepAction, parse_steps
from pyemu.config import CPU_MODELS, MIB, TIMINGS, MachineConfig, UserError, parse_memory, parse_size
from pyemu.machine.dialogue import Dialogue

if TYPE_CHECKING:
    from pyemu.debug.gdb.server import GdbServer
    from pyemu.machine import LoadOptions, Machine
    from pyemu.timing import Core

SUMMARY = "run an image: ELF, Linux zImage, flat binary, flash or snapshot"
DESCRIPTION = """\
Run an image until it exits, powers off or reaches a limit.  Its console is this terminal: Ctrl-A x quits,
Ctrl-A i says where the guest is and which fault it handles, Ctrl-A h helps.  Input that is no terminal goes
to the guest as it is.  A summary ends each run on stderr; a guest that is stuck or was cut off is described
there: where each CPU is, the last abort in words, and the descriptor that made it.  With --timing the
guest's time is that of a modelled core, and a table behind the summary says what its cycles were spent on.
"""
EPILOG = """\
IMAGE may be
  an ELF executable    its segments are loaded at their physical addresses; r2 points to the device tree
  a Linux zImage       with a device tree made here; the kernel is unpacked on the host
  a snapshot           written by --snapshot-at-exit; it brings its machine with it, but for --timing and
                       --core: caches and TLBs start cold, and the guest's time goes on from where it was
  anything else        a flat binary, loaded and started at --load-address
and may be left out with --flash, which starts firmware at address 0.

TEXT of --send is typed as it is, with \\n \\r \\t \\e \\xNN and \\\\ for what cannot be written; no Enter is
added.  RE of --expect and --until is a Python regular expression, searched behind the text that
matched before.  Both act at fixed instruction counts, so that two runs are alike to the last instruction.

--timing tlb counts the cycles of instructions, branches and TLBs as if every access hit L1; --timing cache
counts those of L1, L2 and memory too, and is slower.  Two runs count the same cycles.  Which figures of a
core are measured and which are assumed is what `pyemu cores NAME` prints.

exit status:
  the guest's          when it exits through semihosting
  0                    powered off, --max-insns reached, --until matched, Ctrl-A x
  1                    the installation is broken: see pyemu doctor
  2                    a mistake on the command line or in a file
  3                    stuck: an exception vector that cannot be run, a wait for input that never comes
  4                    an --expect or --until never matched
  124                  --timeout reached
  130                  interrupted

examples:
  pyemu boot firmware/elf/hello.elf
  pyemu boot vmlinuz --mem 16G --initrd initrd.gz --append 'console=ttyAMA0 rdinit=/bin/sh'
  pyemu boot --flash u-boot.bin --expect 'autoboot' --send ' ' --expect '=> ' --send 'bdinfo\\n' --until '=> '
  pyemu boot bringup.elf --max-insns 100000000      says where it hangs, and on which descriptor
  pyemu boot test.elf --timeout 60 --json
  pyemu boot test.elf --timing cache                what it costs on a Cortex-A15
  pyemu boot test.elf --timing cache --core cortex-a9 --stats a9.json
  pyemu boot booted.snap --timing tlb --core my-soc --core-file my-socs.toml
"""
MAX_INITRD_BYTES = 2 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("image", metavar="IMAGE", nargs="?", type=Path, help="what to run")
    board = parser.add_argument_group("board")
    board.add_argument(
        "--config", metavar="F", type=Path, help="TOML file with [machine]; options override it"
    )
    board.add_argument(
        "--mem", metavar="SIZE", type=_sized(parse_memory), help="RAM, 16M to 64G (default 1G)"
    )
    board.add_argument("--cpu", choices=CPU_MODELS, help="CPU identity (default cortex-a15)")
    board.add_argument("--smp", metavar="N", type=int, help="number of CPUs, 1 to 8 (default 1)")
    board.add_argument(
        "--quantum", metavar="N", type=int, help="instructions a CPU runs before the next one's turn"
    )
    board.add_argument(
        "--no-semihosting",
        dest="semihosting",
        action="store_false",
        default=None,
        help="semihosting traps are ordinary exceptions",
    )
    board.add_argument(
        "--strict-alignment",
        action="store_true",
        default=None,
        help="also with SCTLR.A clear: alignment faults of LDM, STM, LDRD, STRD, VLDR, VSTR, and of any "
        "access to Device or Strongly-ordered memory, as with the MMU off; slower",
    )
    cost = parser.add_argument_group("timing")
    cost.add_argument(
        "--timing",
        choices=TIMINGS,
        help="what guest time is made of (default off: 1 ns an instruction)",
    )
    cost.add_argument(
        "--core", metavar="NAME", help="whose cycles are counted (default: that of --cpu); see pyemu cores"
    )
    cost.add_argument("--core-file", metavar="F", type=Path, help="TOML file with cores of your own")
    load = parser.add_argument_group("loading")
    load.add_argument("--flash", metavar="F", type=Path, help="content of flash bank 0, at 0x0")
    load.add_argument("--dtb", metavar="F", type=Path, help="device tree blob instead of the generated one")
    load.add_argument(
        "--no-dtb", action="store_true", help="no device tree in memory (ELF, flat and flash images)"
    )
    load.add_argument("--initrd", metavar="F", type=Path, help="initial ramdisk for Linux")
    load.add_argument("--append", metavar="S", help="kernel command line")
    load.add_argument(
        "--load-address",
        metavar="ADDR",
        type=_sized(parse_size),
        help="where a flat binary goes (default 0x40008000); add 1 to start in Thumb state",
    )
    load.add_argument("--no-host-decompress", action="store_true", help="run the zImage's own decompressor")
    load.add_argument(
        "--all-timers",
        action="store_true",
        help="list the virtual and hypervisor timers in the device tree too",
    )
    load.add_argument(
        "--virtio", action="store_true", help="list the empty virtio-mmio slots in the device tree"
    )
    run = parser.add_argument_group("running")
    run.add_argument("--max-insns", metavar="N", type=_positive, help="stop after N instructions")
    run.add_argument("--timeout", metavar="S", type=_seconds, help="stop after S seconds of this host")
    run.add_argument(
        "--expect", metavar="RE", dest="steps", action=StepAction, help="wait for this on the console"
    )
    run.add_argument("--send", metavar="TEXT", dest="steps", action=StepAction, help="then type this")
    run.add_argument(
        "--until", metavar="RE", dest="steps", action=StepAction, help="end the run when this is printed"
    )
    run.add_argument(
        "--gdb",
        metavar="[HOST:]PORT",
        help="wait for gdb here before the first instruction, as QEMU's -s -S; on this host alone unless "
        "HOST is given; 0 takes a free port",
    )
    out = parser.add_argument_group("results")
    out.add_argument(
        "--console-log", metavar="F", type=Path, help="write the console's output to a file as well"
    )
    out.add_argument(
        "--snapshot-at-exit", metavar="F", type=Path, help="write the machine to a file at the end"
    )
    out.add_argument(
        "--stats", metavar="F", type=Path, help="write the JSON object of --json to a file as well"
    )
    out.add_argument(
        "--json",
        action="store_true",
        help="print the summary as one JSON object on stdout; the console goes to stderr",
    )


def _sized(parse: Any) -> Any:
    def convert(text: str) -> int:
        try:
            value: int = parse(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return value

    return convert


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of instructions, such as 1000000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from pyemu.machine.output import check_writable

    steps = parse_steps(args.steps or [])
    if args.snapshot_at_exit is not None:
        check_writable(args.snapshot_at_exit, "the snapshot")
    if args.stats is not None:
        check_writable(args.stats, "the statistics")
    try:
        from pyemu.native import NativeError
    except ImportError as error:
        print(f"pyemu: the C core does not load ({error}): see pyemu doctor", file=sys.stderr)
        return 1
    try:
        machine = _make_machine(args)
    except NativeError as error:
        print(f"pyemu: {error}: see pyemu doctor", file=sys.stderr)
        return 1
    with machine:
        return _run_machine(machine, args, Dialogue(steps))


def _make_machine(args: argparse.Namespace) -> Machine:
    from pyemu.machine import Machine
    from pyemu.machine.snapshot import MAGIC, is_snapshot

    if args.image is None and args.flash is None:
        raise UserError("nothing to boot: give an IMAGE, or --flash")
    if args.image is not None and is_snapshot(_first_bytes(args.image, len(MAGIC))):
        _refuse_with_snapshot(args)
        return _restore(args)
    base = MachineConfig() if args.config is None else MachineConfig.from_toml(args.config)
    config = base.with_options(
        memory_bytes=args.mem,
        cpu=args.cpu,
        smp=args.smp,
        quantum=args.quantum,
        semihosting=args.semihosting,
        strict_alignment=args.strict_alignment,
        timing=args.timing,
        core=args.core,
        core_file=args.core_file,
    )
    _refuse_core_without_timing(args, config)
    options = _load_options(args, config)
    machine = Machine(config)
    try:
        plan = machine.load(args.image, options)
    except BaseException:
        machine.close()
        raise
    for note in plan.notes:
        print(f"pyemu: {note}", file=sys.stderr)
    return machine


def _restore(args: argparse.Namespace) -> Machine:
    """The machine of a snapshot, with the timing and core that were asked for, or those it had."""
    from pyemu.machine import Machine

    core: Core | None = None
    if args.core is not None or args.core_file is not None:
        from pyemu.timing import configured_core

        core = configured_core(MachineConfig(core=args.core, core_file=args.core_file))
    machine = Machine.restore(args.image, args.timing, core)
    try:
        _refuse_core_without_timing(args, machine.config)
    except UserError:
        machine.close()
        raise
    return machine


def _refuse_core_without_timing(args: argparse.Namespace, config: MachineConfig) -> None:
    for option, value in (("--core", args.core), ("--core-file", args.core_file)):
        if value is not None and config.timing == "off":
            raise UserError(f"{option} is of no use with timing off: give --timing tlb or --timing cache too")


def _first_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise UserError(f"{path}: cannot read the image: {error.strerror or error}") from None


def _refuse_with_snapshot(args: argparse.Namespace) -> None:
    names = (
        "config",
        "mem",
        "cpu",
        "smp",
        "quantum",
        "semihosting",
        "strict_alignment",
        "flash",
        "dtb",
        "no_dtb",
        "initrd",
        "append",
        "load_address",
        "no_host_decompress",
        "all_timers",
        "virtio",
    )
    for name in names:
        if getattr(args, name) not in (None, False) or (name == "semihosting" and args.semihosting is False):
            option = "no-semihosting" if name == "semihosting" else name.replace("_", "-")
            raise UserError(f"--{option} cannot be given with a snapshot, which brings its machine with it")


def _load_options(args: argparse.Namespace, config: MachineConfig) -> LoadOptions:
    from pyemu.machine import LoadOptions, TreeOptions
    from pyemu.machine.fdt import MAX_BYTES
    from pyemu.machine.loaders.files import read_file

    def content(path: Path | None, limit: int, what: str) -> bytes | None:
        return None if path is None else read_file(path, limit, what)

    return LoadOptions(
        dtb=content(args.dtb, MAX_BYTES, "device tree"),
        device_tree=not args.no_dtb,
        tree=TreeOptions(all_timers=args.all_timers, virtio=args.virtio),
        initrd=content(args.initrd, min(config.memory_bytes, MAX_INITRD_BYTES), "initrd"),
        append=args.append,
        load_address=args.load_address,
        flash=content(args.flash, 64 * MIB, "flash image"),
        host_decompress=not args.no_host_decompress,
    )


class ConsoleLog:
    """The file of --console-log; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise self._problem(error) from None

    def _problem(self, error: OSError) -> UserError:
        return UserError(f"{self._path}: cannot write the console log: {error.strerror or error}")

    def __enter__(self) -> ConsoleLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append console output."""
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
        except OSError as error:
            raise self._problem(error) from None


@contextmanager
def _gdb_server(machine: Machine, where: str) -> Iterator[GdbServer]:
    """A server for gdb, which has been said where it is."""
    from pyemu.debug.gdb.server import GdbServer, announce, parse_endpoint
    from pyemu.debug.session import Session
    from pyemu.debug.target import LiveTarget

    server = GdbServer(Session(LiveTarget(machine)), *parse_endpoint(where))
    try:
        announce(server)
        yield server
    finally:
        server.close()


def _run_machine(machine: Machine, args: argparse.Namespace, dialogue: Dialogue) -> int:
    from pyemu.cli import summary
    from pyemu.cli.session import Limits, Session
    from pyemu.cli.terminal import Terminal
    from pyemu.machine.diagnosis import diagnose
    from pyemu.machine.output import whole_file

    with ExitStack() as stack:
        log = None if args.console_log is None else stack.enter_context(ConsoleLog(args.console_log))
        console = sys.stderr.buffer if args.json else sys.stdout.buffer
        server = None if args.gdb is None else stack.enter_context(_gdb_server(machine, args.gdb))
        terminal = stack.enter_context(Terminal(console))
        limits = Limits(args.max_insns, args.timeout)
        ending = Session(machine, terminal, dialogue, limits, log, server).run()
    stats, diagnosis = machine.stats(), diagnose(machine, ending.stop)
    status = summary.exit_status(ending, dialogue)
    if args.snapshot_at_exit is not None:
        machine.snapshot(args.snapshot_at_exit)
    bill = None if machine.config.timing == "off" else machine.bill()
    if args.json or args.stats is not None:
        report = json.dumps(summary.for_program(ending, dialogue, stats, diagnosis, bill))
        if args.stats is not None:
            with whole_file(args.stats, "the statistics") as file:
                file.write(report.encode() + b"\n")
        if args.json:
            print(report)
            if dialogue.waiting_for is None:
                return status
    print(summary.for_person(ending, dialogue, stats, diagnosis), file=sys.stderr)
    if bill is not None:
        from pyemu.cli.bill import print_bill

        print_bill(bill, machine.config.core_file)
    return status
