"""User programs on a kernel model: an ELF file in a task of its own, on the machine that the model serves."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from pyemu.config import CPU_MODELS, MachineConfig, UserError
from pyemu.kernel.config import KernelConfig
from pyemu.kernel.kernel import Kernel
from pyemu.machine import Machine
from pyemu.machine.loaders.elf import check_header
from pyemu.machine.loaders.files import read_file
from pyemu.native import NativeError, check, error, ffi, lib
from pyemu.timing import read_core

__all__ = ["Death", "Program", "Segment", "host_program", "read_deaths", "start_program", "unknown_calls"]

MAX_FILE_BYTES = 256 << 20
MAX_SEGMENTS = 64
_NAME_BYTES = 15
_PF_EXEC, _PF_WRITE, _PF_READ = 1, 2, 4
_SIGSEGV_CODES = {1: "SEGV_MAPERR: nothing is mapped there", 2: "SEGV_ACCERR: the mapping forbids it"}


class DeathSignal(IntEnum):
    """Signals that end a program."""

    SIGILL = 4
    SIGTRAP = 5
    SIGBUS = 7
    SIGKILL = 9
    SIGSEGV = 11


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD segment at its virtual address; zero from the end of ``data`` to ``memory_bytes``."""

    va: int
    data: bytes
    memory_bytes: int
    prot: int


@dataclass(frozen=True)
class Program:
    """A statically linked ARM executable; ``entry`` has bit 0 set for Thumb."""

    name: str
    entry: int
    segments: tuple[Segment, ...]

    @classmethod
    def read(cls, path: str | Path) -> Program:
        """From an ELF file; UserError where it is none that can run."""
        data = read_file(path, MAX_FILE_BYTES, "program")
        try:
            return cls.from_bytes(data, Path(path).name)
        except UserError as problem:
            raise UserError(f"{path}: {problem}") from None

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Program:
        """From the content of an ELF file."""
        check_header(data)
        segments = sorted(_segments(data), key=lambda segment: segment.va)
        if not segments:
            raise UserError("ELF without a loadable segment: nothing to run")
        entry = struct.unpack_from("<I", data, 24)[0]
        if not any(
            s.va <= entry & ~1 < s.va + s.memory_bytes and s.prot & lib.PE_PROT_EXEC for s in segments
        ):
            raise UserError(f"ELF entry point {entry:#x} lies in no executable segment")
        return cls(name, entry, tuple(segments))


@dataclass(frozen=True)
class Death:
    """A process that a signal ended; ``registers`` are r0 to pc, ``walk`` what the tables said."""

    pid: int
    name: str
    signal: DeathSignal
    code: int
    address: int
    access: str
    walk: str
    registers: tuple[int, ...]
    cpsr: int

    @classmethod
    def from_native(cls, native: Any) -> Death:
        """The Python form of a ``pe_program_death``."""
        return cls(
            pid=native.pid,
            name=ffi.string(native.name).decode(errors="replace"),
            signal=DeathSignal(native.signal),
            code=native.code,
            address=native.address,
            access="fetch" if native.fetch else "write" if native.write else "read",
            walk=ffi.string(native.walk).decode(),
            registers=tuple(native.r),
            cpsr=native.cpsr,
        )

    @property
    def pc(self) -> int:
        """The instruction that did it."""
        return self.registers[15]

    @property
    def text(self) -> str:
        """Signal, address, why, and the registers as the kernel shows them (arch/arm/kernel/process.c)."""
        head = f"{self.name}[{self.pid}]: {self.signal.name} at pc {self.pc:08x}"
        if self.signal in (DeathSignal.SIGSEGV, DeathSignal.SIGBUS):
            head += f": {self.access} of {self.address:#010x}"
        if self.signal is DeathSignal.SIGSEGV and self.code in _SIGSEGV_CODES:
            head += f": {_SIGSEGV_CODES[self.code]}"
        if self.signal is DeathSignal.SIGKILL:
            head += ": no memory is left"
        r = [f"{value:08x}" for value in self.registers]
        rows = [
            f"pc : [<{r[15]}>]    lr : [<{r[14]}>]    psr: {self.cpsr:08x}",
            f"sp : {r[13]}  ip : {r[12]}  fp : {r[11]}",
            f"r10: {r[10]}  r9 : {r[9]}  r8 : {r[8]}",
            f"r7 : {r[7]}  r6 : {r[6]}  r5 : {r[5]}  r4 : {r[4]}",
            f"r3 : {r[3]}  r2 : {r[2]}  r1 : {r[1]}  r0 : {r[0]}",
        ]
        return "\n".join([head, *([self.walk] if self.walk else []), *rows])


def host_program(
    config: KernelConfig, program: Program, arguments: Sequence[str] = ()
) -> tuple[Machine, Kernel]:
    """A machine, and the kernel of this configuration that serves it, with the program before its first
    instruction.  The caller closes both, the kernel first.

    Raises UserError where it does not fit into the memory or the address space.
    """
    core = config.core if config.core is None or isinstance(config.core, str) else config.core.name
    machine = Machine(
        MachineConfig(
            memory_bytes=config.memory_bytes, semihosting=False, timing=config.timing, core=core
        ).with_options(cpu=_identity(core))
    )
    with ExitStack() as opened:
        opened.enter_context(machine)
        machine.reset(0)
        kernel = opened.enter_context(Kernel(config, machine=machine))
        start_program(kernel, program, arguments)
        opened.pop_all()
    return machine, kernel


