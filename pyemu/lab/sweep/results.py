"""The file of a sweep: its plan, then a line of JSON for each row, appended as they come.

A sweep that was killed leaves a file that ends anywhere; what is whole counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyemu.config import UserError
from pyemu.lab.sweep.plan import Plan
from pyemu.lab.sweep.rows import Row, row_as_dict, row_from_dict

__all__ = ["Results"]

MAX_BYTES = 64 << 20


class Results:
    """Rows in a file.  Raises UserError: the file, the line, what would be right."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.rows: list[Row] = []
        self._whole = 0
        for number, line in enumerate(self._lines(), start=1):
            self._whole += len(line)
            self._take(number, line)

    def _lines(self) -> Iterator[bytes]:
        """Those that end: the last one may have been cut off."""
        with _naming(self.path):
            if not self.path.exists():
                return
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UserError(f"{self.path}: larger than {MAX_BYTES >> 20} MB: no file of a sweep")
        for line in data.splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield line

    def _take(self, number: int, line: bytes) -> None:
        try:
            values = json.loads(line)
            if number > 1:
                self.rows.append(row_from_dict(values))
        except ValueError as problem:
            raise UserError(f"{self.path}: line {number}: not of a sweep: {problem}") from None
        if number == 1:
            self._check_plan(values)

    def _check_plan(self, theirs: Any) -> None:
        ours = self.plan.as_dict()
        if not isinstance(theirs, dict) or set(theirs) != set(ours):
            raise UserError(f"{self.path}: line 1: no plan of a sweep")
        for name, value in ours.items():
            if theirs[name] != value:
                raise UserError(
                    f"{self.path}: of a sweep with {name} {theirs[name]}, not {value}: the same options, "
                    "or another directory, would be right"
                )

    @contextmanager
    def appending(self) -> Iterator[Results]:
        """Open for :meth:`add`."""
        with _naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        with self._file:
            with _naming(self.path):
                self._file.truncate(self._whole)
            if not self._whole:
                self._write([self.plan.as_dict()])
            yield self

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows, which are then safe from a kill."""
        new = list(rows)
        self._write([row_as_dict(row) for row in new])
        self.rows += new

    def _write(self, objects: Iterable[dict[str, Any]]) -> None:
        with _naming(self.path):
            self._file.write("".join(json.dumps(each) + "\n" for each in objects).encode())
            self._file.flush()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise UserError(f"{problem.filename or path}: {problem.strerror or problem}") from None
