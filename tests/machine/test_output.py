"""Files of results: what cannot be written is said before the work, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyemu.config import UserError
from pyemu.machine.output import check_writable, whole_file


@pytest.mark.parametrize("name", ["", "f" * 5000, "f" * 250, "ü" * 130, "nowhere/file", "\0", "file/below"])
def test_a_name_that_cannot_be_written_is_refused_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write the page"):
        check_writable(f"{tmp_path}/{name}", "the page")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["file", "new", "f" * 240, "ü" * 120])
def test_a_name_that_is_accepted_can_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / name, "the page")
    with whole_file(tmp_path / name, "the page") as file:
        file.write(b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
