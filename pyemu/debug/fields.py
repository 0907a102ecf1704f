"""Bit fields of registers and descriptors by name, read from data.

``data/cp15.toml`` and ``data/descriptors.toml`` have a table for each register or kind of descriptor::

    [sctlr]
    title = "System Control Register"
    section = "B4.1.130"
    fields = [
        { name = "M", bits = "0", text = "MMU", values = { 0 = "off", 1 = "on" } },
    ]

Sections are those of ARM DDI 0406C. ``show = "address"``: the bits in their place, as an address.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Field", "FieldValue", "Layout", "layouts"]

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Field:
    """Bits ``high`` to ``low``; ``values`` says in words what a value means."""

    name: str
    high: int
    low: int
    text: str
    values: dict[int, str]
    address: bool

    @property
    def width(self) -> int:
        return self.high - self.low + 1

    def of(self, value: int) -> int:
        """The field of a register: moved to bit 0, but for an address."""
        bits = value >> self.low & (1 << self.width) - 1
        return bits << self.low if self.address else bits


@dataclass(frozen=True)
class FieldValue:
    """A field with what it holds; ``meaning`` is empty where no words are known for it."""

    name: str
    bits: str
    value: int
    shown: str
    text: str
    meaning: str

    @property
    def short(self) -> str:
        """``AP[2:1]=0b11``"""
        return f"{self.name}={self.shown}"

    @property
    def line(self) -> str:
        """A line of a table that lists them."""
        said = f"{self.text}: {self.meaning}" if self.text and self.meaning else self.text or self.meaning
        return f"  {self.bits:>5}  {self.name:<10} {self.shown:<12} {said}".rstrip()


@dataclass(frozen=True)
class Layout:
    """A register, or a kind of descriptor."""

    name: str
    title: str
    section: str
    fields: tuple[Field, ...]

    def decode(self, value: int) -> tuple[FieldValue, ...]:
        """Every field, from the top."""
        return tuple(_field_value(field, value) for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        """The field of that name."""
        return next(field for field in self.fields if field.name == name)


def _field_value(field: Field, value: int) -> FieldValue:
    held = field.of(value)
    if field.address:
        shown = f"{held:#x}"
    elif field.width == 1:
        shown = str(held)
    elif field.width <= 4:
        shown = f"{held:#0{field.width + 2}b}"
    else:
        shown = f"{held:#x}"
    bits = str(field.low) if field.width == 1 else f"{field.high}:{field.low}"
    return FieldValue(field.name, bits, held, shown, field.text, field.values.get(held, ""))


@cache
def layouts(file: str) -> dict[str, Layout]:
    """The layouts of ``data/FILE.toml`` by name."""
    tables = tomllib.loads((_DATA / f"{file}.toml").read_text())
    return {name: _layout(name, table) for name, table in tables.items()}


def _layout(name: str, table: dict[str, Any]) -> Layout:
    fields = sorted((_field(entry) for entry in table["fields"]), key=lambda field: -field.low)
    return Layout(name, table["title"], table.get("section", ""), tuple(fields))


def _field(entry: dict[str, Any]) -> Field:
    high, _, low = str(entry["bits"]).partition(":")
    values = {int(key, 0): text for key, text in entry.get("values", {}).items()}
    return Field(
        entry["name"],
        int(high),
        int(low or high),
        entry.get("text", ""),
        values,
        entry.get("show") == "address",
    )
