"""Opens what a user names: a snapshot, an image to run, an ELF core or a raw image of memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyemu.config import MachineConfig, Timing, UserError
from pyemu.debug.target import KernelTarget, LiveTarget, Target
from pyemu.machine import LoadOptions, Machine
from pyemu.machine.loaders import Symbols
from pyemu.machine.loaders.files import read_file
from pyemu.machine.snapshot import is_snapshot

if TYPE_CHECKING:
    from pyemu.kernel import KernelConfig

__all__ = ["OpenOptions", "open_kernel", "open_target"]

_ELF_CORE = 4
_MAX_SYMBOL_BYTES = 1 << 30
_PLACEHOLDER = "The real System.map is in"  # what Debian puts there


@dataclass(frozen=True)
class OpenOptions:
    """What a user can say about it.

    ``timing``, ``core``  of a snapshot or an image; None: as it was saved, or the default.
    ``config``, ``load``  of the machine that an image runs on.
    ``regs``              a JSON file with translation registers, of a dump.
    ``find_pgd``          guess them from the memory of a dump.
    ``ram_base``          where a raw image of memory begins.
    ``symbols``           an ELF file, or a System.map, with symbols.
    """

    timing: Timing | None = None
    core: str | None = None
    config: MachineConfig = field(default_factory=MachineConfig)
    load: LoadOptions = field(default_factory=LoadOptions)
    regs: Path | None = None
    find_pgd: bool = False
    ram_base: int | None = None
    symbols: Path | None = None

    @property
    def of_dump(self) -> bool:
        """Whether something was said that only a dump needs."""
        return self.regs is not None or self.find_pgd or self.ram_base is not None


def open_target(path: str | Path, options: OpenOptions | None = None) -> Target:
    """The target in a file; an image is loaded and not yet run. Raises :class:`~pyemu.config.UserError`."""
    path, options = Path(path), options or OpenOptions()
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror or problem}") from None
    target: Target
    if is_snapshot(start):
        machine = Machine.restore(path, options.timing, options.core)
        target = LiveTarget(machine, name=str(path), owned=True)
    elif options.of_dump or _is_core(start):
        from pyemu.debug.dump import open_dump

        target = open_dump(path, regs=options.regs, find_pgd=options.find_pgd, ram_base=options.ram_base)
    else:
        target = _boot(path, options)
    if options.symbols is not None:
        target.symbols = read_symbols(options.symbols)
    return target


def open_kernel(
    config: KernelConfig,
    program: str | Path | None = None,
    arguments: Sequence[str] = (),
    *,
    symbols: Path | None = None,
) -> Target:
    """A Kernel model of its own, or one that hosts a user program, which is before its first instruction.

    ``symbols`` is a file to read them from; otherwise they are the program's. Raises
    :class:`~pyemu.config.UserError`.
    """
    target: Target
    if program is None:
        from pyemu.kernel import Kernel

        target = KernelTarget(Kernel(config), owned=True)
    else:
        from pyemu.kernel.program import Program, host_program

        machine, kernel = host_program(config, Program.read(program), arguments)
        target = LiveTarget(machine, name=str(program), kernel=kernel, owned=True)
        target.symbols = read_symbols(Path(program))
    if symbols is not None:
        target.symbols = read_symbols(symbols)
    return target


def _is_core(start: bytes) -> bool:
    if not start.startswith(b"\x7fELF") or len(start) < 18:
        return False
    kind: int = struct.unpack_from("<H", start, 16)[0]
    return kind == _ELF_CORE


def _boot(path: Path, options: OpenOptions) -> Target:
    config = options.config.with_options(timing=options.timing, core=options.core)
    machine = Machine(config)
    try:
        machine.load(path, options.load)
    except BaseException:
        machine.close()
        raise
    return LiveTarget(machine, name=str(path), owned=True)


def read_symbols(path: Path) -> Symbols:
    """Symbols of an ELF file, or of lines ``c0008000 T stext`` (System.map, /proc/kallsyms)."""
    data = read_file(path, _MAX_SYMBOL_BYTES, "symbol file")
    if data.startswith(b"\x7fELF"):
        return Symbols(data)
    found: dict[str, int] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        try:
            address, name = _symbol_address(words[0]), words[2]
            if any(not word.startswith("[") for word in words[3:]):  # a module's name may follow
                raise ValueError
        except (IndexError, ValueError):
            if _PLACEHOLDER in line:
                raise UserError(
                    f"{path}: this System.map is a placeholder, the package's -dbg has the real one; "
                    "symbols of a Linux guest are also found in its memory, without --symbols"
                ) from None
            raise UserError(
                f"{path}: line {number} is no symbol: an ELF file or lines like `c0008000 T stext` have them"
            ) from None
        if not name.startswith("$"):
            found.setdefault(name, address)
    return Symbols.known(found)


def _symbol_address(text: str) -> int:
    """ValueError unless it is an address of up to 64 bits."""
    if not 0 < len(text) <= 16 or not text.isalnum():
        raise ValueError
    return int(text, 16)
