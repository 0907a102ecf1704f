"""``pt``, ``diff`` and ``w+x``: what the tables map, as ranges, as a tree, and what changed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from pyemu.config import UserError
from pyemu.debug.linux import LinuxLayout, linux_layout, undenied, user_opened
from pyemu.debug.parameters import Flag, Option, Range, Word
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.tree import Tree, table_tree
from pyemu.debug.words import counted, kernel_size, memory_type
from pyemu.mem import Memory
from pyemu.mmu import Flag as LeafFlag
from pyemu.mmu import MappedRange, Prot, Regime, mapped_ranges

__all__ = ["Difference", "Listing", "Ranges", "diff", "pt", "writable_and_executable"]

_SPACE = 1 << 32
_DOMAINS = {0: "KERNEL", 1: "USER", 2: "IO", 3: "VECTORS"}
# Linux's columns of a page by memory type (arch/arm/mm/dump.c).
_KERNEL_TYPES = {
    0x00: "SO/UNCACHED",
    0x44: "MEM/BUFFERABLE/WC",
    0xAA: "MEM/CACHED/WT",
    0xEE: "MEM/CACHED/WBRA",
    0xFF: "MEM/CACHED/WBWA",
    0x04: "DEV/SHARED",
}
_SOFTWARE_RDONLY = 1 << 58

FILTERS: dict[str, Callable[[MappedRange], bool]] = {
    "w+x": lambda r: _writable_and_executable(r),
    "user": lambda r: bool(r.prot_user),
    "kernel": lambda r: not r.prot_user,
    "device": lambda r: r.attr in (0x00, 0x04),
    "normal": lambda r: r.attr not in (0x00, 0x04),
    "exec": lambda r: Prot.EXEC in r.prot | r.prot_user,
    "write": lambda r: Prot.WRITE in r.prot | r.prot_user,
    "ro": lambda r: Prot.WRITE not in r.prot | r.prot_user,
    "global": lambda r: not r.flags & LeafFlag.NG,
    "nonglobal": lambda r: bool(r.flags & LeafFlag.NG),
    "block": lambda r: r.leaf_size > 1 << 16,
    "page": lambda r: r.leaf_size <= 1 << 16,
    "old": lambda r: not r.accessed,
}


def _writable_and_executable(r: MappedRange) -> bool:
    return any(Prot.WRITE in prot and Prot.EXEC in prot for prot in (r.prot, r.prot_user))


@dataclass(frozen=True)
class Ranges:
    """Merged ranges of one regime; ``dacr`` counts in the short format.

    ``closed``: ranges of TTBR0 are listed as user mode has them, and TTBCR keeps kernel mode from them now.
    """

    ranges: tuple[MappedRange, ...]
    long_format: bool
    dacr: int
    linux: LinuxLayout | None
    closed: bool = field(default=False, kw_only=True)

    @property
    def mapped(self) -> int:
        """Bytes."""
        return sum(each.size for each in self.ranges if not each.outside)


@dataclass(frozen=True)
class Listing(Ranges):
    """What ``pt`` shows: the layout of the kernel's own page-table dump (arch/arm/mm/dump.c).

    Permissions are those that the hardware checks. The total at the end counts each mapped byte once.
    ``whole``: nothing was filtered out, and areas that are empty have their marker too.
    """

    contiguous: bool
    title: str
    whole: bool

    @property
    def lines(self) -> list[str]:
        lines = []
        markers = list(self.linux.markers) if self.linux else []
        for each in self.ranges:
            passed = [name for start, name in markers if each.va >= start]
            markers = markers[len(passed) :]
            lines += [f"---[ {name} ]---" for name in (passed if self.whole else passed[-1:])]
            lines.append(self._line(each))
        lines += [f"---[ {name} ]---" for _, name in markers if self.whole]
        count = sum(each.descriptors for each in self.ranges)
        lines.append(
            f"{self.title}: {self.mapped:#x} bytes ({self.mapped >> 10} KB) mapped by "
            f"{counted(count, 'leaf', 'leaves')} in {counted(len(self.ranges), 'range')}"
        )
        if self.closed and any(each.prot_user for each in self.ranges):
            lines.append("kernel mode is kept from user addresses now: TTBCR.EPD0 (CONFIG_CPU_TTBR0_PAN)")
        return lines

    def _line(self, r: MappedRange) -> str:
        head = f"{r.va:#010x}-{r.end & 0xFFFF_FFFF:#010x}   {kernel_size(r.size):>10} {self._level(r)}"
        if r.outside:
            return f"{head} table outside memory: @{r.descriptor_pa:#x}"
        columns = [] if self.long_format else [f"{self._domain(r):<7}"]
        columns.append("USR" if Prot.READ in r.prot_user or r.prot_user else "   ")
        columns.append("RW" if Prot.WRITE in r.prot | r.prot_user else "ro")
        columns.append(execution(r))
        columns.append("SHD" if r.shareability else "   ")
        columns.append(_KERNEL_TYPES.get(r.attr, memory_type(r.attr)))
        notes = self._notes(r)
        return " ".join([head, *columns, *notes]).rstrip()

    def _level(self, r: MappedRange) -> str:
        if r.level == (3 if self.long_format else 2):
            return "PTE"
        return "PMD" if self.long_format and r.level == 2 else "PGD"

    def _domain(self, r: MappedRange) -> str:
        return _DOMAINS.get(r.domain, f"D{r.domain}") if self.linux else f"D{r.domain}"

    def _notes(self, r: MappedRange) -> Iterator[str]:
        if r.flags & LeafFlag.NG:
            yield "nG"
        if not r.accessed:
            yield "old"
        if r.flags & LeafFlag.NS:
            yield "NS"
        if r.flags & (LeafFlag.SUPERSECTION | LeafFlag.LARGE):
            yield kernel_size(r.leaf_size)
        if self.contiguous:
            yield f"-> {r.pa:#x}"
        if not self.long_format and self.dacr >> 2 * r.domain & 3 != 1:
            yield "manager" if self.dacr >> 2 * r.domain & 3 == 3 else "(DACR: no access)"


def execution(r: MappedRange) -> str:
    """``x`` where any privilege may execute; which, where they differ and both may read."""
    if Prot.EXEC not in r.prot | r.prot_user:
        return "NX"
    return "x "


@dataclass(frozen=True)
class Piece:
    """A stretch that differs: ``before`` and ``after`` are None where nothing is mapped."""

    va: int
    size: int
    before: str | None
    after: str | None

    @property
    def line(self) -> str:
        sign = "+" if self.before is None else "-" if self.after is None else "~"
        head = f"{sign} {self.va:#010x}-{self.va + self.size & 0xFFFF_FFFF:#010x} {kernel_size(self.size):>6}"
        if self.before is not None and self.after is not None:
            return f"{head}  {self.before}  =>  {self.after}"
        return f"{head}  {self.before or self.after}"


@dataclass(frozen=True)
class Difference:
    """What changed since ``name``."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def lines(self) -> list[str]:
        return [each.line for each in self.pieces] or [f"nothing changed since {self.name}"]


