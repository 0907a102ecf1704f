"""The micro-benchmark programs of firmware/bench, by name."""

from __future__ import annotations

from pathlib import Path

from pyemu.config import UserError
from pyemu.lab.published import read_book
from pyemu.timing import Core

__all__ = ["MAX_INSNS", "MEMORY_BYTES", "find_program", "has_lpae"]

LPAE_BLOCK_BYTES = 2 << 20

MEMORY_BYTES = 1 << 30
"""RAM of the machine that they run on."""

MAX_INSNS = 4_000_000_000
"""Longer than any of them runs: one that reaches it hangs."""

_HOMES = (Path(__file__).parent / "data", Path(__file__).parents[2] / "firmware/elf")


def find_program(name: str, core: Core) -> Path:
    """The ELF of a benchmark program, or a file of this name where ``name`` has a suffix or a slash.

    A core without LPAE gets the program that makes short descriptors. Raises
    :class:`~pyemu.config.UserError` when there is none.
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
    file = f"bench-{name}.elf" if has_lpae(core) else f"bench-{name}-short.elf"
    for home in _HOMES:
        if (home / file).is_file():
            return home / file
    raise UserError(f"{_HOMES[-1] / file}: no such file: the programs of firmware/ are not installed")


def has_lpae(core: Core) -> bool:
    """Whether a core has long descriptors: what has them keeps their 2 MB blocks in its main TLB."""
    return LPAE_BLOCK_BYTES in core["main_tlb.page_bytes"]
