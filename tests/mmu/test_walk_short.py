"""The walk of the short-descriptor format: ARM DDI 0406C B3.5."""

from __future__ import annotations

import itertools

import pytest

from pyemu.mem import Memory
from pyemu.mmu import Access, DescriptorKind, Fault, Flag, Prot, Regime, translate, walk
from tests.mmu.guest_tables import (
    CLIENT_ALL,
    COARSE,
    EAE,
    LARGE,
    OUTSIDE,
    RAM,
    RAM_SIZE,
    SCTLR_AFE,
    SCTLR_EE,
    SCTLR_M,
    SCTLR_UWXN,
    SCTLR_WXN,
    SECTION,
    SHORT_L2,
    SHORT_PA,
    SHORT_ROOT,
    SMALL,
    SUPERSECTION,
    VA,
    page_ap,
    section_ap,
    short_guest,
)

RW = 0b011
NO_ACCESS_ALL, MANAGER_ALL, RESERVED_ALL = 0, 0xFFFF_FFFF, 0xAAAA_AAAA

# Each kind of leaf: how a test makes one with given AP, XN and PXN bits and domain.
LEAVES = ("section", "supersection", "small", "large")


def leaf(kind: str, ap: int, *, xn: bool = False, pxn: bool = False, domain: int = 0) -> dict[str, int]:
    if kind in ("section", "supersection"):
        super_ = kind == "supersection"
        base = SUPERSECTION if super_ else SECTION | domain << 5
        return {"l1": SHORT_PA | base | section_ap(ap) | xn << 4 | pxn}
    l1 = SHORT_L2 | COARSE | domain << 5 | pxn << 2
    if kind == "small":
        return {"l1": l1, "l2": SHORT_PA | SMALL | page_ap(ap) | xn}
    return {"l1": l1, "l2": SHORT_PA | LARGE | page_ap(ap) | xn << 15}


def level_of(kind: str) -> int:
    return 1 if "section" in kind else 2


@pytest.mark.parametrize(
    ("descriptors", "level", "size", "pa", "flags"),
    [
        ({"l2": 0xFFFF_F000 | SMALL | page_ap(RW)}, 2, 1 << 12, 0xFFFF_F678, Flag.NONE),
        ({"l2": 0x8A0F_0000 | LARGE | page_ap(RW)}, 2, 1 << 16, 0x8A0F_5678, Flag.LARGE),
        ({"l2": 0x8A0F_7000 | LARGE | page_ap(RW)}, 2, 1 << 16, 0x8A0F_5678, Flag.LARGE),
        ({"l1": 0xFFF0_0000 | SECTION | section_ap(RW)}, 1, 1 << 20, 0xFFF4_5678, Flag.NONE),
        ({"l1": 0xFF00_0000 | SUPERSECTION | section_ap(RW)}, 1, 1 << 24, 0xFF34_5678, Flag.SUPERSECTION),
        (
            {"l1": 0x8A00_0000 | SUPERSECTION | section_ap(RW) | 0xC << 20 | 0x5 << 5},
            1,
            1 << 24,
            0x5C_8A34_5678,
            Flag.SUPERSECTION,
        ),
    ],
)
def test_each_leaf_size_maps_its_address(
    descriptors: dict[str, int], level: int, size: int, pa: int, flags: Flag
) -> None:
    guest = short_guest(**descriptors)
    t = translate(guest.memory, guest.regime, VA)
    assert (t.fault, t.level, t.size, t.pa, t.flags) == (Fault.NONE, level, size, pa, flags)


@pytest.mark.parametrize(
    ("descriptors", "level", "words"),
    [
        ({"l1": 0}, 1, "level 1 table not present: L1[1315] @0x4000548c = 0x0"),
        ({"l1": 0xFFFF_FFFC}, 1, "level 1 table not present: L1[1315] @0x4000548c = 0xfffffffc"),
        ({"l2": 0}, 2, "level 2 page not present: L2[69] @0x40008114 = 0x0"),
        ({"l2": 0xFFFF_FFFC}, 2, "level 2 page not present: L2[69] @0x40008114 = 0xfffffffc"),
    ],
)
def test_every_invalid_descriptor_is_a_translation_fault_at_its_level(
    descriptors: dict[str, int], level: int, words: str
) -> None:
    guest = short_guest(**descriptors)
    w = walk(guest.memory, guest.regime, VA)
    assert (w.result.fault, w.result.level, len(w.steps)) == (Fault.TRANSLATION, level, level)
    assert w.steps[-1].kind is DescriptorKind.INVALID
    assert w.text == words


@pytest.mark.parametrize("dacr", [NO_ACCESS_ALL, RESERVED_ALL])
def test_an_invalid_second_level_entry_is_a_translation_fault_whatever_its_domain(dacr: int) -> None:
    """B3.13: the domain is looked at only once there is a leaf."""
    guest = short_guest(0, l1=SHORT_L2 | COARSE | 7 << 5, dacr=dacr)
    t = translate(guest.memory, guest.regime, VA)
    assert (t.fault, t.level, t.domain) == (Fault.TRANSLATION, 2, 7)


