"""Processes of a kernel model: their address spaces, and what they do with them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from pyemu.mmu import Access, Regime
from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.kernel.kernel import Kernel

__all__ = ["Advice", "Area", "Map", "Process", "Prot", "Signal", "TaskInfo", "Thp", "Touch", "spawn", "tasks"]

_BYTES_MAX = 0xFFFFFFFF


class Prot(IntFlag):
    """Protection of an area."""

    NONE = 0
    READ = lib.PE_PROT_READ
    WRITE = lib.PE_PROT_WRITE
    EXEC = lib.PE_PROT_EXEC


class Map(IntFlag):
    """Flags of mmap, which maps anonymous memory alone."""

    NONE = 0
    SHARED = lib.PE_MMAP_SHARED
    PRIVATE = lib.PE_MMAP_PRIVATE
    FIXED = lib.PE_MMAP_FIXED
    ANONYMOUS = lib.PE_MMAP_ANONYMOUS
    GROWSDOWN = lib.PE_MMAP_GROWSDOWN
    NORESERVE = lib.PE_MMAP_NORESERVE
    POPULATE = lib.PE_MMAP_POPULATE
    HUGEPAGE = lib.PE_MMAP_HUGEPAGE
    NOHUGEPAGE = lib.PE_MMAP_NOHUGEPAGE
    FIXED_NOREPLACE = lib.PE_MMAP_FIXED_NOREPLACE


class Advice(IntEnum):
    """Of madvise."""

    DONTNEED = 4
    HUGEPAGE = 14
    NOHUGEPAGE = 15


class Thp(IntEnum):
    """/sys/kernel/mm/transparent_hugepage/enabled"""

    NEVER = lib.PE_THP_NEVER
    MADVISE = lib.PE_THP_MADVISE
    ALWAYS = lib.PE_THP_ALWAYS


class Signal(IntEnum):
    """What an access can end in; SIGKILL stands for the end of memory."""

    NONE = 0
    SIGBUS = 7
    SIGKILL = 9
    SIGSEGV = 11


@dataclass(frozen=True)
class Touch:
    """What became of accesses from user mode.

    ``count``    how many were made.
    ``faults``   how many exceptions they took.
    ``signal``   what ended them early, at ``address``; ``code`` is its si_code: SEGV_MAPERR 1, SEGV_ACCERR 2.
    ``pa``       the physical address of the last one.
    """

    count: int
    faults: int
    signal: Signal
    code: int
    address: int
    pa: int


@dataclass(frozen=True)
class Area:
    """[start, end) of an address space; ``rss`` counts the pages that are present."""

    start: int
    end: int
    prot: Prot
    flags: Map
    rss: int


@dataclass(frozen=True)
class TaskInfo:
    """A task; sizes in pages.  ``pgd_pa`` is 0 without an address space, ``huge`` a part of ``anon``."""

    pid: int
    parent: int
    name: str
    running: bool
    exited: bool
    exit_status: int
    cpu: int
    pgd_pa: int
    asid: int
    areas: int
    pte_tables: int
    pmd_tables: int
    anon: int
    huge: int
    shared: int
    kmap_depth: int

    @classmethod
    def from_native(cls, native: Any) -> TaskInfo:
        """The Python form of a ``pe_task_info``."""
        values = {name: getattr(native, name) for name, _ in ffi.typeof("pe_task_info").fields}
        values["name"] = ffi.string(native.name).decode(errors="replace")
        return cls(**values)


class Process:
    """A task with an address space.

    What it does runs on its CPU, with a context switch to it where another one runs there.  A system call
    that the kernel refuses raises OSError with its errno; an access that ends in a signal is a result.
    """

    def __init__(self, kernel: Kernel, pid: int) -> None:
        self.kernel = kernel
        self.pid = pid

    def __repr__(self) -> str:
        return f"Process({self.pid})"

    # ---- system calls ----

    def mmap(
        self,
        length: int,
        addr: int = 0,
        prot: Prot = Prot.READ | Prot.WRITE,
        flags: Map = Map.PRIVATE,
    ) -> int:
        """The address of ``length`` bytes of anonymous memory: at ``addr`` if that can be, or with FIXED."""
        flags |= Map.ANONYMOUS
        return self._call(lib.pe_kernel_mmap, addr, length, int(prot), int(flags))

    def munmap(self, addr: int, length: int) -> None:
        """Unmap [addr, addr + length)."""
        self._call(lib.pe_kernel_munmap, addr, length)

    def mprotect(self, addr: int, length: int, prot: Prot) -> None:
        """Change the protection of [addr, addr + length)."""
        self._call(lib.pe_kernel_mprotect, addr, length, int(prot))

    def madvise(self, addr: int, length: int, advice: Advice) -> None:
        """Give pages back, or say what huge pages are to be used for."""
        self._call(lib.pe_kernel_madvise, addr, length, int(advice))

    def mremap(
        self, addr: int, old_length: int, length: int, *, may_move: bool = True, new_addr: int | None = None
    ) -> int:
        """Shrink, grow or move a mapping, to ``new_addr`` if given; where it is now."""
        flags = (1 if may_move else 0) | (0 if new_addr is None else 2)
        return self._call(lib.pe_kernel_mremap, addr, old_length, length, flags, new_addr or 0)

    def brk(self, brk: int = 0) -> int:
        """Move the end of the heap, if that can be; where it is now."""
        return self._call(lib.pe_kernel_brk, brk)

    def fork(self) -> Process:
        """The child, whose memory is this one's, copied on write."""
        return Process(self.kernel, self._call(lib.pe_kernel_fork))

    def exit(self, status: int = 0) -> None:
        """Give everything back.  A child stays in the list until its parent waits for it."""
        err = error()
        check(lib.pe_kernel_exit(self.kernel.handle, self.pid, status, err), err)

    def wait(self, child: Process | None = None) -> tuple[int, int] | None:
        """(pid, exit status) of a child that has exited, which is then gone; None where none has."""
        status = ffi.new("int32_t *")
        pid = self._call(lib.pe_kernel_wait, 0 if child is None else child.pid, status)
        return (pid, int(status[0])) if pid else None

    # ---- accesses from user mode ----

    def touch(self, addr: int, length: int = 1, *, write: bool = False, stride: int = 4096) -> Touch:
        """One load or store in each ``stride`` bytes of [addr, addr + length)."""
        return self.access(addr, length, Access.WRITE if write else Access.READ, stride=stride)

    def access(self, addr: int, length: int, access: Access, *, stride: int = 4096) -> Touch:
        """The same of any access, a fetch too."""
        _check_range(addr, length)
        err = error()
        count, out = ffi.new("uint64_t *"), ffi.new("pe_fault_result *")
        handle = self.kernel.handle
        check(lib.pe_kernel_touch(handle, self.pid, addr, length, stride, int(access), count, out, err), err)
        return _touch(int(count[0]), out)

    def read(self, addr: int, length: int) -> bytes:
        """The bytes at ``addr``, as its loads find them; OSError (EFAULT) where one would fault."""
        _check_range(addr, length)
        buffer = ffi.new("uint8_t[]", length)
        self._copy(lib.pe_kernel_user_read, addr, buffer, length)
        return bytes(ffi.buffer(buffer, length))

    def write(self, addr: int, data: bytes) -> None:
        """Store bytes; OSError (EFAULT) where a store would fault: what lies before it is written."""
        _check_range(addr, len(data))
        self._copy(lib.pe_kernel_user_write, addr, ffi.from_buffer(data), len(data))

    # ---- views ----

    @property
    def areas(self) -> list[Area]:
        """Its areas, ordered by address; empty once it has exited."""
        handle = self.kernel.handle
        count = lib.pe_kernel_areas(handle, self.pid, ffi.NULL, 0)
        out = ffi.new("pe_area_info[]", count)
        lib.pe_kernel_areas(handle, self.pid, out, count)
        return [Area(a.start, a.end, Prot(a.prot), Map(a.flags), a.rss) for a in out]

    @property
    def info(self) -> TaskInfo:
        """Its state and sizes; NativeError once it is gone."""
        err = error()
        out = ffi.new("pe_task_info *")
        check(lib.pe_kernel_task(self.kernel.handle, self.pid, out, err), err)
        return TaskInfo.from_native(out)

    @property
    def regime(self) -> Regime:
        """The registers with which its tables translate."""
        err = error()
        out = ffi.new("pe_regime *")
        check(lib.pe_kernel_task_regime(self.kernel.handle, self.pid, out, err), err)
        return Regime.from_native(out)

    def run(self, cpu: int | None = None) -> None:
        """Make it the one that runs, on its CPU or on another; NativeError where it may not migrate."""
        err = error()
        where = self.info.cpu if cpu is None else cpu
        check(lib.pe_kernel_switch(self.kernel.handle, self.pid, where, err), err)

    def set_start_brk(self, addr: int) -> None:
        """Where the heap begins, as a program's loader decides."""
        err = error()
        check(lib.pe_kernel_set_start_brk(self.kernel.handle, self.pid, addr, err), err)

    # ---- internals ----

    def _call(self, function: Any, *arguments: Any) -> int:
        """A system call of the process; integers are those of a 32-bit register."""
        for value in arguments:
            if isinstance(value, int) and not 0 <= value <= _BYTES_MAX:
                raise ValueError(f"{value:#x} does not fit into 32 bits")
        err = error()
        result = ffi.new("int64_t *")
        check(function(self.kernel.handle, self.pid, *arguments, result, err), err)
        return _value(int(result[0]))

    def _copy(self, function: Any, addr: int, buffer: Any, length: int) -> None:
        err = error()
        done, out = ffi.new("uint32_t *"), ffi.new("pe_fault_result *")
        check(function(self.kernel.handle, self.pid, addr, buffer, length, done, out, err), err)
        if out.signal:
            raise OSError(14, f"Bad address: {Signal(out.signal).name} at {out.address:#x}")


def spawn(kernel: Kernel, name: str = "process", cpu: int = 0) -> Process:
    """A new process with an empty address space; OSError (ENOMEM) where there is no memory for it."""
    err = error()
    result = ffi.new("int64_t *")
    check(lib.pe_kernel_spawn(kernel.handle, name.encode(), cpu, result, err), err)
    return Process(kernel, _value(int(result[0])))


def tasks(kernel: Kernel) -> list[TaskInfo]:
    """All tasks, ordered by pid, those included that have exited and wait for their parent."""
    count = lib.pe_kernel_tasks(kernel.handle, ffi.NULL, 0)
    out = ffi.new("pe_task_info[]", count)
    lib.pe_kernel_tasks(kernel.handle, out, count)
    return [TaskInfo.from_native(task) for task in out]


def _value(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _check_range(addr: int, length: int) -> None:
    if not 0 <= addr <= _BYTES_MAX or not 0 <= length <= _BYTES_MAX:
        raise ValueError(f"{length:#x} bytes from {addr:#x} on are not inside 4 GB")


def _touch(count: int, out: Any) -> Touch:
    return Touch(
        count=count,
        faults=out.faults,
        signal=Signal(out.signal),
        code=out.code,
        address=out.address,
        pa=out.pa,
    )
