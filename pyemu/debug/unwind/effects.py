"""What instructions have in common: results, and loaded values, put into a state."""

from __future__ import annotations

from collections.abc import Callable

from pyemu.debug.unwind.state import PC, State, Value, add

__all__ = ["ARITHMETIC", "Effect", "Read", "aligned", "assign", "compute", "jump_to", "set_register"]

Effect = Callable[[State], None]
Read = Callable[[State], Value]

_MASK = 0xFFFF_FFFF
ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "and": lambda a, b: a & b,
    "bic": lambda a, b: a & ~b,
    "orr": lambda a, b: a | b,
    "eor": lambda a, b: a ^ b,
    "rsb": lambda a, b: b - a,
    "lsl": lambda a, b: a << b if b < 32 else 0,
    "lsr": lambda a, b: a >> b if b < 32 else 0,
    "movt": lambda a, b: a & 0xFFFF | b << 16,
}


def set_register(number: int, result: Read) -> Effect:
    """A register becomes a result."""

    def run(state: State) -> None:
        if 0 <= number < PC:
            state.r[number] = result(state)
            state.popped &= ~(1 << number)

    return run


def compute(name: str, sources: list[Read]) -> Read:
    """The result of a data-processing instruction."""
    if name == "mov":
        return sources[0]
    if name == "mvn":
        source = sources[0]
        return lambda state: (lambda v: ~v & _MASK if isinstance(v, int) else None)(source(state))
    function = ARITHMETIC.get(name)

    def both(state: State) -> Value:
        a, b = sources[0](state), sources[1](state)
        if name == "add" and isinstance(a, int):
            a, b = b, a
        if not isinstance(b, int):
            return None
        if function is None:
            return add(a, b if name == "add" else -b)
        return function(a, b) & _MASK if isinstance(a, int) else None

    return both


def aligned(value: Value) -> Value:
    """The PC as an address counts from it."""
    return value & ~3 if isinstance(value, int) else value


def jump_to(number: int) -> Effect:
    """To where a register points."""

    def run(state: State) -> None:
        state.next = state.r[number] if number >= 0 else None

    return run


def assign(
    state: State, numbers: list[int], values: list[Value], stack: bool, user: str | None = None
) -> None:
    """Loaded values to their registers; the PC's is where it goes on."""
    for number, value in zip(numbers, values, strict=True):
        if number == PC:
            state.next = value
        elif user is not None:
            state.set_banked(number, user, value)
        elif number >= 0:
            state.r[number] = value
            state.popped = state.popped & ~(1 << number) | stack << number
