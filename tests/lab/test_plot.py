"""Plots: files that other programs can read, with everything on them, the same bytes each time."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pyemu.config import UserError
from pyemu.lab.measure import measure_core
from pyemu.lab.plot import draw_benchmark, need_matplotlib
from pyemu.lab.published import read_book
from pyemu.timing import builtin_cores
from tests.lab import ideal

pytest.importorskip("matplotlib")

BOOK = read_book()
CORES = builtin_cores()


def draw(name: str, directory: Path, cores: tuple[str, ...] = tuple(CORES)) -> tuple[bytes, str]:
    """The PNG and the SVG of a benchmark on ideal cores."""
    benchmark = BOOK.benchmarks[name]
    points = {core: ideal.PROGRAMS[benchmark.program](CORES[core]) for core in cores}
    results = [
        result
        for core in cores
        for result in measure_core(BOOK, CORES[core], points[core], [benchmark.program])
    ]
    directory.mkdir(exist_ok=True)
    png, svg = draw_benchmark(benchmark, points, results, directory)
    assert (png.name, svg.name) == (f"{name}.png", f"{name}.svg")
    return png.read_bytes(), svg.read_text()


def png_chunks(data: bytes) -> list[bytes]:
    """The names of a PNG's chunks, each with the right checksum, and its pixels, as many as it says."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    names, pixels, at = [], b"", 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + body)
        pixels += body if name == b"IDAT" else b""
        names.append(name)
        at += 12 + length
    width, height = struct.unpack_from(">II", data, 16)
    assert min(width, height) > 400
    assert len(zlib.decompress(pixels)) == height * (1 + 4 * width)
    return names


@pytest.mark.parametrize("name", ["chase", "store_tlb", "walk_cost", "exceptions"])
def test_png_and_svg_are_valid_and_name_what_they_show(name: str, tmp_path: Path) -> None:
    png, svg = draw(name, tmp_path)
    names = png_chunks(png)
    assert (names[0], names[-1]) == (b"IHDR", b"IEND")
    texts = {"".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter()}
    assert {BOOK.benchmarks[name].title, BOOK.benchmarks[name].y, *CORES} <= texts


def test_published_plateaus_are_dashed_lines_with_their_names(tmp_path: Path) -> None:
    _, svg = draw("chase", tmp_path, ("cortex-a15",))
    for title in ("L1D hit", "L2 hit", "DRAM"):
        assert f"{title}, published" in svg
    dashed = len(re.findall("stroke-dasharray", svg))
    _, svg = draw("chase", tmp_path, ("cortex-a7",))
    assert "published" not in svg
    assert dashed >= 3 > len(re.findall("stroke-dasharray", svg))


def test_working_sets_are_labelled_in_bytes_with_units(tmp_path: Path) -> None:
    _, svg = draw("chase", tmp_path, ("cortex-a15",))
    assert re.findall(r">(4K|16K|64K|1M|4M|64M)<", svg)


def test_two_drawings_are_alike_to_the_last_byte_and_have_no_date(tmp_path: Path) -> None:
    for name in ("chase", "walk_cost"):
        first, second = draw(name, tmp_path / "first"), draw(name, tmp_path / "second")
        assert first == second
        assert not re.search(r"20\d\d-\d\d-\d\d|dc:date", first[1])
        assert {b"tIME", b"tEXt"}.isdisjoint(png_chunks(first[0]))


def test_without_matplotlib_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need_matplotlib()
    monkeypatch.setattr("pyemu.lab.plot.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'pyemu-armv7\[plot\]', or --no-plots"):
        need_matplotlib()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    benchmark = BOOK.benchmarks["exceptions"]
    points = {"cortex-a15": ideal.exceptions(CORES["cortex-a15"])}
    with pytest.raises(UserError, match=r"missing/exceptions.png: No such file or directory"):
        draw_benchmark(benchmark, points, [], tmp_path / "missing")
