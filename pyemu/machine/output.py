"""Files of results: written as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pyemu.config import UserError

__all__ = ["check_writable", "whole_file"]

_RANDOM = "x" * 8  # what mkstemp adds to a name


def check_writable(path: str | Path, what: str) -> None:
    """Raise :class:`UserError` now if ``what`` could not be written to ``path`` later."""
    target = Path(path)
    directory = target.parent
    if os.path.isdir(path):  # Path.is_dir raises for names that are too long
        raise UserError(f"{path}: cannot write {what}: it is a directory")
    if not os.path.isdir(directory) or not os.access(directory, os.W_OK):
        raise UserError(f"{path}: cannot write {what}: {directory} is no directory that can be written")
    try:
        os.lstat(directory / f"{_temporary_prefix(target)}{_RANDOM}")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise _problem(target, what, error) from None


@contextmanager
def whole_file(path: str | Path, what: str) -> Iterator[BinaryIO]:
    """A file to write ``what`` into; the one at ``path`` is replaced only when the new one is complete and on
    disk. Raises :class:`UserError` where that fails."""
    target = Path(path)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=_temporary_prefix(target), dir=target.parent)
    except OSError as error:
        raise _problem(target, what, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        _sync_directory(target.parent)
    except OSError as error:
        raise _problem(target, what, error) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _temporary_prefix(target: Path) -> str:
    return f".{target.name}."


def _problem(path: Path, what: str, error: OSError | ValueError) -> UserError:
    return UserError(f"{path}: cannot write {what}: {getattr(error, 'strerror', None) or error}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
