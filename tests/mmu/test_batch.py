"""Translation of arrays: the same answers as one by one, and any buffer that fits."""

from __future__ import annotations

import ctypes
import random
from array import array
from typing import Any

import numpy as np
import pytest

from pyemu.mem import Memory
from pyemu.mmu import NO_ADDRESS, Access, Fault, Regime, translate, translate_many
from tests.mmu.guest_tables import (
    EAE,
    OUTSIDE,
    SCTLR_AFE,
    SCTLR_EE,
    SCTLR_M,
    SCTLR_UWXN,
    SCTLR_WXN,
    Guest,
    long_guest,
)

BASE = 0x4000_0000
PAGES = 64
# Below the size from which a batch keeps a directory, at it, and well above with a rest.
SIZES = (1, 7, 511, 512, 513, 3000)


def random_guest(seed: int) -> Guest:
    """Tables that mostly lead to tables, all kinds of leaf, invalid entries and tables outside memory."""
    rng = random.Random(seed)
    long = bool(seed & 1)
    sctlr = SCTLR_M | sum(bit for bit in (SCTLR_AFE, SCTLR_EE, SCTLR_UWXN, SCTLR_WXN) if rng.random() < 0.3)
    order: Any = "big" if sctlr & SCTLR_EE else "little"
    width = 8 if long else 4
    words = []
    for _ in range(PAGES * 4096 // width):
        page = BASE + rng.randrange(PAGES) * 4096
        if long:
            attributes = rng.getrandbits(10) << 2 | rng.getrandbits(12) << 52
            leaf = rng.getrandbits(28) << 12 | attributes & ~(1 << 10) | rng.choice((1, 3))
            leaf |= (rng.random() < 0.8) << 10
            table = rng.choice((page, page, page, OUTSIDE)) | rng.getrandbits(5) << 59 | 1 << 10 | 3
        else:
            leaf = rng.getrandbits(32) & ~3 | rng.choice((1, 2, 3))
            table = rng.choice((page, page, page, OUTSIDE)) | rng.getrandbits(10) & ~3 | 1
        words.append(
            rng.choice((leaf, leaf, table, table, rng.getrandbits(8 * width), 0)).to_bytes(width, order)
        )
    memory = Memory()
    memory.add_ram(BASE, PAGES * 4096)
    memory.write(BASE, b"".join(words))
    if long:
        ttbcr = EAE | rng.choice((0, 0, 1, 2, 1 << 16, 2 << 16 | 1, 7 << 16 | 7, 1 << 7))
    else:
        ttbcr = rng.choice((0, 0, 1, 3, 7, 1 << 4, 1 << 5 | 1))
    regime = Regime(sctlr=sctlr, ttbcr=ttbcr, ttbr0=BASE, ttbr1=BASE + 0x8000, dacr=rng.getrandbits(32))
    return Guest(memory, regime)


@pytest.mark.parametrize("seed", range(24))
def test_a_batch_answers_as_single_translations_do(seed: int) -> None:
    guest = random_guest(seed)
    rng = random.Random(seed)
    for size in SIZES:
        va = array("I", (rng.getrandbits(32) for _ in range(size)))
        access, privileged = rng.choice(list(Access)), rng.random() < 0.5
        pa, status = array("Q", bytes(8 * size)), bytearray(size)
        count = translate_many(
            guest.memory, guest.regime, va, pa, status, access=access, privileged=privileged
        )
        singles = [translate(guest.memory, guest.regime, a, access, privileged=privileged) for a in va]
        assert list(pa) == [t.pa if t.ok else NO_ADDRESS for t in singles]
        assert list(status) == [t.fault | t.level << 4 for t in singles]
        assert count == sum(t.ok for t in singles)
        again = array("Q", bytes(8 * size))
        assert count == translate_many(
            guest.memory, guest.regime, va, again, access=access, privileged=privileged
        )
        assert again == pa


def test_random_guests_show_every_fault_and_level() -> None:
    """What the comparison above covers."""
    seen: set[tuple[Fault, int, bool]] = set()
    for seed in range(24):
        guest = random_guest(seed)
        va = np.random.default_rng(seed).integers(0, 1 << 32, 3000, dtype=np.uint32)
        pa, status = np.empty(3000, np.uint64), np.empty(3000, np.uint8)
        for access in Access:
            translate_many(guest.memory, guest.regime, va, pa, status, access=access, privileged=False)
            seen |= {(Fault(s & 15), int(s) >> 4, guest.regime.long_format) for s in np.unique(status)}
    walked = (Fault.NONE, Fault.TRANSLATION, Fault.ACCESS_FLAG, Fault.PERMISSION)
    expected = {(fault, level, True) for fault in walked for level in (1, 2, 3)}
    expected |= {(fault, level, False) for fault in (*walked, Fault.DOMAIN) for level in (1, 2)}
    expected |= {
        (Fault.EXTERNAL_WALK, 2, True),
        (Fault.EXTERNAL_WALK, 3, True),
        (Fault.EXTERNAL_WALK, 2, False),
    }
    assert expected <= seen


def test_a_disabled_mmu_gives_addresses_back() -> None:
    va = np.arange(0, 4_000_000_000, 1_000_003, dtype=np.uint32)
    pa = np.empty(va.shape, np.uint64)
    with Memory() as memory:
        assert translate_many(memory, Regime(), va, pa) == len(va)
    assert (pa == va).all()


GUEST = long_guest()


@pytest.mark.parametrize(
    ("va", "pa", "status"),
    [
        (array("I", range(6)), array("Q", bytes(48)), array("B", bytes(6))),
        (np.arange(6, dtype=np.uint32), np.zeros(6, np.uint64), np.zeros(6, np.uint8)),
        (np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((3, 2), np.int64), np.zeros(6, np.int8)),
        (np.arange(6, dtype="<u4").tobytes(), bytearray(48), bytearray(6)),
        ((ctypes.c_uint32 * 6)(*range(6)), (ctypes.c_uint64 * 6)(), (ctypes.c_uint8 * 6)()),
        (memoryview(array("I", range(9)))[3:], memoryview(bytearray(56))[8:], None),
        (b"", bytearray(), bytearray()),
    ],
)
def test_any_contiguous_buffer_of_the_right_width_is_taken(va: Any, pa: Any, status: Any) -> None:
    n = memoryview(va).nbytes // 4
    assert translate_many(GUEST.memory, GUEST.regime, va, pa, status) == 0
    assert memoryview(pa).tobytes() == b"\xff" * 8 * n
    if status is not None:
        assert memoryview(status).tobytes() == bytes([Fault.TRANSLATION | 1 << 4]) * n


@pytest.mark.parametrize(
    ("va", "pa", "status", "text"),
    [
        ([1, 2], bytearray(16), None, "va: list is no buffer; pass bytes, array.array or numpy"),
        (array("Q", [1]), bytearray(8), None, "va: items of format 'Q' are not 32-bit native integers"),
        (array("f", [1]), bytearray(8), None, "va: items of format 'f' are not 32-bit native integers"),
        (np.zeros(2, ">u4"), bytearray(16), None, "va: items of format '>I' are not 32-bit"),
        (b"12345", bytearray(8), None, "va: 5 bytes are not a multiple of 4"),
        (np.zeros(8, np.uint32)[::2], bytearray(32), None, "va: the buffer is not contiguous"),
        (np.zeros((4, 2), np.uint32).T, bytearray(64), None, "va: the buffer is not contiguous"),
        (
            memoryview(bytearray(9))[1:],
            bytearray(16),
            None,
            "va: the buffer does not start at a multiple of 4",
        ),
        (bytes(8), bytes(16), None, "pa: the buffer is read-only"),
        (bytes(8), array("I", [0] * 4), None, "pa: items of format 'I' are not 64-bit native integers"),
        (bytes(8), bytearray(8), None, "pa: room for 1 results, but va has 2 addresses"),
        (bytes(8), np.zeros(4, np.uint64)[::2], None, "pa: the buffer is not contiguous"),
        (bytes(8), bytearray(16), bytearray(3), "status: room for 3 results, but va has 2 addresses"),
        (bytes(8), bytearray(16), array("H", [0, 0]), "status: items of format 'H' are not 8-bit"),
        (bytes(8), bytearray(16), b"ab", "status: the buffer is read-only"),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused_by_name_and_nothing_is_written(
    va: Any, pa: Any, status: Any, text: str
) -> None:
    before = bytes(memoryview(pa).tobytes())
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        translate_many(GUEST.memory, GUEST.regime, va, pa, status)
    assert memoryview(pa).tobytes() == before
