"""Flattened device trees: a node type, a writer, and a reader that trusts nothing.

Format: Devicetree Specification v0.4, chapter 5 (version 17, last compatible 16).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyemu.config import UserError

MAGIC = 0xD00DFEED
VERSION = 17
LAST_COMPATIBLE = 16
MAX_BYTES = 2 << 20  # Documentation/arch/arm64/booting.rst; arm maps two sections, which is no less
MAX_DEPTH = 32

BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9

_HEADER = struct.Struct(">10I")

Value = bool | int | str | bytes | Sequence[int] | Sequence[str]


def encode(value: Value) -> bytes:
    """A property's bytes: True is empty, ints are 32-bit cells, texts are NUL-terminated, bytes stay."""
    if isinstance(value, bytes):
        return value
    if value is True:
        return b""
    if isinstance(value, int):
        return struct.pack(">I", value)
    if isinstance(value, str):
        return value.encode() + b"\0"
    return b"".join(
        item.encode() + b"\0" if isinstance(item, str) else struct.pack(">I", item) for item in value
    )


def cells(value: int, count: int) -> list[int]:
    """``value`` as ``count`` 32-bit cells, most significant first."""
    if value >> (32 * count):
        raise ValueError(f"{value:#x} does not fit in {count} cells")
    return [value >> (32 * i) & 0xFFFF_FFFF for i in reversed(range(count))]


