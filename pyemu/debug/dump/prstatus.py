"""Registers in the notes of a core: PRSTATUS and VFP of 32-bit ARM, of QEMU's 64-bit form, and pyemu's own.

Layouts: struct elf_prstatus and elf_gregset_t of Linux (include/linux/elfcore.h, arch/arm/include/asm/elf.h);
struct user_vfp (arch/arm/include/asm/user.h); QEMU target/arm/arch_dump.c, whose 64-bit cores hold the banked
registers of 32-bit CPUs where ARM DDI 0487 D1.19.1 maps them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from pyemu.debug.dump.elf import Note
from pyemu.machine.registers import register_table

__all__ = ["CPU_NOTE", "NT_PRSTATUS", "OWNER", "cpu_notes", "read_cpus"]

NT_PRSTATUS, NT_ARM_VFP = 1, 0x400
# pyemu's own note, one a CPU: JSON of every register by its name, which other tools pass over.
OWNER, CPU_NOTE = "PYEMU", 0x5059_0001

_CORE = (*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "cpsr")
_ARM_PRSTATUS = struct.Struct("<24xI44x17II4x")  # pid, r0-r15 and cpsr, orig_r0, fpvalid
_VFP = struct.Struct("<32QI")
_AARCH64_PRSTATUS_BYTES = 392
_AARCH64_REGISTERS = struct.Struct("<34Q")  # x0-x30, sp, pc, pstate
_AARCH64_REGISTERS_AT = 112

_MODE = 0x1F
# x13 to x30 of a 64-bit PRSTATUS: the banked registers of AArch32, and those of the mode that is current.
_BANKED = {
    "sp_usr": 13, "lr_usr": 14, "lr_irq": 16, "sp_irq": 17, "lr_svc": 18, "sp_svc": 19, "lr_abt": 20,
    "sp_abt": 21, "lr_und": 22, "sp_und": 23, "r8_fiq": 24, "r9_fiq": 25, "r10_fiq": 26, "r11_fiq": 27,
    "r12_fiq": 28, "sp_fiq": 29, "lr_fiq": 30,
}  # fmt: skip
_SUFFIX = {0x10: "usr", 0x11: "fiq", 0x12: "irq", 0x13: "svc", 0x17: "abt", 0x1B: "und", 0x1F: "usr"}


def read_cpus(notes: Iterable[Note]) -> list[dict[str, int]]:
    """Registers by name of each CPU that the notes tell about, in file order."""
    cpus: list[dict[str, int]] = []
    for note in notes:
        if note.kind == NT_PRSTATUS and note.name in ("CORE", "") and len(note.content) in (148, 392):
            cpus.append(_prstatus(note.content))
        elif note.kind == NT_ARM_VFP and note.name == "LINUX" and len(note.content) >= _VFP.size and cpus:
            *doubles, fpscr = _VFP.unpack_from(note.content)
            cpus[-1] |= {f"d{n}": value for n, value in enumerate(doubles)} | {"fpscr": fpscr}
        elif note.kind == CPU_NOTE and note.name == OWNER and cpus:
            cpus[-1] |= _own(note.content)
    return cpus


def _prstatus(content: bytes) -> dict[str, int]:
    if len(content) == _AARCH64_PRSTATUS_BYTES:
        return _prstatus64(content)
    _, *registers, _ = _ARM_PRSTATUS.unpack(content)
    return dict(zip(_CORE, registers, strict=True))


def _prstatus64(content: bytes) -> dict[str, int]:
    *x, _, pc, pstate = (
        value & 0xFFFF_FFFF for value in _AARCH64_REGISTERS.unpack_from(content, _AARCH64_REGISTERS_AT)
    )
    found = {f"r{n}": x[n] for n in range(13)}
    found |= {name: x[n] for name, n in _BANKED.items()}
    mode = _SUFFIX.get(pstate & _MODE, "usr")
    found |= {"sp": found[f"sp_{mode}"], "lr": found[f"lr_{mode}"], "pc": pc, "cpsr": pstate}
    if mode == "fiq":
        found |= {f"r{n}": found[f"r{n}_fiq"] for n in range(8, 13)}
    known = register_table()
    return {name: value for name, value in found.items() if name in known}


def _own(content: bytes) -> dict[str, int]:
    known = register_table()
    try:
        values = json.loads(content)
        return {
            name: int(text, 16) & (1 << known[name].width) - 1
            for name, text in values.items()
            if name in known
        }
    except (ValueError, TypeError, AttributeError, RecursionError):  # damaged: PRSTATUS is there too
        return {}


def cpu_notes(number: int, registers: Mapping[str, int]) -> list[Note]:
    """The notes of one CPU: PRSTATUS as the kernel writes it, VFP, and all registers that pyemu knows of."""
    table = register_table()
    core = [registers.get(name, 0) for name in _CORE]
    status = _ARM_PRSTATUS.pack(number + 1, *core, core[0])
    notes = [Note("CORE", NT_PRSTATUS, status)]
    if "d0" in registers:
        doubles = [registers.get(f"d{n}", 0) for n in range(32)]
        notes.append(Note("LINUX", NT_ARM_VFP, _VFP.pack(*doubles, registers.get("fpscr", 0))))
    own: dict[str, Any] = {name: f"{registers[name]:#x}" for name in table if name in registers}
    notes.append(Note(OWNER, CPU_NOTE, json.dumps(own, separators=(",", ":")).encode()))
    return notes
