"""What a block of ARM code costs on a core when nothing misses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from pyemu.native import check, check_handle, error, ffi, lib, load_capstone
from pyemu.timing.cores import Core

__all__ = ["BlockAccess", "BlockCost", "Blocks", "Branch"]


class Branch(IntEnum):
    """How a block ends."""

    NONE = lib.PE_BRANCH_NONE
    DIRECT = lib.PE_BRANCH_DIRECT
    CONDITIONAL = lib.PE_BRANCH_CONDITIONAL
    INDIRECT = lib.PE_BRANCH_INDIRECT
    CALL = lib.PE_BRANCH_CALL
    CALL_INDIRECT = lib.PE_BRANCH_CALL_INDIRECT
    RETURN = lib.PE_BRANCH_RETURN
    EXCEPTION_RETURN = lib.PE_BRANCH_EXCEPTION_RETURN


@dataclass(frozen=True)
class BlockAccess:
    """One load or store as the engine makes it: a word of LDM or LDRD, an element of VLD2.

    ``offset`` of its instruction, in bytes. ``address_regs``: numbers of those of r0 to r14 at the start of
    the block that its address (or condition) depends on; ``after_load``: it depends on an earlier load of the
    block too.
    """

    offset: int
    store: bool
    address_regs: frozenset[int]
    after_load: bool


@dataclass(frozen=True)
class BlockCost:
    """``cycles`` of issue, dependencies and L1 hits, to a sixteenth; ``l1_cycles`` is the part that waiting
    for L1 hits adds. System operations are counted only. ``target``: of a direct branch, else 0.

    ``accesses`` are in the order of execution when every condition holds; ``loaded_regs``: numbers of those
    of r0 to r14 that at the end hold what was loaded, or was reckoned from it.
    """

    insns: int
    cycles: Fraction
    l1_cycles: Fraction
    taken_cycles: Fraction
    loads: int
    stores: int
    exclusives: int
    dsb: int
    dmb: int
    isb: int
    system_writes: int
    exceptions: int
    unknown: int
    branch: Branch
    target: int
    accesses: tuple[BlockAccess, ...]
    loaded_regs: frozenset[int]


class Blocks:
    """Costs blocks by the pipeline and latencies of a core."""

    def __init__(self, core: Core) -> None:
        load_capstone()
        err = error()
        self.handle = ffi.gc(check_handle(lib.pe_blocks_new(core.native(), err), err), lib.pe_blocks_free)

    def cost(self, code: bytes, address: int = 0, *, thumb: bool = False) -> BlockCost:
        """Cost of code (1 to 4096 bytes) at an address.

        A block that branches to its own start costs what one more turn costs; any other one starts with its
        operands ready. Raises :class:`pyemu.native.NativeError` for a length out of range.
        """
        out, err = ffi.new("pe_block_cost *"), error()
        check(lib.pe_blocks_cost(self.handle, code, len(code), address, thumb, out, err), err)
        return BlockCost(
            insns=out.insns,
            cycles=Fraction(out.cycles_x16, 16),
            l1_cycles=Fraction(out.l1_x16, 16),
            taken_cycles=Fraction(out.taken_x16, 16),
            loads=out.loads,
            stores=out.stores,
            exclusives=out.exclusives,
            dsb=out.dsb,
            dmb=out.dmb,
            isb=out.isb,
            system_writes=out.system_writes,
            exceptions=out.exceptions,
            unknown=out.unknown,
            branch=Branch(out.branch),
            target=out.target,
            accesses=tuple(
                BlockAccess(a.offset, a.store, _registers(a.address_regs), a.after_load)
                for a in lib.pe_blocks_accesses(self.handle)[0 : out.accesses]
            ),
            loaded_regs=_registers(out.loaded_regs),
        )


def _registers(bits: int) -> frozenset[int]:
    return frozenset(r for r in range(15) if bits >> r & 1)