class _Saved:
    """Listings that were saved by name in this session."""

    def __init__(self, session: Session) -> None:
        self.listings: dict[str, Ranges] = {}


def ranges_of(
    memory: Memory, regime: Regime, layout: LinuxLayout | None, start: int, end: int, *, contiguous: bool
) -> Ranges:
    """The merged ranges in [start, end) under a regime; with no domain denied, as if DACR let all in."""
    mask = _SOFTWARE_RDONLY if layout and regime.long_format else 0
    used = user_opened(regime) if layout else undenied(regime)
    found = mapped_ranges(memory, used, start, end, contiguous=contiguous, descriptor_mask=mask)
    return Ranges(tuple(found), regime.long_format, regime.dacr, layout, closed=used.ttbcr != regime.ttbcr)


@command(
    "pt",
    Range("range", optional=True),
    Flag("--user", "side", "user"),
    Flag("--kernel", "side", "kernel"),
    Option("--filter", Word("filter")),
    Flag("--pa", "contiguous"),
    Flag("--tree"),
    Option("--save", Word("save")),
    group="tables",
    example="pt --kernel --filter w+x",
)
def pt(
    session: Session,
    range: tuple[int, int] | None = None,
    side: str | None = None,
    filter: str | None = None,
    contiguous: bool = False,
    tree: bool = False,
    save: str | None = None,
) -> Listing | Tree:
    """What the tables of the current CPU map, merged, in the layout of Linux's kernel_page_tables.

    ``--user`` and ``--kernel`` choose the half: below and above Linux's TASK_SIZE, or what TTBR0 and TTBR1
    translate. ``--filter`` takes some of w+x, user, kernel, device, normal, exec, write, ro, global,
    nonglobal, block, page, old, joined by commas; all must hold. ``--pa`` cuts where physical addresses do
    not go on, and shows them. ``--tree`` shows the tables instead. ``--save NAME`` keeps it for ``diff``.
    """
    layout = linux_layout(session)
    regime = session.regime
    start, end = range or _half(session, layout, side)
    if tree:
        return table_tree(session.memory, regime, start, end)
    if save is not None:
        whole = ranges_of(session.memory, regime, layout, 0, _SPACE, contiguous=True)
        session.part(_Saved).listings[save] = whole
    found = ranges_of(session.memory, regime, layout, start, end, contiguous=contiguous)
    kept = tuple(each for each in found.ranges if _passes(each, filter))
    name = f"{start:#010x}-{end:#x}" if range else side or "all"
    # Areas that a listing of something else cannot meet say nothing.
    shown = layout if layout and end > layout.task_size else None
    return Listing(
        kept,
        found.long_format,
        found.dacr,
        shown,
        closed=found.closed,
        contiguous=contiguous,
        title=name,
        whole=not (filter or range),
    )


