"""The prompt of prompt_toolkit: completion of commands, symbols and registers, and a history file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory

from pyemu.debug.prompt import completions
from pyemu.debug.session import Session

__all__ = ["Words", "reader"]

_SHOWN = 200


class Words(Completer):
    """What `completions` offers, at most 200 words."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        last = text.rpartition(" ")[2]
        for word in completions(self._session, text)[:_SHOWN]:
            yield Completion(word, start_position=-len(last))


def reader(session: Session, prompt: str) -> Callable[[], str]:
    """A function that reads a line; EOFError at the end, KeyboardInterrupt for Ctrl-C."""
    made: PromptSession[Any] = PromptSession(
        prompt, completer=Words(session), complete_while_typing=False, history=_history()
    )
    return lambda: str(made.prompt())


def _history() -> FileHistory | InMemoryHistory:
    """History in the user's state directory; only in memory where that cannot be written."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = base / "pyemu" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
