"""Snapshot files: whole or not at all, and nothing of a damaged one is used."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import UserError
from pyemu.machine import snapshot
from pyemu.machine.snapshot import Snapshot, write_snapshot

META = {"config": {"smp": 1}, "b": [1, 2]}
STATE = bytes(range(256)) * 10
MEMORY = [(0x4000_0000, b"\1" * 4096), (0x4_4000_0000, os.urandom(8192))]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "m.snap"
    write_snapshot(path, META, STATE, MEMORY)
    return path


def test_a_snapshot_reads_back_as_it_was_written(written: Path) -> None:
    with Snapshot(written) as saved:
        assert (saved.meta, saved.state, list(saved.memory())) == (META, STATE, MEMORY)
        assert list(saved.memory()) == MEMORY


def test_the_same_machine_gives_the_same_file(written: Path, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "again", META, STATE, MEMORY)
    assert (tmp_path / "again").read_bytes() == written.read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(written: Path) -> None:
    before = written.read_bytes()

    def broken() -> object:
        yield MEMORY[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_snapshot(written, META, STATE, broken())  # type: ignore[arg-type]
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


def test_a_directory_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write the snapshot: No such file"):
        write_snapshot(tmp_path / "none" / "m.snap", META, STATE, MEMORY)


def test_a_snapshot_gets_the_permissions_of_an_ordinary_file(written: Path) -> None:
    ordinary = written.parent / "ordinary"
    ordinary.write_bytes(b"")
    assert written.stat().st_mode == ordinary.stat().st_mode


def test_another_version_is_named(written: Path) -> None:
    data = bytearray(written.read_bytes())
    struct.pack_into("<I", data, 8, snapshot.VERSION + 1)
    written.write_bytes(data)
    with pytest.raises(
        UserError, match=f"version {snapshot.VERSION + 1}; this pyemu reads version {snapshot.VERSION}"
    ):
        Snapshot(written)


def test_a_file_that_is_no_snapshot_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"something else")
    with pytest.raises(UserError, match="x: not a pyemu snapshot"):
        Snapshot(tmp_path / "x")
    with pytest.raises(UserError, match="none: No such file"):
        Snapshot(tmp_path / "none")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_or_shortened_snapshot_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("snap") / "m"
    write_snapshot(path, META, STATE, MEMORY)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Snapshot(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("plain", [1 << 31, (1 << 20) + 1])
def test_a_block_that_would_unpack_to_more_than_it_may_is_refused(plain: int, tmp_path: Path) -> None:
    """With a right digest: the file is hostile, not damaged."""
    import hashlib

    content = struct.pack("<8sI", snapshot.MAGIC, snapshot.VERSION) + struct.pack(
        "<IIIQ", snapshot.MEMORY, 10, plain, 0
    )
    content += bytes(10)
    digest = hashlib.blake2b(content, digest_size=32).digest()
    (tmp_path / "m").write_bytes(content + digest)
    with pytest.raises(UserError, match="damaged snapshot: a block"):
        Snapshot(tmp_path / "m")