def _identity(core: str | None) -> str | None:
    """What the guest reads in MIDR, by the core whose cycles are counted."""
    if core is None:
        return None
    known = read_core(core)
    return next((name for name in (known.name, known.base) if name in CPU_MODELS), None)


def start_program(kernel: Kernel, program: Program, arguments: Sequence[str] = ()) -> int:
    """Load it into a task, whose pid is returned; the kernel's machine then runs it.

    Raises UserError where it does not fit into the memory or the address space.
    """
    top = int(lib.pe_kernel_program_stack_top(kernel.handle))
    stack = _stack(top, [program.name, *arguments])
    keep = [ffi.from_buffer(segment.data) for segment in program.segments]
    segments = ffi.new("pe_program_segment[]", len(program.segments))
    for native, segment, data in zip(segments, program.segments, keep, strict=True):
        native.va, native.memory_bytes, native.prot = segment.va, segment.memory_bytes, segment.prot
        native.data_bytes, native.data = len(segment.data), ffi.cast("void *", data)
    name = ffi.new("char[]", program.name.encode(errors="replace")[:_NAME_BYTES])
    native_stack = ffi.from_buffer(stack)
    native = ffi.new(
        "pe_program *",
        {
            "name": name,
            "segments": segments,
            "segment_count": len(program.segments),
            "entry": program.entry,
            "stack": ffi.cast("void *", native_stack),
            "stack_bytes": len(stack),
        },
    )
    pid, err = ffi.new("uint32_t *"), error()
    try:
        check(lib.pe_kernel_program_start(kernel.handle, native, pid, err), err)
    except NativeError as problem:
        raise UserError(f"{program.name}: {problem}") from None
    return int(pid[0])


def read_deaths(kernel: Kernel) -> list[Death]:
    """Processes of the program that a signal ended, first come; later ones than the eighth are not kept."""
    out = ffi.new("pe_program_death[]", lib.PE_PROGRAM_DEATHS)
    count = lib.pe_kernel_program_deaths(kernel.handle, out, lib.PE_PROGRAM_DEATHS)
    return [Death.from_native(out[i]) for i in range(count)]


def unknown_calls(kernel: Kernel) -> list[int]:
    """Numbers of system calls that there are not here; they were answered with ENOSYS."""
    out = ffi.new("uint32_t[]", 8)
    return list(out[0 : lib.pe_kernel_program_unknown_calls(kernel.handle, out, 8)])


def _segments(data: bytes) -> list[Segment]:
    from elftools.elf.elffile import ELFFile

    try:
        headers = [segment.header for segment in ELFFile(io.BytesIO(data)).iter_segments()]
    except Exception as problem:  # a hostile file makes the library fail in many ways
        raise UserError(f"damaged ELF file: {problem or type(problem).__name__}") from None
    if any(header["p_type"] == "PT_INTERP" for header in headers):
        raise UserError("dynamically linked: link it with -static")
    loads = [header for header in headers if header["p_type"] == "PT_LOAD" and header["p_memsz"]]
    if len(loads) > MAX_SEGMENTS:
        raise UserError(f"ELF with {len(loads)} segments: at most {MAX_SEGMENTS} would be right")
    return [_segment(number, header, data) for number, header in enumerate(loads)]


def _segment(number: int, header: Any, data: bytes) -> Segment:
    offset, file_bytes, memory_bytes = header["p_offset"], header["p_filesz"], header["p_memsz"]
    if file_bytes > memory_bytes:
        raise UserError(
            f"ELF segment {number} has {file_bytes} bytes in the file but {memory_bytes} in memory"
        )
    if offset + file_bytes > len(data):
        raise UserError(
            f"truncated ELF file: segment {number} ends at {offset + file_bytes}, it at {len(data)}"
        )
    flags = header["p_flags"]
    bits = ((_PF_READ, lib.PE_PROT_READ), (_PF_WRITE, lib.PE_PROT_WRITE), (_PF_EXEC, lib.PE_PROT_EXEC))
    prot = sum(bit for flag, bit in bits if flags & flag)
    return Segment(header["p_vaddr"], data[offset : offset + file_bytes], memory_bytes, prot)


def _stack(top: int, arguments: Sequence[str]) -> bytes:
    """argc, argv, no environment, an empty auxiliary vector, then the strings (fs/binfmt_elf.c)."""
    strings = b"".join(argument.encode("utf-8", "surrogateescape") + b"\0" for argument in arguments)
    strings += bytes(-len(strings) % 8)
    words = len(arguments) + 6
    words += words % 2
    at, pointers = top - len(strings), []
    for argument in arguments:
        pointers.append(at)
        at += len(argument.encode("utf-8", "surrogateescape")) + 1
    vector = [len(arguments), *pointers]
    return struct.pack(f"<{words}I", *vector, *[0] * (words - len(vector))) + strings
