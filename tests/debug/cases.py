"""The sessions in docs/cases: what was typed, and what pyemu answered.

    python -m tests.debug.cases        writes the answers anew, where they differ

A block of a page that begins with `$ pyemu debug` is a session: each line after "(pyemu) " was typed, what
follows it is the answer.  Files are looked for in the root of the repository, and *.snap beside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from pyemu.cli import make_parser
from pyemu.cli.targets import open_from
from pyemu.debug import Session
from pyemu.debug.prompt import PROMPT, Script
from tests.conftest import ROOT

CASES = sorted((ROOT / "docs/cases").glob("*.md"))
_BLOCK = re.compile(r"^```console\n(\$ pyemu debug .*?)^```$", re.M | re.S)


def sessions(page: str) -> Iterator[str]:
    """The text of each session."""
    return (match[1] for match in _BLOCK.finditer(page))


def target_of(session: str) -> str:
    """The file that a session opens."""
    return shlex.split(session.splitlines()[0])[3]


def typed(session: str) -> list[str]:
    """What was typed in it."""
    return [line.removeprefix(PROMPT) for line in session.splitlines() if line.startswith(PROMPT)]


def replay(session: str, directory: Path = ROOT) -> str:
    """The same session again; snapshots lie in `directory`."""
    first = session.splitlines()[0]
    args = make_parser().parse_args(shlex.split(first)[2:])
    name = Path(args.target)
    args.target = (directory if name.suffix == ".snap" else ROOT) / name
    lines = [first]
    with Session(open_from(args)) as opened:
        for command in typed(session):
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                Script(opened).run(command)
            text = out.getvalue().replace(f"{args.target}", f"{name}")
            lines += [PROMPT + command, *(line.rstrip() for line in text.splitlines())]
    return "\n".join(lines) + "\n"


def main() -> int:
    directory = Path(os.environ.get("PYEMU_CASES", ROOT))
    for path in CASES:
        page = path.read_text()
        new = _BLOCK.sub(lambda match: f"```console\n{replay(match[1], directory)}```", page)
        if new != page:
            path.write_text(new)
            print(f"{path}: written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
