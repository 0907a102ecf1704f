"""The firmware images, their options, and the TAP that they print."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


@dataclass(frozen=True)
class Blob:
    """One table of firmware/manifest.toml; the keys are explained there."""

    name: str
    about: str
    smp: int = 1
    mem: str = "1G"
    strict_alignment: bool = False
    expect: str | None = None
    send: str = ""
    skips: int = 0
    fails: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()

    @property
    def elf(self) -> Path:
        return FIRMWARE / "elf" / f"{self.name}.elf"

    def options(self, mem: str | None = None) -> list[str]:
        """Arguments of `pyemu boot`; `mem` replaces the manifest's."""
        typed = ["--expect", self.expect, "--send", self.send] if self.expect else []
        strict = ["--strict-alignment"] if self.strict_alignment else []
        return ["--smp", str(self.smp), "--mem", mem or self.mem, *strict, *typed]


def load_manifest() -> list[Blob]:
    tables = tomllib.loads((FIRMWARE / "manifest.toml").read_text())
    lists = ("fails", "qemu")
    return [
        Blob(name=name, **{key: tuple(value) if key in lists else value for key, value in table.items()})
        for name, table in tables.items()
    ]


BLOBS = load_manifest()
BY_NAME = {blob.name: blob for blob in BLOBS}

_RESULT = re.compile(r"^(not )?ok (\d+) - (.*?)(?: # SKIP (.*))?$")
_PLAN = re.compile(r"^1\.\.(\d+)$")


@dataclass
class Tap:
    """Results by number; other lines of the console are passed over."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    plan: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.passed) + len(self.failed) + len(self.skipped)


def parse_tap(text: str) -> Tap:
    """Raises ValueError where a number is missing or comes twice, or where the guest bailed out."""
    tap = Tap()
    for line in text.splitlines():
        line = line.rstrip("\r")
        if line.startswith("Bail out!"):
            raise ValueError(line)
        if match := _PLAN.match(line):
            tap.plan = int(match[1])
        elif line.startswith("#"):
            tap.notes.append(line)
        elif match := _RESULT.match(line):
            bad, number, what, reason = match.groups()
            if int(number) != tap.count + 1:
                raise ValueError(f"test {tap.count + 1} expected, found: {line}")
            (tap.failed if bad else tap.skipped if reason else tap.passed).append(what)
    return tap


def compare_failures(tap: Tap, listed: tuple[str, ...]) -> str:
    """How the tests that failed differ from the expressions that say which must; empty when they do not."""
    surprises = [what for what in tap.failed if not any(re.match(pattern, what) for pattern in listed)]
    absent = [pattern for pattern in listed if not any(re.match(pattern, what) for what in tap.failed)]
    lines = [f"fails: {what}" for what in surprises] + [f"does not fail: {pattern}" for pattern in absent]
    return "\n".join([*lines, *tap.notes]) if lines else ""
