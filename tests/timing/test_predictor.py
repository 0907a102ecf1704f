"""The branch predictor: what it learns, what it cannot, and a plain-Python one beside it."""

from __future__ import annotations

import random
from itertools import cycle, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.timing import Branch, Predictor, Taken, read_core


def conditional(address: int, taken: bool) -> Taken:
    return Taken(Branch.CONDITIONAL, address, 0x9000 if taken else address + 4, address + 4)


def pattern(bits: str, length: int, address: int = 0x8000) -> list[Taken]:
    return [conditional(address, bit == "T") for bit in islice(cycle(bits), length)]


@pytest.mark.parametrize("bits", ["T", "N", "TN", "TTN", "TTTTTTTN", "TTNNTNTN"])
def test_a_pattern_within_the_history_is_learned(bits: str) -> None:
    predictor = Predictor(read_core("cortex-a15"))
    wrong = predictor.replay(pattern(bits, 2000))
    assert sum(wrong[200:]) == 0


def test_a_loop_longer_than_the_history_misses_its_end_only() -> None:
    wrong = Predictor(read_core("cortex-a15")).replay(pattern("T" * 40 + "N", 41 * 50))
    late = wrong[41 * 10 :]
    assert sum(late) == 40
    assert {i % 41 for i, each in enumerate(late) if each} == {40}


def test_random_directions_are_half_wrong() -> None:
    source = random.Random(1)
    wrong = Predictor(read_core("cortex-a9")).replay(
        conditional(0x8000, source.random() < 0.5) for _ in range(20_000)
    )
    assert sum(wrong) / len(wrong) == pytest.approx(0.5, abs=0.03)


def nest(depth: int) -> list[Taken]:
    calls = [Taken(Branch.CALL, 0x8000 + 16 * i, 0x8010 + 16 * i, 0x8004 + 16 * i) for i in range(depth)]
    returns = [Taken(Branch.RETURN, 0xA000, call.after, 0xA004) for call in reversed(calls)]
    return calls + returns


@pytest.mark.parametrize("core", ["cortex-a15", "cortex-a9"])
def test_returns_are_known_as_deep_as_the_stack(core: str) -> None:
    depth = read_core(core)["pipeline.return_entries"]
    predictor = Predictor(read_core(core))
    assert sum(predictor.replay(nest(depth))) == 0
    assert sum(predictor.replay(nest(depth + 3))) == 3
    assert predictor.stats()[Branch.RETURN] == (2 * depth + 3, 3)


def test_an_indirect_branch_is_known_by_its_last_target() -> None:
    jumps = [Taken(Branch.INDIRECT, 0x8000, target, 0x8004) for target in (0x100, 0x100, 0x200, 0x200, 0x100)]
    assert list(Predictor(read_core("cortex-a15")).replay(jumps)) == [1, 0, 1, 0, 1]


def test_branches_whose_target_is_decoded_are_never_wrong() -> None:
    kinds = (Branch.NONE, Branch.DIRECT, Branch.CALL, Branch.EXCEPTION_RETURN)
    predictor = Predictor(read_core("cortex-a15"))
    assert sum(predictor.replay(Taken(kind, 0x8000, 0x9000, 0x8004) for kind in kinds)) == 0
    assert all(predictor.stats()[kind] == (1, 0) for kind in kinds)


class PlainPredictor:
    """The same rules with dictionaries and strings."""

    def __init__(self, counters: int, depth: int) -> None:
        self.size, self.depth = counters, depth
        self.counters: dict[int, int] = {}
        self.targets: dict[int, int] = {}
        self.history = "0" * 12
        self.stack: list[int] = []

    def wrong(self, t: Taken) -> bool:
        key = t.address // 2 ^ int(self.history, 2)
        if t.branch == Branch.CONDITIONAL:
            taken = t.next != t.after
            old = self.counters.get(key % self.size, 0)
            self.counters[key % self.size] = min(old + 1, 3) if taken else max(old - 1, 0)
            self.history = self.history[1:] + str(int(taken))
            return (old >= 2) != taken
        if t.branch == Branch.RETURN:
            if t.next == t.after:
                return False
            return not self.stack or self.stack.pop() != t.next
        if t.branch in (Branch.CALL, Branch.CALL_INDIRECT):
            self.stack = [*self.stack, t.after][-self.depth :]
        if t.branch in (Branch.INDIRECT, Branch.CALL_INDIRECT):
            old = self.targets.get(key % 512, 0)
            self.targets[key % 512] = t.next
            return old != t.next
        return False


places = st.integers(0, 40).map(lambda n: 0x8000 + 2 * n)
taken = st.builds(lambda kind, at, to: Taken(kind, at, to, at + 4), st.sampled_from(Branch), places, places)


@settings(max_examples=200, deadline=None)
@given(st.lists(taken, max_size=150))
def test_any_branches_are_predicted_as_by_a_plain_predictor(branches: list[Taken]) -> None:
    core = read_core("cortex-a9")
    plain = PlainPredictor(core["pipeline.history_entries"], core["pipeline.return_entries"])
    expected = bytes(plain.wrong(each) for each in branches)
    assert Predictor(core).replay(branches) == expected
