"""Tables lie in guest RAM: whatever is written into them, the model does not crash, hang or leave RAM."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from pyemu.config import MIB
from pyemu.kernel import Kernel, KernelConfig, Map, Process, Prot, Thp
from pyemu.mmu import Access
from pyemu.native import NativeError

PAGE = 4096
RW = Prot.READ | Prot.WRITE


def tables(kernel: Kernel, process: Process) -> list[int]:
    """Physical addresses of all of a process's tables, found by entries that name tables."""
    word = 8 if kernel.config.lpae else 4
    level, found = [process.info.pgd_pa], [process.info.pgd_pa]
    for size in (32, PAGE) if kernel.config.lpae else (16384 * 3 // 4,):
        names = []
        for table in level:
            data = kernel.memory.read(table, size)
            entries = [int.from_bytes(data[at : at + word], "little") for at in range(0, size, word)]
            kind = 3 if kernel.config.lpae else 1
            names += [entry & 0xFFFFFFF000 for entry in entries if entry & 3 == kind]
        level = [pa for pa in names if kernel.layout.phys_offset <= pa < kernel.layout.ram_end - PAGE]
        found += level
    return found


def forge(rng: random.Random, kernel: Kernel, victims: list[int]) -> None:
    """A random entry of a random table becomes noise, a frame of RAM, another table, or another entry."""
    word = 8 if kernel.config.lpae else 4
    base, end = kernel.layout.phys_offset, kernel.layout.ram_end
    place = rng.choice(victims) + rng.randrange(0, 512 if rng.random() < 0.5 else 4) * word
    copied = int.from_bytes(
        kernel.memory.read(rng.choice(victims) + rng.randrange(512) * word, word), "little"
    )
    kind = rng.choice([1, 3, 3, 0x7DF, 0xFDF])
    value = rng.choice(
        [
            rng.getrandbits(word * 8),
            rng.randrange(base, end, PAGE) | kind,
            rng.choice(victims) & ~0xFFF | kind,
            rng.randrange(base, end, 2 * MIB) | 0x7DD,
            copied,
            copied ^ 1 << rng.randrange(word * 8),
        ]
    )
    kernel.memory.write(place, (value & (1 << word * 8) - 1).to_bytes(word, "little"))


def act(rng: random.Random, processes: list[Process], areas: list[tuple[int, int]]) -> None:
    process = rng.choice(processes)
    start, pages = rng.choice(areas)
    at = start + rng.randrange(pages) * PAGE
    count = rng.randrange(1, pages) * PAGE
    step = rng.randrange(9)
    if step == 0:
        process.munmap(at, count)
    elif step == 1:
        process.mprotect(start, pages * PAGE, rng.choice([RW, Prot.READ, Prot.NONE]))
    elif step == 2:
        process.mremap(at, PAGE, PAGE, new_addr=start - 4 * MIB)
    elif step == 3 and len(processes) < 6:
        processes.append(process.fork())
    elif step == 4 and len(processes) > 2:
        processes.remove(process)
        process.exit()
    elif step == 5:
        process.mmap(pages * PAGE, start, flags=Map.PRIVATE | Map.FIXED)
    elif step == 6:
        process.write(at, b"hello")
    else:
        process.access(start, pages * PAGE, rng.choice(list(Access)))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("options", [{}, {"highpte": False}, {"tables": "classic"}], ids=str)
def test_forged_tables_do_no_harm_to_the_model(options: dict[str, Any], seed: int) -> None:
    rng = random.Random(seed)
    with Kernel(KernelConfig(functional=True, memory_bytes=1024 * MIB, **options)) as kernel:
        if kernel.config.lpae and seed % 2:
            kernel.set_thp(Thp.ALWAYS)
        processes = [kernel.spawn(), kernel.spawn()]
        areas = [(0x20000000, 40), (0x40000000, 1100), (0xA0000000, 3)]
        for process in processes:
            for start, pages in areas:
                process.mmap(pages * PAGE, start, flags=Map.PRIVATE | Map.FIXED)
                process.touch(start, pages * PAGE, write=True, stride=7 * PAGE)
        for _ in range(60):
            victims = [table for process in processes for table in tables(kernel, process)]
            for _ in range(rng.randrange(1, 6)):
                forge(rng, kernel, victims)
            for _ in range(4):
                with suppress(OSError, NativeError):
                    act(rng, processes, areas)
            with suppress(NativeError):
                kernel.check()
            for process in processes:
                assert isinstance(process.areas, list)
        for process in processes:
            process.exit()
        assert kernel.tasks == [] or all(task.exited for task in kernel.tasks)
