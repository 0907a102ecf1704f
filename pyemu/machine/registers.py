"""A CPU's registers by name: core, banked, VFP and CP15 (``pe_register_info`` lists them)."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pyemu.native import check, error, ffi, lib

ALIASES = {"sp": "r13", "lr": "r14", "pc": "r15", "r13": "sp", "r14": "lr", "r15": "pc"}


@dataclass(frozen=True)
class RegisterInfo:
    """``group`` is "core", "banked", "vfp" or "cp15"; ``width`` is in bits."""

    index: int
    name: str
    group: str
    width: int


@cache
def register_table() -> dict[str, RegisterInfo]:
    """Every register by its lower-case name, in the order of the core."""
    table = {}
    for index in range(lib.pe_register_count()):
        info = lib.pe_register_info(index)
        name = ffi.string(info.name).decode()
        table[name] = RegisterInfo(index, name, ffi.string(info.group).decode(), info.width)
    return table


def register_info(name: str) -> RegisterInfo:
    """The register of that name, in any case; r13 to r15 and sp, lr, pc are the same."""
    table = register_table()
    lower = name.lower()
    info = table.get(lower) or table.get(ALIASES.get(lower, ""))
    if info is None:
        raise KeyError(f"no register {name!r}: r0 to r15, cpsr, and {len(table) - 17} others exist")
    return info


class Registers(MutableMapping[str, int]):
    """The registers of one CPU, read and written in place: ``cpu.regs["r0"] += 4``."""

    def __init__(self, machine: Any, cpu: int) -> None:
        self._machine = machine
        self._cpu = cpu

    def __getitem__(self, name: str) -> int:
        value, err = ffi.new("uint64_t *"), error()
        index = register_info(name).index
        check(lib.pe_machine_reg_read(self._machine.handle, self._cpu, index, value, err), err)
        return int(value[0])

    def __setitem__(self, name: str, value: int) -> None:
        info = register_info(name)
        if not 0 <= value < 1 << info.width:
            raise ValueError(f"{value:#x} does not fit in the {info.width} bits of {info.name}")
        err = error()
        check(lib.pe_machine_reg_write(self._machine.handle, self._cpu, info.index, value, err), err)

    def __delitem__(self, name: str) -> None:
        raise TypeError("a register cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(register_table())

    def __len__(self) -> int:
        return len(register_table())

    def group(self, name: str) -> dict[str, int]:
        """The registers of a group ("core", "banked", "vfp", "cp15") and their values."""
        return {info.name: self[info.name] for info in register_table().values() if info.group == name}
