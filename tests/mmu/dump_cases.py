"""Loads tests/data/dumps: page tables of real software, with the answers that a CPU model gave."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

DUMPS = Path(__file__).parents[1] / "data" / "dumps"
NAMES = sorted(path.parent.name for path in DUMPS.glob("*/regs.json"))
PAGE = 4096


@dataclass(frozen=True)
class RegisterFile:
    """The translation registers of a case, as a regime."""

    sctlr: int
    ttbcr: int
    ttbr0: int
    ttbr1: int
    dacr: int
    mair0: int
    mair1: int


class Dump:
    """One directory of tests/data/dumps; its README describes the files."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = DUMPS / name
        self.info: dict[str, Any] = json.loads((self.directory / "regs.json").read_text())
        names = {"sctlr": "SCTLR", "ttbcr": "TTBCR", "ttbr0": "TTBR0", "ttbr1": "TTBR1"}
        names |= {"dacr": "DACR", "mair0": "MAIR0", "mair1": "MAIR1"}
        registers = self.info["regs"]
        self.regime = RegisterFile(**{field: int(registers[name], 16) for field, name in names.items()})
        self.long_format = bool(self.info["lpae"])
        self.privileged = bool(self.info["priv"])

    def _load(self, file: str) -> Any:
        with gzip.open(self.directory / file) as stream:
            return json.load(stream)

    @cached_property
    def pages(self) -> dict[int, bytes]:
        """Physical address -> the 4096 bytes of every page that holds a table."""
        return {int(pa, 16): bytes.fromhex(text) for pa, text in self._load("tables.json.gz").items()}

    @property
    def gva2gpa(self) -> list[tuple[int, int | None, str, str]]:
        return [tuple(entry) for entry in self._load("gva2gpa.json.gz")["entries"]]  # type: ignore[misc]

    @property
    def par(self) -> list[tuple[int, int, int, int, int]]:
        return [tuple(entry) for entry in self._load("par.json.gz")["entries"]]  # type: ignore[misc]

    @property
    def fetches(self) -> list[tuple[int, str | int, str | int]]:
        return [tuple(entry) for entry in self._load("exec.json.gz")["entries"]]  # type: ignore[misc]

    @property
    def mappings(self) -> list[tuple[int, int, int, int, str]]:
        return [tuple(entry) for entry in self._load("mappings.json.gz")]  # type: ignore[misc]

    def has(self, file: str) -> bool:
        return (self.directory / f"{file}.json.gz").exists()

    def read(self, pa: int, size: int) -> int | None:
        """Little-endian value at ``pa``, or None where the dump has no page."""
        page = self.pages.get(pa & ~(PAGE - 1))
        if page is None:
            return None
        return int.from_bytes(page[pa % PAGE : pa % PAGE + size], "little")

    def runs(self) -> Iterator[tuple[int, bytes]]:
        """The pages as (address, bytes), pages that touch joined."""
        start, data = -1, bytearray()
        for pa in sorted(self.pages):
            if pa != start + len(data):
                if data:
                    yield start, bytes(data)
                start, data = pa, bytearray()
            data += self.pages[pa]
        yield start, bytes(data)


@cache
def dump(name: str) -> Dump:
    return Dump(name)
