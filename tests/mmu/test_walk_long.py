"""The walk of the long-descriptor format: ARM DDI 0406C B3.6."""

from __future__ import annotations

import itertools

import pytest

from pyemu.mem import Memory
from pyemu.mmu import Access, DescriptorKind, Fault, Flag, Prot, Regime, Translation, translate, walk
from tests.mmu.guest_tables import (
    AF,
    AP1,
    AP2,
    AP_TABLE0,
    AP_TABLE1,
    BLOCK,
    EAE,
    LONG_L2,
    LONG_L3,
    LONG_ROOT,
    NS_TABLE,
    OUTSIDE,
    PA,
    PAGE,
    PXN,
    PXN_TABLE,
    RAM,
    RAM_SIZE,
    SCTLR_EE,
    SCTLR_M,
    SCTLR_UWXN,
    SCTLR_WXN,
    TABLE,
    VA,
    XN,
    XN_TABLE,
    long_guest,
)

GARBAGE = 0x3FF0_0000_0000_0000 & ~(PXN | XN)  # ignored bits of a block or page, and the contiguous hint


@pytest.mark.parametrize(
    ("descriptors", "level", "size", "pa"),
    [
        ({"l3": 0xFF_FFFF_F000 | PAGE}, 3, 1 << 12, 0xFF_FFFF_F678),
        ({"l3": PA | PAGE | GARBAGE}, 3, 1 << 12, PA + 0x678),
        ({"l2": 0xFF_FFE0_0000 | BLOCK}, 2, 1 << 21, 0xFF_FFF4_5678 & ~0x1FFFFF | VA & 0x1FFFFF),
        ({"l2": 0x12_3456_7000 | BLOCK}, 2, 1 << 21, 0x12_3440_0000 | VA & 0x1FFFFF),
        ({"l1": 0xFF_C000_0000 | BLOCK}, 1, 1 << 30, 0xFF_C000_0000 | VA & 0x3FFFFFFF),
        ({"l1": 0x12_3456_7000 | BLOCK}, 1, 1 << 30, 0x12_0000_0000 | VA & 0x3FFFFFFF),
    ],
)
def test_each_leaf_size_maps_a_40_bit_address_and_ignores_the_bits_below_it(
    descriptors: dict[str, int], level: int, size: int, pa: int
) -> None:
    guest = long_guest(**descriptors)
    t = translate(guest.memory, guest.regime, VA)
    assert (t.fault, t.level, t.size, t.pa) == (Fault.NONE, level, size, pa)


@pytest.mark.parametrize(
    ("descriptors", "level", "kind", "words"),
    [
        ({"l1": 0b00}, 1, DescriptorKind.INVALID, "level 1 table not present: L1[1]"),
        ({"l1": LONG_L2 | 0b10}, 1, DescriptorKind.INVALID, "level 1 table not present: L1[1]"),
        ({"l2": 0b00}, 2, DescriptorKind.INVALID, "level 2 table not present: L2[145]"),
        ({"l2": LONG_L3 | 0b10}, 2, DescriptorKind.INVALID, "level 2 table not present: L2[145]"),
        ({"l3": 0b00}, 3, DescriptorKind.INVALID, "level 3 page not present: L3[325]"),
        ({"l3": PA | AF | 0b10}, 3, DescriptorKind.INVALID, "level 3 page not present: L3[325]"),
        ({"l3": PA | AF | 0b01}, 3, DescriptorKind.RESERVED, "level 3 descriptor is reserved: L3[325]"),
    ],
)
def test_every_invalid_descriptor_is_a_translation_fault_at_its_level(
    descriptors: dict[str, int], level: int, kind: DescriptorKind, words: str
) -> None:
    guest = long_guest(**descriptors)
    w = walk(guest.memory, guest.regime, VA)
    (value,) = descriptors.values()
    assert (w.result.fault, w.result.level) == (Fault.TRANSLATION, level)
    assert (w.result.pa, w.result.prot, w.result.size) == (0, Prot.NONE, 0)
    assert w.result.descriptor == w.steps[-1].descriptor == value
    assert w.steps[-1].kind is kind
    assert len(w.steps) == level
    assert w.text.startswith(words)
    assert w.text.endswith(f"= {value:#x}")


