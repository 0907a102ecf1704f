"""Data files of the kernel model: instruction counts and boots, each value with its unit and source."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pyemu.config import UserError
from pyemu.native import ffi

__all__ = ["Parameter", "boot_parameters", "native_boot", "native_costs", "read_costs"]

DATA = Path(__file__).parent / "data"

_PARTS = ("value", "unit", "source")
_SIXTEENTHS = 16
_PER_CORE = "cycles_per_insn"


@dataclass(frozen=True)
class Parameter:
    """A value with its unit and where it comes from."""

    name: str
    value: float
    unit: str
    source: str

    @property
    def assumed(self) -> bool:
        """Whether no measurement or count stands behind the value."""
        return self.source.startswith("assumed")


@cache
def read_costs(path: str | Path | None = None) -> Mapping[str, Parameter]:
    """Every instruction count by name (``"gup.fast_page"``, ``"cycles_per_insn.cortex-a15"``).

    Without a path the built-in ones.  Raises UserError: the file, the key, what would be right.
    """
    file = DATA / "costs.toml" if path is None else Path(path)
    found: dict[str, Parameter] = {}
    for group, table in _read_toml(file).items():
        known = _cost_keys().get(group)
        if known is None or not isinstance(table, dict):
            raise UserError(f"{file}: {group}: no such group: {', '.join(_cost_keys())} are")
        unit = "cycles/instruction" if group == _PER_CORE else "instructions"
        for key, entry in table.items():
            if known and key not in known:
                raise UserError(f"{file}: {group}.{key}: no such key: {', '.join(known)} are")
            found[f"{group}.{key}"] = _parameter(file, f"{group}.{key}", entry, unit)
    for name in (f"{group}.{key}" for group, keys in _cost_keys().items() for key in keys or ("default",)):
        if name not in found:
            raise UserError(f'{file}: {name}: missing: {{ value, unit = "instructions", source }} would do')
    return found


@cache
def boot_parameters(name: str) -> Mapping[str, Parameter]:
    """What the boot of a kernel takes, by field of ``pe_kernel_boot``; ``name`` is a table of boots.toml."""
    file = DATA / "boots.toml"
    tables = _read_toml(file)
    if name not in tables:
        raise UserError(f"no boot {name!r}: there are {', '.join(tables)}")
    table = {key: entry for key, entry in tables[name].items() if key != "description"}
    return {key: _parameter(file, f"{name}.{key}", entry, "bytes") for key, entry in table.items()}


def native_costs(costs: Mapping[str, Parameter], core: str | None) -> Any:
    """A new ``pe_kernel_costs *``; ``core`` decides how many cycles an instruction takes."""
    native = ffi.new("pe_kernel_costs *")
    for name, parameter in costs.items():
        group, _, key = name.partition(".")
        if group != _PER_CORE:
            setattr(getattr(native, group), key, round(parameter.value * _SIXTEENTHS))
    per_core = costs.get(f"{_PER_CORE}.{core}", costs[f"{_PER_CORE}.default"])
    native.cycles_per_insn = round(per_core.value * _SIXTEENTHS)
    return native


def native_boot(boot: Mapping[str, Parameter], native: Any) -> None:
    """Fill a ``pe_kernel_boot``."""
    for key, parameter in boot.items():
        setattr(native, key, int(parameter.value))


@cache
def _cost_keys() -> dict[str, tuple[str, ...]]:
    """Groups and keys of pe_kernel_costs; that of cycles_per_insn is the name of any core."""
    groups: dict[str, tuple[str, ...]] = {}
    for name, field in ffi.typeof("pe_kernel_costs").fields:
        groups[name] = tuple(key for key, _ in field.type.fields) if field.type.kind == "struct" else ()
    return groups


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror or problem}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise UserError(f"{path}: not a TOML file: {problem}") from None


def _parameter(file: Path, where: str, entry: Any, unit: str) -> Parameter:
    form = f'{{ value = ..., unit = "{unit}", source = "..." }}'
    if not isinstance(entry, dict) or sorted(entry) != sorted(_PARTS):
        raise UserError(f"{file}: {where}: {entry!r} is no value with its unit and source: {form} would be")
    value, source = entry["value"], entry["source"]
    if entry["unit"] != unit:
        raise UserError(f'{file}: {where}: the unit is {entry["unit"]!r}: "{unit}" would be right')
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1 << 28:
        raise UserError(f"{file}: {where}: {value!r} is no number of {unit}: 0 to 2**28 - 1 would be right")
    if not isinstance(source, str) or not source.strip():
        raise UserError(f'{file}: {where}: no source: a measurement, a count or "assumed" would be right')
    return Parameter(where, value, unit, source)