@dataclass
class Node:
    """A node: its name with unit address, raw property values and children, all in the order of the blob."""

    name: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def set(self, values: Mapping[str, Value]) -> Node:
        """Set properties, each encoded by :func:`encode`.  Returns the node."""
        self.properties.update((name, encode(value)) for name, value in values.items())
        return self

    def add(self, name: str, values: Mapping[str, Value]) -> Node:
        """A new child with these properties."""
        child = Node(name).set(values)
        self.children.append(child)
        return child

    def child(self, name: str) -> Node | None:
        """The child of that full name."""
        return next((child for child in self.children if child.name == name), None)

    def u32(self, name: str, default: int) -> int:
        """A property of one cell."""
        raw = self.properties.get(name)
        return default if raw is None or len(raw) != 4 else int.from_bytes(raw, "big")

    def text(self, name: str) -> str | None:
        """The first string of a property."""
        raw = self.properties.get(name)
        return None if raw is None else raw.split(b"\0", 1)[0].decode("ascii", "replace")

    def walk(self) -> Iterator[Node]:
        """This node and everything below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass
class Tree:
    """A whole device tree; ``reservations`` are (address, size) pairs in bytes."""

    root: Node
    reservations: list[tuple[int, int]] = field(default_factory=list)
    boot_cpu: int = 0

    def to_bytes(self) -> bytes:
        """The blob (DTB), without padding."""
        strings = bytearray()
        offsets: dict[str, int] = {}
        body = bytearray()
        _emit(self.root, body, strings, offsets)
        body += struct.pack(">I", END)
        reserve = b"".join(struct.pack(">QQ", *entry) for entry in [*self.reservations, (0, 0)])
        struct_at = _HEADER.size + len(reserve)
        strings_at = struct_at + len(body)
        header = _HEADER.pack(
            MAGIC,
            strings_at + len(strings),
            struct_at,
            strings_at,
            _HEADER.size,
            VERSION,
            LAST_COMPATIBLE,
            self.boot_cpu,
            len(strings),
            len(body),
        )
        return bytes(header + reserve + body + strings)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Tree:
        """Parse a blob; raises :class:`~pyemu.config.UserError` with the offset at which it is wrong."""
        return _Reader(blob).tree()


def _pad(block: bytearray) -> None:
    block += bytes(-len(block) % 4)


def _emit(node: Node, body: bytearray, strings: bytearray, offsets: dict[str, int]) -> None:
    body += struct.pack(">I", BEGIN_NODE) + node.name.encode() + b"\0"
    _pad(body)
    for name, value in node.properties.items():
        if name not in offsets:
            offsets[name] = len(strings)
            strings += name.encode() + b"\0"
        body += struct.pack(">III", PROP, len(value), offsets[name]) + value
        _pad(body)
    for child in node.children:
        _emit(child, body, strings, offsets)
    body += struct.pack(">I", END_NODE)


class _Reader:
    def __init__(self, blob: bytes) -> None:
        if len(blob) < _HEADER.size:
            raise UserError(f"a device tree blob has a header of 40 bytes; there are {len(blob)} bytes")
        (
            magic,
            total,
            struct_at,
            strings_at,
            self.reserve_at,
            self.version,
            compatible,
            self.boot_cpu,
            strings_size,
            struct_size,
        ) = _HEADER.unpack_from(blob)
        if magic != MAGIC:
            hint = "; compile the source with dtc first" if blob.lstrip().startswith(b"/dts-v1/") else ""
            raise UserError(f"not a device tree blob: it starts with {magic:#010x}, not {MAGIC:#x}{hint}")
        if self.version < 17 or compatible > VERSION:
            raise UserError(f"device tree version {self.version} is not known: 17 is")
        if total > len(blob):
            raise UserError(f"truncated: the header says {total} bytes, there are {len(blob)}")
        if total > MAX_BYTES:
            raise UserError(f"a device tree of {total} bytes is too large: kernels take up to {MAX_BYTES}")
        self.blob = blob[:total]
        self.structure = self._block("structure", struct_at, struct_size)
        self.strings = self._block("strings", strings_at, strings_size)
        self.base = struct_at
        self.at = 0

    def _block(self, what: str, start: int, size: int) -> bytes:
        if start < _HEADER.size or start + size > len(self.blob):
            raise UserError(f"the {what} block [{start:#x}, {start + size:#x}) lies outside the blob")
        if what == "structure" and (start % 4 or size % 4):
            raise UserError(f"the {what} block is not aligned to 4 bytes")
        return self.blob[start : start + size]

    def _bad(self, why: str, at: int) -> UserError:
        return UserError(f"bad structure at offset {self.base + at:#x}: {why}")

    def _u32(self) -> int:
        if self.at + 4 > len(self.structure):
            raise self._bad("it ends without an END token", self.at)
        self.at += 4
        return int.from_bytes(self.structure[self.at - 4 : self.at], "big")

    def _reservations(self) -> list[tuple[int, int]]:
        entries: list[tuple[int, int]] = []
        at = self.reserve_at
        if at < _HEADER.size or at % 8:
            raise UserError(f"the memory reservation block at {at:#x} is misplaced")
        while at + 16 <= len(self.blob):
            address, size = struct.unpack_from(">QQ", self.blob, at)
            if not address and not size:
                return entries
            entries.append((address, size))
            at += 16
        raise UserError("the memory reservation block has no end")

    def _name(self, data: bytes, at: int, where: int) -> str:
        end = data.find(b"\0", at)
        if at > len(data) or end < 0:
            raise self._bad("a name without an end", where)
        raw = data[at:end]
        if not raw.isascii() or not raw.decode("ascii", "replace").isprintable():
            raise self._bad("a name that is not text", where)
        return raw.decode("ascii")

    def tree(self) -> Tree:
        reservations = self._reservations()
        top = Node("")  # stands above the root, so that the root is a child like any other
        path = [top]
        while True:
            at, token = self.at, self._u32()
            if token == BEGIN_NODE:
                self._begin(path, at)
            elif token == END_NODE:
                if len(path) < 2:
                    raise self._bad("a node ends that never began", at)
                path.pop()
            elif token == PROP:
                self._property(path[-1] if len(path) > 1 else None, at)
            elif token == END:
                break
            elif token != NOP:
                raise self._bad(f"unknown token {token:#x}", at)
        if len(path) != 1 or not top.children:
            raise self._bad(
                "it ends inside a node" if len(path) > 1 else "there is no root node", self.at - 4
            )
        return Tree(top.children[0], reservations, self.boot_cpu)

    def _begin(self, path: list[Node], at: int) -> None:
        if len(path) == 1 and path[0].children:
            raise self._bad("a second root node", at)
        if len(path) > MAX_DEPTH:
            raise self._bad(f"nodes nest deeper than {MAX_DEPTH}", at)
        name = self._name(self.structure, self.at, at)
        self.at += (len(name) + 1 + 3) & ~3
        node = Node(name)
        path[-1].children.append(node)
        path.append(node)

    def _property(self, node: Node | None, at: int) -> None:
        size, name_at = self._u32(), self._u32()
        if node is None:
            raise self._bad("a property outside every node", at)
        if node.children:
            raise self._bad("a property after a child node", at)
        if self.at + size > len(self.structure):
            raise self._bad(f"a property of {size} bytes leaves the block", at)
        name = self._name(self.strings, name_at, at)
        node.properties[name] = self.structure[self.at : self.at + size]
        self.at += (size + 3) & ~3
