"""What the registers show of a reference translation: DFSR, IFSR and PAR (ARM DDI 0406C B3.13, B4.1)."""

from __future__ import annotations

from pyemu.mmu.reference_attributes import par32_attributes
from pyemu.mmu.reference_types import TTBCR_EAE, Access, Fault, RegimeLike, Translation, bits

__all__ = ["fault_status", "par"]


# Fault -> STATUS[5:0] without the level (B3.13.3, table B3-24).
_LONG_STATUS = {
    Fault.TRANSLATION: 0b000100,
    Fault.ACCESS_FLAG: 0b001000,
    Fault.PERMISSION: 0b001100,
    Fault.EXTERNAL_WALK: 0b010100,
}
# (fault, level) -> FS[4:0] (B3.13.3, table B3-23).
_SHORT_STATUS = {
    (Fault.TRANSLATION, 1): 0b00101,
    (Fault.TRANSLATION, 2): 0b00111,
    (Fault.ACCESS_FLAG, 1): 0b00011,
    (Fault.ACCESS_FLAG, 2): 0b00110,
    (Fault.DOMAIN, 1): 0b01001,
    (Fault.DOMAIN, 2): 0b01011,
    (Fault.PERMISSION, 1): 0b01101,
    (Fault.PERMISSION, 2): 0b01111,
    (Fault.EXTERNAL_WALK, 1): 0b01100,
    (Fault.EXTERNAL_WALK, 2): 0b01110,
}
# Faults without a level: short FS, long STATUS.
_FLAT_STATUS = {
    Fault.ALIGNMENT: (0b00001, 0b100001),
    Fault.DEBUG: (0b00010, 0b100010),
    Fault.EXTERNAL: (0b01000, 0b010000),
}


def _status(regime: RegimeLike, t: Translation) -> int:
    long_format = bool(regime.ttbcr & TTBCR_EAE)
    if t.fault in _FLAT_STATUS:
        return _FLAT_STATUS[t.fault][long_format]
    if long_format:
        return _LONG_STATUS[t.fault] | t.level
    return _SHORT_STATUS[t.fault, t.level]


def fault_status(
    regime: RegimeLike, t: Translation, access: Access | int, cache_maintenance: bool = False
) -> int:
    """DFSR, or IFSR for a fetch, after the fault ``t`` (B4.1.52, B4.1.96)."""
    status = _status(regime, t)
    value = status | 1 << 9 if regime.ttbcr & TTBCR_EAE else bits(status, 3, 0) | bits(status, 4, 4) << 10
    if access == Access.FETCH:
        return value
    if not regime.ttbcr & TTBCR_EAE:
        value |= t.domain << 4
    if cache_maintenance:
        return value | 1 << 13 | 1 << 11  # CM; such a fault always counts as a write
    return value | (1 << 11 if access == Access.WRITE else 0)


def par(regime: RegimeLike, t: Translation) -> int:
    """PAR after an ATS1C* operation whose translation gave ``t`` (B4.1.112): 64 bits with EAE, else 32.

    NS reads as 1: the Non-secure regime's output is Non-secure.  Memory attributes that the architecture
    leaves IMPLEMENTATION DEFINED or UNPREDICTABLE are 0; see ``Translation.memory.defined``.
    """
    if regime.ttbcr & TTBCR_EAE:
        if not t.ok:
            return 1 << 11 | _status(regime, t) << 1 | 1
        assert t.memory is not None
        return t.memory.attr << 56 | bits(t.pa, 39, 12) << 12 | 1 << 11 | 1 << 9 | t.memory.shareability << 7
    if not t.ok:
        return _status(regime, t) << 1 | 1
    assert t.memory is not None
    if t.supersection:
        address = bits(t.pa, 31, 24) << 24 | bits(t.pa, 39, 32) << 16 | 1 << 1
    else:
        address = bits(t.pa, 31, 12) << 12
    return address | 1 << 9 | par32_attributes(t.memory)
