"""U-Boot from flash: to its prompt, where it describes the board and dumps memory."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from tests.acceptance.conftest import boot_twice
from tests.acceptance.guest import Dialogue, Guest, answers, converse
from tests.conftest import need_tool

pytestmark = pytest.mark.acceptance

PROMPT = "=> "
DIALOGUE: Dialogue = [
    ("Hit any key to stop autoboot", ""),
    (PROMPT, "bdinfo"),
    (PROMPT, "md.l 0 8"),
    (PROMPT, "mw.l 50000000 cafe0123 2"),
    (PROMPT, "md.l 50000000 4"),
    (PROMPT, "poweroff"),
]


def words(dump: str) -> list[int]:
    """The words that U-Boot's md prints, 4 a line."""
    lines = re.findall(r"^[0-9a-f]{8}:((?: [0-9a-f]{8}){1,4})", dump, re.M)
    return [int(word, 16) for line in lines for word in line.split()]


def check(console: str, image: bytes) -> None:
    answer = answers(console, PROMPT)
    board = dict(re.findall(r"^(?:-> )?(\w[\w ]*?)\s*= (\S+)", answer["bdinfo"], re.M))
    assert int(board["start"], 16) == 0x40000000
    assert int(board["size"], 16) == 1 << 30
    assert board["Build"] == "32-bit"
    assert int(board["relocaddr"], 16) >= 0x7F000000, "U-Boot runs from the top of RAM"
    assert words(answer["md.l 0 8"]) == list(struct.unpack("<8I", image[:32]))
    assert words(answer["md.l 50000000 4"])[:2] == [0xCAFE0123] * 2


def test_u_boot_reaches_its_prompt_and_answers(u_boot: Guest, tmp_path: Path) -> None:
    assert u_boot.flash is not None
    run = boot_twice(u_boot, DIALOGUE, tmp_path)
    check(run.console, u_boot.flash.read_bytes())
    assert run.summary["reason"] == "poweroff"


def test_the_same_dialogue_holds_on_qemu(u_boot: Guest) -> None:
    need_tool("qemu-system-arm", "qemu-system-arm")
    assert u_boot.flash is not None
    check(converse(u_boot.qemu("qemu-system-arm"), DIALOGUE), u_boot.flash.read_bytes())
