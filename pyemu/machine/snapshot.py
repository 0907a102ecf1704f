"""Snapshot files: a machine's memory, CPU and device state, written as a whole or not at all.

    "PYEMUSNP" | u32 version | blocks | 32 bytes BLAKE2b of everything before
    block: u32 kind | u32 stored bytes | u32 plain bytes | u64 address | data (zlib when shorter than plain)

Numbers are little-endian.  One META block (JSON), one STATE block (the core's blob), any number of MEMORY
blocks with whole pages in ascending order, one END block.  The same machine gives the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pyemu.config import MachineConfig, Timing, UserError
from pyemu.machine.output import whole_file

if TYPE_CHECKING:
    from pyemu.timing import Core

MAGIC = b"PYEMUSNP"
VERSION = 1
META, STATE, MEMORY, END = 1, 2, 3, 4
BLOCK_BYTES = 1 << 20
PAGE = 4096

_HEADER = struct.Struct("<8sI")
_BLOCK = struct.Struct("<IIIQ")
_LIMITS = {META: 64 << 20, STATE: 64 << 20, MEMORY: BLOCK_BYTES, END: 0}
DIGEST_BYTES = 32


def is_snapshot(start: bytes) -> bool:
    """Whether a file that starts with these bytes is a snapshot."""
    return start.startswith(MAGIC)


def write_snapshot(
    path: str | Path, meta: dict[str, Any], state: bytes, memory: Iterable[tuple[int, bytes]]
) -> None:
    """Write a snapshot; the file at ``path`` is replaced only when the new one is complete and on disk."""
    with whole_file(path, "the snapshot") as file:
        _write(file, meta, state, memory)


def _write(file: BinaryIO, meta: dict[str, Any], state: bytes, memory: Iterable[tuple[int, bytes]]) -> None:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def put(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    def block(kind: int, address: int, plain: bytes) -> None:
        packed = zlib.compress(plain, 1)
        stored = packed if len(packed) < len(plain) else plain
        put(_BLOCK.pack(kind, len(stored), len(plain), address))
        put(stored)

    put(_HEADER.pack(MAGIC, VERSION))
    block(META, 0, json.dumps(meta, sort_keys=True, separators=(",", ":")).encode())
    block(STATE, 0, state)
    for address, data in memory:
        block(MEMORY, address, data)
    block(END, 0, b"")
    file.write(digest.digest())


class Snapshot:
    """An open snapshot file, checked as a whole before anything of it is used.

    Raises :class:`~pyemu.config.UserError` with one line for a file that is not a snapshot, of another
    version, truncated or changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None
        try:
            self._check()
        except OSError as error:
            self._file.close()
            raise UserError(f"{path}: {error.strerror or error}") from None
        except UserError as error:
            self._file.close()
            raise UserError(f"{path}: {error}") from None

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _check(self) -> None:
        self._size = os.fstat(self._file.fileno()).st_size
        header = self._file.read(_HEADER.size)
        if not is_snapshot(header) or len(header) < _HEADER.size:
            raise UserError("not a pyemu snapshot")
        version = _HEADER.unpack(header)[1]
        if version != VERSION:
            raise UserError(f"snapshot of version {version}; this pyemu reads version {VERSION}")
        self._check_digest()
        blocks = self._blocks()
        first, second = next(blocks, None), next(blocks, None)
        if first is None or second is None or (first[0], second[0]) != (META, STATE):
            raise UserError("damaged snapshot: it does not start with its description and state")
        self.state = second[2]
        try:
            self.meta: dict[str, Any] = json.loads(first[2])
        except (ValueError, RecursionError):
            raise UserError("damaged snapshot: its description is not JSON") from None

    def _check_digest(self) -> None:
        left = self._size - DIGEST_BYTES
        if left < _HEADER.size:
            raise UserError("truncated snapshot")
        self._file.seek(0)
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        while left:
            data = self._file.read(min(left, BLOCK_BYTES))
            if not data:
                raise UserError("truncated snapshot")
            digest.update(data)
            left -= len(data)
        if self._file.read(DIGEST_BYTES) != digest.digest():
            raise UserError("damaged snapshot: truncated, or changed since it was written")

    def _blocks(self) -> Iterator[tuple[int, int, bytes]]:
        """(kind, address, data) of the blocks up to END."""
        self._file.seek(_HEADER.size)
        while True:
            header = self._file.read(_BLOCK.size)
            if len(header) < _BLOCK.size:
                raise UserError("damaged snapshot: it has no end")
            kind, stored, plain, address = _BLOCK.unpack(header)
            if plain > _LIMITS.get(kind, -1) or stored > plain:
                raise UserError(f"damaged snapshot: a block of kind {kind} with {plain} bytes")
            if kind == END:
                return
            data = self._file.read(stored)
            if stored < plain:
                try:
                    data = zlib.decompressobj().decompress(data, plain)
                except zlib.error:
                    data = b""
            if len(data) != plain:
                raise UserError("damaged snapshot: a block that does not unpack")
            yield kind, address, data

    def memory(self) -> Iterator[tuple[int, bytes]]:
        """(physical address, content) of the pages that are not zero."""
        for kind, address, data in self._blocks():
            if kind == MEMORY:
                if address % PAGE or len(data) % PAGE:
                    raise UserError(
                        f"{self.path}: damaged snapshot: memory at {address:#x} is not whole pages"
                    )
                yield address, data


def saved_symbols(saved: Snapshot) -> dict[str, int]:
    """Names and addresses of a snapshot's description, which is a dictionary. Raises UserError."""
    symbols = saved.meta.get("symbols", {})
    if not isinstance(symbols, dict) or not all(
        type(address) is int and 0 <= address < 1 << 64 for address in symbols.values()
    ):
        raise UserError(f"{saved.path}: damaged snapshot: its symbols are not names with addresses")
    return symbols


def saved_config(
    saved: Snapshot, timing: Timing | None, core: Core | str | None
) -> tuple[MachineConfig, Core | None]:
    """The machine that a snapshot is of and the core that it counts, unless others are asked for.

    Raises :class:`~pyemu.config.UserError`.
    """
    meta = saved.meta if isinstance(saved.meta, dict) else {}
    values, kept = meta.get("config"), meta.get("core")
    if not isinstance(values, dict) or "core_file" in values:
        raise UserError(f"{saved.path}: damaged snapshot: it does not say of what machine it is")
    try:
        config = MachineConfig().with_options(**values)
        if core is None and kept is not None:
            from pyemu.timing import Core

            core = Core.from_dict(kept)
    except UserError as problem:
        raise UserError(f"{saved.path}: damaged snapshot: {problem}") from None
    if isinstance(core, str):
        from pyemu.timing import read_core

        core = read_core(core)
    return replace(config, timing=timing or config.timing), core
