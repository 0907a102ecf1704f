"""``pyemu debug`` as it is typed: pipes, -c, -x, JSON, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pyemu.config import MachineConfig
from pyemu.machine import Machine
from tests.debug.targets import FIRMWARE

IMAGE = FIRMWARE / "broken-correct.elf"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("debug") / "up.snap"
    with Machine(MachineConfig(memory_bytes=64 << 20)) as machine:
        machine.load(IMAGE)
        machine.run(max_insns=200_000)
        machine.snapshot(path)
    return path


def debug(*arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyemu", "debug", *map(str, arguments)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)


def test_lines_from_a_pipe_are_carried_out_without_a_prompt(snapshot: Path) -> None:
    done = debug(snapshot, typed="walk enabled x\nwhy 0x50000000 w user\npt --kernel\n")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("0x400100")
    assert any(line.startswith("write at 0x50000000 from user mode faults: permission") for line in lines)
    assert "mapped by" in lines[-1]
    assert "\x1b" not in done.stdout
    assert "(pyemu)" not in done.stdout


def test_files_and_commands_run_in_their_order_and_as_json(snapshot: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("# a comment\nsym enable\n\nregs pc\n")
    done = debug(snapshot, "-c", "info", "-x", script, "-c", "cpu", "--json")
    assert done.returncode == 0
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [sorted(result)[0] for result in results] == ["capabilities", "more", "cpu", "cpus"]


def test_a_refused_command_is_one_line_and_status_2_and_the_next_is_carried_out(snapshot: Path) -> None:
    done = debug(snapshot, "-c", "walk", "-c", "sym enable")
    assert done.returncode == 2
    assert done.stderr == "pyemu: walk: VA is missing (usage: walk VA [r|w|x] [user|priv])\n"
    assert "enable" in done.stdout


def test_an_image_is_loaded_and_not_yet_run() -> None:
    done = debug(IMAGE, "-c", "regs pc", "-c", "doctor mmu")
    assert done.returncode == 0
    assert "40010000" in done.stdout
    assert "no table is set" in done.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"PYEMUSNP" + bytes(40), "snapshot"), (b"\x7fELF" + bytes(8), "truncated ELF")],
)
def test_a_target_that_cannot_be_opened_is_one_line(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "target"
    if content is not None:
        path.write_bytes(content)
    done = debug(path, "-c", "info")
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_symbols_come_from_a_system_map(snapshot: Path, tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text("40010000 T stext\n40010100 t later\n")
    done = debug(snapshot, "--symbols", path, "-c", "sym 0x40010104", "-c", "sym l*")
    assert "later+0x4" in done.stdout
    path.write_text("nonsense\n")
    assert "line 1 is no symbol" in debug(snapshot, "--symbols", path, "-c", "info").stderr
