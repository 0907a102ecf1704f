"""Loaders: where images go, and which are refused before anything is written."""

from __future__ import annotations

import os
import struct
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import GIB, MIB, MachineConfig, UserError
from pyemu.machine.fdt import Tree
from pyemu.machine.loaders import LoadOptions, LoadPlan, Symbols, detect, plan_load
from pyemu.machine.loaders.files import read_file
from tests.machine.images import RAM, Segment, exit_code, make_elf

SMALL = MachineConfig(16 * MIB)
CODE = exit_code(0)


def plan(image: bytes | None, config: MachineConfig = SMALL, **options: object) -> LoadPlan:
    return plan_load(config, image, LoadOptions(**options))  # type: ignore[arg-type]


def refusal(image: bytes | None, config: MachineConfig = SMALL, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        plan(image, config, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- ELF ----


def test_elf_segments_go_to_their_physical_addresses_and_the_tree_to_the_start_of_ram() -> None:
    made = plan(make_elf(Segment(RAM + 0x8000, CODE), Segment(RAM + 0x10000, b"data", size=0x100)))
    assert [(item.what, item.address, item.size) for item in made.placements[:2]] == [
        ("ELF segment 0", RAM + 0x8000, len(CODE)),
        ("ELF segment 1", RAM + 0x10000, 0x100),
    ]
    assert made.placements[2].address == RAM
    assert Tree.from_bytes(made.placements[2].data).root.child("memory@40000000")
    assert made.registers == {"r0": 0, "r1": 0xFFFFFFFF, "r2": RAM}


def test_the_entry_point_is_translated_to_its_physical_address_and_keeps_the_thumb_bit() -> None:
    elf = make_elf(Segment(RAM + 0x8000, CODE, virtual=0xC0008000), entry=0xC0008005)
    assert plan(elf).entry == RAM + 0x8005


def test_an_elf_can_fill_ram_to_the_last_byte() -> None:
    assert plan(make_elf(Segment(RAM + 16 * MIB - len(CODE), CODE)))


def test_an_elf_may_lie_in_flash() -> None:
    assert plan(make_elf(Segment(0, CODE))).entry == 0


def test_without_a_device_tree_a_program_may_own_all_of_ram() -> None:
    made = plan(make_elf(Segment(RAM, CODE)), device_tree=False)
    assert len(made.placements) == 1
    assert made.registers == {}


@pytest.mark.parametrize(
    ("image", "part"),
    [
        (b"", "empty file"),
        (b"\x7fEL", "truncated ELF"),
        (make_elf(Segment(RAM + 0x8000, CODE))[:40], "truncated ELF"),
        (make_elf(Segment(RAM + 0x8000, CODE))[:70], "truncated ELF"),
        (make_elf(Segment(RAM + 0x8000, CODE))[:-1], "truncated ELF"),
        (make_elf(Segment(RAM + 0x8000, CODE), elf_class=2), "64-bit"),
        (make_elf(Segment(RAM + 0x8000, CODE), encoding=2), "big-endian"),
        (make_elf(Segment(RAM + 0x8000, CODE), machine=62), "machine 62, not ARM"),
        (make_elf(Segment(RAM + 0x8000, CODE), kind=1), "link it first"),
        (make_elf(Segment(RAM + 0x8000, CODE), kind=3), "position independent"),
        (make_elf(), "without program headers"),
        (make_elf(Segment(RAM + 0x8000, b"", size=0)), "without a loadable segment"),
        (make_elf(Segment(RAM + 0x8000, CODE), entry=0x1234), "entry point 0x1234"),
        (make_elf(Segment(RAM + 0x8000, CODE, size=4)), "in the file but 4 in memory"),
        (make_elf(Segment(0x2000_0000, CODE)), "lies outside RAM"),
        (make_elf(Segment(0xC000_8000, CODE)), "past the end of RAM"),
        (make_elf(Segment(RAM + 16 * MIB - 4, CODE)), "past the end of RAM"),
        (make_elf(Segment(RAM - 4, CODE)), "lies outside RAM"),
        (make_elf(Segment(0xFFFF_FFF0, CODE)), "past the end of RAM"),
        (make_elf(Segment(RAM + 0x8000, CODE, size=17 * MIB)), "larger than the memory of 16M"),
        (make_elf(Segment(RAM, CODE)), "overlaps device tree"),
        (make_elf(Segment(RAM + 0x8000, CODE), Segment(RAM + 0x8004, CODE)), "overlaps ELF segment 1"),
        (make_elf(Segment(0x8000, CODE, size=0x1000)), "variables in flash"),
    ],
)
def test_an_elf_that_cannot_be_loaded_is_refused_in_one_line(image: bytes, part: str) -> None:
    assert part in refusal(image)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_change_to_an_elf_gives_a_plan_inside_memory_or_one_line(data: st.DataObject) -> None:
    elf = bytearray(
        make_elf(Segment(RAM + 0x8000, CODE), Segment(RAM + 0x10000, b"x"), symbols=[("f", RAM + 0x8000)])
    )
    for _ in range(data.draw(st.integers(1, 6))):
        elf[data.draw(st.integers(4, len(elf) - 1))] = data.draw(st.integers(0, 255))
    made, message = None, ""
    try:
        made = plan(bytes(elf))
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    if made is None:
        return
    for item in made.placements:
        assert len(item.data) <= item.size
        assert (item.address >= RAM and item.end <= RAM + 16 * MIB) or item.end <= 0x0800_0000
    Symbols(made.elf).find("f")


def test_symbols_are_found_by_name_and_by_address() -> None:
    symbols = Symbols(
        make_elf(Segment(RAM + 0x8000, CODE), symbols=[("start", RAM + 0x8000), ("thumb", RAM + 0x8009)])
    )
    assert symbols.find("start") == RAM + 0x8000
    assert symbols.find("thumb") == RAM + 0x8008
    assert symbols.find("absent") is None
    assert symbols.describe(RAM + 0x8004) == "start+0x4"
    assert symbols.describe(RAM + 0x8008) == "thumb"
    assert symbols.describe(0) is None


# ---- flat, flash ----


def test_a_flat_binary_goes_32_kb_into_ram() -> None:
    made = plan(CODE)
    assert (made.kind, made.entry, made.placements[0].address) == ("flat", RAM + 0x8000, RAM + 0x8000)


def test_an_odd_load_address_starts_in_thumb_state() -> None:
    made = plan(CODE, load_address=RAM + 0x9001)
    assert (made.entry, made.placements[0].address) == (RAM + 0x9001, RAM + 0x9000)


@pytest.mark.parametrize(
    ("image", "options", "part"),
    [
        (bytes(17 * MIB), {}, "larger than the memory of 16M"),
        (bytes(16 * MIB), {}, "past the end of RAM"),
        (CODE, {"load_address": RAM}, "overlaps"),
        (CODE, {"load_address": RAM + 0x8002}, "not a multiple of 4"),
        (CODE, {"load_address": 1 << 32}, "not a 32-bit address"),
        (CODE, {"load_address": 0x0900_0000}, "lies outside RAM"),
        (CODE, {"initrd": b"x"}, "--initrd needs a Linux zImage"),
        (CODE, {"dtb": b"junk"}, "bad device tree"),
        (make_elf(Segment(RAM + 0x8000, CODE)), {"load_address": RAM}, "--load-address is for flat binaries"),
        (None, {}, "nothing to load"),
        (None, {"flash": b""}, "empty flash image"),
        (None, {"flash": bytes(64 * MIB + 1)}, "the bank has 64M"),
        (make_elf(Segment(0, CODE)), {"flash": CODE}, "overlaps"),
        (CODE, {"append": "a\0b"}, "NUL"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(
    image: bytes | None, options: dict[str, object], part: str
) -> None:
    assert part in refusal(image, **options)


def test_flash_starts_at_zero_with_the_device_tree_at_the_start_of_ram() -> None:
    made = plan(None, flash=CODE)
    assert (made.kind, made.entry, dict(made.registers)) == ("flash", 0, {})
    assert [(item.what, item.address) for item in made.placements] == [
        ("flash image", 0),
        ("device tree", RAM),
    ]


def test_an_image_in_ram_may_have_flash_beside_it() -> None:
    made = plan(CODE, flash=b"flash")
    assert made.entry == RAM + 0x8000
    assert made.placements[0].data == b"flash"


# ---- kinds and files ----


def test_the_kind_of_an_image_is_seen_in_its_first_bytes() -> None:
    zimage = bytes(0x24) + struct.pack("<I", 0x016F2818) + bytes(64)
    assert (detect(make_elf()), detect(zimage), detect(CODE)) == ("elf", "linux", "flat")


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(100))
    for path, part in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "large", "larger"),
    ):
        with pytest.raises(UserError, match=part) as caught:
            read_file(path, 99, "initrd")
        assert str(path) in str(caught.value)


def test_a_file_costs_what_it_holds_and_not_what_it_may(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(bytes(5000))
    tracemalloc.start()
    try:
        assert len(read_file(tmp_path / "small", GIB, "symbol file")) == 5000
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_a_pipe_is_read_to_its_end_or_the_limit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for limit in (5000, 4999):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(bytes(5000),))
        writer.start()
        if limit == 5000:
            assert len(read_file(tmp_path / "pipe", limit, "initrd")) == 5000
        else:
            with pytest.raises(UserError, match="larger"):
                read_file(tmp_path / "pipe", limit, "initrd")
        writer.join()


def test_a_plan_for_64_gb_needs_no_memory_of_that_size() -> None:
    assert plan(CODE, MachineConfig(64 * GIB))
