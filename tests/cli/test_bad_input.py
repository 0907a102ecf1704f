"""What a user can get wrong: one clear line on standard error, exit status 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyemu.config import MIB
from tests.conftest import Completed
from tests.machine.images import RAM, Segment, exit_code, hello_elf, make_elf, make_zimage

CODE = exit_code(0)
ELF = hello_elf()

FILES = {
    "empty": b"",
    "good.elf": ELF,
    "truncated.elf": ELF[:60],
    "cut.elf": ELF[:-4],
    "class64.elf": make_elf(Segment(RAM + 0x8000, CODE), elf_class=2),
    "x86.elf": make_elf(Segment(RAM + 0x8000, CODE), machine=62),
    "outside.elf": make_elf(Segment(0x2000_0000, CODE)),
    "on-tree.elf": make_elf(Segment(RAM, CODE)),
    "large.elf": make_elf(Segment(RAM + 0x8000, CODE, size=32 * MIB)),
    "large.bin": bytes(17 * MIB),
    "zimage": make_zimage(b"k" * 100, lambda data: data),
    "bad.dtb": b"\xd0\x0d\xfe\xed" + bytes(60),
    "text.dtb": b"not a device tree, but long enough for its header",
    "bad.snap": b"PYEMUSNP\1\0\0\0" + bytes(100),
    "old.snap": b"PYEMUSNP\7\0\0\0" + bytes(100),
    "bad.toml": b"[machine",
}

CASES = [
    ("empty", [], "empty file"),
    ("truncated.elf", [], "truncated ELF"),
    ("cut.elf", [], "truncated ELF"),
    ("class64.elf", [], "64-bit"),
    ("x86.elf", [], "not ARM"),
    ("outside.elf", [], "outside RAM"),
    ("on-tree.elf", [], "device tree"),
    ("large.elf", ["--mem", "16M"], "larger than the memory of 16M"),
    ("large.bin", ["--mem", "16M"], "larger than the memory of 16M"),
    ("good.elf", ["--mem", "0"], "--mem: memory of 0 bytes is less than 16M"),
    ("good.elf", ["--mem", "17"], "--mem: memory of 17 bytes is less than 16M"),
    ("good.elf", ["--mem", "4Q"], "--mem: '4Q' is not a size"),
    ("good.elf", ["--mem", "65G"], "--mem: memory of 65G is more than 64G"),
    ("good.elf", ["--smp", "9"], "smp of 9"),
    ("good.elf", ["--smp", "x"], "--smp"),
    ("good.elf", ["--cpu", "cortex-m3"], "cortex-m3"),
    ("missing", [], "No such file"),
    (".", [], "Is a directory"),
    ("good.elf", ["--dtb", "missing"], "No such file"),
    ("good.elf", ["--dtb", "bad.dtb"], "bad device tree"),
    ("good.elf", ["--dtb", "text.dtb"], "bad device tree"),
    ("zimage", ["--initrd", "missing"], "No such file"),
    ("zimage", [], "--no-host-decompress"),
    ("good.elf", ["--initrd", "good.elf"], "needs a Linux zImage"),
    ("good.elf", ["--flash", "large.bin", "--dtb", "large.bin"], "larger than 2M"),
    ("bad.snap", [], "damaged snapshot"),
    ("old.snap", [], "version 7"),
    ("good.elf", ["--config", "bad.toml"], "not a TOML file"),
    ("good.elf", ["--expect", "("], "not a regular expression"),
    ("good.elf", ["--send", "\\q"], "unknown escape"),
    ("good.elf", ["--max-insns", "0"], "--max-insns"),
    ("good.elf", ["--timeout", "-1"], "--timeout"),
    ("good.elf", ["--timeout", "nan"], "--timeout"),
    ("good.elf", ["--load-address", "0x40000000"], "--load-address is for flat"),
    ("good.elf", ["--console-log", "none/log"], "cannot write the console log"),
    ("good.elf", ["--snapshot-at-exit", "none/snap"], "cannot write the snapshot"),
    (
        "good.elf",
        ["--frobnicate"],
        "pyemu boot: unrecognized arguments: --frobnicate (see pyemu boot --help)",
    ),
    ("good.elf", ["-s", "-S"], "unrecognized arguments: -s -S: --gdb 1234 serves gdb, and waits for it"),
    ("good.elf", ["-m", "1G"], "unrecognized arguments: -m 1G: --mem SIZE"),
]


@pytest.mark.parametrize(
    ("image", "options", "part"),
    CASES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_with_status_2_and_nothing_written(
    run_pyemu: Callable[..., Completed], tmp_path: Path, image: str, options: list[str], part: str
) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    outputs = [] if "none" in " ".join(options) else ["--console-log", "log", "--snapshot-at-exit", "snap"]
    done = run_pyemu("boot", image, *options, *outputs, cwd=tmp_path)
    assert done.status == 2, done.stderr
    assert part in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_no_image_and_no_command_are_mistakes_too(run_pyemu: Callable[..., Completed]) -> None:
    for arguments, part in ((["boot"], "nothing to boot"), ([], "COMMAND"), (["bot"], "invalid choice")):
        done = run_pyemu(*arguments)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
        assert part in done.stderr
