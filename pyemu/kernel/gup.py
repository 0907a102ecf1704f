"""get_user_pages and pin_user_pages, fast and slow, of the address space that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from pyemu.native import check, error, ffi, lib

if TYPE_CHECKING:
    from pyemu.kernel.kernel import Kernel

__all__ = [
    "Foll",
    "GupCall",
    "GupRace",
    "GupResult",
    "GupStop",
    "GupTimes",
    "arm_race",
    "get_user_pages",
    "gup_test",
    "put_pages",
    "unpin_pages",
]


class GupCall(IntEnum):
    """Which function of mm/gup.c."""

    GUP_FAST = lib.PE_GUP_FAST
    GUP_FAST_ONLY = lib.PE_GUP_FAST_ONLY
    PIN_FAST = lib.PE_PIN_FAST
    PIN_FAST_ONLY = lib.PE_PIN_FAST_ONLY
    GUP = lib.PE_GUP
    PIN = lib.PE_PIN
    PIN_LONGTERM = lib.PE_PIN_LONGTERM

    @property
    def pins(self) -> bool:
        """Whether its pages go back by :func:`unpin_pages`."""
        return self.name.startswith("PIN")


class Foll(IntFlag):
    """gup_flags of a caller."""

    NONE = 0
    WRITE = lib.PE_FOLL_WRITE
    FORCE = lib.PE_FOLL_FORCE
    NOFAULT = lib.PE_FOLL_NOFAULT
    LONGTERM = lib.PE_FOLL_LONGTERM


class GupStop(IntEnum):
    """Why the fast walk ended before its last page, in the order of its checks."""

    NONE = lib.PE_GUP_STOP_NONE
    NO_FAST_GUP = lib.PE_GUP_STOP_NO_FAST_GUP
    SEQCOUNT = lib.PE_GUP_STOP_SEQCOUNT
    PGD_NONE = lib.PE_GUP_STOP_PGD_NONE
    PMD_ABSENT = lib.PE_GUP_STOP_PMD_ABSENT
    PMD_ACCESS = lib.PE_GUP_STOP_PMD_ACCESS
    PTE_TABLE = lib.PE_GUP_STOP_PTE_TABLE
    PTE_ACCESS = lib.PE_GUP_STOP_PTE_ACCESS
    PTE_SPECIAL = lib.PE_GUP_STOP_PTE_SPECIAL
    FOLIO = lib.PE_GUP_STOP_FOLIO
    CHANGED = lib.PE_GUP_STOP_CHANGED
    NOT_ALLOWED = lib.PE_GUP_STOP_NOT_ALLOWED
    UNSHARE = lib.PE_GUP_STOP_UNSHARE
    PIN_LONGTERM = lib.PE_GUP_STOP_PIN_LONGTERM


class GupRace(IntEnum):
    """What another CPU does between the fast walk's two looks at an entry."""

    PTE = lib.PE_GUP_RACE_PTE
    PMD = lib.PE_GUP_RACE_PMD
    FORK = lib.PE_GUP_RACE_FORK
    FREEZE = lib.PE_GUP_RACE_FREEZE


@dataclass(frozen=True)
class GupResult:
    """What became of the calls.

    ``pfns``          the pages that were got, in order.
    ``error``         a negative errno where there was none at all, else 0.
    ``fast``          how many of them the fast walk got.
    ``stop``          why its first walk that stopped did so, and at which address.
    ``windows``       PTE tables that the fast walk mapped through kmap_local windows.
    ``reports``       that the calls made.
    """

    pfns: tuple[int, ...]
    error: int
    fast: int
    stop: GupStop
    stop_address: int
    windows: int
    reports: int


@dataclass(frozen=True)
class GupTimes:
    """gup_test's figures: what getting and putting all pages cost; times at the core's clock."""

    pages: int
    error: int
    fast: int
    stop: GupStop
    windows: int
    reports: int
    size: int
    get_usec: int
    put_usec: int
    get_cycles: int
    put_cycles: int
    get_instructions: int
    put_instructions: int


def get_user_pages(
    kernel: Kernel,
    call: GupCall,
    addr: int,
    pages: int,
    *,
    pages_per_call: int | None = None,
    flags: Foll = Foll.NONE,
) -> GupResult:
    """Ask for ``pages`` pages from ``addr`` on, all at once or a number a call until one gets fewer.

    A kernel thread on the CPU raises NativeError; an errno of the call is a result.
    """
    err = error()
    pfns, out = ffi.new("uint32_t[]", max(pages, 1)), ffi.new("pe_gup_result *")
    per_call = pages if pages_per_call is None else pages_per_call
    check(lib.pe_kernel_gup(kernel.handle, int(call), addr, pages, per_call, int(flags), pfns, out, err), err)
    return GupResult(
        pfns=tuple(pfns[0 : max(out.pages, 0)]),
        error=min(out.pages, 0),
        fast=out.fast,
        stop=GupStop(out.stop),
        stop_address=out.stop_address,
        windows=out.windows,
        reports=out.reports,
    )


def put_pages(kernel: Kernel, pfns: Sequence[int]) -> None:
    """put_page of each; NativeError at the first that has no reference to give back."""
    _put(lib.pe_kernel_gup_put, kernel, pfns)


def unpin_pages(kernel: Kernel, pfns: Sequence[int]) -> None:
    """unpin_user_pages; NativeError at the first that is not pinned."""
    _put(lib.pe_kernel_unpin, kernel, pfns)


def gup_test(
    kernel: Kernel, call: GupCall, addr: int, size: int, pages_per_call: int, flags: Foll = Foll.NONE
) -> GupTimes:
    """The kernel's gup_test: get ``size`` bytes from ``addr`` on, some pages a call, and put them back."""
    err = error()
    test, out = ffi.new("pe_gup_test *"), ffi.new("pe_gup_test_result *")
    test.addr, test.size, test.nr_pages_per_call, test.gup_flags = addr, size, pages_per_call, int(flags)
    check(lib.pe_kernel_gup_test(kernel.handle, int(call), test, out, err), err)
    return GupTimes(
        pages=max(out.gup.pages, 0),
        error=min(out.gup.pages, 0),
        fast=out.gup.fast,
        stop=GupStop(out.gup.stop),
        windows=out.gup.windows,
        reports=out.gup.reports,
        size=test.size,
        get_usec=test.get_delta_usec,
        put_usec=test.put_delta_usec,
        get_cycles=out.get_cycles,
        put_cycles=out.put_cycles,
        get_instructions=out.get_instructions,
        put_instructions=out.put_instructions,
    )


def arm_race(kernel: Kernel, race: GupRace, addr: int) -> None:
    """The next fast walk that comes by ``addr`` meets another CPU there."""
    err = error()
    check(lib.pe_kernel_gup_race(kernel.handle, int(race), addr, err), err)


def _put(function: Any, kernel: Kernel, pfns: Sequence[int]) -> None:
    err = error()
    check(function(kernel.handle, ffi.new("uint32_t[]", list(pfns)), len(pfns), err), err)
