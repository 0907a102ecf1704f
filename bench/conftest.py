"""Side by side: the same work under pyemu and under a peer, in turns, as one table with goals.

Times belong to the host that ran them and only ratios within one run mean anything; nothing here fails
because something was slow.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Runs A B A B ...; each callable returns the seconds that it measured.  Values by name, one a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            gc.collect()
            seconds[name].append(contestant())
    return seconds


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios of neighbours, so that a slow phase of the host weighs on both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def in_unit(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


@dataclass
class Scoreboard:
    """Rows of measurements; printed at the end of the session."""

    title: str
    rows: list[tuple[str, str, str, str, str, str]] = field(default_factory=list)

    def compare(
        self,
        what: str,
        ours: list[float],
        peer: str,
        theirs: list[float],
        at_most: float | None = None,
        note: str = "",
    ) -> None:
        """Seconds of both, in turns; the goal is a bound on the ratio of our time to the peer's."""
        quotient = ratio(ours, theirs)
        goal, verdict = self._judge(quotient, at_most, lambda value: f"{value:.2f}")
        self.rows.append(
            (
                what,
                in_unit(statistics.median(ours)),
                f"{in_unit(statistics.median(theirs))} {peer}",
                f"{quotient:.3g}",
                goal,
                verdict or note,
            )
        )

    def value(self, what: str, measured: float, at_most: float | None, show: Callable[[float], str]) -> None:
        """A figure of our own, against a bound."""
        goal, verdict = self._judge(measured, at_most, show)
        self.rows.append((what, show(measured), "", "", goal, verdict))

    @staticmethod
    def _judge(measured: float, at_most: float | None, show: Callable[[float], str]) -> tuple[str, str]:
        if at_most is None:
            return "", ""
        return f"<= {show(at_most)}", "met" if measured <= at_most else "MISSED"

    def print(self) -> None:
        table = Table(title=self.title)
        for column in ("measurement", "pyemu", "peer", "pyemu / peer", "goal", "verdict"):
            table.add_column(column, justify="left" if column in ("measurement", "verdict") else "right")
        for row in self.rows:
            table.add_row(*row)
        Console(width=130).print(table)


@pytest.fixture(scope="module")
def scoreboard(request: pytest.FixtureRequest) -> Iterator[Scoreboard]:
    board = Scoreboard(request.module.__doc__.splitlines()[0])
    yield board
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()
        board.print()
