"""The face of the kernel model."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyemu.config import UserError
from pyemu.kernel.config import KernelConfig
from pyemu.kernel.layout import Layout, Range, ranges
from pyemu.kernel.memory import Gfp, MemInfo, PageInfo, Zone, ZoneInfo
from pyemu.kernel.process import Process, TaskInfo, Thp, spawn, tasks
from pyemu.mem import Memory
from pyemu.mmu import Regime, Tlb
from pyemu.native import NativeError, check, check_handle, error, ffi, lib
from pyemu.timing import Core, read_core

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyemu.machine import Machine

__all__ = ["Kernel", "OutOfPages"]


class OutOfPages(Exception):
    """The guest has no pages for an allocation: no zone above its watermark, no block of the order."""


class Kernel:
    """Linux' memory management on guest memory.

    Runs on a memory of its own, or on that of a ``machine``, whose programs it then serves.  A context
    manager: leaving it gives model and own memory back to the host.
    """

    def __init__(self, config: KernelConfig | None = None, *, machine: Machine | None = None) -> None:
        self.config = config or KernelConfig()
        self._machine = machine
        native, self._keep = self.config.native()
        if machine is None:
            self.memory = Memory()
            self.memory.add_ram(lib.PE_BOARD_RAM_BASE, self.config.memory_bytes)
        else:
            self.memory = machine.mem
        err = error()
        handle = lib.pe_kernel_new(
            native, self.memory.handle, ffi.NULL if machine is None else machine.handle, err
        )
        self._handle: Any = ffi.gc(check_handle(handle, err), lib.pe_kernel_free)
        self.layout = Layout.from_native(lib.pe_kernel_layout_read(self._handle))

    @property
    def handle(self) -> Any:
        """``pe_kernel *`` for a call into the C core; ValueError once closed."""
        if self._handle is None:
            raise ValueError("this Kernel is closed")
        return self._handle

    def close(self) -> None:
        """Give the model back, and the memory unless it is a machine's."""
        if self._handle is not None:
            ffi.release(self._handle)
            self._handle = None
            if self._machine is None:
                self.memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def reservations(self) -> list[Range]:
        """What the boot took from memory, ordered by physical address."""
        return ranges(lambda out, count: int(lib.pe_kernel_reservations(self.handle, out, count)))

    def regime(self, cpu: int = 0) -> Regime:
        """The registers with which a CPU translates now."""
        err = error()
        out = ffi.new("pe_regime *")
        check(lib.pe_kernel_cpu_regime(self.handle, cpu, out, err), err)
        return Regime.from_native(out)

    @property
    def core(self) -> Core | None:
        """The core of the bill; None where no cycle model is on."""
        config = self.config
        if config.functional or config.timing == "off" or config.core is None:
            return None
        return read_core(config.core) if isinstance(config.core, str) else config.core

    def tlb(self, cpu: int = 0) -> Tlb:
        """The modelled TLBs of a CPU, to look at; UserError where there are none."""
        if self.core is None:
            raise UserError(
                f'no modelled TLB with timing "{self.config.timing}": "tlb" or "cache" would have it'
            )
        return Tlb.borrow(lambda: lib.pe_kernel_tlb(self.handle, cpu))

    # ---- processes ----

    def spawn(self, name: str = "process", cpu: int = 0) -> Process:
        """A process with an empty address space; OSError (ENOMEM) where there is no memory for it."""
        return spawn(self, name, cpu)

    @property
    def tasks(self) -> list[TaskInfo]:
        """All tasks, ordered by pid."""
        return tasks(self)

    @property
    def tables_waiting(self) -> int:
        """Page tables that wait for an RCU grace period."""
        return int(lib.pe_kernel_tables_waiting(self.handle))

    def set_thp(self, thp: Thp) -> None:
        """Who gets transparent huge pages; at first those who ask by madvise."""
        err = error()
        check(lib.pe_kernel_set_thp(self.handle, int(thp), err), err)

    # ---- frames ----

    @property
    def pageblock_order(self) -> int:
        """log2 of the pages whose migrate type is kept together."""
        return int(lib.pe_kernel_pageblock_order(self.handle))

    def alloc_pages(self, order: int = 0, gfp: Gfp = Gfp.KERNEL) -> int:
        """The first page frame number of 2**order pages that touch; raises OutOfPages."""
        err = error()
        pfn = ffi.new("uint32_t *")
        try:
            check(lib.pe_kernel_alloc_pages(self.handle, order, int(gfp), pfn, err), err)
        except NativeError as problem:
            if problem.status == lib.PE_ERR_MEMORY:
                raise OutOfPages(str(problem)) from None
            raise
        return int(pfn[0])

    def alloc_bulk(self, count: int, order: int = 0, gfp: Gfp = Gfp.KERNEL) -> list[int]:
        """Up to ``count`` allocations; the list is shorter when memory has run out."""
        pfns = ffi.new("uint32_t[]", count)
        made = lib.pe_kernel_alloc_bulk(self.handle, order, int(gfp), pfns, count)
        return list(ffi.unpack(pfns, made)) if made else []

    def free_pages(self, pfn: int, order: int = 0) -> None:
        """Drop a reference of what :meth:`alloc_pages` gave."""
        err = error()
        check(lib.pe_kernel_free_pages(self.handle, pfn, order, err), err)

    def page(self, pfn: int) -> PageInfo:
        """What struct page says of a frame."""
        err = error()
        out = ffi.new("pe_page_info *")
        check(lib.pe_kernel_page(self.handle, pfn, out, err), err)
        return PageInfo.from_native(out)

    def zone(self, zone: Zone) -> ZoneInfo:
        """A zone's counters, watermarks and free blocks."""
        err = error()
        out = ffi.new("pe_zone_info *")
        check(lib.pe_kernel_zone(self.handle, int(zone), out, err), err)
        return ZoneInfo.from_native(out)

    @property
    def meminfo(self) -> MemInfo:
        """The figures of /proc/meminfo."""
        out = ffi.new("pe_meminfo *")
        lib.pe_kernel_meminfo(self.handle, out)
        return MemInfo.from_native(out)

    def check(self) -> None:
        """Count every frame anew; raises NativeError with what does not agree."""
        err = error()
        check(lib.pe_kernel_check(self.handle, err), err)

    @property
    def stats(self) -> dict[str, int]:
        """Operations since the model was made, by field of ``pe_kernel_stats``."""
        out = ffi.new("pe_kernel_stats *")
        lib.pe_kernel_read_stats(self.handle, out)
        return {name: int(getattr(out, name)) for name, _ in ffi.typeof("pe_kernel_stats").fields}
