"""A plain-Python shadow of processes: by page what is mapped, with which rights, content and sharers.

A :class:`Pair` makes each step in the model and in the shadow, and compares what comes out.  It knows nothing
of tables, areas or allocators: an address space is a dict from page numbers to cells.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass, field

from pyemu.kernel import Advice, Kernel, Map, Process, Prot, Signal
from pyemu.mmu import Access
from pyemu.mmu.batch import NO_ADDRESS, translate_many

PAGE = 4096
RW = Prot.READ | Prot.WRITE


class Frame:
    """A page of memory and how many cells of private memory name it."""

    def __init__(self, value: int, sharers: int = 1) -> None:
        self.value = value
        self.sharers = sharers


@dataclass
class Cell:
    """A page of an address space.  ``frame`` is None where a private page was never written."""

    prot: Prot
    shared: dict[int, Frame] | None = None
    index: int = 0
    frame: Frame | None = None

    def value(self) -> int:
        if self.shared is not None:
            frame = self.shared.get(self.index)
            return frame.value if frame else 0
        return self.frame.value if self.frame else 0

    def store(self, value: int) -> None:
        """As a write leaves it: a private page that others have too becomes a copy."""
        if self.shared is not None:
            self.shared.setdefault(self.index, Frame(0)).value = value
            return
        if self.frame is None:
            self.frame = Frame(value)
        elif self.frame.sharers == 1:
            self.frame.value = value
        else:
            self.frame.sharers -= 1
            self.frame = Frame(value)

    def drop(self) -> None:
        if self.frame is not None:
            self.frame.sharers -= 1
            self.frame = None


@dataclass
class Space:
    process: Process
    cells: dict[int, Cell] = field(default_factory=dict)
    parent: Space | None = None


def allowed(prot: Prot, access: Access) -> bool:
    """arch/arm/mm/fault.c, access_error: any right lets a load through."""
    if access is Access.READ:
        return prot != Prot.NONE
    return bool(prot & (Prot.WRITE if access is Access.WRITE else Prot.EXEC))


class Pair:
    """A model and its shadow, side by side."""

    def __init__(self, kernel: Kernel, *, exact_frames: bool = True) -> None:
        self.kernel = kernel
        self.exact_frames = exact_frames
        self.spaces: list[Space] = []
        self.base = (kernel.layout.task_size - (128 << 20)) // PAGE
        self.idle_pages = self._unaccounted()

    # ---- steps ----

    def spawn(self) -> Space:
        space = Space(self.kernel.spawn())
        self.spaces.append(space)
        return space

    def place(self, space: Space, pages: int) -> int:
        """The highest gap of so many pages below mmap_base."""
        end = self.base
        for page in sorted((p for p in space.cells if p < self.base), reverse=True):
            if end - page - 1 >= pages:
                break
            end = page
        return end - pages

    def mmap(self, space: Space, pages: int, prot: Prot, flags: Map, at: int | None = None) -> int:
        """The first page of a new mapping; ``at``: replaces what is there."""
        where = self.place(space, pages) if at is None else at
        fixed = Map.NONE if at is None else Map.FIXED
        got = space.process.mmap(pages * PAGE, 0 if at is None else at * PAGE, prot, flags | fixed)
        assert got == where * PAGE
        self._forget(space, where, pages)
        shared: dict[int, Frame] | None = {} if flags & Map.SHARED else None
        for index in range(pages):
            space.cells[where + index] = Cell(prot, shared, index)
        return where

    def munmap(self, space: Space, page: int, pages: int) -> None:
        space.process.munmap(page * PAGE, pages * PAGE)
        self._forget(space, page, pages)

    def mprotect(self, space: Space, page: int, pages: int, prot: Prot) -> None:
        """The range has to be mapped without holes."""
        space.process.mprotect(page * PAGE, pages * PAGE, prot)
        for at in range(page, page + pages):
            space.cells[at].prot = prot

    def dontneed(self, space: Space, page: int, pages: int) -> None:
        space.process.madvise(page * PAGE, pages * PAGE, Advice.DONTNEED)
        for at in range(page, page + pages):
            space.cells[at].drop()

    def mremap(self, space: Space, page: int, pages: int, new_pages: int) -> None:
        """The range has to lie in one area, and in one kind of memory."""
        first = space.cells[page]
        got = space.process.mremap(page * PAGE, pages * PAGE, new_pages * PAGE) // PAGE
        moved = {got + i: space.cells.pop(page + i) for i in range(min(pages, new_pages))}
        self._forget(space, page, pages)
        assert not any(at in space.cells for at in range(got, got + new_pages)), "moved onto another mapping"
        space.cells.update(moved)
        for index in range(pages, new_pages):
            space.cells[got + index] = Cell(first.prot, first.shared, first.index + index)

    def fork(self, space: Space) -> Space:
        child = Space(space.process.fork(), parent=space)
        for page, cell in space.cells.items():
            child.cells[page] = Cell(cell.prot, cell.shared, cell.index, cell.frame)
            if cell.frame is not None:
                cell.frame.sharers += 1
        self.spaces.append(child)
        return child

    def exit(self, space: Space) -> None:
        space.process.exit(7)
        self._forget(space, 0, 1 << 20)
        self.spaces.remove(space)
        parent = space.parent
        if parent in self.spaces:
            assert parent is not None
            assert parent.process.wait(space.process) == (space.process.pid, 7)

    def write(self, space: Space, page: int, value: int) -> None:
        cell = space.cells.get(page)
        data = value.to_bytes(8, "little")
        try:
            space.process.write(page * PAGE, data)
        except OSError:
            assert cell is None or not allowed(cell.prot, Access.WRITE)
            return
        assert cell is not None
        assert allowed(cell.prot, Access.WRITE)
        cell.store(value)

    def read(self, space: Space, page: int) -> None:
        cell = space.cells.get(page)
        try:
            data = space.process.read(page * PAGE, 8)
        except OSError:
            assert cell is None or not allowed(cell.prot, Access.READ)
            return
        assert cell is not None
        assert allowed(cell.prot, Access.READ)
        assert int.from_bytes(data, "little") == cell.value()

    def touch(self, space: Space, page: int, pages: int, access: Access) -> None:
        """One access a page, until one is not allowed."""
        done = space.process.access(page * PAGE, pages * PAGE, access)
        for at in range(page, page + pages):
            cell = space.cells.get(at)
            if cell is None or not allowed(cell.prot, access):
                assert (done.count, done.signal) == (at - page, Signal.SIGSEGV)
                assert (done.address, done.code) == (at * PAGE, 1 if cell is None else 2)
                return
            if access is Access.WRITE:
                cell.store(cell.value())
        assert (done.count, done.signal) == (pages, Signal.NONE)

    def _forget(self, space: Space, page: int, pages: int) -> None:
        for at in [p for p in space.cells if page <= p < page + pages]:
            space.cells.pop(at).drop()

    # ---- comparison ----

    def compare(self) -> None:
        """Areas, rights, content and sharing of every page; then the model's own recount."""
        self.kernel.check()
        assert self._unaccounted() == self.idle_pages, "a frame was lost"
        where: dict[int, int] = {}  # id of a frame: its physical address
        for space in self.spaces:
            areas = {p: a.prot for a in space.process.areas for p in range(a.start // PAGE, a.end // PAGE)}
            assert areas == {page: cell.prot for page, cell in space.cells.items()}
            for page, pa in self.translate(space, Access.READ).items():
                cell = space.cells[page]
                if pa == NO_ADDRESS:
                    continue
                assert allowed(cell.prot, Access.READ)
                data = self.kernel.memory.read(pa, 8)
                assert int.from_bytes(data, "little") == cell.value()
                frame = cell.frame if cell.shared is None else cell.shared.get(cell.index)
                if frame is not None and self.exact_frames:
                    assert where.setdefault(id(frame), pa) == pa, "one page in two frames"
                    page_info = self.kernel.page(pa // PAGE)
                    if cell.shared is None:
                        assert (page_info.mapcount, page_info.refcount) == (frame.sharers, frame.sharers)
                    else:
                        assert page_info.refcount == page_info.mapcount + 1
            for page, pa in self.translate(space, Access.WRITE).items():
                cell = space.cells[page]
                if pa != NO_ADDRESS:
                    assert allowed(cell.prot, Access.WRITE)
                    if cell.shared is None and cell.frame is not None:
                        assert cell.frame.sharers == 1, "writable in two places"
                    elif cell.shared is None:
                        assert not self.exact_frames, "writable, and was never written"
        assert len(set(where.values())) == len(where), "two pages in one frame"

    def _unaccounted(self) -> int:
        """Pages in use that none of the counters names."""
        info = self.kernel.meminfo
        counted = info.anon_pages + info.shmem + info.page_tables + info.kernel_stack + info.slab
        first_levels = 0 if self.kernel.config.lpae else 4 * len(self.spaces)
        return info.mem_total - info.mem_free - counted - first_levels

    def translate(self, space: Space, access: Access) -> dict[int, int]:
        """The physical address of each mapped page, NO_ADDRESS where the access faults."""
        pages = sorted(space.cells)
        out = array("Q", bytes(8 * len(pages)))
        vas = array("I", [p * PAGE for p in pages])
        translate_many(self.kernel.memory, space.process.regime, vas, out, access=access, privileged=False)
        return dict(zip(pages, out, strict=True))


# ---- random programs ----

_STEPS = {
    "spawn": 1,
    "mmap": 6,
    "munmap": 4,
    "mprotect": 4,
    "dontneed": 2,
    "mremap": 3,
    "fork": 2,
    "exit": 2,
    "write": 20,
    "read": 20,
    "touch": 8,
}
_PROTS = [RW, RW, RW, Prot.READ, Prot.NONE, RW | Prot.EXEC]


def random_step(rng: random.Random, pair: Pair, *, spaces: int = 8, pages: int = 2500) -> None:
    """One step that the present state allows; at most so many spaces, and about so many pages in each."""
    step = rng.choices(list(_STEPS), list(_STEPS.values()))[0]
    if not pair.spaces or (step == "spawn" and len(pair.spaces) < spaces):
        pair.spawn()
        return
    space = rng.choice(pair.spaces)
    if step == "exit":
        pair.exit(space)
    elif step == "fork":
        if len(pair.spaces) < spaces:
            pair.fork(space)
    elif step == "mmap":
        if len(space.cells) < pages:
            _random_mmap(rng, pair, space)
    elif space.cells:
        _random_change(rng, pair, space, step)


def _random_mmap(rng: random.Random, pair: Pair, space: Space) -> None:
    count = rng.choice([1, 2, 3, 16, 40, 300, 513, 1024])
    at = rng.choice(list(space.cells) or [0x10000]) + rng.randrange(-3, 4) if rng.random() < 0.25 else None
    sharing = rng.choice([Map.PRIVATE, Map.PRIVATE, Map.SHARED])
    pair.mmap(space, count, rng.choice(_PROTS), sharing, at)


def _random_change(rng: random.Random, pair: Pair, space: Space, step: str) -> None:
    page = rng.choice(list(space.cells))
    area = next(a for a in space.process.areas if a.start <= page * PAGE < a.end)
    count = rng.randint(1, min(area.end // PAGE - page, rng.choice([1, 4, 50, 600])))
    if step == "munmap":
        pair.munmap(space, page - rng.randrange(2), count + rng.randrange(3))
    elif step == "mprotect":
        pair.mprotect(space, page, count, rng.choice(_PROTS))
    elif step == "dontneed":
        pair.dontneed(space, page, count)
    elif step == "mremap":
        grown = 0 if space.cells[page].shared is not None else rng.choice([0, 0, rng.randint(1, 40)])
        pair.mremap(space, page, count, rng.choice([count, count, rng.randint(1, count)]) + grown)
    elif step == "write":
        pair.write(space, page + rng.randrange(-1, 2), rng.getrandbits(64))
    elif step == "read":
        pair.read(space, page + rng.randrange(-1, 2))
    else:
        pair.touch(space, page, count, rng.choice(list(Access)))
