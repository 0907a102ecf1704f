"""Feeds the debugger what it must withstand: packets, command lines, dumps, snapshots, registers, symbols.

    python -m tests.fuzz.debugger --count 1000000 --seed 1 --jobs 2

Cases are shared over kinds; each is a function of its kind, the seed and its number.  A case must end with a
result, or a complaint of one line.  A crash, a sanitizer's report, another Python exception, 8 s of CPU time,
1 GB of memory more, and a file, process or socket that nobody named are findings; each is printed with the
command that repeats it.  Exit status 1 when there is one.

Cases run in worker processes, which a finding may kill.  Some in a row share a session, which is then made
anew; repeating one runs those before it too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pyemu.native import load_capstone
from tests.fuzz.campaign import Campaign, Report
from tests.fuzz.debugger.fuzzer import Fuzzer

SHARES = {
    "packet": 330,
    "conversation": 60,
    "line": 350,
    "core": 90,
    "image": 30,
    "snapshot": 20,
    "registers": 50,
    "symbols": 30,
    "translate": 35,
    "shell": 5,
}
"""How many of a thousand cases are of each kind."""
WAIT_SECONDS = 300.0
"""A case that sleeps; one that computes too long ends by itself."""


def fuzzers() -> dict[str, type[Fuzzer]]:
    """The kinds; imported where cases run."""
    from tests.fuzz.debugger import cores, files, lines, packets, shell, snapshots

    return {
        "packet": packets.Packets,
        "conversation": packets.Conversations,
        "line": lines.Lines,
        "core": cores.Cores,
        "image": cores.Images,
        "snapshot": snapshots.Snapshots,
        "registers": files.RegisterFiles,
        "symbols": files.SymbolFiles,
        "translate": shell.Translations,
        "shell": shell.Shell,
    }


def work(kind: str, seed: int, first: int, end: int) -> None:
    """Runs cases first..end-1; a line on standard output before each, and one with its end behind it."""
    from tests.fuzz.debugger.limits import Guard

    make = fuzzers()[kind]
    load_capstone()
    importlib.import_module("capstone")
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    with tempfile.TemporaryDirectory(prefix="pyemu-fuzz-") as directory:
        guard = Guard(Path(directory))
        os.chdir(directory)
        made: Fuzzer | None = None
        for index in range(first, end):
            out.write(f"{index}\n")
            if made is None or index % make.block == 0:
                if made is not None:
                    made.close()
                made = make(random.Random(f"{kind}/world/{seed}/{index // make.block}"), guard)
            with guard.case():
                result = made.case(random.Random(f"{kind}/{seed}/{index}"))
            out.write(f"{kind} {result}\n")
        if made is not None:
            made.close()
        os.chdir("/")


class DebuggerCampaign(Campaign):
    """Cases of one kind."""

    what = "case"

    def __init__(self, seed: int, kind: str, hang_seconds: float = WAIT_SECONDS) -> None:
        super().__init__(seed, hang_seconds)
        self.kind = kind
        self.renew = fuzzers()[kind].block
        self.what = f"{kind} case"
        self.chunk = 8192

    def command(self, first: int, end: int) -> list[str]:
        command = [sys.executable, "-m", "tests.fuzz.debugger", "--kind", self.kind, "--seed", str(self.seed)]
        return [*command, "--work", f"{first}:{end}"]

    def again(self, first: int, count: int) -> str:
        case = f"--kind {self.kind} --seed {self.seed} --first {first} --count {count}"
        made = f"KIND={self.kind} SEED={self.seed} FIRST={first} COUNT={count}"
        return f"python -m tests.fuzz.debugger {case}  (on the sanitizers: make fuzz-debug {made})"


def shares(count: int) -> dict[str, int]:
    """How many cases of each kind there are among so many."""
    found = {kind: count * share // sum(SHARES.values()) for kind, share in SHARES.items()}
    found["line"] += count - sum(found.values())
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.debugger", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=100_000, help="cases, of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=tuple(SHARES), help="one kind only")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        first, end = map(int, args.work.split(":"))
        work(args.kind, args.seed, first, end)
        return 0
    began, reports = time.monotonic(), dict[str, Report]()
    for kind, count in ({args.kind: args.count} if args.kind else shares(args.count)).items():
        at = time.monotonic()
        report = reports[kind] = DebuggerCampaign(args.seed, kind).run(args.first, count, args.jobs)
        ends = Counter({words[-1]: n for words, n in report.ends.items()})
        print(
            f"{kind}: {report.cases} in {time.monotonic() - at:.0f} s, "
            f"slowest {report.slowest_s:.2f} s ({report.slowest})"
        )
        print("  " + ", ".join(f"{n} {end}" for end, n in ends.most_common()), flush=True)
    findings = sum(len(report.findings) for report in reports.values())
    cases = sum(report.cases for report in reports.values())
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"seed": args.seed, "cases": cases, "findings": findings, "seconds": seconds}))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
