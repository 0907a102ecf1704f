"""What a sweep finds: one row a measurement, as frozen data and as a line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

__all__ = ["GupRow", "Place", "Row", "TablesRow", "row_from_dict"]

# What no two rows of a sweep share: kind, RAM, HIGHPTE, RT, remedy, pages a call.
Place = tuple[str, int, bool, bool, str, int]


@dataclass(frozen=True)
class GupRow:
    """get_user_pages_fast on one kernel, so many pages a call.

    ``instructions``, ``cycles``  for one page; ``put_cycles`` those of giving it back.
    ``windows``     highmem PTE tables that were mapped, all calls together.
    ``fast_pages``  that the fast walk got, of ``pages``.
    ``reports``     of the kernel, all together; ``blocked`` those that would really have had to wait.
    ``locks``, ``chains``  of the different reports: what was taken, and the functions that led there.
    ``host_pages_per_second``  of the host; no two runs have the same.
    """

    memory_bytes: int
    highpte: bool
    rt: bool
    remedy: str
    pages_per_call: int
    pages: int
    fast_pages: int
    instructions: float
    cycles: float
    put_cycles: float
    windows: int
    tlbi: int
    reports: int
    blocked: int
    locks: tuple[str, ...]
    chains: tuple[str, ...]
    host_pages_per_second: float

    @property
    def place(self) -> Place:
        """Which measurement it is."""
        return ("gup", self.memory_bytes, self.highpte, self.rt, self.remedy, self.pages_per_call)


@dataclass(frozen=True)
class TablesRow:
    """Processes with sparse memory: one page touched in each 2 MB of 2 GB, then forked.

    ``low_kb``, ``high_kb``  LowTotal and HighTotal; ``..._each_kb`` what a fork took of either.
    ``tables_each``  page tables of a process.
    ``processes``    that there is room for, if each takes as much.
    """

    memory_bytes: int
    highpte: bool
    low_kb: int
    high_kb: int
    tables_each: float
    low_each_kb: float
    high_each_kb: float
    processes: int

    @property
    def place(self) -> Place:
        """Which measurement it is."""
        return ("tables", self.memory_bytes, self.highpte, False, "none", 0)


Row = GupRow | TablesRow
_KINDS: Mapping[str, type[GupRow] | type[TablesRow]] = {"gup": GupRow, "tables": TablesRow}


def row_as_dict(row: Row) -> dict[str, Any]:
    """For JSON."""
    return {"kind": row.place[0], **asdict(row)}


def row_from_dict(values: Any) -> Row:
    """What :func:`row_as_dict` was made of; ValueError that says what is wrong with it."""
    kind = _KINDS.get(str(values.get("kind"))) if isinstance(values, dict) else None
    if kind is None:
        raise ValueError("no kind of a row: gup or tables would be")
    wanted = get_type_hints(kind)
    for name in wanted:
        if name not in values:
            raise ValueError(f"{name} is missing")
        if not _fits(values[name], wanted[name]):
            raise ValueError(f"{name} is {values[name]!r}")
    lists = {name: tuple(values[name]) for name in wanted if isinstance(values[name], list)}
    return kind(**{field.name: lists.get(field.name, values[field.name]) for field in fields(kind)})


def _fits(value: Any, wanted: Any) -> bool:
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted in (int, bool, str):
        return type(value) is wanted
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