def _half(session: Session, layout: LinuxLayout | None, side: str | None) -> tuple[int, int]:
    if side is None:
        return 0, _SPACE
    regime = session.regime
    if layout is not None:
        border = layout.task_size
    elif regime.long_format:
        t0sz, t1sz = regime.ttbcr & 7, regime.ttbcr >> 16 & 7
        border = _SPACE - (_SPACE >> t1sz) if t1sz else _SPACE >> t0sz
    else:
        border = _SPACE >> (regime.ttbcr & 7)
    if side == "user":
        return 0, border
    return border % _SPACE, _SPACE


def _passes(each: MappedRange, filters: str | None) -> bool:
    for name in (filters or "").split(","):
        if name and name not in FILTERS:
            raise UserError(f"no filter {name!r}: there are {', '.join(FILTERS)}")
        if name and (each.outside or not FILTERS[name](each)):
            return False
    return True


@command("w+x", group="tables", example="w+x", aliases=("wx",))
def writable_and_executable(session: Session) -> Listing:
    """What may be written and executed by the same privilege."""
    found = pt(session, filter="w+x", contiguous=True)
    assert isinstance(found, Listing)
    return replace(found, title="writable and executable")


@command("diff", Word("name"), group="tables", example="diff before")
def diff(session: Session, name: str) -> Difference:
    """What the tables map now that they did not, or differently, when ``pt --save NAME`` was done.

    The name of a snapshot file compares with that one's current CPU.
    """
    saved = session.part(_Saved).listings.get(name)
    if saved is None:
        saved = _of_snapshot(session, name)
    now = ranges_of(session.memory, session.regime, linux_layout(session), 0, _SPACE, contiguous=True)
    return Difference(name, tuple(_compare(saved, now)))


def _of_snapshot(session: Session, name: str) -> Ranges:
    from pyemu.debug.opening import open_target

    if not os.path.isfile(name):  # Path.is_file raises for names that are too long
        known = ", ".join(session.part(_Saved).listings) or "none"
        raise UserError(
            f"{name!r} is neither a saved listing ({known}) nor a file: `pt --save NAME` saves one"
        )
    with Session(open_target(name)) as other:
        other.select(min(session.cpu, other.target.cpus - 1))
        return ranges_of(other.memory, other.regime, linux_layout(other), 0, _SPACE, contiguous=True)


def _compare(before: Ranges, after: Ranges) -> Iterator[Piece]:
    """Stretches where two lists differ: both are cut at every border of either."""
    borders = sorted({at for each in (before, after) for r in each.ranges for at in (r.va, r.end)})
    old, new = iter(before.ranges), iter(after.ranges)
    a, b = next(old, None), next(new, None)
    pieces: list[Piece] = []
    for start, end in itertools.pairwise(borders):
        while a is not None and a.end <= start:
            a = next(old, None)
        while b is not None and b.end <= start:
            b = next(new, None)
        x = _at(a, start) if a is not None and a.va <= start else None
        y = _at(b, start) if b is not None and b.va <= start else None
        if x == y:
            continue
        piece = Piece(start, end - start, _said(x), _said(y))
        pieces.append(piece)
    yield from pieces


def _at(r: MappedRange, va: int) -> MappedRange:
    """The range as it is from an address on, without what depends on how it was cut."""
    return replace(r, va=va, size=0, pa=r.pa + va - r.va, descriptor=0, descriptor_pa=0, descriptors=0)


def _said(r: MappedRange | None) -> str | None:
    if r is None:
        return None
    if r.outside:
        return "table outside memory"
    who = "USR" if r.prot_user else "   "
    write = "RW" if Prot.WRITE in r.prot | r.prot_user else "ro"
    return f"{r.pa:#x} {who} {write} {execution(r)} {memory_type(r.attr)} {kernel_size(r.leaf_size)}"
