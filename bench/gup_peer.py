"""Peers of the fast walk: a copy loop in C with the same traffic, and a walker in plain Python."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from time import perf_counter
from typing import Any

from cffi import FFI

from pyemu.kernel import Kernel
from pyemu.kernel.process import Process

PAGE = 4096
_ADDRESS = 0xFF_FFFF_F000
_PRESENT, _USER, _SPECIAL, _RDONLY = 3, 1 << 6, 1 << 56, 1 << 58


class CopyLoop:
    """``bench/gup_peer.c``, built by the host's compiler, on ``pages`` pages, which touch or are shuffled."""

    def __init__(self, folder: Path, pages: int, *, shuffled: bool = False) -> None:
        library = folder / "gup_peer.so"
        source = Path(__file__).with_suffix(".c")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-std=c11", "-O3", "-shared", "-fPIC", "-o", library, source], check=True)
        ffi = FFI()
        ffi.cdef(
            "void peer_calls(const uint64_t *, uint32_t *, void *, uint32_t, uint32_t, int);"
            "typedef struct { int32_t refcount; uint32_t other[7]; } peer_page;"
        )
        self._lib: Any = ffi.dlopen(str(library))
        self._pages = pages
        order = list(range(pages))
        if shuffled:
            random.Random(1).shuffle(order)
        self._shuffled = shuffled
        self._ptes = ffi.new("uint64_t[]", [page << 12 | 0x7DF for page in order])
        self._list = ffi.new("uint32_t[]", pages)
        self._structs = ffi.new("peer_page[]", pages)

    def seconds(self, per_call: int) -> float:
        """All pages, ``per_call`` of them a call."""
        calls = self._pages // per_call
        start = perf_counter()
        self._lib.peer_calls(self._ptes, self._list, self._structs, per_call, calls, self._shuffled)
        return perf_counter() - start


class PythonWalk:
    """The same walk in Python on a copy of guest RAM's tables: no windows, no bill."""

    def __init__(self, kernel: Kernel, process: Process) -> None:
        self._read = kernel.memory.read
        self._pgd = process.info.pgd_pa
        self.references: dict[int, int] = {}

    def get(self, addr: int, pages: int) -> list[int]:
        """The pages' frame numbers, up to the first that cannot be had."""
        got: list[int] = []
        end = addr + pages * PAGE
        while addr < end:
            border = min((addr >> 21) + 1 << 21, end)
            pgd = self._entry(self._pgd + (addr >> 30) * 8)
            pmd = self._entry((pgd & _ADDRESS) + (addr >> 21 & 511) * 8) if pgd & 3 == 3 else 0
            if pmd & 3 != 3:
                break
            table = self._read((pmd & _ADDRESS) + (addr >> 12 & 511) * 8, (border - addr) // PAGE * 8)
            for pte in memoryview(table).cast("Q"):
                if pte & (_PRESENT | _USER | _SPECIAL | _RDONLY) != _PRESENT | _USER:
                    return got
                pfn = (pte & _ADDRESS) >> 12
                self.references[pfn] = self.references.get(pfn, 1) + 1
                got.append(pfn)
            addr = border
        return got

    def seconds(self, addr: int, pages: int, per_call: int) -> float:
        """All pages, ``per_call`` of them a call."""
        start = perf_counter()
        for at in range(0, pages, per_call):
            self.get(addr + at * PAGE, per_call)
        return perf_counter() - start

    def _entry(self, pa: int) -> int:
        return int.from_bytes(self._read(pa, 8), "little")
