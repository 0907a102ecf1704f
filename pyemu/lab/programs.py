"""The micro-benchmark programs of firmware/bench, by name."""

from __future__ import annotations

from pathlib import Path

from pyemu.config import UserError
from pyemu.lab.published import read_book
from pyemu.timing import Core

__all__ = ["MAX_INSNS", "MEMORY_BYTES", "TABLES", "check_tables", "find_program"]

TABLES = ("short", "long")
"""Formats of the page tables; the first one is that of the systems on which figures were published."""

_SUFFIX = {"short": "-short", "long": ""}

LPAE_BLOCK_BYTES = 2 << 20

MEMORY_BYTES = 1 << 30
"""RAM of the machine that they run on."""

MAX_INSNS = 4_000_000_000
"""Longer than any of them runs: one that reaches it hangs."""

# Links into firmware/elf in the source tree, files in an installed package.
_HOME = Path(__file__).parent / "data"


def find_program(name: str, tables: str = TABLES[0]) -> Path:
    """The ELF of a benchmark program, or a file of this name where ``name`` has a suffix or a slash.

    Each program is there with ``"short"`` and with ``"long"`` descriptors. Raises
    :class:`~pyemu.config.UserError` when there is no such program.
    """
    if "/" in name or Path(name).suffix:
        if not Path(name).is_file():
            raise UserError(f"{name}: no such file")
        return Path(name)
    if name not in read_book().programs:
        known = ", ".join(read_book().programs)
        raise UserError(
            f"no benchmark {name!r}: there are {known}; or give an ELF file, such as ./{name}.elf"
        )
    file = f"bench-{name}{_SUFFIX[tables]}.elf"
    if not (_HOME / file).is_file():
        raise UserError(f"{_HOME / file}: no such file: the installation is broken")
    return _HOME / file


def check_tables(core: Core, tables: str) -> None:
    """Raise :class:`~pyemu.config.UserError` when a core does not have this format of tables.

    A core with long descriptors keeps their blocks of 2 MB in its main TLB.
    """
    if tables == "long" and LPAE_BLOCK_BYTES not in core["main_tlb.page_bytes"]:
        raise UserError(
            f"{core.name} has no long descriptors, as no 2M is in its main_tlb.page_bytes: use short"
        )
