"""Properties of translation that hold for any tables: random memory, regimes and addresses."""

from __future__ import annotations

import random
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.mem import Memory
from pyemu.mmu import Access, DescriptorKind, Fault, Prot, Regime, translate, walk
from tests.mmu.guest_tables import EAE, SCTLR_AFE, SCTLR_EE, SCTLR_M, SCTLR_TRE, SCTLR_UWXN, SCTLR_WXN

BASE = 0x4000_0000
PAGES = 16


@cache
def random_memory(seed: int) -> Memory:
    """Pages full of descriptors, many of which lead to each other and some outside."""
    rng = random.Random(seed)
    memory = Memory()
    memory.add_ram(BASE, PAGES * 4096)
    words = []
    for _ in range(PAGES * 512):
        inside = BASE + rng.randrange(PAGES) * 4096 | rng.getrandbits(12)
        anywhere = rng.getrandbits(64)
        words.append(rng.choice((inside | 3, inside | rng.getrandbits(64) & ~0xFF_FFFF_F000, anywhere, 0)))
    memory.write(BASE, b"".join(word.to_bytes(8, "little") for word in words))
    return memory


sctlr = st.sets(st.sampled_from((SCTLR_AFE, SCTLR_EE, SCTLR_TRE, SCTLR_UWXN, SCTLR_WXN))).map(sum)
table = st.integers(0, PAGES - 1).map(lambda page: BASE + page * 4096)
regimes = st.builds(
    lambda bits, eae, sizes, t0, t1, dacr: Regime(
        sctlr=SCTLR_M | bits, ttbcr=eae * EAE | sizes, ttbr0=t0, ttbr1=t1, dacr=dacr, mair0=0xEEAA4400
    ),
    sctlr,
    st.booleans(),
    st.sampled_from((0, 1, 2, 7, 1 << 16, 2 << 16, 7 << 16, 2 | 2 << 16, 1 << 7, 1 << 4, 1 << 5 | 1)),
    table,
    table,
    st.sampled_from((0x5555_5555, 0xFFFF_FFFF, 0, 0xE4E4_E4E4)),
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 7), regimes, st.integers(0, 0xFFFF_FFFF), st.sampled_from(list(Access)), st.booleans())
def test_a_walk_and_a_translation_agree_and_are_consistent(
    seed: int, regime: Regime, va: int, access: Access, privileged: bool
) -> None:
    memory = random_memory(seed)
    t = translate(memory, regime, va, access, privileged=privileged)
    w = walk(memory, regime, va, access, privileged=privileged)
    assert w.result == t
    assert len(w.steps) <= (3 if regime.long_format else 2)
    assert all(step.kind is DescriptorKind.TABLE for step in w.steps[:-1])
    assert w.text
    if w.steps:
        last = w.steps[-1]
        assert (t.level, t.descriptor, t.descriptor_pa) == (
            last.level,
            last.descriptor,
            last.descriptor_pa,
        )
        width = 8 if regime.long_format else 4
        for step in w.steps:
            assert step.descriptor_pa == step.table_pa + step.index * width
        if last.kind is DescriptorKind.UNREADABLE:
            assert t.fault is Fault.EXTERNAL_WALK
        else:
            order = "big" if regime.sctlr & SCTLR_EE else "little"
            assert int.from_bytes(memory.read(last.descriptor_pa, width), order) == last.descriptor
    if t.size:
        assert t.pa % t.size == va % t.size
    if t.fault in (Fault.NONE, Fault.PERMISSION):
        assert bool(t.prot & 1 << access) == t.ok
    other = translate(memory, regime, va, access, privileged=not privileged)
    if t.size:
        assert (other.prot, other.prot_other) == (t.prot_other, t.prot)
    assert not t.prot & Prot.WRITE or t.prot & Prot.READ