@pytest.mark.parametrize(
    ("descriptors", "level", "where"),
    [
        ({"l1": OUTSIDE | TABLE}, 2, OUTSIDE + 8 * 145),
        ({"l1": (1 << 40) - 0x1000 | TABLE}, 2, (1 << 40) - 0x1000 + 8 * 145),
        ({"l2": OUTSIDE | TABLE}, 3, OUTSIDE + 8 * 325),
        ({"l2": RAM + RAM_SIZE | TABLE}, 3, RAM + RAM_SIZE + 8 * 325),
    ],
)
def test_a_table_outside_memory_is_an_external_abort_on_the_walk(
    descriptors: dict[str, int], level: int, where: int
) -> None:
    guest = long_guest(**descriptors)
    w = walk(guest.memory, guest.regime, VA)
    assert (w.result.fault, w.result.level) == (Fault.EXTERNAL_WALK, level)
    assert (w.result.descriptor, w.result.descriptor_pa) == (0, where)
    assert w.steps[-1].kind is DescriptorKind.UNREADABLE


def test_a_ttbr_outside_memory_is_an_external_abort_at_the_start_level() -> None:
    for t0sz, level in ((0, 1), (1, 1), (2, 2), (7, 2)):
        with Memory() as memory:
            regime = Regime(sctlr=SCTLR_M, ttbcr=EAE | t0sz, ttbr0=OUTSIDE)
            t = translate(memory, regime, 0x1000)
        assert (t.fault, t.level) == (Fault.EXTERNAL_WALK, level)


@pytest.mark.parametrize(
    ("descriptors", "level"),
    [({"l3": PA | 0b11}, 3), ({"l2": PA | 0b01}, 2), ({"l1": PA | 0b01}, 1)],
)
@pytest.mark.parametrize("access", list(Access))
def test_a_clear_access_flag_faults_before_permissions_are_looked_at(
    descriptors: dict[str, int], level: int, access: Access
) -> None:
    forbidding = {name: value | AP2 | XN for name, value in descriptors.items()}
    guest = long_guest(**forbidding)
    t = translate(guest.memory, guest.regime, VA, access, privileged=False)
    assert (t.fault, t.level) == (Fault.ACCESS_FLAG, level)


def expected_rights(ap: int, xn: bool, pxn: bool, wxn: bool, uwxn: bool, privileged: bool) -> Prot:
    """B3.7 in words; ap is AP[2:1]."""
    user_reads, writable = bool(ap & 1), not ap & 2
    user_writes = user_reads and writable
    reads = privileged or user_reads
    writes = writable and reads
    executes = reads and not xn and not (wxn and writes)
    if privileged:
        executes = executes and not pxn and not (uwxn and user_writes)
    return Prot(Prot.READ * reads | Prot.WRITE * writes | Prot.EXEC * executes)


@pytest.mark.parametrize("ap", range(4))
@pytest.mark.parametrize("level", [1, 2, 3])
def test_permissions_follow_ap_xn_pxn_wxn_and_uwxn(level: int, ap: int) -> None:
    leaf = PA | ap << 6 | (PAGE if level == 3 else BLOCK)
    for xn, pxn, wxn, uwxn in itertools.product((False, True), repeat=4):
        guest = long_guest(
            **{f"l{level}": leaf | xn * XN | pxn * PXN}, sctlr=wxn * SCTLR_WXN | uwxn * SCTLR_UWXN
        )
        for privileged, access in itertools.product((False, True), Access):
            granted = expected_rights(ap, xn, pxn, wxn, uwxn, privileged)
            other = expected_rights(ap, xn, pxn, wxn, uwxn, not privileged)
            t = translate(guest.memory, guest.regime, VA, access, privileged=privileged)
            allowed = bool(granted & 1 << access)
            assert t.fault is (Fault.NONE if allowed else Fault.PERMISSION)
            assert (t.prot, t.prot_other, t.level) == (granted, other, level)
            assert t.pa & 0xFFF == VA & 0xFFF


@pytest.mark.parametrize(
    ("bit", "same_as"),
    [
        (AP_TABLE0, {"clear": AP1}),
        (AP_TABLE1, {"set": AP2}),
        (XN_TABLE, {"set": XN}),
        (PXN_TABLE, {"set": PXN}),
    ],
)
@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("leaf_bits", [0, AP1, AP2, AP1 | AP2, XN, PXN, AP1 | XN | PXN])
def test_a_table_attribute_acts_on_the_leaf_below_as_the_leaf_bit_would(
    bit: int, same_as: dict[str, int], level: int, leaf_bits: int
) -> None:
    through_table = long_guest(
        PA | PAGE | leaf_bits,
        l1=LONG_L2 | TABLE | (bit if level == 1 else 0),
        l2=LONG_L3 | TABLE | (bit if level == 2 else 0),
    )
    direct = long_guest(PA | PAGE | leaf_bits & ~same_as.get("clear", 0) | same_as.get("set", 0))
    for privileged, access in itertools.product((False, True), Access):
        a = translate(through_table.memory, through_table.regime, VA, access, privileged=privileged)
        b = translate(direct.memory, direct.regime, VA, access, privileged=privileged)
        assert (a.fault, a.prot, a.prot_other) == (b.fault, b.prot, b.prot_other)


