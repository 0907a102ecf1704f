"""A dump as a target of the debugger: memory that is mapped from the file, and registers of its CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyemu.config import UserError
from pyemu.debug.dump.elf import MAGIC, CoreFile, read_core
from pyemu.debug.dump.prstatus import read_cpus
from pyemu.debug.dump.registers import NEEDED, read_register_file
from pyemu.debug.target import Capability
from pyemu.machine.loaders.elf import Symbols
from pyemu.mem import PAGE_SIZE, Memory
from pyemu.mmu import Regime
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.dump.guess import Candidate

__all__ = ["DumpTarget", "open_dump"]

_REGIME = ("sctlr", "ttbcr", "ttbr0", "ttbr1", "dacr", "mair0", "mair1", "contextidr")
_MODE, _USER = 0x1F, 0x10
_KDUMP = (b"KDUMP   ", b"makedumpfile")


class DumpTarget:
    """Memory and registers of a guest that ran elsewhere, or earlier; it can only be looked at.

    ``registers`` has what is known of each CPU, by name. ``held`` is (address, bytes) of what the file holds;
    the rest of memory is zeros. ``guesses`` are the tables that ``--find-pgd`` found, the best first; CPUs
    whose translation registers the dump does not have use that.
    """

    def __init__(
        self,
        name: str,
        memory: Memory,
        registers: list[dict[str, int]],
        held: tuple[tuple[int, int], ...],
        guesses: tuple[Candidate, ...] = (),
    ) -> None:
        self._name = name
        self._memory = memory
        self._registers = registers or [{}]
        self.held = held
        self.guesses = guesses
        self.symbols = Symbols(None)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capability:
        return Capability.NONE

    @property
    def cpus(self) -> int:
        return len(self._registers)

    @property
    def memory(self) -> Memory:
        return self._memory

    @property
    def machine(self) -> None:
        return None

    @property
    def kernel(self) -> None:
        return None

    def registers(self, cpu: int) -> Mapping[str, int]:
        return self._registers[cpu]

    def regime(self, cpu: int) -> Regime:
        """The registers that decide translation; UserError where the dump does not have them."""
        known = self._registers[cpu]
        if not all(name in known for name in NEEDED):
            raise UserError(
                f"{self._name}: does not say where the page tables are: give SCTLR, TTBCR, TTBR0, ... in "
                f"--regs FILE.json, or let --find-pgd look for them"
            )
        return Regime(**{name: known.get(name, 0) for name in _REGIME})

    def privileged(self, cpu: int) -> bool:
        """Whether the CPU is at PL1; one whose CPSR is not known is taken to be."""
        return self._registers[cpu].get("cpsr", 0x13) & _MODE != _USER

    def close(self) -> None:
        self._memory.close()

    def __enter__(self) -> DumpTarget:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_dump(
    path: str | Path,
    *,
    regs: str | Path | None = None,
    find_pgd: bool = False,
    ram_base: int | None = None,
) -> DumpTarget:
    """Open an ELF core, or, with ``ram_base``, a raw image of the memory that begins there.

    Translation registers are those of ``regs`` (see :mod:`pyemu.debug.dump.registers`), else those of the
    file, else, with ``find_pgd``, guessed. Raises :class:`~pyemu.config.UserError`.
    """
    path = Path(path)
    start = _start(path)
    if start.startswith(MAGIC):
        if ram_base is not None:
            raise UserError(f"{path}: a core says by itself where its memory lies: it needs no base")
        core = read_core(path)
        memory, cpus = _map_core(core), read_cpus(core.notes)
        held = tuple((s.pa, s.file_bytes) for s in core.segments if s.file_bytes)
    else:
        memory, cpus = _map_raw(path, start, ram_base), []
        held = tuple((s.base, s.size) for s in memory.segments)
    try:
        guesses: tuple[Candidate, ...] = ()
        if regs is not None:
            cpus = _given(path, cpus, read_register_file(regs))
        elif find_pgd:
            cpus, guesses = _guessed(path, memory, cpus, held)
    except BaseException:
        memory.close()
        raise
    return DumpTarget(str(path), memory, cpus, held, guesses)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def _map_core(core: CoreFile) -> Memory:
    memory = Memory()
    try:
        for segment in core.segments:
            held = segment.file_bytes
            if held:
                memory.add_file(segment.pa, core.path, offset=segment.offset, size=held)
            backed = (held + PAGE_SIZE - 1) & -PAGE_SIZE
            left = (segment.size - backed + PAGE_SIZE - 1) & -PAGE_SIZE
            if left > 0:
                memory.add_ram(segment.pa + backed, left)
    except NativeError as problem:
        memory.close()
        raise UserError(f"{core.path}: {problem}") from None
    return memory


def _map_raw(path: Path, start: bytes, ram_base: int | None) -> Memory:
    if ram_base is None:
        if start.startswith(_KDUMP):
            raise UserError(
                f"{path}: a compressed dump of makedumpfile: one in ELF form would be read (makedumpfile -E)"
            )
        raise UserError(
            f"{path}: neither a core nor a snapshot; if it is an image of RAM, say where that begins: "
            f"--ram-base 0x40000000"
        )
    if ram_base % PAGE_SIZE:
        raise UserError(f"RAM that begins at {ram_base:#x}: a multiple of 4096 would be right")
    memory = Memory()
    try:
        memory.add_file(ram_base, path)
    except (NativeError, ValueError, OSError) as problem:
        memory.close()
        raise UserError(f"{path}: {problem}") from None
    return memory


def _given(path: Path, cpus: list[dict[str, int]], given: list[dict[str, int]]) -> list[dict[str, int]]:
    """What the user gives goes over what the file says; one set of registers is that of every CPU."""
    if len(given) == 1:
        return [{**known, **_translation(given[0], known)} for known in cpus] or given
    if cpus and len(given) != len(cpus):
        raise UserError(f"{path}: registers of {len(given)} CPUs for a dump of {len(cpus)}")
    return [{**known, **mine} for known, mine in zip(cpus or [{} for _ in given], given, strict=True)]


def _translation(given: dict[str, int], known: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in given.items() if name in _REGIME or name not in known}


def _guessed(
    path: Path, memory: Memory, cpus: list[dict[str, int]], held: tuple[tuple[int, int], ...]
) -> tuple[list[dict[str, int]], tuple[Candidate, ...]]:
    from pyemu.debug.dump.guess import find_tables

    found = tuple(find_tables(memory, cpus, held))
    if not found:
        raise UserError(f"{path}: nothing in this memory looks like page tables of a kernel")
    best = found[0].registers
    return [{**best, **known} for known in cpus or [{}]], found
