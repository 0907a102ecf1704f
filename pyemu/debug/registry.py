"""Commands by name: their parameters, how a line of text becomes a call, and help.

    @command("walk", Address("va"), Choice("access", r=Access.READ, w=Access.WRITE), group="translation",
             example="walk 0xc0008000 w")
    def walk(session: Session, va: int, access: Access = Access.READ) -> Ladder:
        \"\"\"The first line is the summary that help shows.\"\"\"

The function stays what it was, for Python. What it returns is a frozen dataclass with ``lines``, its text
(see :mod:`pyemu.debug.render`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pyemu.config import UserError
from pyemu.debug.parameters import Parameter, Raw, bind
from pyemu.debug.target import Capability

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["Command", "command", "commands", "execute", "find"]

Function = TypeVar("Function", bound=Callable[..., Any])

_REGISTERED: dict[str, Command] = {}


@dataclass(frozen=True)
class Command:
    """``needs`` is what the target must be able to do; ``example`` a line that can be typed."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    group: str
    example: str
    aliases: tuple[str, ...]
    needs: Capability

    @property
    def usage(self) -> str:
        """``walk VA [r|w|x] [user|priv]``"""
        return " ".join([self.name, *(parameter.usage for parameter in self.parameters)]).replace(" /", "/")

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0].replace("``", "`")

    @property
    def help(self) -> str:
        """What ``help NAME`` prints."""
        text = (inspect.getdoc(self.function) or "").replace("``", "`")
        alias = f"  (also: {', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.usage}{alias}\n\n{text}\n\nexample:  {self.example}"

    @property
    def _is_raw(self) -> bool:
        return any(isinstance(parameter, Raw) for parameter in self.parameters)

    def run(self, session: Session, text: str) -> Any:
        """Carry out the command with the arguments in ``text``."""
        session.need(self.needs)
        try:
            words = [text] if text and self._is_raw else shlex.split(text, comments=not self._is_raw)
        except ValueError as problem:
            raise UserError(f"{self.name}: {problem} in {text!r}") from None
        try:
            arguments = bind(self.parameters, session, words)
        except UserError as problem:
            raise UserError(f"{self.name}: {problem} (usage: {self.usage})") from None
        return self.function(session, **arguments)


def command(
    name: str,
    *parameters: Parameter,
    group: str,
    example: str,
    aliases: tuple[str, ...] = (),
    needs: Capability = Capability.NONE,
) -> Callable[[Function], Function]:
    """Register a function as a command. Parameters are given to it by name."""

    def register(function: Function) -> Function:
        made = Command(name, function, parameters, group, example, aliases, needs)
        for key in (name, *aliases):
            assert key not in _REGISTERED, f"two commands are called {key}"
            _REGISTERED[key] = made
        return function

    return register


@cache
def _load() -> None:
    package = importlib.import_module("pyemu.debug.commands")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"pyemu.debug.commands.{module.name}")


def commands() -> dict[str, Command]:
    """Every command by its name and its aliases."""
    _load()
    return _REGISTERED


def find(line: str) -> tuple[Command, str]:
    """The command that a line names, and its arguments. A name may have two words: ``doctor mmu``.

    ``x/4x`` is ``x`` with the first argument ``/4x``. Raises :class:`~pyemu.config.UserError`.
    """
    known = commands()
    first, _, rest = line.strip().partition(" ")
    second, _, tail = rest.strip().partition(" ")
    if f"{first} {second}" in known:
        return known[f"{first} {second}"], tail
    if first in known:
        return known[first], rest
    stem, slash, suffix = first.partition("/")
    if slash and stem in known:
        return known[stem], f"/{suffix} {rest}"
    near = get_close_matches(first, known, 1, 0.7)
    hint = f"did you mean {near[0]!r}?" if near else "`help` lists the commands"
    raise UserError(f"no command {first!r}: {hint}")


def execute(session: Session, line: str) -> Any:
    """Carry out one line; comments begin with #, outside quotes."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    found, rest = find(line)
    return found.run(session, rest)
