"""What a kind of case is: something that is made anew now and then, and that each case acts on."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path

from pyemu.config import UserError
from pyemu.debug import Session
from tests.fuzz.debugger.limits import Guard

__all__ = ["ACCEPTED", "REFUSED", "Fuzzer", "one_line"]

ACCEPTED, REFUSED = "accepted", "refused"


class Fuzzer(ABC):
    """Cases ``block`` in a row act on the same; ``rng`` is that of the block."""

    block = 64

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        self.guard = guard
        self.session: Session | None = None

    @abstractmethod
    def case(self, rng: random.Random) -> str:
        """One case, and a word of how it ended."""

    def close(self) -> None:
        """The block is over."""
        if self.session is not None:
            self.session.close()

    @property
    def directory(self) -> Path:
        """Where files of the harness lie."""
        return self.guard.directory


def one_line(problem: UserError) -> str:
    """Checks what a user is told."""
    text = str(problem)
    assert text.strip(), "an empty complaint"
    assert len(text.splitlines()) == 1, f"more than one line: {text!r}"
    return REFUSED
