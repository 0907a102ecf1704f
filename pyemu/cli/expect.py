"""``--expect RE``, ``--send TEXT`` and ``--until RE`` as steps of a dialogue."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pyemu.config import UserError
from pyemu.machine.dialogue import Step, console_pattern, unescape

__all__ = ["StepAction", "parse_steps"]

Parsed = TypeVar("Parsed")


class StepAction(argparse.Action):
    """Collects --expect, --send and --until in the order of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        steps = list(getattr(namespace, self.dest) or [])
        steps.append(((option or "").lstrip("-"), values))
        setattr(namespace, self.dest, steps)


def parse_steps(given: Sequence[tuple[str, str]]) -> list[Step]:
    """Steps of the options; a --send belongs to the --expect before it."""
    steps: list[Step] = []
    for option, text in given:
        if option == "send":
            typed = _named(option, unescape, text)
            if steps and not steps[-1].last:
                steps[-1] = Step(steps[-1].pattern, steps[-1].send + typed)
            else:
                steps.append(Step(None, typed))
            continue
        if steps and steps[-1].last:
            raise UserError("--until ends the run, so nothing can follow it")
        pattern = _named(option, console_pattern, text)
        steps.append(Step(pattern, b"", last=option == "until"))
    return steps


def _named(option: str, parse: Callable[[str], Parsed], text: str) -> Parsed:
    try:
        return parse(text)
    except UserError as problem:
        raise UserError(f"--{option} {problem}") from None
