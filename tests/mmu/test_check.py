"""``python -m pyemu.mmu.check``: it agrees on the real core, and it finds broken ones."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import unicorn
from unicorn import arm_const

from pyemu.mmu import reference
from pyemu.mmu.check import compare
from pyemu.mmu.check import deviations as dev
from pyemu.mmu.check.__main__ import main
from pyemu.mmu.check.compare import QUESTIONS, Judge
from pyemu.mmu.check.core import Core
from pyemu.mmu.check.oracle import FAILED, SCR, Oracle
from pyemu.mmu.check.world import LONG, SHORT, Registers, World, random_addresses, random_registers
from pyemu.mmu.reference import Access, Fault


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_300_000_random_translations_agree(seed: int) -> None:
    report = Judge(seed, sample=100).run(300_000)
    assert not report.mismatches, "\n".join(report.shown)
    assert report.count == 300_000
    assert report.sampled == 3000
    assert set(report.asked) == {(table, name) for table in (LONG, SHORT) for name in QUESTIONS}


def test_every_outcome_and_every_deviation_occurs() -> None:
    report = Judge(11, sample=1000).run(300_000)
    for table, levels in ((LONG, (1, 2, 3)), (SHORT, (1, 2))):
        for outcome in ("translated", "translation", "access flag", "permission", "external walk"):
            for level in levels:
                assert report.outcomes[table, f"{outcome}, level {level}"] > 100
    assert all(report.outcomes[SHORT, f"domain, level {level}"] > 100 for level in (1, 2))
    assert set(report.deviations) - {dev.ARENA_TOUCHED} == {
        *dev.DEVIATIONS,
        dev.PAR32_ATTRIBUTES,
        dev.PAR32_SUPERSECTION,
    }


def test_the_same_seed_asks_the_same_questions() -> None:
    first, second = (Judge(5, sample=500).run(20_000) for _ in range(2))
    assert dataclasses.asdict(first) == dataclasses.asdict(second)
    assert Judge(6, sample=500).run(20_000).outcomes != first.outcomes


# ---- the oracle is sound ----


def random_world(seed: int, table: str) -> tuple[World, Registers, Any]:
    rng = np.random.default_rng(seed)
    world = World()
    world.fill(rng, table)
    registers = dataclasses.replace(random_registers(rng, world), sctlr=0x00C50879)
    return world, registers, random_addresses(rng, registers, 400) & np.uint32(0xFFFFFFFC)


@pytest.mark.parametrize("table", [LONG, SHORT])
@pytest.mark.parametrize("operation", range(4))
def test_the_translation_loop_and_the_direct_call_agree(operation: int, table: str) -> None:
    faults = 0
    for seed in range(5):
        world, registers, va = random_world(seed, table)
        oracle = Oracle(world)
        oracle.set_registers(registers)
        looped = oracle.translate(va, operation)
        direct = oracle.direct(va, privileged=operation < 2, access=operation & 1)
        by_loop = compare.answers_of_engine(looped, compare.answers_of_pars(looped, table == LONG)[0])
        by_call = compare.answers_of_engine(direct, direct & ~np.uint64(0xFFF))
        failed = by_call & np.uint64(1) != 0
        # A 32-bit PAR of a supersection has PA[31:24] only.
        supersection = (by_loop & np.uint64(2) != 0) & (table == SHORT)
        pages = np.uint64(0xFF_FFFF_F000 if table == LONG else 0xFFFF_F000)
        shown = np.where(supersection, np.uint64(0xFF00_0000), pages)
        assert np.array_equal(by_loop[failed], by_call[failed])
        assert np.array_equal((by_loop & shown)[~failed], (by_call & shown)[~failed])
        faults += np.count_nonzero(failed)
    assert 100 < faults < 5 * 400 - 100


@pytest.mark.parametrize("table", [LONG, SHORT])
@pytest.mark.parametrize("privileged", [True, False])
def test_a_real_branch_aborts_exactly_where_the_oracle_says_that_the_fetch_faults(
    privileged: bool, table: str
) -> None:
    world, registers, va = random_world(7, table)
    oracle = Oracle(world)
    oracle.set_registers(registers)
    faults = (oracle.fetch(va, privileged) & np.uint64(FAILED) != 0).tolist()
    oracle.write_cp15(SCR, 1)  # Non-secure from here on
    oracle.uc.reg_write(arm_const.UC_ARM_REG_CPSR, 0x1D3 if privileged else 0x1D0)
    seen = []
    for address, fault in zip(va.tolist(), faults, strict=True):
        if not fault and world.read(world_address(world, registers, address, privileged), 4) is not None:
            continue  # would execute a descriptor
        with pytest.raises(unicorn.UcError) as stop:
            oracle.uc.emu_start(address, 0xFFFFFFFF, count=1)
        # A fetch that translates meets an address without memory.
        assert stop.value.errno == (unicorn.UC_ERR_EXCEPTION if fault else unicorn.UC_ERR_FETCH_UNMAPPED)
        seen.append(fault)
    assert 20 < sum(seen) < len(seen) - 20


def world_address(world: World, registers: Registers, va: int, privileged: bool) -> int:
    return reference.translate(world.read, registers, va, Access.FETCH, privileged).pa


# ---- a broken core is found ----


def register_breaker(change: Callable[[Registers], dict[str, int]]) -> type[Core]:
    """A core that walks with other registers than it was given."""

    class Broken(Core):
        def pars(self, registers: Registers, va: Any, access: int, privileged: bool) -> Any:
            return super().pars(dataclasses.replace(registers, **change(registers)), va, access, privileged)

        def translations(self, registers: Registers, va: Any, access: int, privileged: bool) -> Any:
            return super().translations(
                dataclasses.replace(registers, **change(registers)), va, access, privileged
            )

    return Broken


BREAKAGES: dict[str, tuple[str, Callable[[Registers], dict[str, int]]]] = {
    "WXN ignored": (LONG, lambda r: {"sctlr": r.sctlr & ~(1 << 19)}),
    "UWXN ignored": (LONG, lambda r: {"sctlr": r.sctlr & ~(1 << 20)}),
    "AFE ignored": (SHORT, lambda r: {"sctlr": r.sctlr & ~(1 << 29)}),
    "EE ignored": (LONG, lambda r: {"sctlr": r.sctlr & ~(1 << 25)}),
    "MMU always on": (SHORT, lambda r: {"sctlr": r.sctlr | 1}),
    "EPD1 ignored": (LONG, lambda r: {"ttbcr": r.ttbcr & ~(1 << 23)}),
    "T1SZ off by one": (LONG, lambda r: {"ttbcr": r.ttbcr ^ 1 << 16}),
    "N off by one": (SHORT, lambda r: {"ttbcr": r.ttbcr ^ 1}),
    "PD0 ignored": (SHORT, lambda r: {"ttbcr": r.ttbcr & ~(1 << 4)}),
    "TTBRs exchanged": (LONG, lambda r: {"ttbr0": r.ttbr1, "ttbr1": r.ttbr0}),
    "ASID taken for address": (LONG, lambda r: {"ttbr0": r.ttbr0 >> 16}),
    "domain 15 always client": (SHORT, lambda r: {"dacr": r.dacr & ~(3 << 30) | 1 << 30}),
    "MAIR1 ignored": (LONG, lambda r: {"mair1": r.mair0}),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_core_that_misreads_a_register_is_found(name: str) -> None:
    table, change = BREAKAGES[name]
    judge = Judge(1, (table,), sample=10**9, core=register_breaker(change))
    while not judge.report.mismatches and judge.report.count < 400_000:
        judge.run(judge.report.count + 20_000)
    report = judge.report
    assert report.mismatches["core and Unicorn differ"] > 0
    assert "va 0x" in report.shown[0]
    assert "sctlr=0x" in report.shown[0]
    assert "reference:" in report.shown[0]


def test_a_core_that_errs_like_unicorn_is_found_by_the_reference() -> None:
    """Agreement of the two C walkers alone proves nothing where both are wrong."""

    class LikeUnicorn(Core):
        def differences(self, registers: Registers, *rest: Any) -> list[str]:
            without = dataclasses.replace(registers, sctlr=registers.sctlr & ~(3 << 19))
            return super().differences(without, *rest)

    report = Judge(1, (SHORT,), sample=50, core=LikeUnicorn).run(100_000)
    assert set(report.mismatches) == {"core and reference differ"}
    assert "rights: core" in report.shown[0]


@pytest.mark.parametrize("bit", [0, 1, 5, 9, 11, 12, 31, 39, 56, 63])
def test_one_wrong_bit_in_one_par_is_found(bit: int) -> None:
    class OneBit(Core):
        done = False

        def pars(self, registers: Registers, va: Any, access: int, privileged: bool) -> Any:
            pars = super().pars(registers, va, access, privileged)
            good = np.flatnonzero(pars & np.uint64(1) == 0)
            if not OneBit.done and len(good):
                pars[good[0]] ^= np.uint64(1 << bit)
                OneBit.done = True
            return pars

    report = Judge(1, (LONG,), sample=10**9, core=OneBit).run(10_000)
    assert report.mismatches["core and Unicorn differ"] == 1


def test_a_wrong_page_offset_is_found() -> None:
    class Offset(Core):
        def translations(self, registers: Registers, va: Any, access: int, privileged: bool) -> Any:
            pa, status = super().translations(registers, va, access, privileged)
            return np.where(status == 0, pa, pa ^ np.uint64(4) * (status & 0xF == 0)), status

    report = Judge(1, sample=10**9, core=Offset).run(10_000)
    assert set(report.mismatches) == {"core: batch translation and ATS disagree"}


def test_a_deviation_counts_only_where_the_core_said_what_the_architecture_says() -> None:
    """Unicorn's known error does not excuse a third answer."""

    class Third(Core):
        def translations(self, registers: Registers, va: Any, access: int, privileged: bool) -> Any:
            pa, status = super().translations(registers, va, access, privileged)
            walk = status & 0xF == Fault.EXTERNAL_WALK
            return pa, np.where(walk, np.uint8(Fault.PERMISSION) | status & 0xF0, status).astype(np.uint8)

    report = Judge(1, (LONG,), sample=10**9, core=Third).run(20_000)
    assert report.mismatches["core and Unicorn differ"] > 0


