"""``doctor mmu`` names the cause of each broken bring-up, and has nothing against a correct one."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from pyemu.config import MachineConfig
from pyemu.debug import LiveTarget, Session
from pyemu.debug.code import omissions
from pyemu.debug.commands.mmu_doctor import doctor_mmu
from pyemu.machine import LoadOptions, Machine, StopReason
from tests.acceptance.conftest import debian, packages, u_boot  # noqa: F401  (fixtures)
from tests.acceptance.guest import Guest
from tests.debug.targets import FIRMWARE, run_image

# Name of the blob: the check that names its cause, what the text must say, how the run ends: L in a lockup,
# H in a handler that hangs, E at the program's end.
BROKEN = {
    "af_clear": ("access flag", "AF (bit 10) must be set", "L"),
    "wrong_eae": ("descriptor format", "TTBCR.EAE = 0 selects short descriptors", "L"),
    "no_identity": ("identity map", "is mapped at 0x80", "L"),
    "xn_code": ("execute never", "XN or PXN set", "L"),
    "mair_zero": ("memory attributes", "AttrIndx 2 is used for RAM", "E"),
    "misaligned_root": ("table alignment", "must be aligned to 0x4000 bytes", "L"),
    "no_domain": ("domain", "DACR 0x55555554 gives no access", "L"),
    "missing_isb": ("missing barrier", "no ISB behind it", "E"),
    "missing_dsb": ("missing barrier", "no DSB between the store", "E"),
    "missing_tlbi": ("missing TLBI", "the TLB is stale", "E"),
    "afe_ap0": ("access flag", "AP[0], which SCTLR.AFE = 1 makes the access flag", "L"),
    "ap_none": ("execute never", "may not be read, so not executed", "L"),
    "block_as_table": ("descriptor type", "a block of 1 GB has bits 1:0 = 0b01", "L"),
    "high_vectors": ("vectors", "0xffff000c (SCTLR.V = 1) is not mapped", "L"),
    "jump_unmapped": ("prefetch abort", "it went to 0xc0010000, and the fetch faults", "H"),
    "mair_unset": ("memory attributes", "its byte of MAIR0 = 0x00000000 is 0", "E"),
    "misaligned_block": ("block alignment", "not aligned to its 2 MB: it maps 0x40400000", "E"),
    "no_tlbi": ("missing TLBI", "no TLB invalidation at all", "E"),
    "short_with_eae": ("descriptor format", "TTBCR.EAE = 1 selects long descriptors", "L"),
    "stack_unmapped": ("stack", "0x404ffff", "H"),
    "strongly_ordered": ("memory attributes", "RAM that is mapped as Strongly-ordered", "E"),
    "t0sz": ("TTBR split", "TTBCR.T0SZ = 2: TTBR0 translates up to 0x3fffffff", "L"),
    "table_virtual": ("table outside memory", "L2[0] @0xc0201000 cannot be read", "L"),
    "ttbr0_upper": ("table base", "bits 39:32 = 0x13", "L"),
    "ttbr1_unset": ("TTBR split", "left to TTBR1 = 0x0", "L"),
    "uart_cached": ("device memory", "the UART is Normal write-back write-allocate", "E"),
    "uart_unmapped": ("data abort", "the write of 0x09000000 (the UART)", "H"),
    "wrong_pa": ("output address", "0x44001", "L"),
    "wxn": ("execute never", "is writable, and SCTLR.WXN = 1", "L"),
}
# What only shows when the code behind SCTLR.M has run.
LATER = {"jump_unmapped", "missing_tlbi", "uart_unmapped"}
ENDS = {"L": StopReason.LOCKUP, "H": StopReason.LIMIT, "E": StopReason.EXIT}


def test_each_broken_image_is_tested() -> None:
    images = {path.stem.removeprefix("broken-") for path in FIRMWARE.glob("broken-*.elf")}
    assert images == set(BROKEN) | {"correct", "correct_short"}


@pytest.mark.parametrize("name", BROKEN)
def test_the_cause_of_a_broken_bring_up_is_named_first(name: str) -> None:
    check, text, end = BROKEN[name]
    session, stop = run_image(f"broken-{name}", timing="tlb")
    with session:
        assert stop.reason is ENDS[end]
        found = doctor_mmu(session)
        assert found.findings[0].check == check
        assert text in found.findings[0].text
        assert "ARM DDI 0406C" in "\n".join(found.lines)
        assert all(each.asks and each.section for each in found.findings)


def before_the_mmu(name: str) -> Session:
    """A session that has stopped at the MCR that sets SCTLR.M."""
    machine = Machine(MachineConfig())
    machine.load(FIRMWARE / f"broken-{name}.elf")
    machine.run(max_insns=100_000, until="enable")
    return Session(LiveTarget(machine, owned=True))


@pytest.mark.parametrize("name", [*BROKEN, "correct", "correct_short"])
def test_the_same_is_said_before_the_mmu_is_turned_on(name: str) -> None:
    with before_the_mmu(name) as session:
        found = doctor_mmu(session)
    assert "checked as if SCTLR.M were set" in found.state
    if name in LATER or name not in BROKEN:
        assert found.findings == ()
    else:
        check, text, _ = BROKEN[name]
        assert found.findings[0].check == check
        assert text in found.findings[0].text


WHY = {
    "ttbr1_unset": "TTBCR.N = 2 leaves it to TTBR1 = 0x0; with TTBCR = 0x0 it would be 0x4001",
    "t0sz": "TTBCR.T0SZ = 2 leaves it to TTBR1 = 0x0",
    "short_with_eae": "TTBCR.EAE = 1, and the table has the other format",
    "wrong_eae": "TTBCR.EAE = 0, and the table has the other format",
    "block_as_table": "is a table by its bits 1:0 = 0b11 and has the attributes of a block",
    "wrong_pa": "there is no memory at 0x44001012c to execute",
    "wxn": "SCTLR.WXN = 1 forbids execution of what is writable",
    "afe_ap0": "AP[0] = 0 (SCTLR.AFE = 1 makes it the access flag)",
    "ap_none": "AP[2:0]=0b000 is no access",
    "table_virtual": "which L1[1] @0x40200008 = 0x00000000c0201003 points to, lies outside memory",
}


@pytest.mark.parametrize("name", WHY)
def test_why_agrees(name: str) -> None:
    session, _ = run_image(f"broken-{name}")
    with session:
        found = session.execute("why pc x")
        assert not found.works
        assert WHY[name] in found.text


def test_at_the_write_of_sctlr_its_new_value_is_checked() -> None:
    with before_the_mmu("wxn") as session:
        assert "0x00cd187d, which the next instruction writes" in doctor_mmu(session).notes[0]


def test_earlier_than_that_somebody_is_told_where_to_ask_again() -> None:
    with Machine(MachineConfig()) as machine:
        machine.load(FIRMWARE / "broken-correct.elf")
        machine.run(max_insns=100_000, until=0x400100AC)
        found = doctor_mmu(Session(LiveTarget(machine)))
    assert any("ask again at 0x400100b8 (enable)" in note for note in found.notes)


def test_one_descriptor_that_is_wrong_for_all_is_one_finding() -> None:
    with before_the_mmu("af_clear") as session:
        assert [each.check for each in doctor_mmu(session).findings] == ["access flag"]


def test_that_a_missing_clean_is_not_noticed_is_said() -> None:
    with before_the_mmu("correct_short") as session:
        assert any("TTBR0.IRGN and RGN are 0" in note for note in doctor_mmu(session).notes)
    with before_the_mmu("correct") as session:
        assert not any("cleaned" in note for note in doctor_mmu(session).notes)


def test_a_console_that_nothing_maps_is_said() -> None:
    with before_the_mmu("uart_unmapped") as session:
        assert any("nothing maps the UART" in note for note in doctor_mmu(session).notes)


@pytest.mark.parametrize("name", ["correct", "correct_short"])
@pytest.mark.parametrize("timing", ["off", "tlb"])
def test_a_correct_bring_up_has_no_finding(name: str, timing: str) -> None:
    session, stop = run_image(f"broken-{name}", timing=timing)  # type: ignore[arg-type]
    with session:
        assert stop.reason is StopReason.EXIT
        assert doctor_mmu(session).findings == ()
        assert "no finding" in doctor_mmu(session).lines


CORRECT = (
    "bench-chase-short",
    "thumb",
    "smc",
    "timer",
    "uart",
    "user",
    "atomic",
    "bench-chase",
    "bench-maintenance-short",
)


@pytest.mark.parametrize("name", CORRECT)
def test_correct_firmware_has_no_finding_at_any_time(name: str) -> None:
    with Machine(MachineConfig(smp=2 if name == "atomic" else 1)) as machine:
        machine.load(FIRMWARE / f"{name}.elf")
        session = Session(LiveTarget(machine))
        for _ in range(25):
            machine.run(max_insns=7919)
            if machine.regime(0).mmu_on:
                assert doctor_mmu(session).findings == ()


@pytest.mark.acceptance
def test_u_boot_and_linux_have_no_finding_at_any_time(
    u_boot: Guest,  # noqa: F811
    debian: Callable[..., Guest],  # noqa: F811
) -> None:
    linux = debian("armmp-lpae", "1G")
    assert u_boot.flash is not None
    assert linux.kernel is not None
    assert linux.initrd is not None
    looks = 0
    for kernel, options in (
        (None, LoadOptions(flash=u_boot.flash.read_bytes())),
        (linux.kernel, LoadOptions(initrd=linux.initrd.read_bytes(), append="console=ttyAMA0")),
    ):
        with Machine(MachineConfig()) as machine:
            machine.load(kernel, options)
            session = Session(LiveTarget(machine))
            for _ in range(60):
                machine.run(max_insns=500_009)
                looks += machine.regime(0).mmu_on
                # Early on Linux has no vectors: an abort would end it.
                assert {each.check for each in doctor_mmu(session).findings} <= {"vectors"}
    assert looks > 60


def test_a_machine_without_tables_is_told_to_run_first() -> None:
    with Machine(MachineConfig()) as machine:
        machine.load(FIRMWARE / "broken-correct.elf")
        found = doctor_mmu(Session(LiveTarget(machine)))
        assert found.findings == ()
        assert "no table is set" in found.state
        assert "no finding" not in found.lines


ISB, DSB, NOP, BX_LR = 0xF57FF06F, 0xF57FF04F, 0xE1A00000, 0xE12FFF1E
SCTLR, TLBIALL, STR, PUSH = 0xEE010F10, 0xEE080F17, 0xE5801000, 0xE92D4010
CP15_ISB, CP15_DSB, MOV_PC_LR = 0xEE070F95, 0xEE070F9A, 0xE1A0F00E
READ_SCTLR, ORR_I, ORR_M, ORR_R1 = 0xEE110F10, 0xE3800A01, 0xE3800001, 0xE1800001


def b(words: int, condition: int = 0xE) -> int:
    """A branch over so many words."""
    return condition << 28 | 0x0A000000 | words - 1 & 0xFFFFFF


def seen(*words: int) -> list[str]:
    data = struct.pack(f"<{len(words)}I", *words) + struct.pack("<I", NOP) * 40
    return [each.what for each in omissions(data, 0x1000, thumb=False)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((SCTLR, ISB), []),
        ((SCTLR, NOP, CP15_ISB), []),
        ((READ_SCTLR, ORR_I, SCTLR), []),  # the MMU stays as it is
        ((READ_SCTLR, ORR_I, ORR_M, SCTLR), ["sctlr-isb"]),
        ((READ_SCTLR, ORR_R1, SCTLR), ["sctlr-isb"]),
        ((SCTLR, BX_LR, ISB), []),  # the caller may have it
        ((SCTLR, b(2), NOP, NOP, ISB), []),
        ((SCTLR, b(2), ISB, NOP, NOP), ["sctlr-isb"]),
        ((SCTLR, NOP, NOP, NOP, NOP, ISB), ["sctlr-isb"]),
        ((STR, DSB, TLBIALL, DSB, ISB), []),
        ((STR, CP15_DSB, TLBIALL, CP15_DSB), []),
        ((STR, TLBIALL, DSB), ["store-dsb"]),
        ((PUSH, TLBIALL, DSB), []),
        ((DSB, TLBIALL, BX_LR), []),
        ((DSB, TLBIALL, MOV_PC_LR), []),
        ((DSB, TLBIALL, b(-3, 1), DSB), []),  # a loop
        ((DSB, *[TLBIALL] * 20, DSB), []),
        ((DSB, TLBIALL, *[NOP] * 32), ["tlbi-dsb"]),
        ((STR, BX_LR, TLBIALL, DSB), []),
    ],
)
def test_barriers_that_are_missing_in_straight_line_code(words: tuple[int, ...], expected: list[str]) -> None:
    assert seen(*words) == expected


def test_thumb_code_is_read_by_halfwords() -> None:
    def thumb(word: int) -> bytes:
        return struct.pack("<HH", word >> 16, word & 0xFFFF)

    nops = struct.pack("<H", 0xBF00) * 40
    isb, sctlr = thumb(0xF3BF8F6F), thumb(0xEE010F10)
    assert omissions(b"\x00\xbf" + sctlr + isb + nops, 0x1000, thumb=True) == []
    (found,) = omissions(b"\x00\xbf" + sctlr + nops, 0x1000, thumb=True)
    assert (found.what, found.address) == ("sctlr-isb", 0x1002)
    read, orr_i, orr_m = thumb(0xEE110F10), thumb(0xF4405080), thumb(0xF0400001)
    assert omissions(read + orr_i + sctlr + nops, 0x1000, thumb=True) == []
    assert len(omissions(read + orr_m + sctlr + nops, 0x1000, thumb=True)) == 1
    away = struct.pack("<HH", 0xE001, 0xBF00)  # b over two halfwords, to the ISB
    assert omissions(sctlr + away + b"\x00\xbf" + isb + nops, 0x1000, thumb=True) == []
