"""What gdb is told of the registers: its standard features for ARM, and one more with the system registers.

GDB manual, appendix G.5.3 "ARM Features".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pyemu.machine.registers import register_table

__all__ = ["GdbRegister", "gdb_registers", "target_xml"]

_CORE = ("org.gnu.gdb.arm.core", [*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "cpsr"])
_VFP = ("org.gnu.gdb.arm.vfp", [*(f"d{n}" for n in range(32)), "fpscr"])
_SYSTEM = "org.pyemu.arm.system"
_TYPES = {"sp": "data_ptr", "pc": "code_ptr", "fpscr": "int"}


@dataclass(frozen=True)
class GdbRegister:
    """A register as gdb numbers it: by its place in the list."""

    name: str
    bits: int
    feature: str


@cache
def gdb_registers() -> tuple[GdbRegister, ...]:
    """All registers in gdb's order."""
    table = register_table()
    listed = [(feature, name) for feature, names in (_CORE, _VFP) for name in names]
    seen = {name for _, name in listed}
    listed += [(_SYSTEM, name) for name in table if name not in seen]
    return tuple(GdbRegister(name, table[name].width, feature) for feature, name in listed)


def _type(register: GdbRegister) -> str:
    if register.name.startswith("d") and register.feature == _VFP[0]:
        return "ieee_double"
    return _TYPES.get(register.name, "uint64" if register.bits == 64 else "uint32")


@cache
def target_xml() -> bytes:
    """The target description."""
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
        '<target version="1.0">',
        "<architecture>armv7</architecture>",  # of a plain "arm" gdb disassembles no CPS and no MOVW
    ]
    feature = ""
    for register in gdb_registers():
        if register.feature != feature:
            lines += ["</feature>"] if feature else []
            feature = register.feature
            lines.append(f'<feature name="{feature}">')
        group = ' group="system"' if feature == _SYSTEM else ""
        lines.append(
            f'<reg name="{register.name}" bitsize="{register.bits}" type="{_type(register)}"{group}/>'
        )
    lines += ["</feature>", "</target>"]
    return "\n".join(lines).encode()
