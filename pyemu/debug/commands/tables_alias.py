"""``alias``: which virtual addresses map a physical one, and which table it lies in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyemu.debug.commands.tables import execution
from pyemu.debug.linux import LINUX_COPY, linux_layout, undenied, user_opened
from pyemu.debug.parameters import Address
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.tree import Table, table_tree
from pyemu.debug.words import kernel_size, memory_type
from pyemu.mmu import MappedRange, Prot, Regime, mapped_ranges

__all__ = ["Aliases", "alias"]

_PHYSICAL_BITS = 40
_MAX_ALIASES = 4096


@dataclass(frozen=True)
class Aliases:
    """Every virtual range that maps some of ``size`` bytes at ``pa``, and the tables that hold them."""

    pa: int
    size: int
    at: tuple[tuple[int, MappedRange], ...]
    tables: tuple[Table, ...] = ()

    @property
    def lines(self) -> list[str]:
        lines = [] if self.at else [f"{self.pa:#x} is mapped nowhere"]
        for va, r in self.at:
            who = "user" if r.prot_user else "kernel"
            lines.append(
                f"{va:#010x}  {who}, {kernel_size(r.leaf_size)} leaf "
                f"@{r.descriptor_pa:#x} = {r.descriptor:#x}, "
                f"{'RW' if Prot.WRITE in r.prot | r.prot_user else 'ro'} {execution(r).strip()} "
                f"{memory_type(r.attr)}"
            )
        types = {(r.attr, r.shareability) for _, r in self.at}
        if len(types) > 1:
            lines.append(
                "these aliases have mismatched memory attributes: accesses through them may lose coherency "
                "(ARM DDI 0406C A3.5.7)"
            )
        for table in self.tables:
            own = "" if table.pa <= self.pa < table.end_pa else "Linux's copy of "
            span = f"{table.va:#010x}-{table.va + table.size - 1:#010x}"
            lines.append(f"it is in {own}the level {table.level} table of {span}")
        return lines


@command("alias", Address("pa", bits=_PHYSICAL_BITS), group="tables", example="alias 0x40008000")
def alias(session: Session, pa: int) -> Aliases:
    """Every virtual address that maps a physical one, in the tables of the current CPU.

    A physical address in one of these tables is said to be there.
    """
    found = []
    linux = linux_layout(session)
    regime = user_opened(session.regime) if linux else undenied(session.regime)
    for r in mapped_ranges(session.memory, regime, contiguous=True, pa=(pa, 1)):
        first = r.va + (pa - r.pa)
        found.append((first, r))
        if len(found) == _MAX_ALIASES:
            break
    return Aliases(pa, 1, tuple(found), tuple(_tables_with(session, regime, pa, linux is not None)))


def _tables_with(session: Session, regime: Regime, pa: int, linux: bool) -> Iterator[Table]:
    """Tables that hold an address, and with short descriptors those whose copy for Linux does."""
    copied = linux and not regime.long_format and not pa & LINUX_COPY
    for table in table_tree(session.memory, regime).tables:
        if table.pa <= pa < table.end_pa or (
            copied and table.level == 2 and table.pa <= pa + LINUX_COPY < table.end_pa
        ):
            yield table
