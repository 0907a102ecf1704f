"""Guest physical memory: segments, bounds, files, and what it costs the host."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.mem import PAGE_SIZE, Memory, Segment
from pyemu.native import NativeError, lib

MB = 1 << 20
GB = 1 << 30
BASE = 0x4000_0000


def ram(base: int = BASE, size: int = 16 * MB) -> Memory:
    memory = Memory()
    memory.add_ram(base, size)
    return memory


def test_ram_reads_as_zero_and_keeps_what_is_written() -> None:
    with ram() as memory:
        assert memory.read(BASE, 8192) == bytes(8192)
        memory.write(BASE + 4093, b"across a page")
        assert memory.read(BASE + 4090, 20) == b"\0\0\0across a page\0\0\0\0"


def test_an_access_crosses_segments_that_touch() -> None:
    with Memory() as memory:
        memory.add_ram(0x3000, 0x1000)
        memory.add_ram(0x1000, 0x1000)
        memory.add_ram(0x2000, 0x1000)
        data = bytes(range(256)) * 48
        memory.write(0x1000, data)
        assert memory.read(0x1000, 0x3000) == data
        assert memory.read(0x1FFE, 0x1004) == data[0xFFE:0x2002]


@pytest.mark.parametrize(
    ("pa", "length", "missing"),
    [
        (BASE - 1, 1, BASE - 1),
        (BASE - 1, 2, BASE - 1),
        (BASE + 16 * MB - 1, 2, BASE + 16 * MB),
        (BASE + 16 * MB, 1, BASE + 16 * MB),
        (0, 1, 0),
        ((1 << 64) - 1, 2, (1 << 64) - 1),
    ],
)
def test_an_access_outside_memory_fails_whole_and_names_the_first_missing_byte(
    pa: int, length: int, missing: int
) -> None:
    with ram() as memory:
        inside = BASE + 16 * MB - 16
        memory.write(inside, b"x" * 16)
        with pytest.raises(
            NativeError, match=f"cannot write .* at {pa:#x}: {missing:#x} is outside"
        ) as failure:
            memory.write(pa, b"y" * length)
        assert failure.value.status == lib.PE_ERR_RANGE
        with pytest.raises(NativeError, match="cannot read"):
            memory.read(pa, length)
        assert memory.read(inside, 16) == b"x" * 16


def test_a_hole_between_segments_stops_an_access_before_anything_is_written() -> None:
    with Memory() as memory:
        memory.add_ram(0x1000, 0x1000)
        memory.add_ram(0x3000, 0x1000)
        with pytest.raises(NativeError, match="0x2000 is outside guest memory"):
            memory.write(0x1F00, b"z" * 0x1200)
        assert memory.read(0x1F00, 0x100) == bytes(0x100)


def test_an_absurd_length_is_refused_without_allocating_it() -> None:
    with ram() as memory, pytest.raises(NativeError, match="the guest has 0x1000000 in all"):
        memory.read(BASE, 1 << 60)


@pytest.mark.parametrize(
    ("base", "size", "text"),
    [
        (0x1800, 0x1000, "base 0x1800 is not a multiple of 4096"),
        (0x1000, 0x1800, "size 0x1800 is not a multiple of 4096"),
        (0x1000, 0, "size 0"),
        ((1 << 40) - 0x1000, 0x2000, "40-bit"),
        (1 << 40, 0x1000, "40-bit"),
        (0x1000, (1 << 64) - 0x1000, "40-bit"),
        (BASE, 0x1000, "overlaps the segment 0x40000000-0x40ffffff"),
        (BASE - 0x1000, 0x2000, "overlaps"),
        (BASE - 0x1000, 17 * MB, "overlaps"),
        (BASE + 16 * MB - 0x1000, 0x2000, "overlaps"),
    ],
)
def test_a_segment_that_cannot_be_added_changes_nothing(base: int, size: int, text: str) -> None:
    with ram() as memory:
        with pytest.raises(NativeError, match=text):
            memory.add_ram(base, size)
        assert memory.segments == [Segment(BASE, 16 * MB, False)]


def test_segments_are_listed_by_base() -> None:
    with Memory() as memory:
        memory.add_ram(1 << 39, 0x2000)
        memory.add_ram(0, 0x1000, readonly=True)
        assert memory.segments == [Segment(0, 0x1000, True), Segment(1 << 39, 0x2000, False)]


def test_read_only_memory_is_written_from_outside() -> None:
    with Memory() as memory:
        memory.add_ram(0, 0x1000, readonly=True)
        memory.write(0, b"flash")
        assert memory.read(0, 5) == b"flash"


def test_thousands_of_single_pages_are_all_found() -> None:
    pages = [0x4000_0000 + 0x3000 * i for i in range(5000)]
    with Memory() as memory:
        for page in reversed(pages):
            memory.add_ram(page, PAGE_SIZE)
            memory.write(page, page.to_bytes(8, "little"))
        assert len(memory.segments) == 5000
        assert all(memory.read(page, 8) == page.to_bytes(8, "little") for page in pages)
        with pytest.raises(NativeError):
            memory.read(pages[2500] + PAGE_SIZE, 1)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_64_gb_cost_only_what_is_touched() -> None:
    before = resident_bytes()
    start = time.perf_counter()
    with Memory() as memory:
        memory.add_ram(BASE, 64 * GB)
        assert time.perf_counter() - start < 1.0
        for gigabyte in range(64):
            memory.write(BASE + gigabyte * GB + 5, b"x")
        assert resident_bytes() - before < 8 * MB
        assert memory.read(BASE + 63 * GB + 5, 1) == b"x"


def test_touched_pages_are_listed_in_order_and_from_an_address() -> None:
    written = [BASE, BASE + 0x5000, BASE + 8 * MB, 0x1_0000_0000, 0x1_0000_0000 + 4 * MB - 0x1000]
    with ram() as memory:
        memory.add_ram(0x1_0000_0000, 4 * MB)
        for page in written:
            memory.write(page + 0x123, b"x")
        assert list(memory.touched()) == written
        assert list(memory.touched(BASE + 1)) == written[1:]
        assert list(memory.touched(0x1_0000_0000 + 0x1000)) == written[-1:]


def test_more_pages_are_touched_than_one_question_answers() -> None:
    count = 40_000
    with Memory() as memory:
        memory.add_ram(BASE, count * PAGE_SIZE)
        memory.write(BASE, b"x" * count * PAGE_SIZE)
        assert list(memory.touched()) == [BASE + i * PAGE_SIZE for i in range(count)]


def test_reset_gives_the_pages_back(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"abc" * 2000)
    with ram() as memory:
        memory.add_file(0x1000, path)
        memory.write(BASE, b"x" * MB)
        memory.write(0x1000, b"changed")
        memory.reset()
        assert memory.read(BASE, MB) == bytes(MB)
        assert memory.read(0x1000, 0x2000) == (b"abc" * 2000).ljust(0x2000, b"\0")
        assert list(memory.touched(0x10_0000)) == [p for p in memory.touched(0x10_0000) if p >= BASE]


@pytest.mark.parametrize("offset", [0, 1, 4095, 4096, 5000, 8192, 12287])
@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 10000])
def test_a_file_view_shows_just_its_bytes_and_zeros_behind_them(
    tmp_path: Path, offset: int, size: int
) -> None:
    content = os.urandom(30000)
    path = tmp_path / "image"
    path.write_bytes(content)
    whole = -(-size // PAGE_SIZE) * PAGE_SIZE
    with Memory() as memory:
        memory.add_file(0x8000, path, offset=offset, size=size)
        assert memory.segments == [Segment(0x8000, whole, False)]
        assert memory.read(0x8000, whole) == content[offset : offset + size].ljust(whole, b"\0")
        memory.write(0x8000, bytes(whole))
        memory.reset()
        assert memory.read(0x8000, whole) == content[offset : offset + size].ljust(whole, b"\0")
    assert path.read_bytes() == content


def test_a_written_page_of_a_file_view_is_touched_and_a_read_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(range(256)) * 16 * 8)
    with Memory() as memory:
        memory.add_file(0x10000, path)
        memory.read(0x10000, 8 * PAGE_SIZE)
        assert list(memory.touched()) == []
        memory.write(0x13000, b"x")
        assert list(memory.touched()) == [0x13000]


def test_files_that_cannot_be_mapped_are_named(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"x" * 100)
    with Memory() as memory:
        with pytest.raises(NativeError, match=r"short has 0x64 bytes; a view of 0x65 bytes at offset 0x0"):
            memory.add_file(0, path, size=101)
        with pytest.raises(NativeError, match="offset 0x65"):
            memory.add_file(0, path, offset=101, size=1)
        with pytest.raises(NativeError, match=r"cannot open .*missing: No such file"):
            memory.add_file(0, tmp_path / "missing", size=1)
        with pytest.raises(NativeError, match="is not a regular file"):
            memory.add_file(0, tmp_path, size=1)
        with pytest.raises(NativeError, match="size 0"):
            memory.add_file(0, path, size=0)
        assert memory.segments == []


def test_a_closed_memory_says_so() -> None:
    memory = ram()
    memory.close()
    memory.close()
    with pytest.raises(ValueError, match="closed"):
        memory.read(BASE, 1)


def test_a_negative_address_is_refused() -> None:
    with ram() as memory, pytest.raises(ValueError, match="address -0x1"):
        memory.read(-1, 1)


PAGES = 24
segments_strategy = st.lists(st.tuples(st.integers(0, PAGES - 1), st.integers(1, 6)), max_size=8)
accesses_strategy = st.lists(
    st.tuples(st.integers(-100, PAGES * PAGE_SIZE + 100), st.binary(min_size=1, max_size=3 * PAGE_SIZE)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(segments_strategy, accesses_strategy)
def test_memory_behaves_like_a_dictionary_of_bytes(
    segments: list[tuple[int, int]], accesses: list[tuple[int, bytes]]
) -> None:
    """The model is one bytearray and the set of pages that exist."""
    model = bytearray(PAGES * PAGE_SIZE)
    exists: set[int] = set()
    with Memory() as memory:
        for first, count in segments:
            pages = set(range(first, first + count))
            fits = not pages & exists
            if fits:
                memory.add_ram(BASE + first * PAGE_SIZE, count * PAGE_SIZE)
                exists |= pages
            else:
                with pytest.raises(NativeError, match="overlaps"):
                    memory.add_ram(BASE + first * PAGE_SIZE, count * PAGE_SIZE)
        model.extend(bytes(8 * PAGE_SIZE))
        for offset, data in accesses:
            covered = set(range(offset // PAGE_SIZE, (offset + len(data) - 1) // PAGE_SIZE + 1))
            inside = covered <= exists
            if not inside:
                with pytest.raises(NativeError, match="outside guest memory"):
                    memory.write(BASE + offset, data)
            else:
                memory.write(BASE + offset, data)
                model[offset : offset + len(data)] = data
        for page in exists:
            at = page * PAGE_SIZE
            assert memory.read(BASE + at, PAGE_SIZE) == model[at : at + PAGE_SIZE]


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("offset", [-1, 1 << 16, (1 << 16) + PAGE_SIZE - 1])
def test_the_host_faults_on_what_lies_beside_guest_memory(
    from_file: bool, offset: int, tmp_path: Path
) -> None:
    """Memory of two machines, or of the host's own, never follows without a gap."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 16))
    add = f"add_file({BASE}, {str(path)!r})" if from_file else f"add_ram({BASE}, 1 << 16)"
    program = (
        "from pyemu.mem import Memory; from pyemu.native import lib\n"
        f"memory = Memory(); memory.{add}\n"
        f"host = lib.pe_mem_host(memory.handle, {BASE}, 1 << 16)\n"
        f"print(host[0], host[(1 << 16) - 1], flush=True)\nprint(host[{offset}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "0 0\n"
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT), done.stderr