# ---- each deviation is exact ----


def question(
    walk: reference.Translation, access: Access = Access.READ, ttbcr: int = 0, dacr: int = 1
) -> dev.Question:
    registers = Registers(1, ttbcr, 0, 0, dacr, 0, 0)
    return dev.Question(lambda pa, size: 0, registers, 0, access, True, walk)


def test_a_deviation_does_not_excuse_another_fault_or_level() -> None:
    unmapped = question(reference.Translation(Fault.EXTERNAL_WALK, 2), ttbcr=1 << 31)
    name = dev.explain(unmapped, dev.fault_answer(Fault.TRANSLATION, 2))
    assert name == "long format: translation fault for a table outside memory"
    assert dev.explain(unmapped, dev.fault_answer(Fault.TRANSLATION, 3)) is None
    assert dev.explain(unmapped, dev.fault_answer(Fault.PERMISSION, 2)) is None
    assert dev.explain(unmapped, 0x80000000) is None


def test_an_early_domain_fault_is_known_only_where_the_domain_has_no_access() -> None:
    invalid = reference.Translation(Fault.TRANSLATION, 2, domain=3)
    answer = dev.fault_answer(Fault.DOMAIN, 2)
    assert dev.explain(question(invalid, dacr=0), answer) is not None
    assert dev.explain(question(invalid, dacr=1 << 6), answer) is None
    assert dev.explain(question(invalid, dacr=0, ttbcr=1 << 31), answer) is None


