"""Registers that a user gives to a dump: a JSON file, of one CPU or of several.

    {"sctlr": "0x30c5387d", "ttbcr": "0xb5023500", "ttbr0": "0x425963c0", ...}
    {"regs": {...}}
    {"cpus": [{...}, {...}]}

Names are those of ``regs`` in any case; PRRR and NMRR count as MAIR0 and MAIR1, X_EL1 as X. Values are
numbers or hexadecimal text. Names that are not known are passed over: a debugger's list has many.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyemu.config import UserError
from pyemu.machine.loaders.files import read_file
from pyemu.machine.registers import ALIASES, register_table

__all__ = ["NEEDED", "read_register_file", "registers_from"]

MAX_BYTES = 16 << 20
NEEDED = ("sctlr", "ttbcr", "ttbr0")
_OTHER_NAMES = {"prrr": "mair0", "nmrr": "mair1", "tcr": "ttbcr"}


def read_register_file(path: str | Path) -> list[dict[str, int]]:
    """Registers by name of each CPU in the file. Raises :class:`~pyemu.config.UserError`."""
    data = read_file(path, MAX_BYTES, "register file")
    try:
        content = json.loads(data)
    except ValueError as problem:
        raise UserError(f"{path}: not a JSON file: {problem}") from None
    except RecursionError:
        raise UserError(f"{path}: not a file of registers: too deeply nested") from None
    try:
        return [registers_from(values) for values in _per_cpu(content)]
    except UserError as problem:
        raise UserError(f"{path}: {problem}") from None


def _per_cpu(content: Any) -> list[Any]:
    if isinstance(content, dict):
        cpus = content.get("cpus")
        if isinstance(cpus, list) and cpus:
            return [_inner(values) for values in cpus]
    return [_inner(content)]


def _inner(values: Any) -> Any:
    for key in ("regs", "registers"):
        if isinstance(values, dict) and isinstance(values.get(key), dict):
            return values[key]
    return values


def registers_from(values: Any) -> dict[str, int]:
    """The registers that are known among ``values``; UserError unless those that decide translation are."""
    if not isinstance(values, Mapping):
        raise UserError('registers are {"sctlr": "0x...", "ttbcr": "0x...", "ttbr0": "0x...", ...}')
    table, found = register_table(), dict[str, int]()
    for spelling, value in values.items():
        name, exact = _name(str(spelling))
        if name in table and (exact or name not in found):
            found[name] = _number(str(spelling), value, table[name].width)
    for name in NEEDED:
        if name not in found:
            raise UserError(f"register {name.upper()} is missing: {', '.join(NEEDED).upper()} are needed")
    return found


def _name(spelling: str) -> tuple[str, bool]:
    """pyemu's name of a register, and whether it was spelled so."""
    lower = spelling.lower()
    name = lower.removesuffix("_el1")
    name = _OTHER_NAMES.get(name, name)
    if name in ("r13", "r14", "r15"):
        name = ALIASES[name]
    return name, name == lower


def _number(name: str, value: Any, width: int) -> int:
    if isinstance(value, str):
        try:
            value = int(value, 16)
        except ValueError:
            raise UserError(f"register {name} = {value[:40]!r} is not a hexadecimal number") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"register {name} is neither a number nor hexadecimal text")
    if not 0 <= value < 1 << width:
        raise UserError(f"register {name} = {value:#x} does not fit its {width} bits")
    return value
