"""ELF32 executables: segments and symbols, with every header checked before it is believed.

Format: Tool Interface Standard ELF 1.2; ELF for the Arm Architecture (IHI 0044).  pyelftools reads; the
checks are here.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from functools import cached_property
from typing import Any

from pyemu.config import UserError, printable
from pyemu.machine import board
from pyemu.machine.loaders.plan import LoadPlan, Placement, place

MAGIC = b"\x7fELF"
CLASS32, DATA_LITTLE = 1, 1
TYPE_EXEC = 2
MACHINE_ARM = 40
HEADER_BYTES, PROGRAM_HEADER_BYTES = 52, 32
MAX_SEGMENTS = 256
_TYPES = {
    1: "a relocatable object: link it first",
    3: "position independent: link it with -static -no-pie",
    4: "a core dump",
}


def check_header(data: bytes) -> None:
    """Raise :class:`UserError` unless this is the start of a 32-bit little-endian ARM executable."""
    if len(data) < HEADER_BYTES:
        raise UserError(f"truncated ELF file: {len(data)} bytes, and the header alone has {HEADER_BYTES}")
    if data[4] != CLASS32:
        raise UserError(
            f"ELF class {data[4]} ({'64-bit' if data[4] == 2 else 'unknown'}): a 32-bit ARM ELF is needed"
        )
    if data[5] != DATA_LITTLE:
        raise UserError("big-endian ELF: pyemu starts little-endian programs")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != MACHINE_ARM:
        raise UserError(
            f"ELF for machine {machine}, not ARM ({MACHINE_ARM}): build it with arm-none-eabi-gcc"
        )
    if kind != TYPE_EXEC:
        raise UserError(f"ELF of type {kind} is not an executable: {_TYPES.get(kind, 'type 2 is needed')}")
    table, (entry_size, count) = struct.unpack_from("<I", data, 28)[0], struct.unpack_from("<HH", data, 42)
    if not count:
        raise UserError("ELF without program headers: nothing to load")
    if entry_size != PROGRAM_HEADER_BYTES or count > MAX_SEGMENTS:
        raise UserError(
            f"ELF with {count} program headers of {entry_size} bytes, not {PROGRAM_HEADER_BYTES} bytes"
        )
    end = table + count * entry_size
    if end > len(data):
        raise UserError(f"truncated ELF file: its program headers end at {end}, the file at {len(data)}")


def load(data: bytes) -> LoadPlan:
    """The plan of an ELF file without a device tree: segments go to their physical addresses."""
    check_header(data)
    segments = [
        (number, segment) for number, segment in enumerate(_segments(data)) if segment["p_type"] == "PT_LOAD"
    ]
    placements = [_placement(number, segment, data) for number, segment in segments if segment["p_memsz"]]
    if not placements:
        raise UserError("ELF without a loadable segment: nothing to run")
    entry = struct.unpack_from("<I", data, 24)[0]
    for _, segment in segments:
        offset = (entry & ~1) - segment["p_vaddr"]
        if 0 <= offset < segment["p_memsz"]:
            return LoadPlan("elf", segment["p_paddr"] + offset | entry & 1, tuple(placements), elf=data)
    raise UserError(f"ELF entry point {entry:#x} lies in no loadable segment")


def _segments(data: bytes) -> list[Any]:
    from elftools.elf.elffile import ELFFile

    try:
        return [segment.header for segment in ELFFile(io.BytesIO(data)).iter_segments()]
    except Exception as error:  # a hostile file makes the library fail in many ways
        raise UserError(f"damaged ELF file: {error or type(error).__name__}") from None


def _placement(number: int, segment: Any, data: bytes) -> Placement:
    offset, file_size, size = segment["p_offset"], segment["p_filesz"], segment["p_memsz"]
    what = f"ELF segment {number}"
    if file_size > size:
        raise UserError(f"{what} has {file_size} bytes in the file but {size} in memory")
    if offset + file_size > len(data):
        raise UserError(
            f"truncated ELF file: segment {number} ends at {offset + file_size}, the file at {len(data)}"
        )
    flash_end = board.FLASH_BASES[-1] + board.FLASH_BANK_BYTES
    if size > file_size and segment["p_paddr"] == segment["p_vaddr"] and segment["p_paddr"] < flash_end:
        raise UserError(
            f"{what} at {segment['p_paddr']:#x} has variables in flash, which cannot be written: link it at "
            f"{board.RAM_BASE + 0x8000:#x} (-Ttext={board.RAM_BASE + 0x8000:#x})"
        )
    return place(what, segment["p_paddr"], data[offset : offset + file_size], size)


class Symbols:
    """Names and addresses of an ELF file, read when first asked for; empty without a symbol table."""

    def __init__(self, elf: bytes | None) -> None:
        self._elf = elf

    @classmethod
    def known(cls, addresses: dict[str, int]) -> Symbols:
        """Symbols that are already known."""
        symbols = cls(None)
        symbols.addresses = {printable(name): address for name, address in addresses.items()}
        return symbols

    @property
    def elf(self) -> bytes | None:
        """The file that they are of, where they are of one."""
        return self._elf

    @cached_property
    def addresses(self) -> dict[str, int]:
        """Address of each function, object and label; Thumb bits are cleared, mapping symbols left out."""
        if self._elf is None:
            return {}
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection

        found: dict[str, int] = {}
        try:
            for section in ELFFile(io.BytesIO(self._elf)).iter_sections():
                if not isinstance(section, SymbolTableSection):
                    continue
                for symbol in section.iter_symbols():
                    info = symbol["st_info"]["type"]
                    if (
                        symbol.name
                        and not symbol.name.startswith("$")
                        and symbol["st_shndx"] != "SHN_UNDEF"
                        and info in ("STT_NOTYPE", "STT_OBJECT", "STT_FUNC")
                    ):
                        found.setdefault(
                            printable(symbol.name), symbol["st_value"] & (~1 if info == "STT_FUNC" else ~0)
                        )
        except Exception:  # symbols are a convenience: a damaged table is as good as none
            return {}
        return found

    @cached_property
    def _ordered(self) -> list[tuple[int, str]]:
        return sorted((address, name) for name, address in self.addresses.items())

    def find(self, name: str) -> int | None:
        """The address of a symbol."""
        return self.addresses.get(name)

    def describe(self, address: int) -> str | None:
        """``name+0x10`` of the nearest symbol at or below an address."""
        at = bisect_right(self._ordered, (address, "\U0010ffff")) - 1
        if at < 0:
            return None
        base, name = self._ordered[at]
        return name if base == address else f"{name}+{address - base:#x}"
