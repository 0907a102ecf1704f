"""Parameter sets of cores: cortex-a15, cortex-a7, cortex-a9, and a user's own from TOML.

A file has a table for each core. Each parameter is ``{ value, unit, source }``; the source is a document,
a measurement, or begins with "assumed". A core with ``base = "cortex-a15"`` takes from that one what it does
not give itself; without a base it gives everything::

    [my-core]
    base = "cortex-a15"

    [my-core.l2]
    size_bytes = { value = 2097152, unit = "bytes", source = "data sheet of the SoC" }
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pyemu.config import MachineConfig, UserError
from pyemu.native import NativeError, check, error, ffi, lib
from pyemu.timing.schema import Key, keys

__all__ = ["Core", "Parameter", "builtin_cores", "configured_core", "load_cores", "read_core"]

DATA = Path(__file__).parent / "data" / "cores.toml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PARTS = ("value", "unit", "source")
_ASSUMED = "assumed"
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Parameter:
    """A value with its unit and where it comes from. ``value`` is an int, a bool, a policy or page sizes."""

    name: str
    value: int | bool | str | tuple[int, ...]
    unit: str
    source: str

    @property
    def assumed(self) -> bool:
        """Whether no document or measurement stands behind the value."""
        return self.source.startswith(_ASSUMED)


@dataclass(frozen=True)
class Core:
    """A validated parameter set; ``parameters`` has every key, in the order of ``pe_core``."""

    name: str
    description: str
    base: str | None
    parameters: Mapping[str, Parameter] = field(repr=False)

    def __getitem__(self, key: str) -> Any:
        """The value of a parameter such as ``"l1d.hit_cycles"``; KeyError when there is none."""
        return self.parameters[key].value

    @property
    def assumed(self) -> tuple[str, ...]:
        """The names of the parameters that no document or measurement stands behind."""
        return tuple(name for name, parameter in self.parameters.items() if parameter.assumed)

    def with_values(
        self, values: Mapping[str, Any], *, source: str = "assumed: set by a program", name: str | None = None
    ) -> Core:
        """A core that differs: ``core.with_values({"l2.hit_cycles": 30})``.

        A page size list is a sequence of bytes; all else is written as in TOML. Raises
        :class:`~pyemu.config.UserError` for a key that does not exist and a value that cannot be.
        """
        changed = replace(self, name=name or self.name).as_dict()
        for key, value in values.items():
            if key not in changed["parameters"]:
                raise UserError(f"{self.name}.{key}: unknown key: {_nearest(key)}")
            shown = list(value) if isinstance(value, tuple) else value
            changed["parameters"][key] = {"value": shown, "unit": keys()[key].unit, "source": source}
        return Core.from_dict(changed)

    def as_dict(self) -> dict[str, Any]:
        """The core for JSON: name, description, base, and each parameter with value, unit and source."""
        return {
            "name": self.name,
            "description": self.description,
            "base": self.base,
            "parameters": {
                name: {
                    "value": list(entry.value) if isinstance(entry.value, tuple) else entry.value,
                    "unit": entry.unit,
                    "source": entry.source,
                    "assumed": entry.assumed,
                }
                for name, entry in self.parameters.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Any) -> Core:
        """The core of :meth:`as_dict`, checked as one from a file; raises UserError."""
        try:
            name, entries = str(data["name"]), dict(data["parameters"])
            if not _NAME.fullmatch(name):
                raise ValueError
            table: dict[str, Any] = {"description": data["description"]}
            for key, entry in entries.items():
                group, _, inner = str(key).rpartition(".")
                home = table.setdefault(group, {}) if group else table
                home[inner] = {part: entry[part] for part in _PARTS}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UserError("no parameter set of a core") from None
        try:
            return replace(_core(name, table, {}), base=_text(name, data, "base", None))
        except _Mistake as mistake:
            raise UserError(str(mistake)) from None

    def native(self) -> Any:
        """A new ``pe_core *`` with these values."""
        return _native({name: parameter.value for name, parameter in self.parameters.items()})


@cache
def builtin_cores() -> Mapping[str, Core]:
    """The cores that pyemu comes with, by name."""
    return _load(DATA, {})


def load_cores(path: str | Path) -> Mapping[str, Core]:
    """The cores of a user's file, by name; raises UserError: the file, the key, what would be right."""
    return _load(Path(path), builtin_cores())


def read_core(name: str, path: str | Path | None = None) -> Core:
    """A core by name, from a user's file if one is given, else from the built-in ones. Raises UserError."""
    cores = builtin_cores() if path is None else {**builtin_cores(), **load_cores(path)}
    if name not in cores:
        where = "" if path is None else f" in {path}"
        raise UserError(f"no core {name!r}{where}: there are {', '.join(cores)}")
    return cores[name]


def configured_core(config: MachineConfig) -> Core:
    """The core whose cycles a machine of this configuration counts: ``core``, of ``core_file`` if there is
    one; without ``core`` the only one of the file, or the one that belongs to ``cpu``. Raises UserError."""
    if config.core is not None or config.core_file is None:
        return read_core(config.core or config.cpu, config.core_file)
    cores = list(load_cores(config.core_file).values())
    if len(cores) > 1:
        names = ", ".join(core.name for core in cores)
        raise UserError(f"{config.core_file}: it has {len(cores)} cores, choose one: {names}")
    return cores[0]


