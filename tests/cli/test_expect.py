"""Dialogues: --expect, --send and --until in the order of the command line."""

from __future__ import annotations

import pytest

from pyemu.cli.expect import parse_steps
from pyemu.config import UserError
from pyemu.machine.dialogue import WINDOW_BYTES, Dialogue, unescape


def dialogue(*given: tuple[str, str]) -> Dialogue:
    return Dialogue(parse_steps(given))


def test_escapes_stand_for_what_cannot_be_typed() -> None:
    assert unescape(r"a\n\r\t\e\x03\\n") == b"a\n\r\t\x1b\x03\\n"
    assert unescape("ä") == "ä".encode()
    assert unescape("\udcff\\x80\\") == b"\xff\x80\\"
    for unknown in (r"\q", r"\ä", "\\\udcff", r"\xg0", "\\\n"):
        with pytest.raises(UserError, match="unknown escape") as refused:
            unescape(unknown)
        assert str(refused.value).isprintable()


def test_each_pattern_is_searched_behind_the_match_before() -> None:
    talk = dialogue(("expect", "# "), ("send", "one\\n"), ("expect", "# "), ("send", "two\\n"))
    assert talk.hear(b"boot\n# ") == b"one\n"
    assert talk.hear(b"one") == b""
    assert talk.waiting_for == "# "
    assert talk.hear(b"\n# ") == b"two\n"
    assert talk.waiting_for is None


def test_several_steps_may_match_at_once() -> None:
    talk = dialogue(("expect", "a"), ("send", "1"), ("expect", "b"), ("send", "2"))
    assert talk.hear(b"a b") == b"12"
    assert (talk.matched, talk.total) == (2, 2)


def test_a_text_before_any_pattern_is_typed_at_once() -> None:
    assert dialogue(("send", "early"), ("expect", "x")).hear(b"") == b"early"


def test_a_pattern_may_span_two_pieces_of_output() -> None:
    talk = dialogue(("expect", "log[i]n:"), ("send", "root"))
    assert talk.hear(b"lo") + talk.hear(b"gi") + talk.hear(b"n:") == b"root"


def test_until_ends_the_run() -> None:
    talk = dialogue(("expect", "a"), ("until", "^b$"))
    talk.hear(b"ab\n")
    assert not talk.ended
    talk.hear(b"b\n")
    assert talk.ended
    assert talk.waiting_for is None


def test_old_output_is_forgotten_so_that_a_flood_costs_no_memory() -> None:
    talk = dialogue(("expect", "never"))
    for _ in range(40):
        talk.hear(bytes(WINDOW_BYTES // 4))
    assert len(talk._text) <= WINDOW_BYTES


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ([("expect", "(")], "not a regular expression"),
        ([("until", "a"), ("expect", "b")], "nothing can follow"),
        ([("expect", "a"), ("send", "\\z")], "unknown escape"),
    ],
)
def test_a_dialogue_that_cannot_be_is_refused(given: list[tuple[str, str]], part: str) -> None:
    with pytest.raises(UserError, match=part):
        parse_steps(given)
