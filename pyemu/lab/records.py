"""What programs printed, kept as files: one a core and program, ``CORE.PROGRAM.txt``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pyemu.config import UserError
from pyemu.lab.protocol import MAX_TEXT_BYTES, Point, ProtocolError, parse_points

__all__ = ["read_records", "write_records"]


def write_records(directory: Path, texts: Iterable[tuple[str, str, str]]) -> list[Path]:
    """Write (core, program, text) into a directory, which is made; raises UserError when that cannot be."""
    paths = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for core, program, text in texts:
            paths.append(directory / f"{core}.{program}.txt")
            paths[-1].write_text(text, "utf-8")
    except OSError as problem:
        raise UserError(f"{problem.filename or directory}: {problem.strerror or problem}") from None
    return paths


def read_records(
    directory: Path, cores: Sequence[str], programs: Sequence[str]
) -> dict[str, dict[str, list[Point]]]:
    """The points of each core and program that a directory has; raises UserError when it has none of them."""
    found: dict[str, dict[str, list[Point]]] = {}
    for core in cores:
        for program in programs:
            path = directory / f"{core}.{program}.txt"
            if not path.exists():
                continue
            try:
                with path.open("rb") as file:
                    text = file.read(MAX_TEXT_BYTES + 1)
                if len(text) > MAX_TEXT_BYTES:
                    raise UserError(f"{path}: larger than {MAX_TEXT_BYTES} bytes: no record of a program")
                found.setdefault(core, {})[program] = parse_points(text)
            except OSError as problem:
                raise UserError(f"{path}: {problem.strerror or problem}") from None
            except ProtocolError as problem:
                raise UserError(f"{path}: {problem}") from None
    if not found:
        raise UserError(f"{directory}: no record in it, such as {cores[0]}.{programs[0]}.txt of -o")
    return found