# ---- answers are read strictly ----


@pytest.mark.parametrize("par", [0x80B | 1 << 8, 0x80B | 1 << 9, 0x801, 0x80B | 1 << 12, 0x00B])
def test_a_failing_64_bit_par_with_a_stray_bit_is_no_answer(par: int) -> None:
    answers, _ = compare.answers_of_pars(np.array([0x80B, par], dtype=np.uint64), True)
    assert answers[0] == dev.fault_answer(Fault.TRANSLATION, 1)
    assert answers[1] == compare.UNKNOWN


def test_engine_faults_are_told_from_addresses() -> None:
    raw = np.array([0x12345000, FAILED | 5 << 8 | 3, FAILED | 9 << 8 | 1], dtype=np.uint64)
    answers = compare.answers_of_engine(raw, raw).tolist()
    assert answers == [
        0x12345000,
        dev.fault_answer(Fault.PERMISSION, 3),
        dev.fault_answer(Fault.EXTERNAL_WALK, 1),
    ]


# ---- the command ----


def test_the_command_prints_one_json_object_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "20000", "--seed", "4", "--format", "lpae", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["count"] == 20000
    assert data["mismatches"] == {}
    assert data["deviations"]["long format: translation fault for a table outside memory"] > 0


def test_the_command_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "20000"]) == 0
    out = capsys.readouterr().out
    assert "short format: WXN and UWXN ignored" in out
    assert "0 mismatches" in out


def test_a_mismatch_is_exit_status_1_and_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = register_breaker(BREAKAGES["UWXN ignored"][1])
    monkeypatch.setattr(Judge.__init__, "__defaults__", ((LONG, SHORT), 200, broken))
    assert main(["--count", "20000", "--format", "lpae"]) == 1
    assert "MISMATCH: core and Unicorn differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--count", "0"], ["--format", "long"], ["--sample", "-1"], ["--count", "x"]]
)
def test_bad_arguments_are_exit_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_without_numpy_the_command_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys; sys.modules['numpy'] = None; import pyemu.mmu.check.__main__ as m; sys.exit(m.main([]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "pyemu.mmu.check needs numpy: pip install 'pyemu-armv7[test]'\n"
