"""A set-associative cache in plain Python, written from the rules and not from the C."""

from __future__ import annotations

from dataclasses import dataclass, field


def random_numbers():  # type: ignore[no-untyped-def]
    """Marsaglia's xorshift with 32 bits of state, the generator that the model documents."""
    x = 0x2545F491
    while True:
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        yield x


@dataclass
class Line:
    number: int
    dirty: bool
    used: int
    shared: bool = False


@dataclass
class PlainCache:
    """``slots`` has for each set one entry a way: a line or None."""

    size_bytes: int
    ways: int
    line_bytes: int
    replacement: str = "lru"
    write_allocate: bool = True
    clock: int = 0
    evictions: int = 0
    write_backs: int = 0
    invalidations: int = 0
    slots: dict[int, list[Line | None]] = field(default_factory=dict)
    turn: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sets = self.size_bytes // self.ways // self.line_bytes
        self.numbers = random_numbers()

    def find(self, address: int) -> tuple[list[Line | None], int, Line | None]:
        number = address // self.line_bytes
        slots = self.slots.setdefault(number % self.sets, [None] * self.ways)
        return slots, number, next((line for line in slots if line and line.number == number), None)

    def access(self, address: int, write: bool = False) -> bool:
        if self.touch(address, write):
            return True
        if self.write_allocate or not write:
            self.fill(address, write)
        return False

    def touch(self, address: int, write: bool = False) -> Line | None:
        """The line, if it is here: used now, and dirty after a write."""
        self.clock += 1
        line = self.find(address)[2]
        if line is not None:
            line.used = self.clock
            line.dirty |= write
        return line

    def fill(self, address: int, dirty: bool = False) -> Line | None:
        """Puts a line in; returns the one that made room."""
        slots, number, _ = self.find(address)
        self.clock += 1
        way = slots.index(None) if None in slots else self.victim(slots, number % self.sets)
        gone = slots[way]
        if gone is not None:
            self.evictions += 1
            self.write_backs += gone.dirty
        slots[way] = Line(number, dirty, self.clock)
        return gone

    def victim(self, slots: list[Line | None], index: int) -> int:
        if self.replacement == "lru":
            return min(range(self.ways), key=lambda way: slots[way].used)  # type: ignore[union-attr]
        if self.replacement == "round-robin":
            way = self.turn.get(index, 0)
            self.turn[index] = (way + 1) % self.ways
            return way
        return int(next(self.numbers)) % self.ways

    def clean(self, address: int) -> None:
        _, _, line = self.find(address)
        if line is not None:
            self.write_backs += line.dirty
            line.dirty = False

    def invalidate(self, address: int) -> Line | None:
        """The line that was here."""
        slots, _, line = self.find(address)
        if line is not None:
            slots[slots.index(line)] = None
            self.invalidations += 1
        return line

    def invalidate_all(self) -> None:
        self.slots.clear()

    def clean_all(self) -> None:
        for slots in self.slots.values():
            for line in slots:
                if line is not None:
                    self.write_backs += line.dirty
                    line.dirty = False

    def dirty(self, address: int) -> bool:
        line = self.find(address)[2]
        return line is not None and line.dirty
