"""The README's Python examples run, and its files exist."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
PRINTED = (
    r"CPI (\d\.\d\d): \d+ cycles, [1-9]\d+ of them main TLB\n"
    r"CPI (?!\1)\d\.\d\d: \d+ cycles, [1-9]\d+ of them main TLB\n",
    r"EXIT 0 [1-9]\d*\n(L[123]\[\d+\] @0x\w+ = 0x\w+: (table|block|page)\n)+",
    r"0x80200123 is 0x40400123, level 3 page permits read.*\nlevel 2 table not present: L2\[128\] .*\n",
)


@pytest.mark.parametrize(("example", "printed"), list(zip(EXAMPLES, PRINTED, strict=True)))
def test_example_prints_what_it_promises(example: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(printed, done.stdout), done.stdout


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^):]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_first_screen_has_exactly_two_commands() -> None:
    first_screen, _, _ = README.partition("## A tour")
    assert len(first_screen.splitlines()) < 24
    commands = re.findall(r"^    (.*?) *(?:#.*)?$", first_screen, re.M)
    assert commands == ["make demo", "make test"]
