"""``help``: the commands that can be used here, and one of them with an example."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from pyemu.config import UserError
from pyemu.debug.parameters import Rest
from pyemu.debug.registry import Command, command, commands, find
from pyemu.debug.session import Session

__all__ = ["Help"]

_USAGE_WIDTH = 38
_WIDTH = 110
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
    """The commands, or one of them with an example, or those of a group.

    Those that cannot be used here are named at the end, with what they need.
    """
    groups: dict[str, list[Command]] = {group: [] for group in _ORDER}
    unusable: dict[str, list[str]] = {}
    for each in dict.fromkeys(commands().values()):
        groups.setdefault(each.group, []).append(each)
    if name in groups and name not in commands():
        return Help("\n".join(_group(name, groups[name])))
    if name is not None:
        found, rest = find(name)
        if rest.strip():
            raise UserError(f"no command {name!r}: `help` lists the commands")
        return Help(found.help)
    lines = []
    for group, members in groups.items():
        usable = [each for each in members if session.lacks(each.needs) is None]
        lines += _group(group, usable) if usable else []
        for each in members:
            if (why := session.lacks(each.needs)) is not None:
                unusable.setdefault(why, []).append(each.name)
    for why, names in unusable.items():
        lines += [
            f"not here, {why}:",
            *wrap(", ".join(names), _WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
    ends = "`help NAME` explains a command with an example; Ctrl-C stops the guest, Ctrl-D or `quit` ends."
    return Help("\n".join([*lines, "", ends]))


def _group(name: str, members: list[Command]) -> list[str]:
    return [f"{name}:", *(line for each in members for line in _summary(each))]


def _summary(each: Command) -> list[str]:
    """Usage and summary, on two lines where the usage is long."""
    if len(each.usage) <= _USAGE_WIDTH:
        return [f"  {each.usage:<{_USAGE_WIDTH}} {each.summary}"]
    return [f"  {each.usage}", f"  {'':<{_USAGE_WIDTH}} {each.summary}"]
