"""``x``, ``dis``, ``find``, ``sym`` and ``info``: memory, code and symbols."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pyemu.config import UserError
from pyemu.debug.parameters import Address, Flag, Number, Suffix, Word
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.words import kernel_size
from pyemu.mmu import Access, translate
from pyemu.native import NativeError

__all__ = ["Code", "Dump", "Info", "Instruction", "SymbolList", "disassemble", "examine", "info", "sym"]

_PAGE = 4096
_FORMAT = re.compile(r"(\d*)(?:([pbhwgxduostcai])([pbhwgxduostcai]?)([pbhwgxduostcai]?))?$")
_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
_KINDS = "xduotcsia"
_MAX_UNITS = 1 << 16
_MAX_TEXT = 4096
_LINE_BYTES = 16
_MAX_SYMBOLS = 200
_THUMB = 1 << 5


@dataclass(frozen=True)
class Dump:
    """Memory at ``address``; ``physical`` where that is a physical address.

    ``fault`` says why less was read than was asked for.
    """

    address: int
    physical: bool
    data: bytes
    unit: int
    kind: str
    fault: str | None

    @property
    def values(self) -> tuple[int, ...]:
        """The units, little-endian."""
        return tuple(
            int.from_bytes(self.data[i : i + self.unit], "little")
            for i in range(0, len(self.data), self.unit)
        )

    @property
    def lines(self) -> list[str]:
        lines = [*self._text()] if self.kind == "s" else [*self._rows()]
        return [*lines, self.fault] if self.fault else lines

    def _text(self) -> Iterator[str]:
        at = self.address
        for part in self.data.split(b"\0")[:-1] or [self.data]:
            yield f"{at:#010x}: {_quoted(part)}"
            at += len(part) + 1

    def _rows(self) -> Iterator[str]:
        shown = [_unit_text(value, self.unit, self.kind) for value in self.values]
        per_line = _LINE_BYTES // self.unit
        for i in range(0, len(shown), per_line):
            row = "  ".join(shown[i : i + per_line])
            yield f"{self.address + i * self.unit:#010x}: {row}"


@dataclass(frozen=True)
class Instruction:
    """``symbol`` begins here, where it does; ``current``: the CPU is about to execute it."""

    address: int
    code: bytes
    text: str
    symbol: str | None
    current: bool

    @property
    def line(self) -> str:
        code = " ".join(f"{each:02x}" for each in self.code)
        return f"{'=>' if self.current else '  '} {self.address:#010x}  {code:<12} {self.text}"


@dataclass(frozen=True)
class Code:
    """Disassembly; ``fault`` says why it ends early."""

    thumb: bool
    instructions: tuple[Instruction, ...]
    fault: str | None

    @property
    def lines(self) -> list[str]:
        lines = []
        for each in self.instructions:
            if each.symbol:
                lines.append(f"{each.symbol}:")
            lines.append(each.line)
        return [*lines, self.fault] if self.fault else lines


@dataclass(frozen=True)
class SymbolList:
    """Symbols and their addresses."""

    symbols: tuple[tuple[str, int], ...]
    more: int

    @property
    def lines(self) -> list[str]:
        lines = [f"{address:#010x}  {name}" for name, address in self.symbols]
        return [*lines, f"and {self.more} more"] if self.more else lines or ["no such symbol"]


@dataclass(frozen=True)
class Info:
    """What the session looks at."""

    name: str
    cpus: int
    memory: tuple[tuple[int, int], ...]
    capabilities: tuple[str, ...]
    symbols: int
    regime: str

    @property
    def lines(self) -> list[str]:
        ram = ", ".join(f"{base:#x}-{base + size:#x} ({kernel_size(size)})" for base, size in self.memory[:8])
        more = f" and {len(self.memory) - 8} more" if len(self.memory) > 8 else ""
        return [
            f"{self.name}: {self.cpus} CPU{'s' if self.cpus > 1 else ''}, {self.symbols} symbols",
            f"memory {ram}{more}",
            f"MMU {self.regime}",
            f"can: {', '.join(self.capabilities) or 'only look'}",
        ]


def _quoted(text: bytes) -> str:
    """As C writes it; what is no UTF-8 byte by byte."""
    shown = repr(text.decode("utf-8", "surrogateescape"))
    return re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", shown)


def _unit_text(value: int, unit: int, kind: str) -> str:
    bits = 8 * unit
    if kind == "d":
        return str(value - (1 << bits) if value >> bits - 1 else value)
    if kind == "u":
        return str(value)
    if kind == "o":
        return f"0{value:o}"
    if kind == "t":
        return f"{value:0{bits}b}"
    if kind == "c":
        return f"{value & 0xFF} {chr(value & 0xFF)!r}"
    return f"{value:#0{2 * unit + 2}x}"


def _parse_format(text: str) -> tuple[int, str, int, bool]:
    """(count, kind, bytes of a unit, physical) of ``4xw``, ``p8x``."""
    physical = "p" in text
    rest = text.replace("p", "", 1)
    match = _FORMAT.match(rest)
    if match is None or "p" in rest:
        raise UserError(
            f"/{text} is no format: a count, one of {' '.join(_KINDS)}, one of b h w g, and p for physical, "
            "as in x/8xw or x/p4x"
        )
    letters = [letter for letter in match.groups()[1:] if letter]
    kinds = [letter for letter in letters if letter in _KINDS]
    sizes = [letter for letter in letters if letter in _SIZES]
    if len(kinds) > 1 or len(sizes) > 1 or len(kinds) + len(sizes) != len(letters):
        raise UserError(f"/{text}: at most one of {' '.join(_KINDS)} and one of b h w g")
    kind = kinds[0] if kinds else "x"
    unit = _SIZES[sizes[0]] if sizes else 1 if kind in "cs" else 4
    count = int(match[1]) if match[1] else 1
    if not 0 < count * unit <= _MAX_UNITS:
        raise UserError(f"/{text}: 1 to {_MAX_UNITS // unit} units of {unit} bytes can be shown")
    return count, kind, unit, physical


@command(
    "x",
    Suffix("fmt"),
    Address("address", bits=40),
    group="memory",
    example="x/8xw sp",
    aliases=("examine",),
)
def examine(session: Session, address: int, fmt: str = "") -> Dump | Code:
    """Memory at a virtual address; with p in the format at a physical one.

    The format is a count, then x d u o t c s a or i (instructions), then b h w or g for 1, 2, 4 or 8 bytes:
    ``x/4xw sp``, ``x/s name``, ``x/p16xb 0x40000000``, ``x/5i pc``.
    """
    count, kind, unit, physical = _parse_format(fmt)
    if kind == "i":
        return disassemble(session, address, count, physical=physical)
    if not physical and address >= 1 << 32:
        raise UserError(f"{address:#x} is outside the 32-bit address space: x/p reads physical addresses")
    wanted = _MAX_TEXT if kind == "s" else count * unit
    data, fault = read_some(session, address, wanted, physical=physical)
    if kind == "s":
        parts = data.split(b"\0")
        whole = len(parts) > count
        data = b"".join(part + b"\0" for part in parts[:count]) if whole else data
        fault = None if whole else fault
    return Dump(address, physical, data[: len(data) // unit * unit], unit, kind, fault)


def read_some(session: Session, address: int, length: int, *, physical: bool) -> tuple[bytes, str | None]:
    """As many bytes as can be read, and why there are no more."""
    data = b""
    while len(data) < length:
        at = address + len(data)
        part = min(length - len(data), _PAGE - at % _PAGE)
        if physical:
            pa = at
        elif at >= 1 << 32:
            return data, f"{at:#x} is past the end of the address space"
        else:
            t = translate(session.memory, session.regime, at, Access.READ, privileged=True)
            if not t.ok and not t.size:
                return data, f"{at:#010x} cannot be read: level {t.level} {t.fault.text} fault"
            pa = t.pa
        try:
            data += session.memory.read(pa, part)
        except NativeError:
            return data, f"physical {pa:#x} is outside memory"
    return data, None


@command(
    "dis",
    Address("address", optional=True),
    Number("count", optional=True, low=1, high=4096),
    Flag("--thumb"),
    Flag("--arm", "thumb", False),
    group="memory",
    example="dis pc 5",
    aliases=("u", "disassemble"),
)
def disassemble(
    session: Session,
    address: int | None = None,
    count: int = 10,
    thumb: bool | None = None,
    physical: bool = False,
) -> Code:
    """Instructions at an address, or where the CPU is; Thumb where the CPU is in Thumb state.

    A word that is no instruction is shown as ``.word``. ``--thumb`` and ``--arm`` choose the state.
    """
    known = session.registers
    pc = known.get("pc", known.get("r15"))
    if address is None:
        if pc is None:
            raise UserError("dis: the PC is not known here: `dis ADDRESS` takes one")
        address = pc
    if thumb is None:
        thumb = bool(known.get("cpsr", 0) & _THUMB)
    step = 2 if thumb else 4
    address &= -step
    data, fault = read_some(session, address, 4 * count, physical=physical)
    found = tuple(islice(_decode(session, data, address, thumb, pc), count))
    return Code(thumb, found, fault if len(found) < count else None)


def _decode(
    session: Session, data: bytes, address: int, thumb: bool, pc: int | None
) -> Iterator[Instruction]:
    import capstone

    mode = capstone.CS_MODE_THUMB if thumb else capstone.CS_MODE_ARM
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode | capstone.CS_MODE_V8)
    at, step = 0, 2 if thumb else 4
    symbols = session.symbols
    while at + step <= len(data):
        decoded = next(engine.disasm_lite(data[at : at + 4], address + at, 1), None)
        if decoded is None:
            code = data[at : at + step]
            text = f".{'short' if thumb else 'word'}   {int.from_bytes(code, 'little'):#x}"
        else:
            code = data[at : at + decoded[1]]
            text = _with_symbols(session, f"{decoded[2]:<7} {decoded[3]}".rstrip())
        here = address + at
        name = symbols.describe(here)
        starts = name if name is not None and "+" not in name else None
        yield Instruction(here, code, text, starts, here == pc)
        at += len(code)


def _with_symbols(session: Session, text: str) -> str:
    """A branch's target with its name."""
    mnemonic, _, operands = text.partition(" ")
    match = re.search(r"#(0x[0-9a-f]+)$", operands)
    if match is None or not mnemonic.startswith(("b", "cb")):
        return text
    symbol = session.symbol(int(match[1], 16))
    return f"{text}  <{symbol}>" if symbol else text


