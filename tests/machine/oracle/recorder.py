"""What a running machine does, by hooks of the test's own on its engine: nothing here asks the cycle model.

The engine's memory hooks know physical addresses only; the virtual one follows from the registers before the
instruction.  Maintenance and translation registers are those of the MCRs that are executed, aborts those of
DFAR and IFAR when a vector is entered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import unicorn as unicorn_package
from cffi import FFI
from unicorn import arm_const

from pyemu.machine import Machine
from pyemu.mmu import Access
from pyemu.mmu.translate import Fault
from pyemu.native import lib
from tests.machine.oracle.addresses import SP, SRS_BASE, Operand, arm, lowest, thumb16, thumb32

HOOK_CODE, HOOK_BLOCK, HOOK_READ, HOOK_WRITE = 4, 8, 1 << 10, 1 << 11
MEM_WRITE = 17
THUMB, MODE, MODE_USER, MODE_ABORT = 0x20, 0x1F, 0x10, 0x17
PREFETCH_VECTOR, DATA_VECTOR = 0x0C, 0x10
EAE, HIGH_VECTORS = 1 << 31, 1 << 13
SPAN = 0x110
"""More than the bytes that any load or store covers."""

ffi = FFI()
ffi.cdef("""
int uc_hook_add(void *uc, size_t *hook, int type, void *callback, void *user, uint64_t begin, uint64_t end);
int uc_reg_read(void *uc, int reg, void *value);
""")

_IDS = [*(arm_const.UC_ARM_REG_R0 + n for n in range(13)), arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_LR]
_STACKS = {0x11: "sp_fiq", 0x12: "sp_irq", 0x13: "sp_svc", 0x17: "sp_abt", 0x1B: "sp_und", 0x1F: "sp_usr"}


class Write(NamedTuple):
    """A write of a CP15 register; ``opc1`` and ``crm`` alone name one of 64 bits."""

    crn: int
    opc1: int
    crm: int
    opc2: int
    wide: bool
    value: int


class Watcher(Protocol):
    """Who is told, in the order of execution."""

    def fetch(self, cpu: int, va: int, size: int, block: int, privileged: bool) -> None:
        """An instruction that is executed; ``block``: with it begins a block of so many bytes."""

    def data(self, cpu: int, va: int, pa: int, size: int, write: bool, privileged: bool) -> None: ...
    def data_abort(self, cpu: int, va: int, write: bool, privileged: bool) -> None: ...
    def fetch_abort(self, cpu: int, va: int, privileged: bool) -> None: ...
    def system(self, cpu: int, write: Write) -> None: ...


class _Code(NamedTuple):
    operand: Operand | None
    system: bool
    pc_offset: int
    insn: int


class Recorder:
    """Hooks on every CPU of a machine that has not run since it was made or restored.

    ``problems`` says what could not be explained.
    """

    def __init__(self, machine: Machine, watcher: Watcher) -> None:
        library = Path(unicorn_package.__file__).parent / "lib/libunicorn.so.2"
        self.engine: Any = ffi.dlopen(str(library))
        self.problems: list[str] = []
        self.insns = 0
        self._cpus = [_Cpu(self, machine, number, watcher) for number in range(machine.config.smp)]

    def finish(self) -> None:
        """After a run: an abort may have been taken last."""
        for cpu in self._cpus:
            pc, cpsr = (cpu.machine.reg(name, cpu.number) for name in ("pc", "cpsr"))
            cpu.settle(pc, cpsr)
            cpu.operand = None


class _Cpu:
    def __init__(self, recorder: Recorder, machine: Machine, number: int, watcher: Watcher) -> None:
        self.recorder, self.machine, self.number, self.watcher = recorder, machine, number, watcher
        handle = lib.pe_machine_engine(machine.handle, number)
        self.uc = ffi.cast("void *", int(_address(handle)))
        self.value = ffi.new("uint64_t *")
        self.code: dict[tuple[int, bool], _Code] = {}
        self.operand: Operand | None = None
        self.start = -1  # lowest address of the instruction that runs; -1: not reckoned yet
        self.pc = self.pc_seen = 0
        self.insn = self.mode = 0
        self.privileged, self.block = True, 0
        self.writes: Write | None = None
        self.vbar = machine.reg("vbar", number) & ~0x1F
        self.sctlr = machine.regime(number).sctlr
        self.places: dict[int, int] = {}  # of pages of code, by VA
        self.callbacks = self._callbacks()
        hook = ffi.new("size_t *")
        for kind, callback in self.callbacks:
            address = ffi.cast("void *", callback)
            problem = recorder.engine.uc_hook_add(self.uc, hook, kind, address, ffi.NULL, 1, 0)
            assert not problem

    def _callbacks(self) -> list[tuple[int, Any]]:
        code = ffi.callback("void(void *, uint64_t, uint32_t, void *)", self._guard(self.on_code))
        memory = ffi.callback(
            "void(void *, int, uint64_t, int, int64_t, void *)", self._guard(self.on_memory)
        )
        block = ffi.callback("void(void *, uint64_t, uint32_t, void *)", self.on_block)
        return [(HOOK_CODE, code), (HOOK_BLOCK, block), (HOOK_READ | HOOK_WRITE, memory)]

    def _guard(self, call: Callable[..., None]) -> Callable[..., None]:
        def guarded(*args: Any) -> None:
            try:
                call(*args)
            except Exception as problem:
                self.problem(repr(problem))

        return guarded

    def problem(self, text: str) -> None:
        if len(self.recorder.problems) < 20:
            self.recorder.problems.append(f"CPU {self.number} at {self.pc:#x}: {text}")

    def register(self, number: int) -> int:
        """r0 to r14, and the stack pointer that SRS names."""
        if number == SRS_BASE:
            mode = self.insn & MODE
            return self.read(_IDS[SP]) if mode == self.mode else self.machine.reg(_STACKS[mode], self.number)
        return self.read(_IDS[number])

    def read(self, uc_register: int) -> int:
        self.recorder.engine.uc_reg_read(self.uc, uc_register, self.value)
        return int(self.value[0]) & 0xFFFF_FFFF

    # ---- hooks ----

    def on_block(self, _uc: Any, _address: int, size: int, _user: Any) -> None:
        self.block = size

    def on_code(self, _uc: Any, address: int, size: int, _user: Any) -> None:
        """Before each instruction."""
        cpsr = self.read(arm_const.UC_ARM_REG_CPSR)
        self.settle(address, cpsr)
        self.recorder.insns += 1
        self.privileged = cpsr & MODE != MODE_USER
        thumb = bool(cpsr & THUMB)
        self.watcher.fetch(self.number, address, size, self.block, self.privileged)
        self.block = 0
        code = self.code.get((address, thumb)) or self._decode(address, size, thumb)
        self.pc, self.pc_seen = address, address + code.pc_offset
        self.operand, self.start = code.operand, -1
        self.insn, self.mode = code.insn, cpsr & MODE
        if code.operand is not None:
            self.start = lowest(code.operand, self.register, self.pc_seen)
        elif code.system and self.privileged and _holds(code.insn, cpsr, thumb):
            self.writes = self._written(code.insn)

    def settle(self, pc: int, cpsr: int) -> None:
        """What came of the instruction before, as ``pc`` is next."""
        if self.writes is not None:
            self._finish_write()
        if pc & 0x1F in (PREFETCH_VECTOR, DATA_VECTOR) and cpsr & MODE == MODE_ABORT:
            self._vector(pc)

    def on_memory(self, _uc: Any, kind: int, pa: int, size: int, _value: int, _user: Any) -> None:
        """A load or store that is about to happen."""
        if self.operand is None:
            self.problem(f"an access of {pa:#x} that the instruction does not make")
            return
        offset = pa - self.start & 0xFFF
        if offset >= 0xFF8:
            offset -= 0x1000
        if offset > SPAN:
            self.problem(f"an access of {pa:#x}, but it begins at {self.start:#x} ({self.operand})")
        va = self.start + offset & 0xFFFF_FFFF
        self.watcher.data(self.number, va, pa, size, kind == MEM_WRITE, self.privileged)

    # ---- decoding ----

    def _decode(self, address: int, size: int, thumb: bool) -> _Code:
        low = self._half(address)
        high = self._half(address + 2) if size == 4 else 0
        insn = low | high << 16
        system = False
        if not thumb:
            operand = arm(insn)
        elif size == 2:
            operand, insn = thumb16(low), low
        else:
            insn = low << 16 | high
            operand = thumb32(insn)
        if size == 4:
            mcr = insn & 0x0F10_0F10 == 0x0E00_0F10
            mcrr = insn & 0x0FF0_0F00 == 0x0C40_0F00
            system = mcr or mcrr
        pc_offset = 4 if thumb else 8
        if thumb and operand is not None and operand.index < 0:
            pc_offset -= address & 2  # Align(PC, 4)
        code = _Code(operand, system, pc_offset, insn)
        self.code[address, thumb] = code
        return code

    def _half(self, va: int) -> int:
        """Two bytes of code. A guest that switches tables may run on from where it was mapped before."""
        found = self.machine.translate(va & ~0xFFF, Access.FETCH, cpu=self.number)
        if found.fault in (Fault.NONE, Fault.PERMISSION):
            self.places[va >> 12] = found.pa
        at = self.places[va >> 12] | va & 0xFFF
        return int.from_bytes(self.machine.read_phys(at, 2), "little")

    # ---- system registers and aborts ----

    def _written(self, insn: int) -> Write:
        first = self.register(insn >> 12 & 15)
        if insn >> 24 & 15 == 0xC:
            value = first | self.register(insn >> 16 & 15) << 32
            return Write(0, insn >> 4 & 15, insn & 15, 0, True, value)
        return Write(insn >> 16 & 15, insn >> 21 & 7, insn & 15, insn >> 5 & 7, False, first)

    def _finish_write(self) -> None:
        write, self.writes = self.writes, None
        assert write is not None
        self.code.clear()  # other code may be mapped
        if write.wide and write.crm != 2:
            return
        if not write.wide and (write.crn, write.opc1, write.crm, write.opc2) == (12, 0, 0, 0):
            self.vbar = write.value & ~0x1F
        if not write.wide and (write.crn, write.opc1, write.crm, write.opc2) == (1, 0, 0, 0):
            self.sctlr = write.value
        self.watcher.system(self.number, write)

    def _vector(self, address: int) -> None:
        base = 0xFFFF_0000 if self.sctlr & HIGH_VECTORS else self.vbar
        if (
            address == base + DATA_VECTOR and self.operand is not None
        ):  # else of an AT operation, which asks no TLB
            status = self.machine.reg("dfsr", self.number)
            if self._is_translation(status):
                far = self.machine.reg("dfar", self.number)
                self.watcher.data_abort(self.number, far, bool(status >> 11 & 1), self.privileged)
        elif address == base + PREFETCH_VECTOR and self._is_translation(
            self.machine.reg("ifsr", self.number)
        ):
            self.watcher.fetch_abort(self.number, self.machine.reg("ifar", self.number), self.privileged)

    def _is_translation(self, status: int) -> bool:
        """Not alignment, not a breakpoint: no TLB is asked for those (ARM DDI 0406C B3.13.3)."""
        if status >> 9 & 1:
            return status & 0x3F not in (0x21, 0x22)
        return (status >> 6 & 0x10 | status & 0xF) not in (0x01, 0x02)


def _address(handle: Any) -> int:
    from pyemu.native import ffi as native

    return int(native.cast("uintptr_t", handle))


def _holds(insn: int, cpsr: int, thumb: bool) -> bool:
    """Whether the condition of an instruction holds (ARM DDI 0406C A8.3)."""
    condition = insn >> 28
    if thumb:
        state = cpsr >> 8 & 0xFC | cpsr >> 25 & 3
        condition = state >> 4 if state else 14
    n, z, c, v = (bool(cpsr >> bit & 1) for bit in (31, 30, 29, 28))
    result = (z, c, n, v, c and not z, n == v, n == v and not z, True)[condition >> 1]
    return result if condition == 15 else result != bool(condition & 1) if condition < 14 else True
