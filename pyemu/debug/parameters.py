"""Parameters of commands: how words become arguments, and how words go on for completion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyemu.config import UserError, parse_size
from pyemu.debug.session import parse_number

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = [
    "Address",
    "Choice",
    "Flag",
    "Number",
    "Option",
    "Parameter",
    "Range",
    "Raw",
    "Rest",
    "Size",
    "Suffix",
    "Word",
    "bind",
]

ADDRESS_BITS = 32


class Parameter(ABC):
    """One parameter; ``name`` is the keyword that the function gets."""

    takes_rest = False

    def __init__(self, name: str, *, optional: bool = False) -> None:
        self.name = name
        self.optional = optional

    @property
    def usage(self) -> str:
        text = self.name.upper()
        return f"[{text}]" if self.optional else text

    def words(self, session: Session) -> list[str]:
        """Words that may be typed here, for completion."""
        return []

    @abstractmethod
    def parse(self, session: Session, text: str) -> Any:
        """The argument; :class:`~pyemu.config.UserError` says what would be right."""


class Address(Parameter):
    """A virtual address: number, symbol, register, or a sum (``main+4``). ``bits``: 40 for physical ones."""

    def __init__(self, name: str, *, optional: bool = False, bits: int = ADDRESS_BITS) -> None:
        super().__init__(name, optional=optional)
        self.bits = bits

    def words(self, session: Session) -> list[str]:
        return [*session.symbols.addresses, *session.registers]

    def parse(self, session: Session, text: str) -> int:
        value = session.value(text)
        if not 0 <= value < 1 << self.bits:
            raise UserError(f"{text} = {value:#x} is outside the {self.bits}-bit address space")
        return value


class Range(Parameter):
    """``START-END`` (END is not part of it), ``START+SIZE`` of numbers, or one address, as (start, end)."""

    def words(self, session: Session) -> list[str]:
        return list(session.symbols.addresses)

    def parse(self, session: Session, text: str) -> tuple[int, int]:
        for sign in "-+":
            left, found, right = text.partition(sign)
            first, second = parse_number(left), parse_number(right)
            if found and first is not None and second is not None:
                start, end = first, second if sign == "-" else first + second
                break
        else:
            start = session.value(text)
            end = start + 1
        if not 0 <= start < end <= 1 << ADDRESS_BITS:
            raise UserError(f"{text!r} is no range: 0xc0000000-0xf0000000 is one, its end above its start")
        return start, end


class Number(Parameter):
    """A number from ``low`` to ``high``."""

    def __init__(self, name: str, *, optional: bool = False, low: int = 0, high: int = 1 << 63) -> None:
        super().__init__(name, optional=optional)
        self.low, self.high = low, high

    def parse(self, session: Session, text: str) -> int:
        value = parse_number(text)
        if value is None:
            raise UserError(f"{text!r} is no number")
        if not self.low <= value <= self.high:
            raise UserError(f"{self.name} {value} is not from {self.low} to {self.high}")
        return value


class Size(Parameter):
    """A size in bytes: ``4096``, ``64K``, ``2M``; not 0, and less than 4 GB."""

    def parse(self, session: Session, text: str) -> int:
        value = parse_size(text)
        if not 0 < value < 1 << ADDRESS_BITS:
            raise UserError(f"{text} is no size of a mapping: 1 byte to less than 4G are")
        return value


class Word(Parameter):
    """One word as it is; ``offers`` are the words to complete it with."""

    def __init__(
        self, name: str, *, optional: bool = False, offers: Callable[[Session], Iterable[str]] | None = None
    ) -> None:
        super().__init__(name, optional=optional)
        self._offers = offers

    def words(self, session: Session) -> list[str]:
        return [] if self._offers is None else list(self._offers(session))

    def parse(self, session: Session, text: str) -> str:
        return text


class Rest(Word):
    """All words that are left, as one text."""

    takes_rest = True

    @property
    def usage(self) -> str:
        return f"[{self.name.upper()}...]" if self.optional else f"{self.name.upper()}..."


class Raw(Rest):
    """The rest of the line as it is: quotes, backslashes, spaces and # too. The only parameter then."""


