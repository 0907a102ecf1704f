"""Kernel mappings of highmem pages: kmap_local windows and PKMAP, as the task that runs makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.kernel.kernel import Kernel

__all__ = [
    "PkmapSlot",
    "Window",
    "kmap",
    "kmap_atomic",
    "kmap_local",
    "kmap_waiting",
    "kunmap",
    "kunmap_atomic",
    "kunmap_local",
    "page_address",
    "pkmap",
    "windows",
]

_WAITERS_MAX = 64


@dataclass(frozen=True)
class Window:
    """A kmap_local slot of a CPU as guest RAM has it; ``pte`` 0 is an empty one, a ``guard`` stays empty."""

    va: int
    pte: int
    pfn: int
    guard: bool


@dataclass(frozen=True)
class PkmapSlot:
    """A slot of PKMAP; ``count`` is pkmap_count: 0 free, 1 unused but maybe in a TLB, n: n - 1 users."""

    va: int
    count: int
    pte: int
    pfn: int


def kmap_local(kernel: Kernel, pfn: int) -> int | None:
    """The address by which the page can be read: linear of lowmem, or a window, or what kmap_high_get finds.

    None where a BUG or, with the remedy trylock, a lock stands against it; a BUG is in the reports.
    """
    return _map(lib.pe_kernel_kmap_local, kernel, pfn)


def kunmap_local(kernel: Kernel, va: int) -> None:
    """Undo the last :func:`kmap_local`."""
    lib.pe_kernel_kunmap_local(kernel.handle, va)


def kmap_atomic(kernel: Kernel, pfn: int) -> int | None:
    """As :func:`kmap_local`, without page faults; without preemption too, unless the kernel is PREEMPT_RT."""
    return _map(lib.pe_kernel_kmap_atomic, kernel, pfn)


def kunmap_atomic(kernel: Kernel, va: int) -> None:
    """Undo the last :func:`kmap_atomic`."""
    lib.pe_kernel_kunmap_atomic(kernel.handle, va)


def kmap(kernel: Kernel, pfn: int) -> int | None:
    """The page's address in PKMAP; None: no slot is free, the task waits until :func:`kunmap` wakes it."""
    return _map(lib.pe_kernel_kmap, kernel, pfn)


def kunmap(kernel: Kernel, pfn: int) -> list[int]:
    """Drop a use of :func:`kmap`; the pids that this wakes, which then call :func:`kmap` again."""
    err = error()
    woken, count = ffi.new("uint32_t[]", _WAITERS_MAX), ffi.new("uint32_t *")
    check(lib.pe_kernel_kunmap(kernel.handle, pfn, woken, _WAITERS_MAX, count, err), err)
    return list(woken[0 : count[0]])


def kmap_waiting(kernel: Kernel) -> list[int]:
    """Pids that wait for a slot of PKMAP, first come first."""
    pids = ffi.new("uint32_t[]", _WAITERS_MAX)
    return list(pids[0 : lib.pe_kernel_kmap_waiting(kernel.handle, pids, _WAITERS_MAX)])


def page_address(kernel: Kernel, pfn: int) -> int | None:
    """The page's linear address or the one in PKMAP; None: not mapped."""
    return _map(lib.pe_kernel_page_address, kernel, pfn)


def windows(kernel: Kernel, cpu: int = 0) -> list[Window]:
    """The windows of a CPU, slot 0 first; also of one that is not online."""
    count = lib.pe_kernel_kmap_slots(kernel.handle, cpu, ffi.NULL, 0)
    if not count:
        raise ValueError(f"no windows are laid out for CPU {cpu}")
    slots = ffi.new("pe_kmap_slot[]", count)
    lib.pe_kernel_kmap_slots(kernel.handle, cpu, slots, count)
    return [Window(slot.va, slot.pte, slot.pfn, bool(slot.guard)) for slot in slots]


def pkmap(kernel: Kernel) -> list[PkmapSlot]:
    """The slots of PKMAP; none without highmem."""
    count = lib.pe_kernel_pkmap_slots(kernel.handle, ffi.NULL, 0)
    slots = ffi.new("pe_pkmap_slot[]", count)
    lib.pe_kernel_pkmap_slots(kernel.handle, slots, count)
    return [PkmapSlot(slot.va, slot.count, slot.pte, slot.pfn) for slot in slots]


def _map(function: Any, kernel: Kernel, pfn: int) -> int | None:
    err = error()
    va = ffi.new("uint32_t *")
    check(function(kernel.handle, pfn, va, err), err)
    return int(va[0]) or None
