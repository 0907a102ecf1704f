"""What a small static program's address space looks like before it does anything."""

from __future__ import annotations

from pyemu.kernel import Kernel, Map, Process, Prot

RW = Prot.READ | Prot.WRITE
RX = Prot.READ | Prot.EXEC


def start_program(kernel: Kernel) -> Process:
    """Text, data and heap low, a stack at the top, one page of the kernel's below mmap_base: some touched."""
    process = kernel.spawn("program")
    top = kernel.layout.task_size
    areas = [(0x10000, 0x60000, RX, Map.PRIVATE), (0x80000, 0x8000, RW, Map.PRIVATE)]
    areas += [(0x88000, 0x22000, RW, Map.PRIVATE), (top - 0x21000, 0x21000, RW, Map.PRIVATE | Map.GROWSDOWN)]
    for addr, size, prot, flags in areas:
        process.mmap(size, addr, prot, flags | Map.FIXED)
    assert process.mmap(0x1000, prot=RX)  # sigpage
    process.touch(0x10000, 0x8000)
    process.touch(0x80000, 0x4000, write=True)
    process.touch(0x88000, 0x1000, write=True)
    process.touch(top - 0x2000, 0x2000, write=True)
    return process
