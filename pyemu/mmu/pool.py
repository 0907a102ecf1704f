"""The pool of physical memory that page tables are taken from."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import chain

from pyemu.mem import PAGE_SIZE

__all__ = ["TablePool"]


class TablePool:
    """``size`` bytes at ``base``: one root of ``root_bytes``, aligned to its size, and tables of
    ``table_bytes``.

    A freed table is given out again before a fresh one, the lowest first: the same operations make the same
    tables.
    """

    def __init__(self, base: int, size: int, root_bytes: int, table_bytes: int, limit: int) -> None:
        if base % PAGE_SIZE or size % PAGE_SIZE or base < 0:
            raise ValueError(f"table pool {base:#x} + {size:#x} is not in whole pages of 4096 bytes")
        if base + size > limit:
            raise ValueError(
                f"table pool {base:#x} + {size:#x} ends above {limit:#x}, the highest that tables reach"
            )
        self.root = (base + root_bytes - 1) // root_bytes * root_bytes
        if self.root + root_bytes > base + size:
            raise ValueError(
                f"table pool {base:#x} + {size:#x} has no room for a first-level table of {root_bytes} bytes"
            )
        self._base = base
        self._size = size
        self._table_bytes = table_bytes
        after = self.root + root_bytes
        self._fresh = chain(range(base, self.root, table_bytes), range(after, base + size, table_bytes))
        self._freed: list[int] = []  # a heap
        self.used: set[int] = set()
        """Physical addresses of the tables in use, without the root."""

    def take(self) -> int:
        """The address of a table that was not in use; MemoryError when there is none."""
        if self._freed:
            table = heappop(self._freed)
        else:
            table = next(self._fresh, -1)
            if table < 0:
                raise MemoryError(
                    f"the table pool {self._base:#x} + {self._size:#x} is used up: "
                    f"{len(self.used)} tables of {self._table_bytes} bytes"
                )
        self.used.add(table)
        return table

    def give_back(self, table: int) -> None:
        self.used.remove(table)
        heappush(self._freed, table)
