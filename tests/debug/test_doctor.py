"""``doctor mmu`` names the cause of each broken bring-up, and has nothing against a correct one."""

from __future__ import annotations

import struct

import pytest

from pyemu.config import MachineConfig
from pyemu.debug import LiveTarget, Session
from pyemu.debug.code import omissions
from pyemu.debug.commands.mmu_doctor import doctor_mmu
from pyemu.machine import Machine, StopReason
from tests.debug.targets import FIRMWARE, run_image

# Name of the blob: the check that names its cause, what the text must say, whether the guest gets stuck.
BROKEN = {
    "af_clear": ("access flag", "AF (bit 10) must be set", True),
    "wrong_eae": ("descriptor format", "TTBCR.EAE = 0 selects short descriptors", True),
    "no_identity": ("identity map", "is mapped at 0x80", True),
    "xn_code": ("execute never", "XN or PXN set", True),
    "mair_zero": ("memory attributes", "AttrIndx 2 is used for RAM", False),
    "misaligned_root": ("table alignment", "must be aligned to 0x4000 bytes", True),
    "no_domain": ("domain", "DACR 0x55555554 gives no access", True),
    "missing_isb": ("missing barrier", "no ISB behind it", False),
    "missing_dsb": ("missing barrier", "no DSB between the store", False),
    "missing_tlbi": ("missing TLBI", "the TLB is stale", False),
}


def test_each_broken_image_is_tested() -> None:
    images = {path.stem.removeprefix("broken-") for path in FIRMWARE.glob("broken-*.elf")}
    assert images == set(BROKEN) | {"correct", "correct_short"}


@pytest.mark.parametrize("name", BROKEN)
def test_the_cause_of_a_broken_bring_up_is_named_first(name: str) -> None:
    check, text, stuck = BROKEN[name]
    session, stop = run_image(f"broken-{name}", timing="tlb")
    with session:
        assert (stop.reason is StopReason.LOCKUP) is stuck
        found = doctor_mmu(session)
        assert found.findings[0].check == check
        assert text in found.findings[0].text
        assert "ARM DDI 0406C" in "\n".join(found.lines)
        assert all(each.asks and each.section for each in found.findings)


@pytest.mark.parametrize("name", ["correct", "correct_short"])
@pytest.mark.parametrize("timing", ["off", "tlb"])
def test_a_correct_bring_up_has_no_finding(name: str, timing: str) -> None:
    session, stop = run_image(f"broken-{name}", timing=timing)  # type: ignore[arg-type]
    with session:
        assert stop.reason is StopReason.EXIT
        assert doctor_mmu(session).findings == ()
        assert "no finding" in doctor_mmu(session).lines


@pytest.mark.parametrize(
    ("name", "check"), [("no_identity", "identity map"), ("xn_code", "execute never"), ("correct", None)]
)
def test_the_same_is_said_before_the_mmu_is_turned_on(name: str, check: str | None) -> None:
    with Machine(MachineConfig()) as machine:
        machine.load(FIRMWARE / f"broken-{name}.elf")
        machine.run(max_insns=100_000, until="enable")
        found = doctor_mmu(Session(LiveTarget(machine)))
        assert "checked as if SCTLR.M were set" in found.state
        assert [each.check for each in found.findings][:1] == ([check] if check else [])


def test_a_machine_without_tables_is_told_to_run_first() -> None:
    with Machine(MachineConfig()) as machine:
        machine.load(FIRMWARE / "broken-correct.elf")
        found = doctor_mmu(Session(LiveTarget(machine)))
        assert found.findings == ()
        assert "no table is set" in found.notes[0]


ISB, DSB, NOP, BX_LR = 0xF57FF06F, 0xF57FF04F, 0xE1A00000, 0xE12FFF1E
SCTLR, TLBIALL, STR, PUSH = 0xEE010F10, 0xEE080F17, 0xE5801000, 0xE92D4010
CP15_ISB, CP15_DSB = 0xEE070F95, 0xEE070F9A


def seen(*words: int) -> list[str]:
    data = struct.pack(f"<{len(words)}I", *words) + struct.pack("<I", NOP) * 16
    return [each.what for each in omissions(data, 0x1000, thumb=False)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((SCTLR, ISB), []),
        ((SCTLR, NOP, CP15_ISB), []),
        ((SCTLR, BX_LR, ISB), ["sctlr-isb"]),
        ((SCTLR, NOP, NOP, NOP, NOP, ISB), ["sctlr-isb"]),
        ((STR, DSB, TLBIALL, DSB, ISB), []),
        ((STR, CP15_DSB, TLBIALL, CP15_DSB), []),
        ((STR, TLBIALL, DSB), ["store-dsb"]),
        ((PUSH, TLBIALL, DSB), []),
        ((DSB, TLBIALL, BX_LR), ["tlbi-dsb"]),
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
