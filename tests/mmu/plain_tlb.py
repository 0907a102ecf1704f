"""TLBs in plain Python, written from the rules and not from the C: lists of entries, searched one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

MICRO, MAIN, MISS = 0, 1, 2
READ, WRITE, FETCH = 0, 1, 2
INSTRUCTION, LOAD, STORE = 0, 1, 2


@dataclass(frozen=True)
class Leaf:
    """What a walk finds: `size` bytes at `va`."""

    va: int
    size: int
    asid: int
    is_global: bool
    last_level: bool
    leaf_va: int = -1
    leaf_size: int = 0

    def covers(self, va: int) -> bool:
        return self.va <= va < self.va + self.size

    def matches(self, va: int, asid: int) -> bool:
        return self.covers(va) and (self.is_global or self.asid == asid)


@dataclass
class PlainArray:
    """`sets[i]` has a slot for each way: [entry, when used] or None."""

    entries: int
    ways: int
    sizes: tuple[int, ...]
    policy: str
    numbers: Iterator[int]
    clock: int = 0
    sets: list[list[list | None]] = field(default_factory=list)
    turn: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sets = [[None] * self.ways for _ in range(self.entries // self.ways)]

    def holds(self, va: int, asid: int) -> bool:
        return any(leaf.matches(va, asid) for leaf in self.all())

    def find(self, va: int, asid: int) -> Leaf | None:
        for size in sorted(self.sizes):
            for slot in self.sets[va // size % len(self.sets)]:
                if slot and slot[0].size == size and slot[0].matches(va, asid):
                    self.clock += 1
                    slot[1] = self.clock
                    return slot[0]
        return None

    def fill(self, va: int, leaf: Leaf) -> Leaf | None:
        size = max((s for s in self.sizes if s <= leaf.size), default=min(self.sizes))
        index = va // size % len(self.sets)
        slots = self.sets[index]
        way = slots.index(None) if None in slots else self.victim(index, slots)
        gone = slots[way]
        self.clock += 1
        slots[way] = [replace(leaf, va=va // size * size, size=size), self.clock]
        return gone[0] if gone else None

    def victim(self, index: int, slots: list) -> int:
        if self.policy == "lru":
            return min(range(self.ways), key=lambda way: slots[way][1])
        if self.policy == "random":
            return next(self.numbers) % self.ways
        way = self.turn.get(index, 0)
        self.turn[index] = (way + 1) % self.ways
        return way

    def drop(self, unwanted: Callable[[Leaf], bool]) -> list[Leaf]:
        dropped = []
        for slots in self.sets:
            for way, slot in enumerate(slots):
                if slot and unwanted(slot[0]):
                    slots[way] = None
                    dropped.append(slot[0])
        return dropped

    def all(self) -> list[Leaf]:
        return [slot[0] for slots in self.sets for slot in slots if slot]


class PlainTlb:
    """The TLBs of a core. `dropped`: (array, va, ASID) of what left a micro-TLB without maintenance of it."""

    def __init__(self, core, numbers: Callable[[], Iterator[int]]) -> None:  # type: ignore[no-untyped-def]
        def array(group: str) -> PlainArray:
            names = ("entries", "ways", "page_bytes", "replacement")
            return PlainArray(*(core[f"{group}.{name}"] for name in names), numbers())

        loads = array("micro_load")
        stores = array("micro_store") if core["micro_store.entries"] else loads
        self.micro = {READ: loads, WRITE: stores, FETCH: array("micro_instruction")}
        self.arrays = {INSTRUCTION: self.micro[FETCH], LOAD: loads}
        if stores is not loads:
            self.arrays[STORE] = stores
        self.dropped: list[tuple[int, int, int]] = []
        self.flushed_by_maintenance = core["micro_tlbs.flushed_by_maintenance"]
        self.flushed_by_context = core["micro_tlbs.flushed_by_context"]
        self.main = array("main_tlb")
        self.walk: list[tuple[int, int]] = []  # (stretch, ASID), least recently used first
        self.walk_entries = core["walk.cache_entries"]
        self.reach = core["walk.cache_reach_bytes"]
        self.walk_hits = 0

    def access(self, va: int, asid: int, access: int, leaf: Leaf | None) -> int:
        if self.micro[access].find(va, asid):
            return MICRO
        found = self.main.find(va, asid)
        if found:
            self.fill_micro(va, access, found)
            return MAIN
        if leaf:
            self.fill(va, asid, access, leaf)
        return MISS

    def fill_micro(self, va: int, access: int, leaf: Leaf) -> None:
        gone = self.micro[access].fill(va, leaf)
        if gone:
            which = next(n for n, array in self.arrays.items() if array is self.micro[access])
            self.dropped.append((which, gone.va, gone.asid))

    def drop_micro(self, unwanted: Callable[[Leaf], bool]) -> None:
        for which, array in self.arrays.items():
            self.dropped += [(which, leaf.va, leaf.asid) for leaf in array.drop(unwanted)]

    def context_changed(self) -> None:
        if self.flushed_by_context:
            self.drop_micro(lambda e: True)

    def fill(self, va: int, asid: int, access: int, leaf: Leaf) -> None:
        if leaf.last_level and self.walk_entries:
            stretch = (va // self.reach, asid)
            if stretch in self.walk:
                self.walk_hits += 1
                self.walk.remove(stretch)
            self.walk = [*self.walk, stretch][-self.walk_entries :]
        gone = self.main.fill(va, leaf)
        if gone:
            self.drop_micro(
                lambda e: gone.covers(e.va) and e.asid == gone.asid and e.is_global == gone.is_global
            )
        kept = self.main.find(va, asid)
        assert kept
        self.fill_micro(va, access, kept)

    def invalidate(self, operation: str, va: int, asid: int) -> int:
        def unwanted(e: Leaf) -> bool:
            same_leaf = e.leaf_va <= va < e.leaf_va + e.leaf_size
            same_space = e.is_global or e.asid == asid
            return {
                "ALL": True,
                "ASID": not e.is_global and e.asid == asid,
                "MVA": same_leaf and same_space,
                "MVAA": same_leaf,
            }[operation]

        if operation in ("MVA", "MVAA"):
            self.drop_micro(lambda e: unwanted(e) and not e.covers(va))
        for each in self.arrays.values():
            each.drop(unwanted)
        if self.flushed_by_maintenance:
            self.drop_micro(lambda e: True)
        self.walk = [
            (stretch, owner)
            for stretch, owner in self.walk
            if not (
                operation == "ALL"
                or (operation == "ASID" and owner == asid)
                or (operation in ("MVA", "MVAA") and stretch == va // self.reach)
            )
        ]
        return len(self.main.drop(unwanted))
