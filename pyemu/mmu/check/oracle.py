"""Unicorn's own MMU as a judge: it walks the same guest memory, with its own code, under the same registers.

**Reads and writes** are asked by ARM code: a loop loads addresses from an array, executes the address
translation operation, and stores the 64-bit PAR.  The loop must not itself run under the random registers,
so it runs in the *Secure* state, whose SCTLR, TTBCR and TTBRs are banked and leave the MMU off, and asks
for the Non-secure state with ATS12NSOPR, PW, UR, UW (stage 2 is off, so these are the stage-1 answers of
ATS1CPR and so on in the Non-secure state).

**Fetches** have no address translation operation.  The engine's translation function, which its address
translation operations and its TLB fills call too, is exported by the wheel as ``get_phys_addr_arm``: it is
called with the instruction-fetch access type.  It needs the address of the CPU state, which no public
function tells: the core registers are set to known values and found in memory (:func:`_find_cpu_state`).
The same call tells the level where an address translation operation takes a data abort instead of writing
PAR.
"""

from __future__ import annotations

import os
import struct
from dataclasses import fields
from typing import Any

import cffi
import numpy as np
import unicorn as unicorn_package
from unicorn import arm_const as arm

from pyemu.mmu.check.world import U32, U64, Registers, World
from pyemu.native import ffi as native_ffi
from pyemu.native import lib

# The binding has no type information.
unicorn: Any = unicorn_package

__all__ = ["ARENA", "FAILED", "MAX_BATCH", "SCR", "Oracle", "OracleError"]

# The oracle's own memory: code, addresses and results.  Not guest memory for the other walkers.
ARENA = (0x10000000, 0x40000)
_ADDRESSES, _RESULTS = ARENA[0] + 0x1000, ARENA[0] + 0x10000
MAX_BATCH = (_RESULTS - _ADDRESSES) // 4

_LOOP = (
    0xE4903004,  # ldr r3, [r0], #4
    0xEE073F98,  # mcr p15, 0, r3, c7, c8, {4 + operation}
    0xF57FF06F,  # isb
    0xEC554F07,  # mrrc p15, 0, r4, r5, c7
    0xE0C140F8,  # strd r4, r5, [r1], #8
    0xE2522001,  # subs r2, r2, #1
    0x1AFFFFF8,  # bne to the ldr
    0xE320F000,  # nop: the end
)
_LOOP_SIZE = 4 * len(_LOOP)

# CRn, CRm, opc1, opc2, 64-bit: of the Non-secure bank.  TTBCR comes first: its format decides how TTBRs are
# kept.
_CP15 = {
    "ttbcr": (2, 0, 0, 2, 0),
    "sctlr": (1, 0, 0, 0, 0),
    "ttbr0": (0, 2, 0, 0, 1),
    "ttbr1": (0, 2, 1, 0, 1),
    "dacr": (3, 0, 0, 0, 0),
    "mair0": (10, 2, 0, 0, 0),
    "mair1": (10, 2, 0, 1, 0),
}
SCR = (1, 1, 0, 0, 0)

# An answer that is not a PAR or an address: this bit (neither has it), the engine's fault type << 8, the
# level.
FAILED = 1 << 48
# The engine's translation regimes: stage 1 of Non-secure PL0 and PL1; and its code for an instruction fetch.
_STAGE1_PL0, _STAGE1_PL1, _INSTRUCTION_FETCH = 0x20, 0x21, 2


class OracleError(RuntimeError):
    """This libunicorn cannot serve as a judge; the text says why."""


