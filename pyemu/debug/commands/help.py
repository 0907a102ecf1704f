"""``help``: the commands, and one of them with an example."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug.parameters import Word
from pyemu.debug.registry import Command, command, commands, find
from pyemu.debug.session import Session

__all__ = ["Help", "help_"]


@dataclass(frozen=True)
class Help:
    """Text of ``help``."""

    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@command(
    "help",
    Word("name", optional=True),
    Word("second", optional=True),
    group="session",
    example="help walk",
    aliases=("h", "?"),
)
def help_(session: Session, name: str | None = None, second: str | None = None) -> Help:
    """The commands, or one of them with an example."""
    if name is not None:
        found, _ = find(name if second is None else f"{name} {second}")
        return Help(found.help)
    groups: dict[str, list[Command]] = {}
    for each in dict.fromkeys(commands().values()):
        groups.setdefault(each.group, []).append(each)
    lines = []
    for group, members in groups.items():
        lines.append(f"{group}:")
        lines += [f"  {each.usage:<44} {each.summary}" for each in members]
    return Help("\n".join([*lines, "", "`help NAME` explains one, with an example."]))
