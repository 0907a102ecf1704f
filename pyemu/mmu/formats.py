"""The two descriptor formats as :class:`PageTables` writes them: geometry, and encoding of named attributes.

Bits are those of ARM DDI 0406C B3.5.1 (short) and B3.6.1 (long).  Memory types use the attribute indices that
Linux uses, so that tables of both formats mean the same by the same name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

__all__ = [
    "FORMATS",
    "INVALID",
    "MEMORY_TYPES",
    "Attributes",
    "Entry",
    "Format",
    "Kind",
    "Leaf",
    "Level",
    "LongFormat",
    "ShortFormat",
]

# Attribute index in MAIR, or TEX[0]:C:B with TEX remap, of each memory type.
MEMORY_TYPES = {"so": 0, "nc": 1, "wt": 2, "wb": 3, "device": 4, "normal": 7}
_MEMORY_NAMES = {index: name for name, index in MEMORY_TYPES.items()}
_SHAREABILITY = {"none": 0, "outer": 2, "inner": 3}
_SHAREABILITY_NAMES = {code: name for name, code in _SHAREABILITY.items()}

_SCTLR_M = 1 << 0
_SCTLR_TRE = 1 << 28
_SCTLR_AFE = 1 << 29

_4G = 1 << 32


@dataclass(frozen=True)
class Attributes:
    """What a mapping grants and which memory it is.

    ``memory``: ``"normal"`` (write-back, write-allocate), ``"wb"`` (write-back), ``"wt"`` (write-through),
    ``"nc"`` (normal, not cached), ``"device"`` or ``"so"`` (strongly ordered).  ``read`` and ``write`` hold
    for PL1, and with ``user`` for PL0 too.  ``execute`` False is XN, ``pxn`` forbids execution at PL1 only.
    ``ng``: not global, matched with the ASID.  ``shareability``: ``"inner"``, ``"outer"`` (long format only)
    or ``"none"``.  ``accessed``: the access flag (long format only).  ``domain``: 0 to 15 (short format
    only).
    """

    memory: str = "normal"
    read: bool = True
    write: bool = True
    user: bool = False
    execute: bool = True
    pxn: bool = False
    ng: bool = False
    shareability: str = "inner"
    accessed: bool = True
    domain: int = 0

    def __post_init__(self) -> None:
        if self.memory not in MEMORY_TYPES:
            raise ValueError(f"memory type {self.memory!r} is unknown; there are {', '.join(MEMORY_TYPES)}")
        if self.shareability not in _SHAREABILITY:
            raise ValueError(
                f"shareability {self.shareability!r} is unknown; there are {', '.join(_SHAREABILITY)}"
            )
        if not 0 <= self.domain <= 15:
            raise ValueError(f"domain {self.domain} does not exist; there are 0 to 15")
        if self.write and not self.read:
            raise ValueError("no format has write without read permission")


class Kind(Enum):
    INVALID = 0
    TABLE = 1
    LEAF = 2


@dataclass(frozen=True)
class Leaf:
    """A size that a leaf can have: ``1 << shift`` bytes, as ``repeat`` identical descriptors of ``level``."""

    level: int
    shift: int
    repeat: int


@dataclass(frozen=True)
class Level:
    """One level of tables: an entry covers ``1 << shift`` bytes, a table has ``entries`` of them."""

    shift: int
    entries: int


@dataclass(frozen=True)
class Entry:
    """A decoded descriptor; ``pa`` is that of the next table, or the first byte that the leaf maps."""

    kind: Kind
    pa: int = 0
    leaf: Leaf | None = None
    attributes: Attributes | None = None


INVALID = Entry(Kind.INVALID)


class Format(ABC):
    """Geometry and encoding of one descriptor format."""

    name: str
    entry_bytes: int
    root_bytes: int
    table_bytes: int  # below the root
    table_pa_limit: int
    levels: Mapping[int, Level]
    leaves: tuple[Leaf, ...]  # largest first

    @property
    def last_level(self) -> int:
        return max(self.levels)

    @abstractmethod
    def check(self, attributes: Attributes) -> None:
        """ValueError when this format cannot express the attributes."""

    @abstractmethod
    def fits(self, leaf: Leaf, pa: int, attributes: Attributes) -> bool:
        """Whether ``leaf`` can map the (aligned) ``pa`` with these attributes."""

    @abstractmethod
    def encode(self, leaf: Leaf, pa: int, attributes: Attributes) -> int: ...

    @abstractmethod
    def encode_table(self, pa: int, attributes: Attributes) -> int:
        """A table descriptor above leaves with these attributes."""

    @abstractmethod
    def decode(self, level: int, descriptor: int, below: int | None = None) -> Entry:
        """What a descriptor of ``level`` is; ``below``: the table descriptor that led to it."""

    @abstractmethod
    def registers(self, root: int) -> dict[str, int]:
        """The registers that make these tables the whole address space, and the SCTLR bits to set."""

    def shared(self, attributes: Attributes) -> tuple[int, ...]:
        """What all leaves of one second-level table have in common, because the descriptor above them holds
        it.
        """
        return ()

    def breaks_up(self, leaf: Leaf, pa: int) -> bool:
        """Whether ``leaf`` at ``pa`` can be replaced by smaller ones."""
        return True


class LongFormat(Format):
    """Long descriptors with T0SZ = 0: TTBR0 translates all 4 GB in 1 GB, 2 MB and 4 KB leaves."""

    name = "lpae"
    entry_bytes = 8
    root_bytes = 4096
    table_bytes = 4096
    table_pa_limit = 1 << 40
    levels = MappingProxyType({1: Level(30, 4), 2: Level(21, 512), 3: Level(12, 512)})
    leaves = (Leaf(1, 30, 1), Leaf(2, 21, 1), Leaf(3, 12, 1))

    def check(self, attributes: Attributes) -> None:
        if not attributes.read:
            raise ValueError("the long format cannot forbid reads of a mapped page; unmap it")
        if attributes.domain:
            raise ValueError(f"domain {attributes.domain}: the long format has no domains")

    def fits(self, leaf: Leaf, pa: int, attributes: Attributes) -> bool:
        return True

    def encode(self, leaf: Leaf, pa: int, attributes: Attributes) -> int:
        a = attributes
        return (
            (0b11 if leaf.level == 3 else 0b01)
            | MEMORY_TYPES[a.memory] << 2
            | a.user << 6
            | (not a.write) << 7
            | _SHAREABILITY[a.shareability] << 8
            | a.accessed << 10
            | a.ng << 11
            | pa
            | a.pxn << 53
            | (not a.execute) << 54
        )

    def encode_table(self, pa: int, attributes: Attributes) -> int:
        return pa | 0b11

    def decode(self, level: int, descriptor: int, below: int | None = None) -> Entry:
        d = descriptor
        if not d & 1 or (level == 3 and not d & 2):
            return INVALID
        address = d & 0xFF_FFFF_F000
        if level < 3 and d & 2:
            return Entry(Kind.TABLE, address)
        leaf = self.leaves[level - 1]
        attributes = Attributes(
            memory=_MEMORY_NAMES.get(d >> 2 & 7, "so"),
            write=not d >> 7 & 1,
            user=bool(d >> 6 & 1),
            execute=not d >> 54 & 1,
            pxn=bool(d >> 53 & 1),
            ng=bool(d >> 11 & 1),
            shareability=_SHAREABILITY_NAMES.get(d >> 8 & 3, "none"),
            accessed=bool(d >> 10 & 1),
        )
        return Entry(Kind.LEAF, address >> leaf.shift << leaf.shift, leaf, attributes)

    def registers(self, root: int) -> dict[str, int]:
        # TTBCR: EAE; walks read write-back, write-allocate, inner shareable memory (IRGN0, ORGN0, SH0).
        return {
            "sctlr": _SCTLR_M | _SCTLR_TRE | _SCTLR_AFE,
            "ttbcr": 1 << 31 | 0b11 << 12 | 0b01 << 10 | 0b01 << 8,
            "ttbr0": root,
            "mair0": 0xEEAA4400,
            "mair1": 0xFF000004,
        }


class ShortFormat(Format):
    """Short descriptors with TTBCR.N = 0, TEX remap and AFE = 0: 16 MB, 1 MB, 64 KB and 4 KB leaves."""

    name = "short"
    entry_bytes = 4
    root_bytes = 16384
    table_bytes = 1024
    table_pa_limit = _4G
    levels = MappingProxyType({1: Level(20, 4096), 2: Level(12, 256)})
    leaves = (Leaf(1, 24, 16), Leaf(1, 20, 1), Leaf(2, 16, 16), Leaf(2, 12, 1))
    _super, _section, _large, _small = leaves

    def check(self, attributes: Attributes) -> None:
        if not attributes.accessed:
            raise ValueError("accessed=False: the short format has no access flag with SCTLR.AFE = 0")
        if attributes.shareability == "outer":
            raise ValueError('shareability "outer": S = 1 is "inner" with this PRRR; the other is "none"')
        if attributes.user and not attributes.read:
            raise ValueError("user=True needs read=True")

    def fits(self, leaf: Leaf, pa: int, attributes: Attributes) -> bool:
        if leaf is self._super:
            return attributes.domain == 0  # a supersection has address bits where others have the domain
        return pa < _4G

    @staticmethod
    def _ap(a: Attributes) -> int:
        """AP[2:0], table B3-8."""
        if not a.read:
            return 0b000
        return (not a.write) << 2 | a.user << 1 | 1

    def encode(self, leaf: Leaf, pa: int, attributes: Attributes) -> int:
        a, ap, n = attributes, self._ap(attributes), MEMORY_TYPES[attributes.memory]
        tex0, cb = n >> 2, n & 3
        shared = a.shareability != "none"
        if leaf.level == 1:
            common = (
                0b10
                | a.pxn
                | cb << 2
                | (not a.execute) << 4
                | (ap & 3) << 10
                | tex0 << 12
                | (ap >> 2) << 15
                | shared << 16
                | a.ng << 17
            )
            if leaf is self._super:
                return common | 1 << 18 | pa & 0xFF00_0000 | (pa >> 32 & 15) << 20 | (pa >> 36 & 15) << 5
            return common | a.domain << 5 | pa
        common = cb << 2 | (ap & 3) << 4 | (ap >> 2) << 9 | shared << 10 | a.ng << 11 | pa
        if leaf is self._large:
            return common | 0b01 | tex0 << 12 | (not a.execute) << 15
        return common | 0b10 | (not a.execute) | tex0 << 6

    def shared(self, attributes: Attributes) -> tuple[int, ...]:
        return (attributes.pxn, attributes.domain)

    def breaks_up(self, leaf: Leaf, pa: int) -> bool:
        return pa < _4G

    def encode_table(self, pa: int, attributes: Attributes) -> int:
        return pa | 0b01 | attributes.pxn << 2 | attributes.domain << 5

    def decode(self, level: int, descriptor: int, below: int | None = None) -> Entry:
        d = descriptor
        if d & 3 == 0:
            return INVALID
        if level == 1:
            if d & 3 == 1:
                held = Attributes(write=False, pxn=bool(d & 4), domain=d >> 5 & 15)
                return Entry(Kind.TABLE, d & 0xFFFF_FC00, attributes=held)
            ap = d >> 10 & 3 | (d >> 15 & 1) << 2
            if d >> 18 & 1:
                pa = d & 0xFF00_0000 | (d >> 20 & 15) << 32 | (d >> 5 & 15) << 36
                return self._leaf(self._super, pa, ap, d >> 12, d >> 16, d >> 4, d, d, 0)
            return self._leaf(self._section, d & 0xFFF0_0000, ap, d >> 12, d >> 16, d >> 4, d, d, d >> 5 & 15)
        ap = d >> 4 & 3 | (d >> 9 & 1) << 2
        table = below or 0
        domain = table >> 5 & 15
        if d & 3 == 1:
            return self._leaf(
                self._large, d & 0xFFFF_0000, ap, d >> 12, d >> 10, d >> 15, table >> 2, d, domain
            )
        return self._leaf(self._small, d & 0xFFFF_F000, ap, d >> 6, d >> 10, d, table >> 2, d, domain)

    @staticmethod
    def _leaf(
        leaf: Leaf, pa: int, ap: int, tex0: int, s_ng: int, xn: int, pxn: int, d: int, domain: int
    ) -> Entry:
        attributes = Attributes(
            memory=_MEMORY_NAMES.get((tex0 & 1) << 2 | d >> 2 & 3, "so"),
            read=ap != 0,
            write=ap != 0 and not ap & 4,
            user=bool(ap & 2),
            execute=not xn & 1,
            pxn=bool(pxn & 1),
            ng=bool(s_ng & 2),
            shareability="inner" if s_ng & 1 else "none",
            domain=domain,
        )
        return Entry(Kind.LEAF, pa, leaf, attributes)

    def registers(self, root: int) -> dict[str, int]:
        # TTBR0: inner and outer write-back, write-allocate, shareable walks.  DACR: client of every domain.
        return {
            "sctlr": _SCTLR_M | _SCTLR_TRE,
            "ttbcr": 0,
            "ttbr0": root | 0x4A,
            "dacr": 0x5555_5555,
            "mair0": 0xFF0A81A8,
            "mair1": 0x40E040E0,
        }


FORMATS: dict[str, type[Format]] = {"lpae": LongFormat, "short": ShortFormat}
