"""The whole matrix of `pyemu sweep`, on two processes.

    pytest bench/ -k sweep

It makes 192 kernels and 12 more that fork; the goal is that of two processors with nothing else to do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from bench.conftest import ROOT, Scoreboard, in_unit


def test_sweep(scoreboard: Scoreboard, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyemu", "sweep", "-o", str(tmp_path), "-j", "2"]
    start = perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    whole = perf_counter() - start
    rows = len((tmp_path / "results.jsonl").read_text().splitlines()) - 1
    scoreboard.value("whole matrix, plots too", whole, 30, in_unit)
    scoreboard.value(f"each of {rows} measurements", whole / rows, None, in_unit)