class _Mistake(Exception):
    """What is wrong, beginning with the key."""


def _load(path: Path, bases: Mapping[str, Core]) -> dict[str, Core]:
    known = dict(bases)
    found: dict[str, Core] = {}
    tables = _read_toml(path)
    if not tables:
        raise UserError(
            f'{path}: no core in it: a table such as [my-core] with base = "cortex-a15" would be right'
        )
    for name, table in tables.items():
        try:
            if not _NAME.fullmatch(name):
                raise _Mistake(f"{name!r}: letters, digits, '-', '_' and '.' make a core's name")
            if not isinstance(table, dict):
                raise _Mistake(f"{name}: not a table: [{name}] would be right")
            found[name] = known[name] = _core(name, table, known)
        except _Mistake as mistake:
            raise UserError(f"{path}: {mistake}") from None
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise UserError(f"{path}: larger than 1M: no parameter set of a core")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror or problem}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as problem:
        raise UserError(f"{path}: not a TOML file: {problem}") from None


def _core(name: str, table: dict[str, Any], known: Mapping[str, Core]) -> Core:
    base = _text(name, table, "base", None)
    if base is not None and base not in known:
        raise _Mistake(f"{name}.base: no core {base!r}: one of {', '.join(known)} would be right")
    parameters = dict(known[base].parameters) if base is not None else {}
    for key, entry in _flatten(name, table):
        parameters[key.name] = _parameter(f"{name}.{key.name}", key, entry)
    for key in keys().values():
        if key.name not in parameters:
            raise _Mistake(
                f'{name}.{key.name}: missing: {{ value, unit = "{key.unit}", source }} or a base would do'
            )
    ordered = {key: parameters[key] for key in keys()}
    err = error()
    try:
        check(lib.pe_core_check(_native({key: entry.value for key, entry in ordered.items()}), err), err)
    except NativeError as problem:
        raise _Mistake(f"{name}.{problem}") from None
    description = _text(name, table, "description", known[base].description if base is not None else "")
    return Core(name, description or "", base, ordered)


def _text(name: str, table: dict[str, Any], key: str, default: str | None) -> str | None:
    value = table.get(key, default)
    if value is not None and not isinstance(value, str):
        raise _Mistake(f"{name}.{key}: {value!r} is no text: a string would be right")
    return value


def _flatten(name: str, table: dict[str, Any]) -> list[tuple[Key, Any]]:
    """Every parameter that a table gives, with its key."""
    schema = keys()
    groups = {key.partition(".")[0] for key in schema if "." in key}
    found: list[tuple[Key, Any]] = []
    for outer, entry in table.items():
        if outer in ("base", "description"):
            continue
        if outer in groups:
            if not isinstance(entry, dict):
                raise _Mistake(f"{name}.{outer}: not a table: [{name}.{outer}] would be right")
            for inner, value in entry.items():
                full = f"{outer}.{inner}"
                if full not in schema:
                    raise _Mistake(f"{name}.{full}: unknown key: {_nearest(full)}")
                found.append((schema[full], value))
        elif outer in schema:
            found.append((schema[outer], entry))
        else:
            raise _Mistake(f"{name}.{outer}: unknown key: {_nearest(outer)}")
    return found


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    group, dot, _ = name.partition(".")
    names = [key for key in keys() if not dot or key.startswith(f"{group}.")]
    if not dot:
        names = [*{key.partition(".")[0]: None for key in names}, "base", "description"]
    close = get_close_matches(name, names, n=1)
    if close:
        return f"{close[0]} would be right"
    return f"there are {', '.join(key.partition('.')[2] if dot else key for key in names)}"


def _parameter(where: str, key: Key, entry: Any) -> Parameter:
    form = f'{{ value = ..., unit = "{key.unit}", source = "..." }}'
    if not isinstance(entry, dict):
        raise _Mistake(f"{where}: {entry!r} has no unit and no source: {form} would be right")
    for part in entry:
        if part not in _PARTS:
            raise _Mistake(f"{where}: unknown key {part!r}: {form} would be right")
    for part in _PARTS:
        if part not in entry:
            raise _Mistake(f"{where}: the {part} is missing: {form} would be right")
    if entry["unit"] != key.unit:
        raise _Mistake(f'{where}: the unit is {entry["unit"]!r}: "{key.unit}" would be right')
    source = entry["source"]
    if not isinstance(source, str) or not source.strip():
        raise _Mistake(
            f'{where}: the source is {source!r}: a document, a measurement or "assumed" would be right'
        )
    complaint = key.complain(entry["value"])
    if complaint:
        raise _Mistake(f"{where}: {complaint}")
    value = entry["value"]
    return Parameter(key.name, tuple(value) if isinstance(value, list) else value, key.unit, source)


def _native(values: Mapping[str, Any]) -> Any:
    core = ffi.new("pe_core *")
    for name, key in keys().items():
        group, _, inner = name.rpartition(".")
        setattr(getattr(core, group) if group else core, inner, key.native(values[name]))
    return core
