"""The fast walk of get_user_pages, functional mode, beside a copy of the same traffic and a walker in Python.

    pytest bench/ -k gup

A call of the model walks tables in guest RAM, maps each PTE table of highmem through a window, takes
references and gives a list of pages. The copy loop does nothing but move as many bytes. The address
space is gup_test's default of 128 MB, of pages that touch, as fresh memory has them; each value is the
best of several runs in a row, so that the caches hold what they can.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from bench.conftest import Scoreboard, in_turns
from bench.gup_peer import CopyLoop, PythonWalk
from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.gup import Foll, GupCall
from pyemu.kernel.process import Map, Process, spawn
from pyemu.native import check, error, ffi, lib
from tests.kernel.user_tables import UserTables

PAGE = 4096
SIZE = 128 * MIB
PAGES = SIZE // PAGE
ADDR = 0x2000_0000
PER_CALL = 512
ROUNDS = 15
IN_A_ROW = 8


class Gup:
    """A model with a populated address space, and room for the pages of a run."""

    def __init__(self, *, shuffled: bool = False, **options: Any) -> None:
        self.kernel = Kernel(KernelConfig(memory_bytes=2 * GIB, **{"functional": True, **options}))
        self.process: Process = spawn(self.kernel, "gup_test")
        self.process.mmap(SIZE, ADDR, flags=Map.PRIVATE | Map.FIXED | Map.NOHUGEPAGE)
        self.process.touch(ADDR, SIZE, write=True)
        self.process.run()
        if shuffled:
            self._shuffle()
        self._pfns = ffi.new("uint32_t[]", PAGES)
        self._out = ffi.new("pe_gup_result *")

    def _shuffle(self) -> None:
        tables = UserTables(self.kernel, self.process)
        addresses = range(ADDR, ADDR + SIZE, PAGE)
        entries = [tables.read_pte(addr) for addr in addresses]
        random.Random(1).shuffle(entries)
        for addr, entry in zip(addresses, entries, strict=True):
            tables.write_pte(addr, entry)

    def seconds(self, call: GupCall = GupCall.GUP_FAST, per_call: int = PER_CALL) -> float:
        """All pages once; what they took is given back, untimed."""
        err = error()
        handle = self.kernel.handle
        start = perf_counter()
        status = lib.pe_kernel_gup(
            handle, int(call), ADDR, PAGES, per_call, int(Foll.WRITE), self._pfns, self._out, err
        )
        taken = perf_counter() - start
        check(status, err)
        assert self._out.pages == PAGES
        put = lib.pe_kernel_unpin if call.pins else lib.pe_kernel_gup_put
        check(put(handle, self._pfns, PAGES, err), err)
        return taken


def best(seconds: Callable[[], float]) -> Callable[[], float]:
    """Of runs in a row, a page."""
    return lambda: min(seconds() for _ in range(IN_A_ROW)) / PAGES


def test_gup_fast_beside_a_copy_of_the_same_traffic(scoreboard: Scoreboard, tmp_path: Path) -> None:
    gup, peer = Gup(), CopyLoop(tmp_path, PAGES)
    walk = PythonWalk(gup.kernel, gup.process)
    first = UserTables(gup.kernel, gup.process).pfn(ADDR)
    assert walk.get(ADDR, PAGES) == list(range(first, first + PAGES))
    times = in_turns({"ours": best(gup.seconds), "copy": best(lambda: peer.seconds(PER_CALL))}, ROUNDS)
    scoreboard.compare("gup_fast, 512 pages a call, a page", times["ours"], "copy loop", times["copy"], 2)
    python = in_turns({"ours": gup.seconds, "walk": lambda: walk.seconds(ADDR, PAGES, PER_CALL)}, 3)
    ours, theirs = ([value / PAGES for value in python[name]] for name in ("ours", "walk"))
    scoreboard.compare("the same, caches cold", ours, "plain Python", theirs)


@pytest.mark.parametrize("per_call", [1, 8, 64])
def test_gup_fast_of_fewer_pages_a_call(scoreboard: Scoreboard, tmp_path: Path, per_call: int) -> None:
    gup, peer = Gup(), CopyLoop(tmp_path, PAGES)
    ours, theirs = best(lambda: gup.seconds(per_call=per_call)), best(lambda: peer.seconds(per_call))
    times = in_turns({"ours": ours, "copy": theirs}, 3)
    what = f"gup_fast, {per_call} page{'s' if per_call > 1 else ''} a call, a page"
    scoreboard.compare(what, times["ours"], "copy loop", times["copy"])


def test_gup_fast_of_pages_in_random_order(scoreboard: Scoreboard, tmp_path: Path) -> None:
    gup, peer = Gup(shuffled=True), CopyLoop(tmp_path, PAGES, shuffled=True)
    times = in_turns({"ours": best(gup.seconds), "copy": best(lambda: peer.seconds(PER_CALL))}, ROUNDS)
    scoreboard.compare("gup_fast, pages in random order, a page", times["ours"], "copy loop", times["copy"])


@pytest.mark.parametrize(
    ("what", "call", "options"),
    [
        ("pin_fast", GupCall.PIN_FAST, {}),
        ("slow GUP", GupCall.GUP, {}),
        ("gup_fast, instructions billed", GupCall.GUP_FAST, {"functional": False}),
        (
            "gup_fast, cycles of caches and TLBs",
            GupCall.GUP_FAST,
            {"functional": False, "timing": "cache", "core": "cortex-a15"},
        ),
    ],
)
def test_other_ways_to_the_same_pages(
    scoreboard: Scoreboard, tmp_path: Path, what: str, call: GupCall, options: dict[str, Any]
) -> None:
    gup, peer = Gup(**options), CopyLoop(tmp_path, PAGES)
    ours, theirs = best(lambda: gup.seconds(call)), best(lambda: peer.seconds(PER_CALL))
    times = in_turns({"ours": ours, "copy": theirs}, 3)
    scoreboard.compare(f"{what}, a page", times["ours"], "copy loop", times["copy"])
