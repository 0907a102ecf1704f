"""The committed images are what their sources give, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import need_tool, unavailable
from tests.firmware.blobs import FIRMWARE


def copy_of_firmware(to: Path) -> Path:
    """A copy elsewhere: the build must depend neither on where it is nor on what was built before."""
    return Path(shutil.copytree(FIRMWARE, to / "some where else", ignore=shutil.ignore_patterns("build")))


def need_compiler() -> None:
    need_tool("arm-none-eabi-gcc", "gcc-arm-none-eabi")
    need_tool("make", "make")
    need_tool("/usr/include/newlib/newlib.h", "libnewlib-arm-none-eabi")
    built_with = (FIRMWARE / "compiler.txt").read_text().strip()
    have = subprocess.run(
        ["arm-none-eabi-gcc", "-dumpfullversion"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if have != built_with:
        unavailable(f"the images were built with arm-none-eabi-gcc {built_with}, this host has {have}")


def make_check(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(tree), "check"], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_rebuild_is_bit_identical(tmp_path: Path) -> None:
    need_compiler()
    done = make_check(copy_of_firmware(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bit-identical" in done.stdout


def test_a_changed_source_and_an_image_without_source_are_noticed(tmp_path: Path) -> None:
    need_compiler()
    tree = copy_of_firmware(tmp_path)
    hello = tree / "blobs/hello.c"
    hello.write_text(hello.read_text().replace("Hello from ARM", "Hallo from ARM"))
    shutil.copy(tree / "elf/lpae.elf", tree / "elf/stray.elf")
    done = make_check(tree)
    assert done.returncode != 0
    assert "hello.elf" in done.stdout + done.stderr
    assert "elf/stray.elf has no source" in done.stderr