def test_a_table_outside_memory_is_an_external_abort_on_the_walk() -> None:
    guest = short_guest(l1=OUTSIDE | COARSE | 3 << 5)
    w = walk(guest.memory, guest.regime, VA)
    assert (w.result.fault, w.result.level, w.result.domain) == (Fault.EXTERNAL_WALK, 2, 3)
    assert w.result.descriptor_pa == OUTSIDE + 4 * 0x45
    assert w.steps[-1].kind is DescriptorKind.UNREADABLE
    with Memory() as memory:
        t = translate(memory, Regime(sctlr=SCTLR_M, ttbr0=OUTSIDE), VA)
    assert (t.fault, t.level) == (Fault.EXTERNAL_WALK, 1)


@pytest.mark.parametrize("n", range(8))
def test_ttbcr_n_gives_the_upper_addresses_to_ttbr1(n: int) -> None:
    """B3.5.4, and the size and alignment of the table of TTBR0."""
    size0 = 1 << (14 - n)
    root0, root1 = RAM + 0x4000 + size0 * 3, RAM + 0xC000
    last0 = 0xFFFF_FFFF >> n
    cases = [(0, 0), (last0, 0)] + ([(last0 + 1, 1), (0xFFFF_FFFF, 1)] if n else [])
    with Memory() as memory:
        memory.add_ram(RAM, RAM_SIZE)
        regime = Regime(
            sctlr=SCTLR_M, ttbcr=n, ttbr0=0xAB << 32 | root0 | size0 - 1, ttbr1=0xAB << 32 | root1 | 0x3FFF
        )
        for va, ttbr in cases:
            w = walk(memory, regime, va)
            (step,) = w.steps
            assert (step.ttbr, step.table_pa) == (ttbr, root1 if ttbr else root0)
            assert step.index == (va >> 20 if ttbr else (va & last0) >> 20)
            assert bool(w.result.flags & Flag.TTBR1) == bool(ttbr)
            for pd in (0, 1):
                disabled = Regime(
                    sctlr=SCTLR_M, ttbcr=n | 1 << (4 + pd), ttbr0=regime.ttbr0, ttbr1=regime.ttbr1
                )
                stopped = walk(memory, disabled, va)
                if pd == ttbr:
                    assert (stopped.result.fault, stopped.result.level) == (Fault.TRANSLATION, 1)
                    assert stopped.steps == ()
                    assert stopped.text.endswith(f"walks from TTBR{pd} are disabled by TTBCR.PD{pd}")
                else:
                    assert stopped.steps == w.steps


def rights(read: bool, write: bool, execute: bool) -> Prot:
    return Prot(Prot.READ * read | Prot.WRITE * write | Prot.EXEC * execute)


# Table B3-8: AP[2:0] -> PL1 may read, write; PL0 may read, write.
FULL_AP = {
    0b000: (False, False, False, False),
    0b001: (True, True, False, False),
    0b010: (True, True, True, False),
    0b011: (True, True, True, True),
    0b100: (False, False, False, False),  # reserved
    0b101: (True, False, False, False),
    0b110: (True, False, True, False),
    0b111: (True, False, True, False),
}
# B3.7.1: AP[2:1] with SCTLR.AFE = 1.
SIMPLE_AP = {
    0b00: (True, True, False, False),
    0b01: (True, True, True, True),
    0b10: (True, False, False, False),
    0b11: (True, False, True, False),
}


@pytest.mark.parametrize("kind", LEAVES)
@pytest.mark.parametrize("afe", [False, True])
def test_permissions_follow_ap_xn_pxn_wxn_uwxn_and_afe(kind: str, afe: bool) -> None:
    for ap in range(8):
        if afe and not ap & 1:
            continue
        p_read, p_write, u_read, u_write = SIMPLE_AP[ap >> 1] if afe else FULL_AP[ap]
        for xn, pxn, wxn, uwxn in itertools.product((False, True), repeat=4):
            user = rights(u_read, u_write, u_read and not xn and not (wxn and u_write))
            never = xn or pxn or (wxn and p_write) or (uwxn and u_write)
            privileged_rights = rights(p_read, p_write, p_read and not never)
            sctlr = afe * SCTLR_AFE | wxn * SCTLR_WXN | uwxn * SCTLR_UWXN
            guest = short_guest(**leaf(kind, ap, xn=xn, pxn=pxn), sctlr=sctlr)
            for privileged, access in itertools.product((False, True), Access):
                mine, other = (privileged_rights, user) if privileged else (user, privileged_rights)
                t = translate(guest.memory, guest.regime, VA, access, privileged=privileged)
                allowed = bool(mine & 1 << access)
                assert t.fault is (Fault.NONE if allowed else Fault.PERMISSION), (ap, xn, pxn, wxn, uwxn)
                assert (t.prot, t.prot_other, t.level) == (mine, other, level_of(kind))