class Suffix(Parameter):
    """What is written behind a slash at the command: ``x/4x``."""

    def __init__(self, name: str) -> None:
        super().__init__(name, optional=True)

    @property
    def usage(self) -> str:
        return f"/{self.name.upper()}"

    def parse(self, session: Session, text: str) -> str:
        return text


class Choice(Parameter):
    """One of some words, each with its value; always optional, and in any place."""

    def __init__(self, name: str, **choices: Any) -> None:
        super().__init__(name, optional=True)
        self.choices = choices

    @property
    def usage(self) -> str:
        return f"[{'|'.join(self.choices)}]"

    def words(self, session: Session) -> list[str]:
        return list(self.choices)

    def parse(self, session: Session, text: str) -> Any:
        return self.choices[text]


class Flag(Parameter):
    """``--name``: True when it is there, or another ``value``; several flags may share a keyword."""

    def __init__(self, flag: str, name: str | None = None, value: Any = True) -> None:
        super().__init__(name or flag.lstrip("-").replace("-", "_"), optional=True)
        self.flag, self.value = flag, value

    @property
    def usage(self) -> str:
        return f"[{self.flag}]"

    def words(self, session: Session) -> list[str]:
        return [self.flag]

    def parse(self, session: Session, text: str) -> Any:
        return self.value


class Option(Parameter):
    """``--name VALUE``, the value parsed as ``kind`` says."""

    def __init__(self, flag: str, kind: Parameter) -> None:
        super().__init__(kind.name, optional=True)
        self.flag, self.kind = flag, kind

    @property
    def usage(self) -> str:
        return f"[{self.flag} {self.kind.name.upper()}]"

    def words(self, session: Session) -> list[str]:
        return [self.flag]

    def parse(self, session: Session, text: str) -> Any:
        return self.kind.parse(session, text)


def bind(parameters: tuple[Parameter, ...], session: Session, words: list[str]) -> dict[str, Any]:
    """Arguments by name. Flags, choices and the suffix are taken wherever they stand, required parameters
    before choices, optional ones behind them; what is not given is left to the function's default.
    """
    arguments: dict[str, Any] = {}
    positional = [p for p in parameters if not isinstance(p, (Flag, Option, Choice, Suffix))]
    left = list(words)
    if left and left[0].startswith("/") and (suffix := _only(parameters, Suffix)):
        arguments[suffix.name] = suffix.parse(session, left.pop(0)[1:])
    while left:
        word = left.pop(0)
        if positional and positional[0].takes_rest:
            arguments[positional[0].name] = " ".join([word, *left])
            positional.pop(0)
            break
        marked = _marked(parameters, word)
        if marked is not None:
            if isinstance(marked, Option):
                if not left:
                    raise UserError(f"{word} needs a value")
                word = left.pop(0)
            arguments[marked.name] = marked.parse(session, word)
        elif positional and not positional[0].optional:
            parameter = positional.pop(0)
            arguments[parameter.name] = parameter.parse(session, word)
        elif (choice := _choice(parameters, word, arguments)) is not None:
            arguments[choice.name] = choice.parse(session, word)
        elif positional:
            parameter = positional.pop(0)
            arguments[parameter.name] = parameter.parse(session, word)
        else:
            raise UserError(f"{word!r} is not understood")
    missing = [p.name.upper() for p in positional if not p.optional]
    if missing:
        raise UserError(f"{missing[0]} is missing")
    return arguments


def _only(parameters: tuple[Parameter, ...], kind: type[Parameter]) -> Parameter | None:
    return next((p for p in parameters if isinstance(p, kind)), None)


def _marked(parameters: tuple[Parameter, ...], word: str) -> Flag | Option | None:
    for parameter in parameters:
        if isinstance(parameter, (Flag, Option)) and parameter.flag == word:
            return parameter
    if word.startswith("--"):
        raise UserError(f"there is no {word}")
    return None


def _choice(parameters: tuple[Parameter, ...], word: str, taken: dict[str, Any]) -> Choice | None:
    for parameter in parameters:
        if isinstance(parameter, Choice) and word in parameter.choices and parameter.name not in taken:
            return parameter
    return None
