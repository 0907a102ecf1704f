"""Files that a user names: read with a limit, each failure one line."""

from __future__ import annotations

import os
from pathlib import Path

from pyemu.config import UserError, format_size


def read_file(path: str | Path, limit_bytes: int, what: str) -> bytes:
    """The content of a file of at most ``limit_bytes``; ``what`` names it in errors ("initrd")."""
    try:
        with Path(path).open("rb") as file:
            # A read of more than there is would allocate it all the same.
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, limit_bytes) + 1)
            if len(data) > size:  # a pipe, or a file that grows
                data += file.read(limit_bytes + 1 - len(data))
    except OSError as error:
        raise UserError(f"{path}: cannot read the {what}: {error.strerror or error}") from None
    if len(data) > limit_bytes:
        raise UserError(f"{path}: the {what} is larger than {format_size(limit_bytes)}")
    return data
