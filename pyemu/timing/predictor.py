"""The branch predictor of the cycle model."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from pyemu.native import Face, check_handle, error, ffi, lib
from pyemu.timing.blocks import Branch
from pyemu.timing.cores import Core

__all__ = ["Predictor", "Taken"]


class Taken(NamedTuple):
    """A branch at ``address`` was followed by the instruction at ``next``; ``after`` is the one behind it."""

    branch: Branch
    address: int
    next: int
    after: int


class Predictor(Face):
    """Counters by address and history, a return stack and last targets, as large as ``core`` has them. That
    of a machine's CPU can only be looked at."""

    def __init__(self, core: Core) -> None:
        err = error()
        super().__init__(check_handle(lib.pe_predictor_new(core.native(), err), err), lib.pe_predictor_free)

    def replay(self, branches: Iterable[Taken]) -> bytes:
        """Resolve branches in order; returns a byte for each, 1 where it had been predicted wrongly."""
        taken = list(branches)
        kinds = array("B", (each.branch for each in taken))
        columns = [array("I", (each[i] for each in taken)) for i in (1, 2, 3)]
        wrong = ffi.new("uint8_t[]", len(taken))
        pointers = (ffi.from_buffer("uint32_t[]", column) for column in columns)
        lib.pe_predictor_replay(
            self.own_handle, ffi.from_buffer("uint8_t[]", kinds), *pointers, wrong, len(taken)
        )
        return bytes(ffi.buffer(wrong))

    def stats(self) -> dict[Branch, tuple[int, int]]:
        """How many branches of each kind there were, and how many were mispredicted."""
        out = ffi.new("pe_predictor_stats *")
        lib.pe_predictor_read_stats(self.handle, out)
        return {kind: (out.branches[kind], out.mispredicted[kind]) for kind in Branch}
