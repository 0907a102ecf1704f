"""Runs numbered cases in worker processes, which a finding may kill, and says how each finding is repeated.

A worker prints a case's number on a line before it, and one with the words of how it ended behind it.  A
worker that dies, raises, does not go on for HANG_SECONDS or holds more than MEMORY_BYTES is a finding.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HANG_SECONDS = 60.0
MEMORY_BYTES = 3 << 30
MAX_FINDINGS = 100
"""A campaign that has so many is given up."""
ROOT = Path(__file__).resolve().parents[2]
_LOOK_SECONDS = 0.25
_PAGE = os.sysconf("SC_PAGESIZE")


class Finding(Exception):
    """A case did what none may."""


@dataclass
class Report:
    """What came of a campaign: cases by the words of their ends, and one text for each finding."""

    ends: Counter[tuple[str, ...]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: int = -1

    @property
    def cases(self) -> int:
        """How many cases came to an end."""
        return sum(self.ends.values())


class _Fat(Exception):
    """A worker holds too much memory."""


class Campaign(ABC):
    """Runs cases of a seed. ``renew`` cases in a row share what they act on, so that one of them is repeated
    with those before it; ``what`` is what a case is called.
    """

    renew = 256
    what = "case"

    def __init__(self, seed: int, hang_seconds: float = HANG_SECONDS) -> None:
        self.seed, self.hang_seconds = seed, hang_seconds
        self.report = Report()
        self._lock = threading.Lock()

    @abstractmethod
    def command(self, first: int, end: int) -> list[str]:
        """What runs cases first..end-1 and prints their numbers and ends."""

    @abstractmethod
    def again(self, first: int, count: int) -> str:
        """The command line that repeats cases first..first+count-1."""

    def run(self, first: int, count: int, jobs: int = 1) -> Report:
        """Run cases first..first+count-1 in ``jobs`` processes."""
        chunks = [
            (at, min(at + self.renew - at % self.renew, first + count)) for at in self._starts(first, count)
        ]
        threads = [threading.Thread(target=self._drain, args=(chunks,)) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.report

    def _starts(self, first: int, count: int) -> Iterator[int]:
        at = first
        while at < first + count:
            yield at
            at += self.renew - at % self.renew

    chunk = 2048
    """About how many cases a process runs."""

    def _drain(self, chunks: list[tuple[int, int]]) -> None:
        while True:
            with self._lock:
                if not chunks:
                    return
                at, end = chunks.pop(0)
                while chunks and chunks[0][0] == end and end - at < self.chunk:
                    end = chunks.pop(0)[1]
            while at < end and len(self.report.findings) < MAX_FINDINGS:
                at = self._worker(at, end)

    def _worker(self, first: int, end: int) -> int:
        """Run cases until the end or a finding; the number of the next case."""
        at, began = first - 1, time.monotonic()
        with (
            tempfile.TemporaryFile() as log,
            subprocess.Popen(
                self.command(first, end), stdout=subprocess.PIPE, stderr=log, cwd=ROOT
            ) as process,
        ):
            try:
                for line in _lines(process, self.hang_seconds):
                    now = time.monotonic()
                    if line.isdigit():
                        at, began = int(line), now
                        continue
                    with self._lock:
                        self.report.ends[tuple(line.split())] += 1
                        if now - began > self.report.slowest_s:
                            self.report.slowest_s, self.report.slowest = now - began, at
                problem = None if process.wait() == 0 else _death(process.returncode)
            except (TimeoutError, _Fat) as why:
                problem = str(why)
                process.send_signal(signal.SIGABRT)
                process.wait()
            if problem is None:
                return end
            log.seek(0)
            self._found(max(at, first), first, problem, log.read().decode(errors="replace"))
        return at + 1 if at >= first else end  # a worker that does not even start

    def _found(self, index: int, first: int, problem: str, log: str) -> None:
        start = max(first, index - index % self.renew)
        again = self.again(start, index - start + 1)
        text = f"{self.what} {index}: {problem}\n  again: {again}\n{log[-6000:]}"
        with self._lock:
            self.report.findings.append(text)
        print(text, file=sys.stderr, flush=True)


def _lines(process: subprocess.Popen[bytes], seconds: float) -> Iterator[str]:
    """Lines of a worker's output; TimeoutError when none comes for so long, _Fat when it grows too much."""
    assert process.stdout is not None
    buffer, last, looked = b"", time.monotonic(), time.monotonic()
    while True:
        ready = select.select([process.stdout], [], [], min(seconds, _LOOK_SECONDS))[0]
        now = time.monotonic()
        if now - looked >= _LOOK_SECONDS:
            looked = now
            if (held := _resident(process.pid)) > MEMORY_BYTES:
                raise _Fat(f"the worker holds {held >> 20} MB")
        if not ready:
            if now - last >= seconds:
                raise TimeoutError(f"no end after {seconds:.0f} s")
            continue
        data = process.stdout.read1(65536)  # type: ignore[attr-defined]
        if not data:
            return
        last = now
        *lines, buffer = (buffer + data).split(b"\n")
        yield from (line.decode() for line in lines)


def _resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 where that cannot be known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _death(status: int) -> str:
    if status >= 0:
        return f"the worker ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"the worker died of {signal.Signals(-status).name}"
    return f"the worker died of signal {-status}"
