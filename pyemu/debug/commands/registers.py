"""``regs``, ``cp15`` and ``cpu``: registers of the current CPU, and CP15 decoded bit by bit."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.config import UserError
from pyemu.debug.fields import FieldValue, Layout, layouts
from pyemu.debug.parameters import Flag, Number, Word
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.words import memory_type
from pyemu.machine.cpu import Power
from pyemu.machine.registers import register_table
from pyemu.mmu import decode_fault_status

__all__ = ["CpuList", "CpuState", "DecodedRegister", "Registers", "cp15", "cpu", "regs"]

_MODES = {0x10: "user", 0x11: "FIQ", 0x12: "IRQ", 0x13: "SVC", 0x16: "monitor", 0x17: "abort", 0x1A: "hyp"}
_MODES |= {0x1B: "undefined", 0x1F: "system"}
_FLAGS = "NZCVQ"
_COLUMNS = 4
_ALIASES = {"prrr": "mair0", "nmrr": "mair1"}
_OF_SHORT = {name: alias for alias, name in _ALIASES.items()}
_NARROW = ("ttbr0", "ttbr1", "par")  # 32 bits in the short format


@dataclass(frozen=True)
class Registers:
    """Registers of a CPU by name; ``state`` is CPSR in words."""

    cpu: int
    values: dict[str, int]
    state: str
    symbol: str | None

    @property
    def lines(self) -> list[str]:
        widths = {name: 16 if register_width(name) == 64 else 8 for name in self.values}
        cells = [f"{name:<8} {value:0{widths[name]}x}" for name, value in self.values.items()]
        lines = ["  ".join(cells[i : i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)]
        where = f", at {self.symbol}" if self.symbol else ""
        return [*lines, f"CPU {self.cpu}: {self.state}{where}"] if self.state else lines


@dataclass(frozen=True)
class DecodedRegister:
    """A register with its fields; ``note`` is what it says as a whole, or empty."""

    name: str
    value: int
    width: int
    title: str
    section: str
    fields: tuple[FieldValue, ...]
    note: str

    @property
    def lines(self) -> list[str]:
        head = f"{self.name.upper()} = {self.value:#0{self.width // 4 + 2}x}"
        if self.title:
            head += f"  {self.title}" + (f" (ARM DDI 0406C {self.section})" if self.section else "")
        lines = [head, *(each.line for each in self.fields)]
        return [*lines, f"  {self.note}"] if self.note else lines


@dataclass(frozen=True)
class AllRegisters:
    """Several decoded registers."""

    registers: tuple[DecodedRegister, ...]

    @property
    def lines(self) -> list[str]:
        return [line for each in self.registers for line in each.lines]


@dataclass(frozen=True)
class CpuState:
    """One CPU in a line; ``power`` is None in a dump."""

    number: int
    current: bool
    pc: int
    state: str
    symbol: str | None
    power: Power | None

    @property
    def line(self) -> str:
        mark = "*" if self.current else " "
        if self.power is Power.OFF:
            return f"{mark} CPU {self.number}: off"
        waits = f"; {self.power.text}" if self.power is Power.WAITING else ""
        where = f" ({self.symbol})" if self.symbol else ""
        return f"{mark} CPU {self.number}: {self.pc:#010x}{where}, {self.state}{waits}"


@dataclass(frozen=True)
class CpuList:
    """Every CPU; the current one is marked."""

    cpus: tuple[CpuState, ...]

    @property
    def lines(self) -> list[str]:
        return [each.line for each in self.cpus]


def register_width(name: str) -> int:
    """Bits of a register; 32 for one that is not known."""
    info = register_table().get(name)
    return 32 if info is None else info.width


def cpsr_text(value: int) -> str:
    """CPSR in words: ``"SVC mode, ARM, flags nZCvq, IRQs masked"``."""
    flags = "".join(letter if value >> 31 - i & 1 else letter.lower() for i, letter in enumerate(_FLAGS))
    parts = [
        f"{_MODES.get(value & 0x1F, 'unknown')} mode",
        "Thumb" if value & 1 << 5 else "ARM",
        f"flags {flags}",
    ]
    parts += [
        text
        for bit, text in ((7, "IRQs masked"), (6, "FIQs masked"), (8, "aborts masked"))
        if value >> bit & 1
    ]
    return ", ".join(parts)


def _names(session: Session) -> list[str]:
    return [*session.registers, *{info.group for info in register_table().values()}]


def _cp15_names(session: Session) -> list[str]:
    table = register_table()
    return [*(name for name in session.registers if name in table and table[name].group == "cp15"), *_ALIASES]


@command(
    "regs",
    Word("name", optional=True, offers=_names),
    Flag("--all", "everything"),
    group="registers",
    example="regs",
    aliases=("r", "registers"),
)
def regs(session: Session, name: str | None = None, everything: bool = False) -> Registers:
    """Core registers of the current CPU; with a name that one, or a group: core, banked, vfp, cp15."""
    known = session.registers
    table = register_table()
    if name is not None and name.lower() not in {info.group for info in table.values()}:
        one = name.lower()
        return Registers(session.cpu, {one: session.register(one)}, "", None)
    group = name.lower() if name else "core"
    groups = {info.group for info in table.values()} if everything else {group}
    names = [each for each in known if each not in table or table[each].group in groups]
    if not everything:
        names = [each for each in names if each in table]
    if not names:
        raise UserError(f"no register of the group {group} is known of CPU {session.cpu}")
    state = cpsr_text(known["cpsr"]) if "cpsr" in known else ""
    pc = known.get("pc", known.get("r15"))
    return Registers(
        session.cpu, {each: known[each] for each in names}, state, None if pc is None else session.symbol(pc)
    )


@command("cp15", Word("name", optional=True, offers=_cp15_names), group="registers", example="cp15 sctlr")
def cp15(session: Session, name: str | None = None) -> AllRegisters | DecodedRegister:
    """CP15 registers bit by bit, each with its section of ARM DDI 0406C; with a name, that one."""
    if name is not None:
        return _decoded(session, _ALIASES.get(name.lower(), name.lower()))
    known = session.registers
    names = [each for each in layouts("cp15") if "-" not in each and each in known]
    return AllRegisters(tuple(_decoded(session, each) for each in names))


def _decoded(session: Session, name: str) -> DecodedRegister:
    info = register_table().get(name)
    if info is not None and info.group != "cp15":
        raise UserError(f"{name} is no CP15 register: `regs {name}` shows it")
    value = session.register(name)
    layout = _layout(session, name, value)
    shown = name if session.regime.long_format else _OF_SHORT.get(name, name)
    width = info.width if info else 32
    if name in _NARROW and not session.regime.long_format:
        width = 32
    if layout is None:
        return DecodedRegister(shown, value, width, "", "", (), "")
    fields = layout.decode(value)
    if name in ("mair0", "mair1") and session.regime.long_format:
        fields = tuple(FieldValue(f.name, f.bits, f.value, f.shown, "", memory_type(f.value)) for f in fields)
    return DecodedRegister(shown, value, width, layout.title, layout.section, fields, _note(name, value))


def _layout(session: Session, name: str, value: int) -> Layout | None:
    """The layout that holds now: TTBCR.EAE chooses, or bit 9 of a fault status itself."""
    known = layouts("cp15")
    long_format = session.regime.long_format
    if name in ("dfsr", "ifsr"):
        long_format = bool(value & 1 << 9)
    if long_format and f"{name}-long" in known:
        return known[f"{name}-long"]
    return known.get(name)


def _note(name: str, value: int) -> str:
    if name in ("dfsr", "ifsr") and value:
        return decode_fault_status(value).text
    return ""


@command(
    "cpu", Number("number", optional=True), group="registers", example="cpu 0", aliases=("cpus", "thread")
)
def cpu(session: Session, number: int | None = None) -> CpuList:
    """The CPUs and where they are; with a number, that one is looked at from now on."""
    if number is not None:
        session.select(number)
    found = []
    for each in range(session.target.cpus):
        known = session.target.registers(each)
        pc = known.get("pc", known.get("r15", 0))
        state = cpsr_text(known["cpsr"]) if "cpsr" in known else "registers not known"
        current, power = each == session.cpu, session.power(each)
        found.append(CpuState(each, current, pc, state, session.symbol(pc), power))
    return CpuList(tuple(found))