def test_a_level_1_table_attribute_reaches_a_level_2_block() -> None:
    guest = long_guest(l1=LONG_L2 | TABLE | AP_TABLE1, l2=PA | BLOCK)
    t = translate(guest.memory, guest.regime, VA, Access.WRITE)
    assert (t.fault, t.level) == (Fault.PERMISSION, 2)


TOP = 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("t0sz", "t1sz", "va", "ttbr"),
    [
        (0, 0, 0, 0),
        (0, 0, TOP, 0),
        (1, 0, 0x7FFF_FFFF, 0),
        (1, 0, 0x8000_0000, 1),
        (7, 0, 0x01FF_FFFF, 0),
        (7, 0, 0x0200_0000, 1),
        (7, 0, TOP, 1),
        (0, 1, 0x7FFF_FFFF, 0),
        (0, 1, 0x8000_0000, 1),
        (0, 2, 0xBFFF_FFFF, 0),
        (0, 2, 0xC000_0000, 1),
        (0, 7, 0xFDFF_FFFF, 0),
        (0, 7, 0xFE00_0000, 1),
        (1, 1, 0x7FFF_FFFF, 0),
        (1, 1, 0x8000_0000, 1),
        (2, 1, 0x3FFF_FFFF, 0),
        (2, 1, 0x4000_0000, None),
        (2, 1, 0x7FFF_FFFF, None),
        (2, 1, 0x8000_0000, 1),
        (7, 7, 0x01FF_FFFF, 0),
        (7, 7, 0x0200_0000, None),
        (7, 7, 0xFDFF_FFFF, None),
        (7, 7, 0xFE00_0000, 1),
    ],
)
def test_the_sizes_of_both_ranges_choose_the_ttbr(t0sz: int, t1sz: int, va: int, ttbr: int | None) -> None:
    """B3.6.4: two marked tables full of blocks tell which one was used."""
    with Memory() as memory:
        memory.add_ram(RAM, RAM_SIZE)
        for number, root in enumerate((LONG_ROOT, LONG_L2)):
            memory.write(root, (((number + 1) << 36) | BLOCK).to_bytes(8, "little") * 512)
        regime = Regime(sctlr=SCTLR_M, ttbcr=EAE | t1sz << 16 | t0sz, ttbr0=LONG_ROOT, ttbr1=LONG_L2)
        w = walk(memory, regime, va)
        t = w.result
        if ttbr is None:
            assert (t.fault, t.level, w.steps) == (Fault.TRANSLATION, 1, ())
            assert "lies between the range of TTBR0" in w.text
            return
        assert t.fault is Fault.NONE
        assert t.pa >> 36 == ttbr + 1
        assert bool(t.flags & Flag.TTBR1) == bool(ttbr)
        size = t1sz if ttbr else t0sz
        assert t.level == (1 if size <= 1 else 2)
        shift = 30 if size <= 1 else 21
        assert w.steps[0].index == (va & (1 << (32 - size)) - 1) >> shift
        for bit, off in ((7, 0), (23, 1)):
            disabled = Regime(sctlr=SCTLR_M, ttbcr=regime.ttbcr | 1 << bit, ttbr0=LONG_ROOT, ttbr1=LONG_L2)
            stopped = walk(memory, disabled, va)
            if off == ttbr:
                assert (stopped.result.fault, stopped.result.level) == (Fault.TRANSLATION, 1)
                assert stopped.text.endswith(f"walks from TTBR{ttbr} are disabled by TTBCR.EPD{ttbr}")
            else:
                assert stopped.result == t


@pytest.mark.parametrize("txsz", range(8))
@pytest.mark.parametrize("second", [False, True])
def test_the_first_table_is_as_aligned_as_it_is_long_and_other_ttbr_bits_are_ignored(
    txsz: int, second: bool
) -> None:
    align = 5 - txsz if txsz <= 1 else 14 - txsz
    base = RAM + 0x10000 + (1 << align)
    noise = 0xFFFF << 48 | 0xFF << 40 | (1 << align) - 1
    with Memory() as memory:
        memory.add_ram(RAM, RAM_SIZE)
        va = 0x1000 if not second else TOP
        ttbcr = EAE | (txsz << 16 if second else txsz)
        if second and txsz == 0:
            ttbcr |= 1
        regime = Regime(sctlr=SCTLR_M, ttbcr=ttbcr, ttbr0=base | noise, ttbr1=base | noise)
        assert walk(memory, regime, va).steps[0].table_pa == base


