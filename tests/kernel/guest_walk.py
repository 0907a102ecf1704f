"""get_user_pages_fast as ARM code (firmware/kernel/gup.c), run on a model's tables, beside its own."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from pyemu.config import MIB, MachineConfig
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.gup import Foll, GupCall, get_user_pages, put_pages
from pyemu.kernel.kmap import windows
from pyemu.kernel.process import Process, spawn
from pyemu.machine import Machine
from pyemu.mmu import walk
from tests.conftest import ROOT

ELF = ROOT / "firmware/elf/kernel-gup.elf"
RAM = 0x4000_0000
REFCOUNT_OFFSET = 28
STACK_BYTES = 4096


@dataclass(frozen=True)
class Cost:
    """Of a run: instructions and cycles."""

    insns: int
    cycles: int


class GuestWalk:
    """A process with a mapping of ``pages`` pages, and the two ways to get them."""

    def __init__(self, machine: Machine, kernel: Kernel, pages: int) -> None:
        self.machine, self.kernel, self.pages = machine, kernel, pages
        self.process: Process = spawn(kernel, "walk")
        size = pages * 4096
        self.start = -(-self.process.mmap(size + 2 * MIB) // (2 * MIB)) * 2 * MIB
        self.process.touch(self.start, size, write=True)
        self.process.run()
        self.linear = kernel.layout.page_offset - RAM
        self._scratch = self._alloc(4096)
        self._list = self._alloc(4 * pages)
        self._load()

    def _alloc(self, size: int) -> int:
        order = (-(-size // 4096) - 1).bit_length()
        return self.kernel.alloc_pages(order) << 12

    def _load(self) -> None:
        elf = ELFFile(io.BytesIO(ELF.read_bytes()))
        for segment in elf.iter_segments("PT_LOAD"):
            self.machine.write_phys(segment["p_paddr"], segment.data())
        self.entry = elf["e_entry"]
        regime = self.kernel.regime()
        for name in ("ttbcr", "ttbr0", "ttbr1", "dacr", "mair0", "mair1", "contextidr", "sctlr"):
            self.machine.set_reg(name, getattr(regime, name))

    def native(self, per_call: int) -> tuple[tuple[int, ...], Cost]:
        """The model's own; references are given back."""
        before = self._cost()
        result = get_user_pages(
            self.kernel, GupCall.GUP_FAST, self.start, self.pages, pages_per_call=per_call, flags=Foll.WRITE
        )
        after = self._cost()
        put_pages(self.kernel, result.pfns)
        return result.pfns, Cost(0, after.cycles - before.cycles)

    def guest(self, per_call: int) -> tuple[tuple[int, ...], Cost, int]:
        """ARM code's; and how many windows it made."""
        layout, first_pfn = self.kernel.layout, RAM >> 12
        window = windows(self.kernel)[0].va
        steps = walk(self.kernel.memory, self.kernel.regime(), window).steps
        words = [
            self.process.info.pgd_pa + self.linear,
            window,
            steps[-1].descriptor_pa + self.linear,
            layout.mem_map_va,
            first_pfn,
            layout.lowmem_limit >> 12,
            self.linear,
            self._list + self.linear,
            self.start,
            self.pages,
            per_call,
            0,
        ]
        request = self._scratch
        self.machine.write_phys(request, struct.pack("<12I", *(word & 0xFFFFFFFF for word in words)))
        self.machine.set_reg("r0", request + self.linear)
        self.machine.set_reg("sp", request + self.linear + STACK_BYTES)
        self.machine.set_reg("pc", self.entry)
        before = self._cost()
        stop = self.machine.run(max_insns=20_000_000, until=self.entry + 4)
        after = self._cost()
        assert stop.reason.name == "BREAKPOINT", stop
        got = self.machine.reg("r0")
        addresses = struct.unpack(f"<{got}I", self.machine.read_phys(self._list, 4 * got))
        size = layout.struct_page_bytes
        pfns = tuple(first_pfn + (address - layout.mem_map_va) // size for address in addresses)
        (made,) = struct.unpack("<I", self.machine.read_phys(request + 44, 4))
        return pfns, Cost(after.insns - before.insns, after.cycles - before.cycles), made

    def fill_mem_map(self, pfns: tuple[int, ...], count: int = 1) -> None:
        """The references of the pages, where the guest looks for them: the model keeps its own elsewhere."""
        for pfn in pfns:
            self.machine.write_phys(self._refcount(pfn), struct.pack("<I", count))

    def refcounts(self, pfns: tuple[int, ...]) -> list[int]:
        """What the guest made of them."""
        return [struct.unpack("<I", self.machine.read_phys(self._refcount(pfn), 4))[0] for pfn in pfns]

    def _refcount(self, pfn: int) -> int:
        layout = self.kernel.layout
        return layout.mem_map_pa + (pfn - (RAM >> 12)) * layout.struct_page_bytes + REFCOUNT_OFFSET

    def _cost(self) -> Cost:
        timed = self.machine.config.timing != "off"
        return Cost(self.machine.stats().insns, self.machine.ledger.clock() if timed else 0)


@contextmanager
def guest_walk(
    pages: int, timing: str = "off", costs: Path | None = None, **config: Any
) -> Iterator[GuestWalk]:
    """One on a machine and a kernel of its own."""
    config.update(timing=timing, core="cortex-a15", costs=costs)
    kernel_config = KernelConfig(**config)
    machine_config = MachineConfig(
        memory_bytes=kernel_config.memory_bytes,
        timing=timing,  # type: ignore[arg-type]
        core="cortex-a15",
    )
    with Machine(machine_config) as machine:
        machine.reset(0)
        with Kernel(kernel_config, machine=machine) as kernel:
            yield GuestWalk(machine, kernel, pages)
