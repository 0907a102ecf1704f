"""Every committed image runs to its end on both cores, its tests pass, and its status is returned."""

from __future__ import annotations

import pytest

from tests.conftest import Completed, run_command_line
from tests.firmware.blobs import BLOBS, BY_NAME, FIRMWARE, Blob, compare_failures, parse_tap

CORES = ["cortex-a15", "cortex-a7"]


def assert_as_listed(done: Completed, skips: int, fails: tuple[str, ...] = ()) -> None:
    tap = parse_tap(done.stdout)
    assert compare_failures(tap, fails) == "", done.stderr
    assert tap.plan == tap.count > 0, done.stdout[-2000:] + done.stderr
    assert len(tap.skipped) == skips, tap.skipped
    assert done.status == (1 if fails else 0), done.stderr


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("blob", BLOBS, ids=lambda blob: blob.name)
def test_every_check_of_the_blob_passes(blob: Blob, core: str) -> None:
    done = run_command_line("boot", blob.elf, "--cpu", core, "--timeout", "110", *blob.options(), timeout=120)
    assert_as_listed(done, blob.skips, blob.fails)


def test_each_committed_image_has_its_options_in_the_manifest() -> None:
    others = ("bench-", "hosted-", "kernel-", "broken-")
    images = {path.stem for path in (FIRMWARE / "elf").glob("*.elf") if not path.stem.startswith(others)}
    assert images == set(BY_NAME)


# Places of highmem.c that the machine does not have are skipped, and only those.
@pytest.mark.parametrize(("mem", "skips"), [("512M", 12), ("1G", 12), ("4G", 9), ("16G", 0)])
def test_memory_above_4_gb_is_tested_as_far_as_there_is_some(mem: str, skips: int) -> None:
    blob = BY_NAME["highmem"]
    done = run_command_line("boot", blob.elf, *blob.options(mem=mem), "--timeout", "110", timeout=120)
    assert_as_listed(done, skips)


@pytest.mark.parametrize("name", ["faults", "timer", "atomic", "smc"])
def test_two_runs_are_alike_to_the_last_instruction_and_walk(name: str) -> None:
    blob = BY_NAME[name]
    first, second = (
        run_command_line("boot", blob.elf, *blob.options(), "--json", timeout=120) for _ in range(2)
    )
    assert first.json["stats"] == second.json["stats"]
    assert [line for line in first.stderr.splitlines() if "MIPS" not in line] == [
        line for line in second.stderr.splitlines() if "MIPS" not in line
    ]


def test_a_blob_that_bails_out_says_why_and_its_status_is_returned() -> None:
    done = run_command_line("boot", BY_NAME["atomic"].elf, "--smp", "1", "--timeout", "50")
    assert done.status == 99
    assert "Bail out! CPU_ON of CPU 1 returned -2" in done.stdout


@pytest.mark.parametrize(
    ("text", "passed", "failed", "skipped"),
    [
        ("ok 1 - a\nok 2 - b\n1..2\n", 2, 0, 0),
        ("ok 1 - a\nnot ok 2 - b\n1..2\n", 1, 1, 0),
        ("noise ok 9\nok 1 - a # SKIP none\n1..1\n", 0, 0, 1),
    ],
)
def test_tap_is_counted(text: str, passed: int, failed: int, skipped: int) -> None:
    tap = parse_tap(text)
    assert (len(tap.passed), len(tap.failed), len(tap.skipped)) == (passed, failed, skipped)


@pytest.mark.parametrize("text", ["ok 2 - b\n", "ok 1 - a\nok 1 - a\n", "ok 1 - a\nBail out! lost\n"])
def test_tap_with_a_hole_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_tap(text)