def test_big_endian_tables_are_read_with_sctlr_ee() -> None:
    guest = long_guest(sctlr=SCTLR_EE)
    t = translate(guest.memory, guest.regime, VA)
    assert (t.fault, t.pa, t.descriptor) == (Fault.NONE, PA | VA & 0xFFF, PA | PAGE)
    little = Regime(sctlr=SCTLR_M, ttbcr=EAE, ttbr0=LONG_ROOT)
    assert translate(guest.memory, little, VA).fault is not Fault.NONE


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("sh", range(4))
def test_the_memory_type_is_the_mair_byte_that_attrindx_names(index: int, sh: int) -> None:
    mair = 0x7766_5544_3322_1100
    guest = long_guest(PA | PAGE | index << 2 | sh << 8, mair=mair)
    t = translate(guest.memory, guest.regime, VA)
    assert (t.attr, t.shareability) == (0x11 * index, sh)


@pytest.mark.parametrize(
    ("l3", "l2", "flags"),
    [
        (0, 0, Flag.NONE),
        (1 << 11, 0, Flag.NG),
        (1 << 52, 0, Flag.CONTIGUOUS),
        (1 << 5, 0, Flag.NS),
        (0, NS_TABLE, Flag.NS),
        (1 << 11 | 1 << 52 | 1 << 5, NS_TABLE, Flag.NG | Flag.CONTIGUOUS | Flag.NS),
    ],
)
def test_flags_of_the_leaf_are_reported(l3: int, l2: int, flags: Flag) -> None:
    guest = long_guest(PA | PAGE | l3, l2=LONG_L3 | TABLE | l2)
    assert translate(guest.memory, guest.regime, VA).flags == flags


def test_a_table_that_points_at_itself_ends_at_level_3() -> None:
    with Memory() as memory:
        memory.add_ram(RAM, RAM_SIZE)
        memory.write(RAM, (RAM | PAGE).to_bytes(8, "little") * 512)
        w = walk(memory, Regime(sctlr=SCTLR_M, ttbcr=EAE, ttbr0=RAM), VA)
    assert [step.table_pa for step in w.steps] == [RAM, RAM, RAM]
    assert (w.result.fault, w.result.level, w.result.pa) == (Fault.NONE, 3, RAM | VA & 0xFFF)


def test_the_steps_of_a_walk_are_its_descriptors() -> None:
    guest = long_guest()
    steps = walk(guest.memory, guest.regime, VA).steps
    assert [(s.level, s.table_pa, s.index, s.descriptor_pa, s.descriptor, s.kind, s.ttbr) for s in steps] == [
        (1, LONG_ROOT, 1, LONG_ROOT + 8, LONG_L2 | TABLE, DescriptorKind.TABLE, 0),
        (2, LONG_L2, 145, LONG_L2 + 8 * 145, LONG_L3 | TABLE, DescriptorKind.TABLE, 0),
        (3, LONG_L3, 325, LONG_L3 + 8 * 325, PA | PAGE, DescriptorKind.PAGE, 0),
    ]


def test_a_disabled_mmu_maps_flat_without_checks() -> None:
    with Memory() as memory:
        for access, privileged in itertools.product(Access, (False, True)):
            w = walk(memory, Regime(ttbcr=EAE, ttbr0=OUTSIDE), VA, access, privileged=privileged)
            everything = Prot.READ | Prot.WRITE | Prot.EXEC
            assert (w.result.pa, w.result.fault, w.result.level) == (VA, Fault.NONE, 0)
            assert (w.result.prot, w.result.prot_other, w.result.flags) == (
                everything,
                everything,
                Flag.MMU_OFF,
            )
            assert w.steps == ()


def test_a_va_beyond_32_bits_is_refused() -> None:
    guest = long_guest()
    with pytest.raises(ValueError, match="virtual address 0x100000000"):
        translate(guest.memory, guest.regime, 1 << 32)


def test_translations_compare_by_value() -> None:
    guest = long_guest()
    first: Translation = translate(guest.memory, guest.regime, VA)
    assert first == walk(guest.memory, guest.regime, VA).result
    assert first != translate(guest.memory, guest.regime, VA + 1)
