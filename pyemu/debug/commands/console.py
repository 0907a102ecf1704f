"""``type``: input for the guest's console."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug.control import Control
from pyemu.debug.parameters import Raw
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.debug.target import Capability
from pyemu.machine.dialogue import unescape

__all__ = ["Typed", "type_text"]


@dataclass(frozen=True)
class Typed:
    """What waits for the guest to read it."""

    data: bytes

    @property
    def lines(self) -> list[str]:
        return [f"typed {len(self.data)} bytes; the guest reads them when it runs on"]


@command("type", Raw("text"), group="running", example=r"type ls -l\n", needs=Capability.RUN)
def type_text(session: Session, text: str) -> Typed:
    r"""Types to the guest's console: the rest of the line as it is, and no Enter behind it.

    ``\n \r \t \e \xNN`` and ``\\`` stand for what cannot be written, as in ``pyemu boot --send``. What comes
    after going back is not what was typed then.
    """
    data = unescape(text)
    session.part(Control).type(data)
    return Typed(data)
