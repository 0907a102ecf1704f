"""A process's long-descriptor tables in guest RAM, walked and changed in plain Python."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.kernel import Kernel
from pyemu.kernel.process import Process

PAGE = 4096
PMD_SIZE = 2 << 20

# arch/arm/include/asm/pgtable-3level.h
VALID = 1 << 0
TABLE = 1 << 1
PRESENT = VALID | TABLE
USER = 1 << 6
YOUNG = 1 << 10
DIRTY = 1 << 55
SPECIAL = 1 << 56
NONE = 1 << 57
RDONLY = 1 << 58
ADDRESS = 0xFF_FFFF_F000


@dataclass(frozen=True)
class UserTables:
    """Entries by virtual address."""

    kernel: Kernel
    process: Process

    def _read(self, pa: int) -> int:
        return int.from_bytes(self.kernel.memory.read(pa, 8), "little")

    def pgd(self, va: int) -> int:
        """Physical address of the first-level entry."""
        return self.process.info.pgd_pa + (va >> 30) * 8

    def pmd(self, va: int) -> int | None:
        """Physical address of the PMD entry; None without a PMD page."""
        entry = self._read(self.pgd(va))
        return (entry & ADDRESS) + (va >> 21 & 511) * 8 if entry & PRESENT == PRESENT else None

    def pte(self, va: int) -> int | None:
        """Physical address of the PTE; None without a table."""
        pmd = self.pmd(va)
        entry = 0 if pmd is None else self._read(pmd)
        return (entry & ADDRESS) + (va >> 12 & 511) * 8 if entry & PRESENT == PRESENT else None

    def read_pte(self, va: int) -> int:
        """The entry of a page that has a table."""
        return self._read(self._found(self.pte(va)))

    def write_pte(self, va: int, value: int) -> None:
        """Change it behind the model's back."""
        self.kernel.memory.write(self._found(self.pte(va)), value.to_bytes(8, "little"))

    def read_pmd(self, va: int) -> int:
        """The PMD entry of an address that has a PMD page."""
        return self._read(self._found(self.pmd(va)))

    def write_pmd(self, va: int, value: int) -> None:
        """Change it behind the model's back."""
        self.kernel.memory.write(self._found(self.pmd(va)), value.to_bytes(8, "little"))

    def pfn(self, va: int) -> int:
        """The frame that the page's entry names."""
        return (self.read_pte(va) & ADDRESS) >> 12

    @staticmethod
    def _found(pa: int | None) -> int:
        assert pa is not None, "the address has no table"
        return pa
