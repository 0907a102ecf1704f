"""Entries in guest RAM bit by bit: young, dirty and read-only as Linux keeps them in both formats."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyemu.kernel import Kernel, KernelConfig, Map, Process, Prot
from pyemu.mmu import Access
from pyemu.mmu.reference import bits

PAGE = 4096
RW = Prot.READ | Prot.WRITE

VALID, PRESENT, USER, AP2, SHARED, AF, NG = 1, 3, 1 << 6, 1 << 7, 3 << 8, 1 << 10, 1 << 11
PXN, XN, DIRTY, SPECIAL, NONE, RDONLY = (1 << n for n in (53, 54, 55, 56, 57, 58))
WBWA = 7 << 2
EVERY = PRESENT | USER | SHARED | NG | PXN | WBWA | AF

# asm/pgtable-2level.h: Linux' half, and a small page of the architecture
L_PRESENT, L_YOUNG, L_DIRTY, L_RDONLY, L_USER, L_XN, L_SHARED, L_NONE = (
    1 << n for n in (0, 1, 6, 7, 8, 9, 10, 11)
)
L_EVERY = L_PRESENT | L_YOUNG | 7 << 2 | L_USER | L_SHARED
H_XN, H_SMALL, H_BC, H_AP, H_TEX0, H_APX, H_S, H_NG = 1, 2, 3 << 2, 3 << 4, 1 << 6, 1 << 9, 1 << 10, 1 << 11
H_EVERY = H_SMALL | H_BC | H_AP | H_TEX0 | H_S | H_NG


def load(kernel: Kernel, pa: int, size: int) -> int:
    return int.from_bytes(kernel.memory.read(pa, size), "little")


def lpae_entry(process: Process, addr: int) -> int:
    """The attributes of a page's PTE."""
    kernel = process.kernel
    pgd = load(kernel, process.info.pgd_pa + (addr >> 30) * 8, 8)
    pmd = load(kernel, bits(pgd, 39, 12) << 12 | (addr >> 21 & 511) * 8, 8)
    assert pmd & 3 == 3
    return load(kernel, bits(pmd, 39, 12) << 12 | (addr >> 12 & 511) * 8, 8) & ~0xFFFFFFF000


def classic_entries(process: Process, addr: int) -> tuple[int, int]:
    """The attributes of Linux' PTE and of the hardware's, by way of the two first-level words of 2 MB."""
    kernel = process.kernel
    pair = process.info.pgd_pa + (addr >> 21) * 8
    words = load(kernel, pair, 4), load(kernel, pair + 4, 4)
    table = words[0] & 0xFFFFF000
    assert [word & 0xFFFFFC00 for word in words] == [table + 2048, table + 3072]
    assert words[0] & 3 == 1
    assert bits(words[0], 8, 5) == 1, "the domain of user memory"
    at = table + (addr >> 12 & 511) * 4
    return load(kernel, at, 4) & 0xFFF, load(kernel, at + 2048, 4) & 0xFFF


def written(process: Process) -> int:
    addr = process.mmap(PAGE)
    process.touch(addr, write=True)
    return addr


def read_only(process: Process) -> int:
    addr = written(process)
    process.mprotect(addr, PAGE, Prot.READ)
    return addr


def no_rights(process: Process) -> int:
    addr = written(process)
    process.mprotect(addr, PAGE, Prot.NONE)
    return addr


def executable(process: Process) -> int:
    addr = process.mmap(PAGE, prot=Prot.READ | Prot.EXEC, flags=Map.SHARED)
    process.access(addr, 1, Access.FETCH)
    return addr


def clean_shared(process: Process) -> int:
    addr = process.mmap(PAGE, flags=Map.SHARED)
    process.touch(addr)
    return addr


def dirty_shared(process: Process) -> int:
    addr = clean_shared(process)
    process.touch(addr, write=True)
    return addr


def zero_page(process: Process) -> int:
    addr = process.mmap(PAGE)
    process.touch(addr)
    return addr


def copy_on_write(process: Process) -> int:
    addr = written(process)
    process.fork()
    return addr


LPAE = {
    written: EVERY | XN | DIRTY,
    read_only: EVERY | XN | DIRTY | RDONLY | AP2,
    no_rights: (EVERY & ~VALID & ~USER) | XN | DIRTY | RDONLY | AP2 | NONE,
    executable: EVERY | RDONLY | AP2,
    clean_shared: EVERY | XN | AP2,
    dirty_shared: EVERY | XN | DIRTY,
    zero_page: EVERY | XN | RDONLY | AP2 | SPECIAL,
    copy_on_write: EVERY | XN | DIRTY | RDONLY | AP2,
}
CLASSIC = {
    written: (L_EVERY | L_XN | L_DIRTY, H_EVERY | H_XN),
    read_only: (L_EVERY | L_XN | L_DIRTY | L_RDONLY, H_EVERY | H_XN | H_APX),
    no_rights: ((L_EVERY & ~L_USER) | L_XN | L_DIRTY | L_RDONLY | L_NONE, 0),
    executable: (L_EVERY | L_RDONLY, H_EVERY | H_APX),
    clean_shared: (L_EVERY | L_XN, H_EVERY | H_XN | H_APX),
    dirty_shared: (L_EVERY | L_XN | L_DIRTY, H_EVERY | H_XN),
    zero_page: (L_EVERY | L_XN | L_RDONLY, H_EVERY | H_XN | H_APX),
    copy_on_write: (L_EVERY | L_XN | L_DIRTY | L_RDONLY, H_EVERY | H_XN | H_APX),
}


@pytest.mark.parametrize("state", LPAE)
def test_long_descriptors_say_what_linux_makes_them_say(state: Callable[[Process], int]) -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        process = kernel.spawn()
        assert lpae_entry(process, state(process)) == LPAE[state]


@pytest.mark.parametrize("state", CLASSIC)
def test_short_descriptors_have_both_halves(state: Callable[[Process], int]) -> None:
    with Kernel(KernelConfig(functional=True, tables="classic")) as kernel:
        process = kernel.spawn()
        assert classic_entries(process, state(process)) == CLASSIC[state]


def test_a_childs_entries_are_old_until_it_uses_them() -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        process = kernel.spawn()
        addr = written(process)
        child = process.fork()
        assert lpae_entry(child, addr) == (LPAE[copy_on_write] & ~AF)
        flags = kernel.stats["faults_flags"]
        assert child.touch(addr).faults == 1
        assert kernel.stats["faults_flags"] == flags + 1
        assert lpae_entry(child, addr) == LPAE[copy_on_write]


def test_an_old_entry_of_short_descriptors_is_nothing_to_the_hardware() -> None:
    with Kernel(KernelConfig(functional=True, tables="classic")) as kernel:
        process = kernel.spawn()
        addr = written(process)
        child = process.fork()
        linux, hardware = CLASSIC[copy_on_write]
        assert classic_entries(child, addr) == (linux & ~L_YOUNG, 0)
        child.touch(addr)
        assert classic_entries(child, addr) == (linux, hardware)


def test_the_first_write_to_a_clean_page_is_a_fault_that_makes_it_dirty() -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        process = kernel.spawn()
        addr = clean_shared(process)
        before = kernel.stats
        assert process.touch(addr, write=True).faults == 1
        assert process.touch(addr, write=True).faults == 0
        after = kernel.stats
        assert after["faults_flags"] == before["faults_flags"] + 1
        assert after["tlbi_broadcast"] == before["tlbi_broadcast"] + 1
