"""``help``: the commands, and one of them with an example."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.config import UserError
from pyemu.debug.parameters import Rest
from pyemu.debug.registry import Command, command, commands, find
from pyemu.debug.session import Session

__all__ = ["Help", "help_"]

_COLUMN = 40  # where summaries begin
_ORDER = ("session", "translation", "tables", "doctor", "registers", "memory", "running", "history")


@dataclass(frozen=True)
class Help:
    """Text of ``help``."""

    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@command("help", Rest("name", optional=True), group="session", example="help walk", aliases=("h", "?"))
def help_(session: Session, name: str | None = None) -> Help:
    """The commands, or one of them with an example, or those of a group."""
    groups: dict[str, list[Command]] = {group: [] for group in _ORDER}
    for each in dict.fromkeys(commands().values()):
        groups.setdefault(each.group, []).append(each)
    if name in groups and name not in commands():
        return Help("\n".join(_group(name, groups[name])))
    if name is not None:
        found, rest = find(name)
        if rest.strip():
            raise UserError(f"no command {name!r}: `help` lists the commands")
        return Help(found.help)
    lines = [line for group, members in groups.items() for line in _group(group, members)]
    ends = "`help NAME` explains a command with an example; Ctrl-C stops the guest, Ctrl-D or `quit` ends."
    return Help("\n".join([*lines, "", ends]))


def _group(name: str, members: list[Command]) -> list[str]:
    lines = [f"{name}:"]
    for each in members:
        fits = len(each.usage) < _COLUMN - 2
        head = f"  {each.usage}"
        lines += [f"{head:<{_COLUMN}}{each.summary}"] if fits else [head, " " * _COLUMN + each.summary]
    return lines
