"""Framing of gdb's remote protocol: bytes from a socket to packets, and answers to bytes.

``$payload#checksum``, where ``}`` escapes the byte behind it (GDB manual, "Overview" of the protocol).  What
comes is hostile: no input makes the reader fail, and it keeps no more than one packet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["MAX_PAYLOAD", "Event", "Packet", "PacketReader", "frame", "parse_hex", "split_numbers"]

MAX_PAYLOAD = 0x4000
_START, _END, _ESCAPE, _INTERRUPT = 0x24, 0x23, 0x7D, 0x03
_ESCAPED = frozenset(b"$#}*")


class Event(Enum):
    """What comes besides packets. BAD is a packet with a wrong checksum, or one that is too long."""

    INTERRUPT = auto()
    ACK = auto()
    NACK = auto()
    BAD = auto()


@dataclass(frozen=True)
class Packet:
    """``data`` without escapes."""

    data: bytes


class PacketReader:
    """Takes bytes as they come and gives what they mean."""

    def __init__(self) -> None:
        self._raw: bytearray | None = None  # between packets: None
        self._checksum: bytearray | None = None  # behind the '#'
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Packet | Event]:
        """Packets and events, in order."""
        for byte in data:
            found = self._between(byte) if self._raw is None else self._within(byte)
            if found is not None:
                yield found

    def _between(self, byte: int) -> Event | None:
        if byte == _START:
            self._raw, self._checksum, self._too_long = bytearray(), None, False
        return {_INTERRUPT: Event.INTERRUPT, 0x2B: Event.ACK, 0x2D: Event.NACK}.get(byte)

    def _within(self, byte: int) -> Packet | Event | None:
        assert self._raw is not None
        if self._checksum is None:
            if byte == _END:
                self._checksum = bytearray()
            elif byte == _START:  # a new packet: the one before was cut off
                self._raw.clear()
                self._too_long = False
            elif len(self._raw) >= 2 * MAX_PAYLOAD:
                self._too_long = True
            else:
                self._raw.append(byte)
            return None
        self._checksum.append(byte)
        if len(self._checksum) < 2:
            return None
        raw, checksum, self._raw = bytes(self._raw), bytes(self._checksum), None
        try:
            right = parse_hex(checksum) == sum(raw) & 0xFF
        except ValueError:
            right = False
        return Packet(_unescape(raw)) if right and not self._too_long else Event.BAD


def _unescape(raw: bytes) -> bytes:
    if _ESCAPE not in raw:
        return raw
    out, at = bytearray(), 0
    while at < len(raw):
        if raw[at] == _ESCAPE and at + 1 < len(raw):
            out.append(raw[at + 1] ^ 0x20)
            at += 2
        else:
            out.append(raw[at])
            at += 1
    return bytes(out)


def frame(payload: bytes) -> bytes:
    """A payload as it is sent."""
    if not _ESCAPED.isdisjoint(payload):
        out = bytearray()
        for byte in payload:
            out += bytes((_ESCAPE, byte ^ 0x20)) if byte in _ESCAPED else bytes((byte,))
        payload = bytes(out)
    return b"$%b#%02x" % (payload, sum(payload) & 0xFF)


def parse_hex(text: bytes) -> int:
    """A hexadecimal number of up to 16 digits; ValueError for anything else."""
    if not 0 < len(text) <= 16 or not all(byte in b"0123456789abcdefABCDEF" for byte in text):
        raise ValueError("no hexadecimal number")
    return int(text, 16)


def split_numbers(text: bytes, separators: str = ",") -> list[int]:
    """Hexadecimal numbers with one separator between any two, in order: ``"c0008000,4:"``. ValueError."""
    numbers = []
    for separator in separators.encode():
        head, found, text = text.partition(bytes((separator,)))
        if not found:
            raise ValueError("a number is missing")
        numbers.append(parse_hex(head))
    return [*numbers, parse_hex(text)]
