"""L1I and L1D of each CPU and one L2 in plain Python, from the rules in docs/model.md."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.timing.plain_cache import Line, PlainCache


class PlainCaches:
    """``misses``: by (level, CPU, write), levels "l1i", "l1d" and "l2"."""

    def __init__(self, core: Any, cpus: int) -> None:
        def cache(level: str) -> PlainCache:
            names = ("size_bytes", "ways", "line_bytes", "replacement", "write_allocate")
            return PlainCache(*(core[f"{level}.{name}"] for name in names))

        self.l1i = [cache("l1i") for _ in range(cpus)]
        self.l1d = [cache("l1d") for _ in range(cpus)]
        self.l2 = cache("l2")
        self.walks_in_l1d = core["walk.through_l1d"]
        self.misses: Counter[tuple[str, int, bool]] = Counter()

    def fetch(self, cpu: int, pa: int) -> None:
        if self.l1i[cpu].touch(pa) is None:
            self.misses["l1i", cpu, False] += 1
            self._second(cpu, pa, write=False)
            self.l1i[cpu].fill(pa)

    def load(self, cpu: int, pa: int) -> None:
        l1 = self.l1d[cpu]
        if l1.touch(pa) is not None:
            return
        self.misses["l1d", cpu, False] += 1
        shared = self._ask_others(cpu, pa, store=False)
        self._second(cpu, pa, write=False)
        self._write_back(cpu, l1, l1.fill(pa))
        filled = l1.find(pa)[2]
        assert filled is not None
        filled.shared = shared

    def store(self, cpu: int, pa: int) -> None:
        l1 = self.l1d[cpu]
        line = l1.touch(pa)
        if line is not None:
            if line.shared:
                self._ask_others(cpu, pa, store=True)
            line.dirty, line.shared = True, False
            return
        self._ask_others(cpu, pa, store=True)
        self.misses["l1d", cpu, True] += 1
        if not l1.write_allocate:
            self._second(cpu, pa, write=True)
            return
        self._second(cpu, pa, write=False)
        self._write_back(cpu, l1, l1.fill(pa, dirty=True))

    def walk(self, cpu: int, pa: int) -> None:
        if self.walks_in_l1d:
            self.load(cpu, pa)
        else:
            self._second(cpu, pa, write=False)

    # ---- below L1 ----

    def _second(self, cpu: int, pa: int, write: bool) -> None:
        if self.l2.touch(pa, write) is not None:
            return
        self.misses["l2", cpu, write] += 1
        if not write or self.l2.write_allocate:
            self._leave(self.l2.fill(pa, write))

    def _leave(self, gone: Line | None) -> None:
        """Every line of L1D is in L2 too."""
        if gone is None:
            return
        base = gone.number * self.l2.line_bytes
        for l1 in self.l1d:
            for pa in range(base, base + self.l2.line_bytes, l1.line_bytes):
                l1.invalidate(pa)

    def _write_back(self, cpu: int, l1: PlainCache, line: Line | None) -> None:
        if line is not None and line.dirty:
            self._second(cpu, line.number * l1.line_bytes, write=True)

    def _ask_others(self, cpu: int, pa: int, store: bool) -> bool:
        found = False
        for number, l1 in enumerate(self.l1d):
            line = l1.find(pa)[2]
            if number == cpu or line is None:
                continue
            found = True
            self._write_back(number, l1, line)
            line.dirty, line.shared = False, True
            if store:
                l1.invalidate(pa)
        return found

    # ---- maintenance ----

    def maintain(self, pa: int, clean: bool, invalidate: bool) -> None:
        """A line of data in every L1D and in L2."""
        for number, l1 in enumerate(self.l1d):
            line = l1.find(pa)[2]
            if line is not None and clean:
                self._write_back(number, l1, line)
                line.dirty = False
            if invalidate:
                l1.invalidate(pa)
        if clean:
            self.l2.clean(pa)
        if invalidate:
            self._leave(self.l2.invalidate(pa))

    def maintain_way(
        self, cpu: int, second: bool, index: int, way: int, clean: bool, invalidate: bool
    ) -> None:
        """Line number ``way`` of a set: whoever asks for all of them gets all of them."""
        cache = self.l2 if second else self.l1d[cpu]
        slots = cache.slots.get(index)
        line = slots[way] if slots is not None and way < cache.ways else None
        if line is not None:
            self.maintain(line.number * cache.line_bytes, clean, invalidate)

    def forget_fetched(self, cpu: int) -> None:
        self.l1i[cpu].invalidate_all()
