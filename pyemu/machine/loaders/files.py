"""Files that a user names: read with a limit, each failure one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pyemu.config import UserError, format_size

_AT_ONCE = 1 << 20  # bytes


def read_file(path: str | Path, limit_bytes: int, what: str) -> bytes:
    """The content of a file of at most ``limit_bytes``; ``what`` names it in errors ("initrd")."""
    try:
        with Path(path).open("rb") as file:
            data = b"".join(_parts(file, limit_bytes + 1))
    except OSError as error:
        raise UserError(f"{path}: cannot read the {what}: {error.strerror or error}") from None
    if len(data) > limit_bytes:
        raise UserError(f"{path}: the {what} is larger than {format_size(limit_bytes)}")
    return data


def _parts(file: BinaryIO, at_most: int) -> Iterator[bytes]:
    """What can be read; a read of all at once would allocate the limit, whatever the file's size."""
    while at_most and (part := file.read(min(at_most, _AT_ONCE))):
        at_most -= len(part)
        yield part
