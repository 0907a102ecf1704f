"""What is missing to build is said in one line that names the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# What a stub Python does before it runs what it is asked, and what must be said then.
BROKEN = {
    "too old": ("import sys; sys.version_info = (3, 9, 2)", "3.9, and 3.10 or newer is needed"),
    "no venv": ("import sys; sys.modules['ensurepip'] = None", "-venv)"),
    "no headers": ("import sys, sysconfig; sysconfig.get_path = lambda *_: '/nowhere'", "-dev)"),
}


def check_host(python: str | Path, cc: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [ROOT / "tools/check-host", str(python), cc], capture_output=True, text=True, check=False
    )
    assert not done.stdout
    return done.returncode, done.stderr.splitlines()


def stub(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("defect", BROKEN)
def test_python_that_will_not_do_is_named_with_what_to_install(defect: str, tmp_path: Path) -> None:
    prelude, said = BROKEN[defect]
    script = f'shift; exec "{sys.executable}" -c "{prelude}; exec(sys.argv[1])" "$1"'
    status, lines = check_host(stub(tmp_path / "python", script), "cc")
    assert status == 1
    assert len(lines) == 1
    assert said in lines[0]
    assert "apt install" in lines[0]


def test_missing_python_and_compiler_are_named() -> None:
    status, lines = check_host("python9.9", "cc")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("pyemu: python9.9 is not installed")
    status, lines = check_host(sys.executable, "nocc")
    assert (status, len(lines)) == (1, 1)
    assert lines[0] == "pyemu: no C compiler: nocc is not installed (Debian: apt install gcc libc6-dev)"


def test_compiler_without_a_c_library_is_noticed(tmp_path: Path) -> None:
    status, lines = check_host(sys.executable, str(stub(tmp_path / "cc", "exit 1")))
    assert (status, len(lines)) == (1, 1)
    assert "libc6-dev" in lines[0]


def test_a_complete_host_passes_in_silence() -> None:
    assert check_host(sys.executable, "cc") == (0, [])
