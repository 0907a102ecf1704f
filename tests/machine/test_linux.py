"""Linux images: unpacked on the host to where the kernel's own decompressor would put them."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import random
import struct
import sys
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lzallright import LZOCompressor

from pyemu.config import GIB, MIB, MachineConfig, UserError
from pyemu.machine.fdt import Tree
from pyemu.machine.loaders import LoadOptions, lzo, plan_load
from pyemu.machine.loaders.lz4 import unpack_block, unpack_lz4
from tests.machine.images import RAM, make_zimage, words

KERNEL = b"".join(random.Random(1).randbytes(64) * 40 for _ in range(500))  # 1.28 MB that compresses
CONFIG = MachineConfig(256 * MIB)


def lz4_literals(data: bytes) -> bytes:
    """An LZ4 legacy frame without matches."""
    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        block = data[at : at + (8 << 20)]
        length = b"\xff" * ((len(block) - 15) // 255) + bytes([(len(block) - 15) % 255])
        body = b"\xf0" + length + block
        out += words(len(body)) + body
    return out


def xz_with_arm_filter(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_ARM}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


def lzop(data: bytes, flags: int = 0x0300_0001, version: int = 0x1040, block_bytes: int = 256 << 10) -> bytes:
    """The file that lzop -9 writes (flags: Unix, Adler-32 of the content); the last block is only stored."""
    compressor = LZOCompressor()
    long = version >= 0x940
    out = lzo.MAGIC + struct.pack(
        ">HHHBB" if long else ">HHB", version, 0x20A0, *((0x940, 3, 9) if long else (3,))
    )
    out += struct.pack(">I", flags) + bytes(12 if long else 8) + b"\x05Image" + bytes(4)
    for at in range(0, len(data), block_bytes):
        block = data[at : at + block_bytes]
        last = at + block_bytes >= len(data)
        stored = block if last else compressor.compress(block)
        checks = [zlib.adler32(block)] if flags & 1 else []
        checks += [zlib.adler32(stored)] if flags & 2 and not last else []
        out += struct.pack(f">II{len(checks)}I", len(block), len(stored), *checks) + stored
    return out + bytes(4)


FORMATS: list[tuple[str, Callable[[bytes], bytes], bool]] = [
    ("xz", xz_with_arm_filter, True),
    ("gzip", lambda data: gzip.compress(data, 1, mtime=0), False),
    ("lzma", lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=1), True),
    ("lz4", lz4_literals, True),
    ("lzo", lzop, True),
]


@pytest.mark.parametrize(("name", "compress", "appended"), FORMATS)
def test_the_kernel_is_unpacked_to_its_text_offset(
    name: str, compress: Callable[[bytes], bytes], appended: bool
) -> None:
    zimage = make_zimage(KERNEL, compress, text_offset=0x208000, bss=0x3000, size_word_appended=appended)
    plan = plan_load(CONFIG, zimage, LoadOptions())
    assert plan.placements[0].data == KERNEL
    assert (plan.entry, plan.placements[0].size) == (RAM + 0x208000, len(KERNEL) + 0x3000)
    assert name in plan.notes[0]


def test_a_stream_inside_the_decompressor_is_not_taken_for_the_kernel() -> None:
    zimage = make_zimage(
        KERNEL, lambda data: b"\x1f\x8b\x08" + gzip.compress(b"decoy" * 300000) + xz_with_arm_filter(data)
    )
    assert plan_load(CONFIG, zimage, LoadOptions()).placements[0].data == KERNEL


def test_an_image_without_tags_is_unpacked_too() -> None:
    zimage = make_zimage(KERNEL, xz_with_arm_filter, tags=False)
    plan = plan_load(CONFIG, zimage, LoadOptions())
    assert plan.placements[0].data == KERNEL
    assert plan.entry == RAM + 0x8000


def test_the_kernel_finds_tree_and_initrd_above_itself_and_page_aligned() -> None:
    zimage = make_zimage(KERNEL, xz_with_arm_filter)
    plan = plan_load(CONFIG, zimage, LoadOptions(initrd=b"i" * 5000, append="console=ttyAMA0"))
    kernel, initrd, tree = plan.placements
    assert initrd.address % 4096 == tree.address % 4096 == 0
    assert kernel.end <= initrd.address < initrd.end <= tree.address
    assert plan.registers == {"r0": 0, "r1": 0xFFFFFFFF, "r2": tree.address}
    chosen = Tree.from_bytes(tree.data).root.child("chosen")
    assert chosen is not None
    assert chosen.text("bootargs") == "console=ttyAMA0"
    assert chosen.u32("linux,initrd-start", 0) == initrd.address
    assert chosen.u32("linux,initrd-end", 0) == initrd.end


@pytest.mark.parametrize("memory", [512 * MIB, GIB, 16 * GIB])
def test_what_the_kernel_reads_early_lies_in_lowmem(memory: int) -> None:
    plan = plan_load(
        MachineConfig(memory), make_zimage(KERNEL, xz_with_arm_filter), LoadOptions(initrd=bytes(MIB))
    )
    assert max(item.end for item in plan.placements) < RAM + 256 * MIB


def test_without_host_decompression_the_zimage_itself_starts() -> None:
    zimage = make_zimage(KERNEL, xz_with_arm_filter)
    plan = plan_load(CONFIG, zimage + b"trailing", LoadOptions(host_decompress=False))
    assert plan.placements[0].data == zimage
    assert plan.entry == plan.placements[0].address
    assert plan.placements[1].address >= plan.placements[0].end


@pytest.mark.parametrize(
    ("image", "config", "part"),
    [
        (make_zimage(KERNEL, xz_with_arm_filter)[:-1], CONFIG, "truncated zImage"),
        (make_zimage(KERNEL, lambda data: data), CONFIG, "--no-host-decompress"),
        (make_zimage(KERNEL, lambda data: lzo.MAGIC + data), CONFIG, "xz, lz4, lzma or lzo"),
        (make_zimage(KERNEL, xz_with_arm_filter, text_offset=1 << 30), CONFIG, "bad zImage tags"),
        (make_zimage(KERNEL, xz_with_arm_filter, bss=MIB * 300), CONFIG, "does not fit"),
        (
            make_zimage(KERNEL, xz_with_arm_filter, text_offset=0xF00000),
            MachineConfig(16 * MIB),
            "does not fit",
        ),
    ],
)
def test_a_zimage_that_cannot_start_is_one_line(image: bytes, config: MachineConfig, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        plan_load(config, image, LoadOptions())
    assert "\n" not in str(caught.value)


def test_an_initrd_larger_than_the_room_is_refused() -> None:
    with pytest.raises(UserError, match=r"initrd .* past the end of RAM"):
        plan_load(CONFIG, make_zimage(KERNEL, xz_with_arm_filter), LoadOptions(initrd=bytes(200 * MIB)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_to_a_zimage_gives_a_plan_or_one_line(data: st.DataObject) -> None:
    image = bytearray(make_zimage(KERNEL[:20000], lambda raw: zlib.compress(raw)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0x28, 0x5F))
        image[at] = data.draw(st.integers(0, 255))
    for host in (True, False):
        message = ""
        try:
            plan_load(CONFIG, bytes(image), LoadOptions(host_decompress=host))
        except UserError as error:
            message = str(error)
        assert "\n" not in message


# ---- LZ4 ----


def test_lz4_matches_repeat_earlier_output() -> None:
    # 4 literals, then 12 bytes from 4 back: the match overlaps itself
    assert unpack_block(b"\x48abcd\x04\x00\x10!") == b"abcd" * 4 + b"!"
    # a match of 15 + 4 + 255 + 1 bytes, one back
    assert unpack_block(b"\x1fz\x01\x00\xff\x01\x00") == b"z" * (1 + 19 + 256)


@pytest.mark.parametrize(
    "block", [b"", b"\x48abcd\x05\x00\x00", b"\x48abcd\x00\x00\x00", b"\xf0\xff", b"\x40ab"]
)
def test_damaged_lz4_blocks_are_refused(block: bytes) -> None:
    with pytest.raises(ValueError):
        unpack_block(block)


def test_lz4_blocks_of_8_mb_are_joined() -> None:
    data = bytes(range(256)) * ((8 << 20) // 256 + 10)
    assert unpack_lz4(lz4_literals(data) + struct.pack("<I", len(data)))[0] == data


# ---- LZO ----


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
@pytest.mark.parametrize("version", [0x0930, 0x1040])
def test_lzop_files_of_every_header_are_unpacked(flags: int, version: int) -> None:
    data = lzop(KERNEL, flags, version)
    assert lzo.unpack_lzo(data + b"behind") == (KERNEL, len(data))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_lzop_file_is_refused(data: st.DataObject) -> None:
    image = bytearray(lzop(KERNEL[:5000], block_bytes=1000))
    at = data.draw(st.integers(len(lzo.MAGIC) + 30, len(image) - 5))
    image[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ValueError):
        assert lzo.unpack_lzo(bytes(image))[0] == KERNEL[:5000]  # the byte means nothing
    with pytest.raises(ValueError):
        lzo.unpack_lzo(bytes(image[:at]))


def test_an_lzo_block_larger_than_linux_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="a block of"):
        lzo.unpack_lzo(lzop(bytes(1 << 20), block_bytes=512 << 10))


def test_without_the_lzo_library_one_line_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzallright", None)
    with pytest.raises(UserError, match=r"pip install 'pyemu-armv7\[lzo\]', or give --no-host-decompress"):
        plan_load(CONFIG, make_zimage(KERNEL, lzop), LoadOptions())
    plan = plan_load(CONFIG, make_zimage(KERNEL, xz_with_arm_filter), LoadOptions())
    assert plan.placements[0].data == KERNEL
