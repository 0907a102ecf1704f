"""Events that the performance monitors of a Cortex-A15 count (ARM DDI 0438, table 11.7), by number.

Which of them a machine counts follows from its timing: docs/model.md has the table, PMCEID0 tells the guest.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["PmuEvent"]


class PmuEvent(IntEnum):
    """An event by the name of the manual; its value is what PMXEVTYPER selects it with."""

    SW_INCR = 0x00
    L1I_CACHE_REFILL = 0x01
    L1I_TLB_REFILL = 0x02
    L1D_CACHE_REFILL = 0x03
    L1D_CACHE = 0x04
    L1D_TLB_REFILL = 0x05
    INST_RETIRED = 0x08
    EXC_TAKEN = 0x09
    EXC_RETURN = 0x0A
    CID_WRITE_RETIRED = 0x0B
    BR_MIS_PRED = 0x10
    CPU_CYCLES = 0x11
    BR_PRED = 0x12
    MEM_ACCESS = 0x13
    L1I_CACHE = 0x14
    L1D_CACHE_WB = 0x15
    L2D_CACHE = 0x16
    L2D_CACHE_REFILL = 0x17
    L2D_CACHE_WB = 0x18
    BUS_ACCESS = 0x19
    MEMORY_ERROR = 0x1A
    INST_SPEC = 0x1B
    TTBR_WRITE_RETIRED = 0x1C
    BUS_CYCLES = 0x1D
    L1D_CACHE_LD = 0x40
    L1D_CACHE_ST = 0x41
    L1D_CACHE_REFILL_LD = 0x42
    L1D_CACHE_REFILL_ST = 0x43
    L1D_CACHE_WB_VICTIM = 0x46
    L1D_CACHE_WB_CLEAN = 0x47
    L1D_CACHE_INVAL = 0x48
    L1D_TLB_REFILL_LD = 0x4C
    L1D_TLB_REFILL_ST = 0x4D
    L2D_CACHE_LD = 0x50
    L2D_CACHE_ST = 0x51
    L2D_CACHE_REFILL_LD = 0x52
    L2D_CACHE_REFILL_ST = 0x53
    L2D_CACHE_WB_VICTIM = 0x56
    L2D_CACHE_WB_CLEAN = 0x57
    L2D_CACHE_INVAL = 0x58
    BUS_ACCESS_LD = 0x60
    BUS_ACCESS_ST = 0x61
    BUS_ACCESS_SHARED = 0x62
    BUS_ACCESS_NOT_SHARED = 0x63
    BUS_ACCESS_NORMAL = 0x64
    BUS_ACCESS_PERIPH = 0x65
    MEM_ACCESS_LD = 0x66
    MEM_ACCESS_ST = 0x67
    UNALIGNED_LD_SPEC = 0x68
    UNALIGNED_ST_SPEC = 0x69
    UNALIGNED_LDST_SPEC = 0x6A
    LDREX_SPEC = 0x6C
    STREX_PASS_SPEC = 0x6D
    STREX_FAIL_SPEC = 0x6E
    LD_SPEC = 0x70
    ST_SPEC = 0x71
    LDST_SPEC = 0x72
    DP_SPEC = 0x73
    ASE_SPEC = 0x74
    VFP_SPEC = 0x75
    PC_WRITE_SPEC = 0x76
    BR_IMMED_SPEC = 0x78
    BR_RETURN_SPEC = 0x79
    BR_INDIRECT_SPEC = 0x7A
    ISB_SPEC = 0x7C
    DSB_SPEC = 0x7D
    DMB_SPEC = 0x7E