class Oracle:
    """One Unicorn ARM core that shares a world's memory."""

    def __init__(self, world: World) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_A15)
        self.uc.ctl_set_page_size(4096)
        room = np.zeros(ARENA[1] + 4096, dtype=np.uint8)
        start = -room.ctypes.data % 4096
        self._arena = room[start : start + ARENA[1]]
        self.uc.mem_map_ptr(ARENA[0], ARENA[1], unicorn.UC_PROT_ALL, self._arena.ctypes.data)
        for base, data in world.areas:
            host = lib.pe_mem_host(world.mem, base, len(data))
            self.uc.mem_map_ptr(base, len(data), unicorn.UC_PROT_ALL, int(native_ffi.cast("uintptr_t", host)))
        # Addresses and results as the loop sees them.
        self._addresses: U32 = self._view(_ADDRESSES, 4 * MAX_BATCH).view(np.uint32)
        self._results: U64 = self._view(_RESULTS, 8 * MAX_BATCH).view(np.uint64)
        for operation in range(4):
            code = [word + (operation << 5) if word == _LOOP[1] else word for word in _LOOP]
            self._view(self._entry(operation), _LOOP_SIZE)[:] = np.frombuffer(
                struct.pack(f"<{len(code)}I", *code), dtype=np.uint8
            )
        self.write_cp15(SCR, 0)
        self._direct = _DirectCall(self.uc)

    def _view(self, address: int, size: int) -> Any:
        return self._arena[address - ARENA[0] : address - ARENA[0] + size]

    @staticmethod
    def _entry(operation: int) -> int:
        return ARENA[0] + 0x100 * operation

    def write_cp15(self, register: tuple[int, int, int, int, int], value: int) -> None:
        crn, crm, opc1, opc2, is64 = register
        self.uc.reg_write(arm.UC_ARM_REG_CP_REG, (15, is64, 0, crn, crm, opc1, opc2, value))

    def set_registers(self, registers: Registers) -> None:
        """Load the Non-secure bank."""
        for name, number in _CP15.items():
            self.write_cp15(number, getattr(registers, name))

    def translate(self, va: U32, operation: int) -> U64:
        """PAR (64 bits) of ATS1CPR, CPW, CUR or CUW (0 to 3) for each address; at most MAX_BATCH of them.

        Where the operation takes a data abort (an external abort on the walk): FAILED | fault type << 8 |
        level.
        """
        n = len(va)
        self._addresses[:n] = va
        entry = self._entry(operation)
        left = n
        while left:
            done = n - left
            for register, value in ((0, _ADDRESSES + 4 * done), (1, _RESULTS + 8 * done), (2, left)):
                self.uc.reg_write(arm.UC_ARM_REG_R0 + register, value)
            try:
                self.uc.emu_start(entry, entry + _LOOP_SIZE - 4)
            except unicorn.UcError as stop:
                if stop.errno != unicorn.UC_ERR_EXCEPTION or self.uc.reg_read(arm.UC_ARM_REG_PC) != entry + 4:
                    raise OracleError(f"the translation loop stopped: {stop}") from stop
                aborted = n - self.uc.reg_read(arm.UC_ARM_REG_R2)
                self._results[aborted] = self.direct(va[aborted : aborted + 1], operation < 2, operation & 1)[
                    0
                ]
                left = n - aborted - 1
                continue
            left = self.uc.reg_read(arm.UC_ARM_REG_R2)
            if left:
                raise OracleError(f"the translation loop ended with {left} of {n} addresses left")
        return self._results[:n].copy()

    def fetch(self, va: U32, privileged: bool) -> U64:
        """A fetch from each address: its output address, or FAILED | fault type << 8 | level."""
        return self.direct(va, privileged, _INSTRUCTION_FETCH)

    def direct(self, va: U32, privileged: bool, access: int) -> U64:
        """The same for any access (0 read, 1 write, 2 fetch), without ARM code."""
        return self._direct.ask(va, _STAGE1_PL1 if privileged else _STAGE1_PL0, access)


class _DirectCall:
    """``get_phys_addr_arm`` of this process's libunicorn."""

    def __init__(self, uc: Any) -> None:
        self._uc = uc
        self._ffi = cffi.FFI()
        self._ffi.cdef(
            """
            bool get_phys_addr_arm(void *cpu, uint32_t address, int access, int regime, uint64_t *pa,
                                   uint32_t *attributes, int *rights, uint32_t *page_size, int32_t *fault,
                                   uint32_t *cache_attributes);
            """
        )
        library: Any = self._ffi.dlopen(unicorn.unicorn_py3.unicorn.uclib._name)
        try:
            self._function = library.get_phys_addr_arm
        except AttributeError:
            text = "this libunicorn does not export get_phys_addr_arm: fetches cannot be judged"
            raise OracleError(text) from None
        self._cpu = self._ffi.cast("void *", _find_cpu_state(uc))
        # Larger than the engine's structures, whose first members are used: fault type, -, level.
        self._pa = self._ffi.new("uint64_t *")
        self._attributes = self._ffi.new("uint32_t[16]")
        self._rights = self._ffi.new("int[4]")
        self._page_size = self._ffi.new("uint32_t[4]")
        self._fault = self._ffi.new("int32_t[32]")
        self._cache_attributes = self._ffi.new("uint32_t[16]")

    def ask(self, va: U32, regime: int, access: int) -> U64:
        call, cpu, pa, fault = self._function, self._cpu, self._pa, self._fault
        rest = (pa, self._attributes, self._rights, self._page_size, fault, self._cache_attributes)
        answers = []
        for address in va.tolist():
            fault[0] = 0
            if call(cpu, address, access, regime, *rest):
                answers.append(FAILED | fault[0] << 8 | fault[2])
            else:
                answers.append(pa[0])
        return np.array(answers, dtype=np.uint64)


def _find_cpu_state(uc: Any) -> int:
    """The address of the engine's CPU state: r0 to r14 come first, and the engine's handle points near it."""
    with open("/proc/self/mem", "rb", buffering=0) as process:
        pattern = _write_registers(uc)
        found: set[int] = set()
        for (pointer,) in struct.iter_unpack("<Q", _peek(process.fileno(), uc._uch.value, 0x600)):
            offset = _peek(process.fileno(), pointer, 0x20000).find(pattern)
            if offset >= 0:
                found.add(pointer + offset)
        # A stale copy does not follow the next write.
        pattern = _write_registers(uc)
        alive = [address for address in found if _peek(process.fileno(), address, len(pattern)) == pattern]
    if len(alive) != 1:
        raise OracleError(f"the CPU state of libunicorn was found at {len(alive)} places; one was expected")
    return alive[0]


def _peek(process: int, address: int, size: int) -> bytes:
    """Up to ``size`` bytes of this process; nothing where it has no memory."""
    if address >= 1 << 63:
        return b""
    try:
        return os.pread(process, size, address)
    except OSError:
        return b""


def _write_registers(uc: Any) -> bytes:
    """Fill r0 to r12 with new random words; returns them as they lie in memory."""
    pattern = os.urandom(13 * 4)
    for number, (value,) in enumerate(struct.iter_unpack("<I", pattern)):
        uc.reg_write(arm.UC_ARM_REG_R0 + number, value)
    return pattern


assert {field.name for field in fields(Registers)} == set(_CP15)
