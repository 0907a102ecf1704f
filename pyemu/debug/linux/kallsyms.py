"""The symbols that a Linux guest carries in its memory for its own reports, kallsyms."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyemu.config import UserError, printable
from pyemu.debug.linux.kallsyms_tables import (
    DIGITS,
    MAX_BEHIND,
    TOKEN_BYTES,
    WITHIN,
    Tables,
    take_apart,
    token_table,
)
from pyemu.debug.linux.layout import LinuxLayout, layout_of
from pyemu.machine.loaders.elf import Symbols
from pyemu.mem import PAGE_SIZE, Memory
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["GuestSymbols", "Kallsyms", "find_kallsyms"]

_IMAGE_BYTES = 64 << 20  # from the start of the linear map, which an image with its .rodata lies in
_CHUNK = 2 << 20
_MAX_PLACES = 8
_MAX_NAME = 512  # KSYM_NAME_LEN
# Behind them comes what has no symbols (kernel/kallsyms.c: is_ksym_addr).
_ENDS = ("_etext", "_einittext", "_end")
_MAX_ALIASES = 64
_AGAIN_INSNS = 1 << 26  # an image without symbols is looked through again behind this many


class Kallsyms(Symbols):
    """Names of the kernel image, without those of modules. Of aliases at an address the first is meant, as
    kallsyms_lookup does, and of several symbols of a name the one at the lowest address."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(None)
        self._tables = tables
        self._tokens = [printable(token.decode("ascii", "replace")) for token in tables.tokens]

    def __len__(self) -> int:
        return len(self._tables.addresses)

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        """(address, type, name) as in /proc/kallsyms."""
        for i, address in enumerate(self._tables.addresses):
            text = self._text(i)
            yield address, text[:1], text[1:]

    def _text(self, i: int) -> str:
        """The type and the name of a symbol."""
        t = self._tables
        tokens = self._tokens
        return "".join([tokens[byte] for byte in t.names[t.starts[i] : t.ends[i]]])[:_MAX_NAME]

    @cached_property
    def addresses(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for address, _, name in self:
            found.setdefault(name, address)
        return found

    def describe(self, address: int) -> str | None:
        """``name+0x10`` of the symbol at or below an address; None behind the end of a section."""
        table = self._tables.addresses
        behind = bisect_right(table, address)
        if not behind:
            return None
        base = table[behind - 1]
        first = bisect_left(table, base)
        if base == address:
            return self._text(first)[1:]
        if any(self._text(i)[1:] in _ENDS for i in range(first, min(behind, first + _MAX_ALIASES))):
            return None
        return f"{self._text(first)[1:]}+{address - base:#x}"


def find_kallsyms(memory: Memory, layout: LinuxLayout) -> Kallsyms | None:
    """The symbols of the kernel whose linear map a layout describes; None where it has none."""
    start = layout.phys_offset
    end = start + min(layout.lowmem_end - layout.page_offset, _IMAGE_BYTES)
    for _, place in zip(range(_MAX_PLACES), _places(memory, start, end), strict=False):
        first = max(start, (place - TOKEN_BYTES) & -PAGE_SIZE)
        if token_table(_read(memory, first, place + TOKEN_BYTES), place - first) is None:
            continue
        for before in WITHIN:
            first = max(start, (place - before) & -PAGE_SIZE)
            data = _read(memory, first, min(end, place + MAX_BEHIND))
            tables = take_apart(data, place - first, layout.page_offset, layout.lowmem_end)
            if tables is not None:
                return Kallsyms(tables)
    return None


def _places(memory: Memory, start: int, end: int) -> Iterator[int]:
    """Physical addresses of DIGITS."""
    for at in range(start, end, _CHUNK):
        data = _read(memory, at, min(end, at + _CHUNK + len(DIGITS)))
        found = data.find(DIGITS)
        while found >= 0:
            yield at + found
            found = data.find(DIGITS, found + 1)


def _read(memory: Memory, start: int, end: int) -> bytes:
    """What there is of memory from a page on: it may end, or a dump may have holes."""
    try:
        return memory.read(start, end - start)
    except NativeError:
        pass
    data = bytearray()
    for at in range(start, end, PAGE_SIZE):
        try:
            data += memory.read(at, min(PAGE_SIZE, end - at))
        except NativeError:
            break
    return bytes(data)


class GuestSymbols:
    """The kallsyms of a session's guest: looked for when they are first asked for, and again later where
    there was no Linux yet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: Kallsyms | None = None
        self._asked: Any = None
        self._tried: Any = None

    @property
    def found(self) -> Kallsyms | None:
        """The symbols, or None as long as there are none."""
        if self._found is None:
            self._look()
        return self._found

    def _look(self) -> None:
        target, machine = self._session.target, self._session.target.machine
        insns = 0 if machine is None else machine.stats().insns
        cpus = [self._session.cpu, *range(target.cpus)]
        try:
            regimes = dict.fromkeys(target.regime(cpu) for cpu in cpus)
        except UserError:  # a dump that does not say where its tables are
            return
        if self._asked == (insns, *regimes):
            return
        self._asked = (insns, *regimes)
        for regime in regimes:
            layout = layout_of(target.memory, regime)
            if layout is None or self._tried == (layout, insns // _AGAIN_INSNS):
                continue
            self._tried = layout, insns // _AGAIN_INSNS
            self._found = find_kallsyms(target.memory, layout)
            if self._found is not None:
                return