@command(
    "sym",
    Word("name", offers=lambda session: session.symbols.addresses),
    group="memory",
    example="sym pc",
    aliases=("symbol",),
)
def sym(session: Session, name: str) -> SymbolList:
    """The address of a symbol, or the symbol at an address; * stands for any text."""
    addresses = session.symbols.addresses
    if "*" in name:
        pattern = re.compile(".*".join(re.escape(part) for part in name.split("*")))
        found = sorted((each, at) for each, at in addresses.items() if pattern.fullmatch(each))
        return SymbolList(tuple(found[:_MAX_SYMBOLS]), max(0, len(found) - _MAX_SYMBOLS))
    if name in addresses:
        return SymbolList(((name, addresses[name]),), 0)
    value = session.value(name)
    symbol = session.symbol(value)
    return SymbolList(((symbol, value),) if symbol else (), 0)


@command("info", group="session", example="info")
def info(session: Session) -> Info:
    """What is looked at: memory, CPUs, symbols, and what can be done with it."""
    target, regime = session.target, session.regime
    form = "long descriptors" if regime.long_format else "short descriptors"
    return Info(
        target.name,
        target.cpus,
        tuple((segment.base, segment.size) for segment in session.memory.segments),
        tuple(
            str(each.name).lower()
            for each in type(target.capabilities)
            if each and each in target.capabilities
        ),
        len(session.symbols.addresses),
        f"on, {form}" if regime.mmu_on else "off",
    )
