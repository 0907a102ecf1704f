"""The keys of a core: the fields of ``pe_core`` in csrc/abi/core.h, each with the unit its name ends in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pyemu.native import ffi, lib

__all__ = ["PAGE_SIZES", "REPLACEMENTS", "Key", "keys"]

REPLACEMENTS = {
    "lru": lib.PE_REPLACE_LRU,
    "round-robin": lib.PE_REPLACE_ROUND_ROBIN,
    "random": lib.PE_REPLACE_RANDOM,
}
PAGE_SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 21, 1 << 24, 1 << 30)
"""Sizes that a TLB entry can have, in bytes."""

_UNITS = {
    "bytes": "bytes",
    "cycles": "cycles",
    "hz": "Hz",
    "ns": "ns",
    "entries": "entries",
    "ways": "ways",
    "width": "instructions/cycle",
    "registers": "registers/cycle",
    "replacement": "policy",
    "allocate": "boolean",
    "l1d": "boolean",
    "maintenance": "boolean",
    "context": "boolean",
}


@dataclass(frozen=True)
class Key:
    """One parameter: ``name`` is ``"l1d.hit_cycles"``, ``kind`` how its value is written."""

    name: str
    unit: str
    kind: str  # "integer", "boolean", "policy", "sizes"
    maximum: int

    def complain(self, value: Any) -> str | None:
        """What is wrong with a value from TOML and what would be right; None when it is one for this key."""
        if self.kind == "boolean":
            return (
                None if isinstance(value, bool) else f"{value!r} is no boolean: true or false would be right"
            )
        if self.kind == "policy":
            names = ", ".join(f'"{name}"' for name in REPLACEMENTS)
            known = isinstance(value, str) and value in REPLACEMENTS
            return None if known else f"{value!r} is no replacement policy: one of {names} would be right"
        if self.kind == "sizes":
            right = isinstance(value, list) and all(
                type(size) is int and size in PAGE_SIZES for size in value
            )
            if right and value and len(set(value)) == len(value):
                return None
            return f"{value!r} is no list of page sizes: some of {list(PAGE_SIZES)} would be right"
        if type(value) is not int:
            return f"{value!r} is no whole number: a number of {self.unit} such as 4 would be right"
        if value < 0:
            return f"{value} {self.unit} is negative: 0 or more would be right"
        if value > self.maximum:
            return f"{value} {self.unit} is too much: {self.maximum} or less would be right"
        return None

    def native(self, value: Any) -> Any:
        """The value as the C struct holds it."""
        if self.kind == "policy":
            return REPLACEMENTS[value]
        return sum(value) if self.kind == "sizes" else value


@cache
def keys() -> dict[str, Key]:
    """Every parameter of a core by its full name, in the order of the C struct."""
    found: dict[str, Key] = {}
    for name, field in ffi.typeof("pe_core").fields:
        if field.type.kind == "struct":
            for inner, inner_field in field.type.fields:
                found[f"{name}.{inner}"] = _key(f"{name}.{inner}", inner_field.type)
        else:
            found[name] = _key(name, field.type)
    return found


def _key(name: str, ctype: Any) -> Key:
    unit = _UNITS[name.rpartition(".")[2].rpartition("_")[2]]
    if name.endswith(".page_bytes"):
        kind = "sizes"
    elif unit in ("policy", "boolean"):
        kind = unit
    else:
        kind = "integer"
    return Key(name, unit, kind, (1 << 8 * ffi.sizeof(ctype)) - 1)
