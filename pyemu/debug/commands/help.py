"""``help``: the commands that can be used here, and one of them with an example."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from pyemu.debug.parameters import Word
from pyemu.debug.registry import Command, command, commands, find
from pyemu.debug.session import Session

__all__ = ["Help"]

_USAGE_WIDTH = 44
_WIDTH = 110


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
    """The commands, or one of them with an example. Those that cannot be used here are named at the end."""
    if name is not None:
        found, _ = find(name if second is None else f"{name} {second}")
        return Help(found.help)
    groups: dict[str, list[Command]] = {}
    unusable: dict[str, list[str]] = {}
    for each in dict.fromkeys(commands().values()):
        why = session.lacks(each.needs)
        if why is None:
            groups.setdefault(each.group, []).append(each)
        else:
            unusable.setdefault(why, []).append(each.name)
    lines = []
    for group, members in groups.items():
        lines.append(f"{group}:")
        lines += [line for each in members for line in _summary(each)]
    for why, names in unusable.items():
        lines += [
            f"not here, {why}:",
            *wrap(", ".join(names), _WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
    return Help("\n".join([*lines, "", "`help NAME` explains one, with an example."]))


def _summary(each: Command) -> list[str]:
    """Usage and summary, on two lines where the usage is long."""
    if len(each.usage) <= _USAGE_WIDTH:
        return [f"  {each.usage:<{_USAGE_WIDTH}} {each.summary}"]
    return [f"  {each.usage}", f"  {'':<{_USAGE_WIDTH}} {each.summary}"]
