"""The house (docs/architecture.md): a file imports only its own floor and those below."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import ROOT

FLOORS = ("native", "config", "mem", "timing", "mmu", "machine", "kernel", "lab", "debug", "cli")
C_FLOORS = ("abi", "error", "mem", "timing", "mmu", "machine", "kernel")


def imported(path: Path) -> set[str]:
    """The wings of pyemu that a Python file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("pyemu.")}


def test_python_imports_only_floors_below() -> None:
    files = sorted((ROOT / "pyemu").glob("*/**/*.py"))
    assert len(files) > 40
    for path in files:
        wing = path.relative_to(ROOT / "pyemu").parts[0]
        for name in imported(path) & set(FLOORS):
            assert FLOORS.index(name) <= FLOORS.index(wing), f"{path}: {wing} imports {name}"


def test_c_includes_only_floors_below() -> None:
    files = sorted((ROOT / "csrc").glob("*/**/*.[ch]"))
    assert len(files) > 30
    for path in files:
        wing = path.relative_to(ROOT / "csrc").parts[0]
        for name in re.findall(r'^#include "(?:csrc/)?(\w+)/', path.read_text(), re.M):
            assert C_FLOORS.index(name) <= C_FLOORS.index(wing), f"{path}: {wing} includes {name}"