@pytest.mark.parametrize("kind", LEAVES)
@pytest.mark.parametrize("dacr", [CLIENT_ALL, NO_ACCESS_ALL, MANAGER_ALL])
def test_with_afe_a_clear_ap0_is_an_access_flag_fault_before_domain_and_permission(
    kind: str, dacr: int
) -> None:
    guest = short_guest(**leaf(kind, 0b110, xn=True), sctlr=SCTLR_AFE, dacr=dacr)
    for access in Access:
        t = translate(guest.memory, guest.regime, VA, access, privileged=False)
        assert (t.fault, t.level) == (Fault.ACCESS_FLAG, level_of(kind))


@pytest.mark.parametrize("kind", ["section", "small", "large"])
@pytest.mark.parametrize("domain", [0, 1, 7, 15])
def test_the_domain_of_the_first_level_decides_between_no_access_client_and_manager(
    kind: str, domain: int
) -> None:
    descriptors = leaf(kind, 0b101, xn=True, domain=domain)
    for code, fault in ((0, Fault.DOMAIN), (1, Fault.PERMISSION), (2, Fault.DOMAIN), (3, Fault.NONE)):
        dacr = CLIENT_ALL & ~(3 << 2 * domain) | code << 2 * domain
        guest = short_guest(**descriptors, dacr=dacr)
        for access in (Access.WRITE, Access.FETCH):
            t = translate(guest.memory, guest.regime, VA, access)
            assert (t.fault, t.level, t.domain) == (fault, level_of(kind), domain)
            assert bool(t.flags & Flag.DOMAIN_MANAGER) == (code == 3)


def test_a_supersection_is_in_domain_0() -> None:
    """Its bits 8:5 are address bits."""
    descriptor = 0x8A00_0000 | SUPERSECTION | section_ap(RW) | 0xF << 5
    granted = short_guest(l1=descriptor, dacr=0b01)
    t = translate(granted.memory, granted.regime, VA)
    assert (t.fault, t.domain, t.pa) == (Fault.NONE, 0, 0xF0_8A34_5678)
    refused = short_guest(l1=descriptor, dacr=CLIENT_ALL & ~0b11)
    assert translate(refused.memory, refused.regime, VA).fault is Fault.DOMAIN


def test_a_manager_may_do_everything() -> None:
    guest = short_guest(**leaf("small", 0b000, xn=True, pxn=True), dacr=MANAGER_ALL, sctlr=SCTLR_WXN)
    for privileged, access in itertools.product((False, True), Access):
        t = translate(guest.memory, guest.regime, VA, access, privileged=privileged)
        assert (t.fault, t.prot) == (Fault.NONE, Prot.READ | Prot.WRITE | Prot.EXEC)


def test_big_endian_tables_are_read_with_sctlr_ee() -> None:
    guest = short_guest(sctlr=SCTLR_EE)
    t = translate(guest.memory, guest.regime, VA)
    assert (t.fault, t.pa) == (Fault.NONE, SHORT_PA | VA & 0xFFF)


@pytest.mark.parametrize(
    ("descriptors", "flag"),
    [
        ({"l2": SHORT_PA | SMALL | page_ap(RW) | 1 << 11}, Flag.NG),
        ({"l2": SHORT_PA | LARGE | page_ap(RW) | 1 << 11}, Flag.NG | Flag.LARGE),
        ({"l1": SHORT_PA | SECTION | section_ap(RW) | 1 << 17}, Flag.NG),
        ({"l1": SHORT_PA | SECTION | section_ap(RW) | 1 << 19}, Flag.NS),
        ({"l1": SHORT_PA | SUPERSECTION | section_ap(RW) | 1 << 17}, Flag.NG | Flag.SUPERSECTION),
        ({"l1": SHORT_L2 | COARSE | 1 << 3}, Flag.NS),
    ],
)
def test_flags_of_the_leaf_are_reported(descriptors: dict[str, int], flag: Flag) -> None:
    guest = short_guest(**descriptors)
    assert translate(guest.memory, guest.regime, VA).flags == flag


def test_the_steps_of_a_walk_are_its_descriptors() -> None:
    guest = short_guest()
    steps = walk(guest.memory, guest.regime, VA).steps
    assert [(s.level, s.table_pa, s.index, s.descriptor_pa, s.kind) for s in steps] == [
        (1, SHORT_ROOT, 0x523, SHORT_ROOT + 4 * 0x523, DescriptorKind.TABLE),
        (2, SHORT_L2, 0x45, SHORT_L2 + 4 * 0x45, DescriptorKind.PAGE),
    ]


def test_ttbcr_eae_chooses_the_format() -> None:
    guest = short_guest()
    long = Regime(sctlr=SCTLR_M, ttbcr=EAE, ttbr0=SHORT_ROOT)
    assert len(walk(guest.memory, long, VA).steps) == 1
    assert walk(guest.memory, long, VA).steps[0].descriptor_pa == SHORT_ROOT + 8
