"""The lines of a benchmark: what is read back, and what a guest cannot get through."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.lab.protocol import (
    MAX_KEYS,
    MAX_POINTS,
    MAX_VALUE,
    Point,
    ProtocolError,
    format_points,
    parse_points,
)

words = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
numbers = st.integers(0, MAX_VALUE)
keys = st.dictionaries(
    words.filter(lambda key: key not in ("cycles", "count")), numbers | words, max_size=MAX_KEYS - 2
)
points = st.builds(Point, words, keys, numbers, st.integers(1, MAX_VALUE))
curves = st.lists(points, min_size=1, max_size=20, unique_by=lambda point: point.place)

GOOD = "@ chase bytes=4096 cycles=40 count=10\n@ end\n"


@given(curves)
def test_what_is_written_is_read_back(curve: list[Point]) -> None:
    text = format_points(curve)
    assert parse_points(text) == curve
    assert parse_points(text.replace("\n", "\r\n").encode()) == curve


@given(curves, st.lists(st.text(alphabet=st.characters(exclude_characters="\n@")), max_size=5))
def test_other_lines_are_remarks(curve: list[Point], remarks: list[str]) -> None:
    text = "".join(f"{remark}\n" for remark in remarks)
    assert parse_points(f"{text}{format_points(curve)}{text}") == curve


@given(st.text(alphabet="@ =\n\r0123456789abcdefenduyclst_-.\u0660", max_size=200) | st.text(max_size=200))
def test_whatever_a_guest_prints_is_points_or_one_line_of_complaint(text: str) -> None:
    for output in (text, f"@ a {text}\n@ end", text.encode("utf-8", "surrogatepass")):
        complaint = ""
        try:
            assert all(point.count > 0 for point in parse_points(output))
        except ProtocolError as problem:
            complaint = str(problem)
        assert "\n" not in complaint
        assert len(complaint) < 400


@given(st.data())
def test_a_text_that_is_cut_off_is_never_taken_for_a_whole_one(data: st.DataObject) -> None:
    text = format_points(data.draw(curves))
    cut = data.draw(st.integers(0, len(text) - 2))
    with pytest.raises(ProtocolError):
        parse_points(text[:cut])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "ends without '@ end'"),
        ("@ chase bytes=1 cycles=1 count=1\n", "after 1 points"),
        ("@ end\n", "no point before"),
        (GOOD + GOOD, "line 3.*behind '@ end'"),
        (GOOD + "@ end\n", "line 3.*behind '@ end'"),
        ("@chase cycles=1 count=1\n", "@ BENCHMARK KEY=VALUE"),
        ("@  cycles=1 count=1\n", "@ BENCHMARK KEY=VALUE"),
        ("@ Chase cycles=1 count=1\n", "@ BENCHMARK KEY=VALUE"),
        ("@ chase  cycles=1 count=1\n", "'' is no KEY=VALUE"),
        ("@ chase bytes cycles=1 count=1\n", "'bytes' is no KEY=VALUE"),
        ("@ chase BYTES=1 cycles=1 count=1\n", "no KEY=VALUE"),
        ("@ chase bytes=-1 cycles=1 count=1\n", "bytes is '-1'"),
        ("@ chase bytes=01 cycles=1 count=1\n", "bytes is '01'"),
        ("@ chase bytes=\u0661 cycles=1 count=1\n", "bytes is"),
        ("@ chase bytes=18446744073709551616 cycles=1 count=1\n", "below 2\\^64"),
        ("@ chase bytes=1 bytes=2 cycles=1 count=1\n", "bytes is there twice"),
        ("@ chase count=1 cycles=1\n", "last two keys"),
        ("@ chase bytes=1 cycles=1\n", "last two keys"),
        ("@ chase\n", "last two keys"),
        ("@ chase cycles=many count=1\n", "decimal numbers"),
        ("@ chase cycles=1 count=0\n", "count is 0"),
        ("@ chase a=1 b=2 cycles=1 count=1\n@ chase b=2 a=1 cycles=9 count=1\n", "line 2.*came before"),
        (f"@ chase {' '.join(f'k{n}=1' for n in range(MAX_KEYS))} cycles=1 count=1\n", "more than 16 keys"),
        ("".join(f"@ a n={n} cycles=1 count=1\n" for n in range(MAX_POINTS + 1)), "more than 4096 points"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        parse_points(text)


def test_a_point_goes_to_another_process_and_back() -> None:
    point = Point("chase", {"bytes": 4096, "order": "random"}, 40, 10)
    assert pickle.loads(pickle.dumps(point)) == point
    assert point.each == 4.0
