"""The C core as the defendant: the oracle's questions in bulk, the reference's one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyemu.mmu import reference
from pyemu.mmu.check.world import U8, U32, U64, Registers, World
from pyemu.native import ffi, lib

__all__ = ["Core"]

_FLAGS = {
    "ns": "PE_TF_NS",
    "not_global": "PE_TF_NG",
    "contiguous": "PE_TF_CONTIGUOUS",
    "supersection": "PE_TF_SUPERSECTION",
    "large": "PE_TF_LARGE",
    "manager": "PE_TF_DOMAIN_MANAGER",
}


class Core:
    """pe_ats, pe_translate_batch and pe_translate_steps on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._walk = ffi.new("pe_walk *")

    def pars(self, registers: Registers, va: U32, access: int, privileged: bool) -> U64:
        """PAR of each address."""
        ats, mem, regime = lib.pe_ats, self.world.mem, registers.native()
        return np.array([ats(mem, regime, a, access, privileged) for a in va.tolist()], dtype=np.uint64)

    def translations(self, registers: Registers, va: U32, access: int, privileged: bool) -> tuple[U64, U8]:
        """Output address (all ones where the access faults) and fault | level << 4 of each address."""
        pa = np.empty(len(va), dtype=np.uint64)
        status = np.empty(len(va), dtype=np.uint8)
        lib.pe_translate_batch(
            self.world.mem,
            registers.native(),
            ffi.from_buffer("uint32_t[]", va),
            ffi.from_buffer("uint64_t[]", pa, require_writable=True),
            ffi.from_buffer("uint8_t[]", status, require_writable=True),
            len(va),
            access,
            privileged,
        )
        return pa, status

    def describe(self, registers: Registers, va: int, access: int, privileged: bool) -> str:
        """The core's own sentence for one walk."""
        regime, text = registers.native(), ffi.new("char[256]")
        lib.pe_translate_steps(self.world.mem, regime, va, access, privileged, self._walk)
        lib.pe_walk_describe(regime, va, self._walk, text, 256)
        return str(ffi.string(text).decode(errors="replace"))

    def differences(
        self, registers: Registers, va: int, access: int, privileged: bool, t: reference.Translation
    ) -> list[str]:
        """Every field in which the core's walk is not the reference walk ``t``."""
        regime = registers.native()
        lib.pe_translate_steps(self.world.mem, regime, va, access, privileged, self._walk)
        found = facts_of_core(self._walk, registers)
        expected = facts_of_reference(t, registers)
        if t.ok:
            if t.memory is None or t.memory.defined:
                found["par"] = int(lib.pe_ats(self.world.mem, regime, va, access, privileged))
                expected["par"] = reference.par(registers, t)
        else:
            result = ffi.addressof(self._walk, "result")
            for maintenance in (False, True):
                name = "fsr of cache maintenance" if maintenance else "fsr"
                found[name] = int(lib.pe_fault_status(regime, result, access, maintenance))
                expected[name] = reference.fault_status(registers, t, access, maintenance)
        return [
            f"{name}: core {found[name]!r}, reference {value!r}"
            for name, value in expected.items()
            if found[name] != value
        ]


def facts_of_reference(t: reference.Translation, registers: Registers) -> dict[str, object]:
    """What both walkers must agree on; the fields of a leaf only where the translation succeeds."""
    facts: dict[str, object] = {
        "fault": int(t.fault),
        "level": t.level,
        "descriptor": t.descriptor,
        "descriptor_pa": t.descriptor_pa,
        "steps": [_step(s) for s in t.steps],
    }
    if t.ok:
        facts |= {"pa": t.pa, "rights": t.rights, "rights_other": t.rights_other, "domain": t.domain}
        facts |= {"size_log2": t.size_log2 if t.level else None}
        facts |= {name: getattr(t, name) for name in _FLAGS}
        if t.memory is not None and t.memory.defined:
            facts |= {"attr": t.memory.attr, "shareability": t.memory.shareability}
    return facts


def facts_of_core(walk: Any, registers: Registers) -> dict[str, object]:
    """The same facts from a pe_walk."""
    t = walk.result
    steps = [walk.steps[n] for n in range(walk.nsteps)]
    facts: dict[str, object] = {
        "fault": t.fault,
        "level": t.level,
        "descriptor": t.descriptor,
        "descriptor_pa": t.descriptor_pa,
        "steps": [_step(s) for s in steps],
        "pa": t.pa,
        "rights": _rights(t.prot),
        "rights_other": _rights(t.prot_other),
        "domain": t.domain,
        "size_log2": t.size_log2 if t.level else None,
        "attr": t.attr,
        "shareability": t.shareability,
    }
    return facts | {name: bool(t.flags & getattr(lib, flag)) for name, flag in _FLAGS.items()}


def _step(step: Any) -> tuple[int, ...]:
    """A step of either walker; a descriptor outside memory counts as 0."""
    return step.level, step.ttbr, step.table_pa, step.index, step.descriptor_pa, step.descriptor or 0


def _rights(prot: int) -> str:
    letters = (("r", lib.PE_PROT_READ), ("w", lib.PE_PROT_WRITE), ("x", lib.PE_PROT_EXEC))
    return "".join(letter for letter, bit in letters if prot & bit)
