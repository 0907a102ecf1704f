"""What a machine is made of: frozen, validated dataclasses, from TOML, the command line or Python.

A value that cannot be is a :class:`UserError`, whose text is one line that says what is wrong and what would
be right.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

CpuModel = Literal["cortex-a15", "cortex-a7"]
CPU_MODELS: tuple[str, ...] = get_args(CpuModel)

Timing = Literal["off", "tlb", "cache"]
TIMINGS: tuple[str, ...] = get_args(Timing)

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

MIN_MEMORY_BYTES = 16 * MIB
MAX_MEMORY_BYTES = 64 * GIB
MAX_CPUS = 8
MAX_QUANTUM = 1 << 24

_SIZE = re.compile(r"(0x[0-9a-f]{1,16}|[0-9]{1,20})\s*(?:([kmg])(?:i?b)?|b)?", re.IGNORECASE)
_UNIT = {"": 1, "k": KIB, "m": MIB, "g": GIB}


def printable(text: str) -> str:
    """Text on one line, that does nothing to a terminal: what cannot be printed is escaped as in Python."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class UserError(Exception):
    """A mistake of the person who runs pyemu; the text is one line for that person, whatever was typed."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


def parse_size(text: str) -> int:
    """Bytes of a size such as ``"4G"``, ``"512M"``, ``"0x1000"`` or ``"4096"`` (units are powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        shown = text if len(text) <= 20 else text[:17] + "..."
        raise UserError(f"{shown!r} is not a size: write a number with K, M or G, such as 1G or 512M")
    return int(match[1], 0 if match[1][:2].lower() == "0x" else 10) * _UNIT[(match[2] or "").lower()]


def format_size(size: int) -> str:
    """The shortest exact form of a size: ``"4G"``, ``"1536M"``, ``"17"``."""
    for suffix, unit in (("G", GIB), ("M", MIB), ("K", KIB)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def parse_memory(text: str) -> int:
    """Bytes of RAM for a machine: :func:`parse_size` and the limits of :class:`MachineConfig`."""
    size = parse_size(text)
    check_memory(size)
    return size


def check_memory(size: int) -> None:
    """Raise :class:`UserError` unless a machine can have ``size`` bytes of RAM."""
    if not MIN_MEMORY_BYTES <= size <= MAX_MEMORY_BYTES:
        unit = f"{size} bytes" if size < KIB else format_size(size)
        side = "less than 16M" if size < MIN_MEMORY_BYTES else "more than 64G"
        raise UserError(f"memory of {unit} is {side}: give 16M to 64G, such as 1G")
    if size % MIB:
        raise UserError(
            f"memory of {size} bytes is not a multiple of 1M: {size // MIB}M or {size // MIB + 1}M would be"
        )


@dataclass(frozen=True)
class MachineConfig:
    """A board: what :class:`pyemu.machine.Machine` builds.

    ``memory_bytes``      RAM from 0x40000000 on, 16 MB to 64 GB, a multiple of 1 MB; sparse on the host.
    ``cpu``               the identity that the guest reads: ``"cortex-a15"`` or ``"cortex-a7"``.
    ``smp``               number of CPUs, 1 to 8, run in turn on one host thread.
    ``semihosting``       whether the semihosting traps (SVC 0x123456, 0xab in Thumb) are host calls.
    ``quantum``           instructions a CPU runs before the next one's turn.
    ``strict_alignment``  alignment faults also with SCTLR.A clear: of LDM, STM, LDRD, STRD, VLDR, VSTR, and
                          of any access to Device or Strongly-ordered memory, which is all memory with the
                          MMU off.  Slower: a hook on every instruction.
    ``timing``            what guest time is: ``"off"``, 1 ns for each instruction; ``"tlb"``, cycles of
                          instructions, branches and TLBs; ``"cache"``, of the caches too.
    ``core``              whose cycles these are: a name of ``pyemu cores`` or of ``core_file``; None: the one
                          that belongs to ``cpu``, or the only one of ``core_file``.  Unused with timing off.
    ``core_file``         a TOML file with cores of your own.
    """

    memory_bytes: int = GIB
    cpu: CpuModel = "cortex-a15"
    smp: int = 1
    semihosting: bool = True
    quantum: int = 20_000
    strict_alignment: bool = False
    timing: Timing = "off"
    core: str | None = None
    core_file: Path | None = None

    def __post_init__(self) -> None:
        check_memory(self.memory_bytes)
        if self.cpu not in CPU_MODELS:
            raise UserError(f"cpu {self.cpu!r} is not known: {' or '.join(CPU_MODELS)} would be")
        if not 1 <= self.smp <= MAX_CPUS:
            raise UserError(f"smp of {self.smp} is outside 1 to {MAX_CPUS} CPUs")
        if not 1 <= self.quantum <= MAX_QUANTUM:
            raise UserError(f"quantum of {self.quantum} is outside 1 to {MAX_QUANTUM} instructions")
        if self.timing not in TIMINGS:
            raise UserError(f"timing {self.timing!r} is not known: {', '.join(TIMINGS)} are")

    def with_options(self, **changes: Any) -> MachineConfig:
        """A copy with the options that are not None changed (``mem`` may be a size as text)."""
        given = {name: value for name, value in changes.items() if value is not None}
        return _from_mapping(given, "option", base=self)

    @classmethod
    def from_toml(cls, path: str | Path) -> MachineConfig:
        """The ``[machine]`` table of a TOML file: ``mem = "4G"`` and the fields of this class.

        A relative ``core_file`` is looked for beside the file.
        """
        table = _read_toml(Path(path)).get("machine", {})
        if not isinstance(table, dict):
            raise UserError(f"{path}: machine must be a table, [machine]")
        try:
            config = _from_mapping(table, "key", base=cls())
        except UserError as error:
            raise UserError(f"{path}: [machine]: {error}") from None
        if config.core_file is None:
            return config
        return replace(config, core_file=Path(path).parent / config.core_file)


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not a TOML file: {error}") from None


def _from_mapping(values: dict[str, Any], noun: str, base: MachineConfig) -> MachineConfig:
    changes = dict(values)
    if "mem" in changes:
        mem = changes.pop("mem")
        if isinstance(mem, bool) or not isinstance(mem, (int, str)):
            raise UserError(f"mem must be a size such as 1G, not {mem!r}")
        changes["memory_bytes"] = parse_memory(mem) if isinstance(mem, str) else mem
    if isinstance(changes.get("core_file"), Path):
        changes["core_file"] = str(changes["core_file"])
    for field in fields(MachineConfig):
        expected = str if field.default is None else type(field.default)
        if field.name in changes and type(changes[field.name]) is not expected:
            raise UserError(f"{field.name} must be of type {expected.__name__}, not {changes[field.name]!r}")
    if "core_file" in changes:
        changes["core_file"] = Path(changes["core_file"])
    unknown = set(changes) - {field.name for field in fields(MachineConfig)}
    if unknown:
        exist = ", ".join(["mem", *(field.name for field in fields(MachineConfig)[1:])])
        raise UserError(f"unknown {noun} {min(unknown)!r}: there are {exist}")
    return replace(base, **changes)
