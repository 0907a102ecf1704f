"""``pyemu translate``: answers, forms, exit status, and a million addresses at a time."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pyemu.config import MachineConfig
from pyemu.machine import Machine
from pyemu.mmu import Access, Fault, Regime, translate
from tests.conftest import ROOT, Completed
from tests.debug.cores import RAM, Load, make_core, note, prstatus, raw_guest

Run = Callable[..., Completed]
TEXT_GOOD = "0xc0000123  0x40000123\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Regime]:
    """A raw image, its register file and its regime."""
    directory = tmp_path_factory.mktemp("translate")
    regime = raw_guest(directory / "ram", "lpae")
    (directory / "regs.json").write_text(json.dumps(vars(regime)))
    return directory / "ram", directory / "regs.json", regime


@pytest.fixture
def command(run_pyemu: Run, image: tuple[Path, Path, Regime]) -> Run:
    ram, regs, _ = image

    def run(*args: str, **options: str) -> Completed:
        return run_pyemu("translate", ram, "--ram-base", "0x40000000", "--regs", regs, *args, **options)

    return run


def test_addresses_with_and_without_0x(command: Run) -> None:
    done = command("c0000123", "0xC0FFFFFF")
    assert (done.status, done.stdout, done.stderr) == (0, TEXT_GOOD + "0xc0ffffff  0x40ffffff\n", "")


def test_a_fault_is_an_answer_and_shows_in_the_exit_status(command: Run) -> None:
    done = command("c0000123", "c1000000")
    assert (done.status, done.stderr) == (1, "")
    assert done.stdout == TEXT_GOOD + "0xc1000000  translation fault, level 2\n"


def test_access_and_privilege_are_those_that_were_asked(command: Run) -> None:
    assert command("ffff0000", "--user").status == 0
    done = command("ffff0000", "--access", "w")
    assert (done.status, done.stdout) == (1, "0xffff0000  permission fault, level 3\n")
    assert command("c0000000", "--user").stdout == "0xc0000000  permission fault, level 2\n"
    assert command("c0000000", "--access", "x").status == 0


def test_standard_input_goes_where_its_dash_stands(command: Run) -> None:
    done = command("c0000001", "-", "c0000004", input="c0000002\n0xc0000003 ")
    assert [line.split()[0][-1] for line in done.stdout.splitlines()] == ["1", "2", "3", "4"]
    assert done.status == 0


def test_no_addresses_on_standard_input(command: Run) -> None:
    assert (command("-", input="").status, command("-", input="").stdout) == (0, "")
    assert command("-", "--json", input="").json == {"results": [], "translated": 0, "faults": 0}


def test_json_and_csv_say_the_same(command: Run) -> None:
    addresses = ("c0000123", "c1000000", "ffff0000")
    found = command(*addresses, "--json").json
    assert found == {
        "results": [
            {"va": 0xC000_0123, "pa": 0x4000_0123, "fault": None, "level": 2},
            {"va": 0xC100_0000, "pa": None, "fault": "translation", "level": 2},
            {"va": 0xFFFF_0000, "pa": 0x4000_3000, "fault": None, "level": 3},
        ],
        "translated": 2,
        "faults": 1,
    }
    rows = list(csv.DictReader(io.StringIO(command(*addresses, "--csv").stdout)))
    for row, result in zip(rows, found["results"], strict=True):
        assert int(row["va"], 16) == result["va"]
        assert (int(row["pa"], 16) if row["pa"] else None) == result["pa"]
        assert (row["fault"] or None, int(row["level"])) == (result["fault"], result["level"])


def test_a_million_addresses(command: Run, image: tuple[Path, Path, Regime]) -> None:
    """In four batches; each answer of a sample is that of a single translation."""
    from pyemu.debug.dump import open_dump

    rng = random.Random(5)
    bases = (0xC000_0000, 0xC0FF_0000, 0xFFFE_0000, 0xFFFF_0000, 0x1000_0000)
    addresses = [rng.choice(bases) + rng.getrandbits(16) for _ in range(1_000_000)]
    done = command("-", "--csv", input="\n".join(f"{va:08x}" for va in addresses))
    assert done.status == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "va,pa,fault,level"
    assert len(lines) == 1_000_001
    with open_dump(image[0], ram_base=RAM, regs=image[1]) as target:
        for at in rng.sample(range(1_000_000), 2000):
            t = translate(target.memory, image[2], addresses[at], Access.READ)
            pa = f"{t.pa:#x}" if t.ok else ""
            fault = "" if t.fault is Fault.NONE else t.fault.text
            assert lines[at + 1] == f"{addresses[at]:#010x},{pa},{fault},{t.level}"


def test_symbols_are_addresses(command: Run, tmp_path: Path) -> None:
    (tmp_path / "map").write_text("c0000123 T swapper_start\n")
    assert command("swapper_start", "--symbols", str(tmp_path / "map")).stdout == TEXT_GOOD


@pytest.mark.parametrize("word", ["nothing", "100000000", "-1", "c0g0", "0x", "1e1000000000000000000000"])
def test_what_is_no_address_is_refused(command: Run, word: str) -> None:
    done = command("c0000123", "-", input=f"c0000000 {word}\n")
    assert done.status == 2
    assert done.stderr.startswith("pyemu: ")
    assert done.stderr.count("\n") == 1


def test_a_snapshot_is_a_target(run_pyemu: Run, tmp_path: Path) -> None:
    with Machine(MachineConfig(memory_bytes=64 << 20)) as machine:
        machine.load(ROOT / "firmware/elf/lpae.elf")
        machine.run(max_insns=100_000)
        machine.snapshot(tmp_path / "snap")
        expected = machine.translate(0x4001_0000)
    assert expected.ok
    done = run_pyemu("translate", tmp_path / "snap", "40010000")
    assert (done.status, done.stdout) == (0, f"0x40010000  {expected.pa:#010x}\n")


def test_a_guess_is_explained_on_standard_error(run_pyemu: Run, image: tuple[Path, Path, Regime]) -> None:
    done = run_pyemu("translate", image[0], "--ram-base", "0x40000000", "--find-pgd", "c0000123")
    assert (done.status, done.stdout) == (0, TEXT_GOOD)
    assert "long descriptors at 0x40800000" in done.stderr
    assert "maps itself, at 0xc0800000" in done.stderr


def test_mistakes_are_one_line(run_pyemu: Run, image: tuple[Path, Path, Regime], tmp_path: Path) -> None:
    ram, regs, _ = image
    (tmp_path / "core").write_bytes(make_core([Load(RAM, bytes(4096))], note(b"CORE", 1, prstatus())))
    for args, why in (
        ((ram, "--ram-base", "0x40000000", "c0000000"), "--find-pgd"),
        ((ram, "--ram-base", "0x40000000", "--regs", regs, "--find-pgd", "0"), "one of them"),
        ((ram, "--ram-base", "0x40000000", "--regs", regs, "--cpu", "1", "0"), "no CPU 1: there are 1"),
        ((ram, "--ram-base", "somewhere", "0"), "is not a size"),
        ((tmp_path / "core", "0"), "--find-pgd"),
        ((tmp_path / "core", "--find-pgd", "0"), "nothing in this memory looks like page tables"),
        ((tmp_path / "none", "0"), "No such file"),
        ((tmp_path, "0"), "Is a directory"),
    ):
        done = run_pyemu("translate", *args)
        assert (done.status, done.stdout) == (2, ""), args
        assert why in done.stderr
        assert done.stderr.count("\n") == 1
