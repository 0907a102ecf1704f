"""The harness itself: archives, dialogues and parsers, without any guest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.guest import NoAnswer, answers, converse, meminfo
from tests.acceptance.initramfs import FILE_SIZE, TURN, entries, filled, newc
from tests.acceptance.packages import Packages, locked
from tests.conftest import need_tool


def test_archive_lists_and_unpacks_with_cpio(tmp_path: Path) -> None:
    need_tool("cpio", "cpio")
    archive = newc(entries(b"not a program"))
    assert archive == newc(entries(b"not a program"))
    listed = subprocess.run(["cpio", "-itv"], input=archive, capture_output=True, check=True).stdout.decode()
    assert "crw-------" in listed
    assert "bin/sh -> busybox" in listed
    subprocess.run(["cpio", "-id", "--quiet", "init", "bin/busybox"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/busybox").read_bytes() == b"not a program"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_filled_files_differ_in_every_page() -> None:
    program = bytes(range(251)) * 5  # not a whole number of pages
    first, second = filled(program, 1), filled(program, 2)
    assert len(first) == len(second) == FILE_SIZE
    assert all(first[at : at + 4096] != second[at : at + 4096] for at in range(0, FILE_SIZE, 4096))
    assert first[: FILE_SIZE - 2 * TURN] == filled(program, 0)[TURN : FILE_SIZE - TURN]


def test_conversation_waits_for_each_prompt() -> None:
    script = "for n in '1', '2', '': print('? ', end='', flush=True); print('got', input()) if n else None"
    console = converse([sys.executable, "-c", script], [(r"\? ", "one"), (r"\? ", "two")], timeout=20)
    assert console == "? got one\n? got two\n? "


def test_conversation_reports_a_guest_that_ends_or_hangs() -> None:
    with pytest.raises(NoAnswer, match="ended before"):
        converse([sys.executable, "-c", "print('bye')"], [("never", "x")], timeout=20)
    with pytest.raises(NoAnswer, match="time limit"):
        converse([sys.executable, "-c", "import time; time.sleep(60)"], [("never", "x")], timeout=0.5)


def test_answers_are_the_text_between_prompts() -> None:
    assert answers("boot\r\n# \x1b[6nls -l\r\na\r\nb\r\n# off\r\n", "# ") == {"ls -l": "a\nb", "off": ""}
    assert meminfo("MemTotal:    12 kB\nHighTotal: 0 kB\nPages: 3\n") == {
        "MemTotal": 12,
        "HighTotal": 0,
    }


def test_cache_is_held_against_a_second_process(tmp_path: Path) -> None:
    other = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", other, str(tmp_path / "lock")]
    with locked(tmp_path):
        assert subprocess.run(command, capture_output=True).returncode != 0
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_package_in_the_cache_is_used_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busybox = tmp_path / "packages/busybox-static/bin/busybox"
    busybox.parent.mkdir(parents=True)
    busybox.write_bytes(b"there")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert Packages(tmp_path).busybox().read_bytes() == b"there"
