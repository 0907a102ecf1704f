"""Damaged command lines for the debugger. Those that run the guest, for ever maybe, are left out."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from pyemu.config import MachineConfig, UserError
from pyemu.debug import LiveTarget, Session
from pyemu.debug.registry import commands, find
from pyemu.debug.render import as_json, as_text
from pyemu.machine import Machine

IMAGE = Path(__file__).resolve().parents[2] / "firmware" / "elf" / "broken-missing_tlbi.elf"
ARGUMENTS = (
    *(
        "0",
        "1",
        "-1",
        "0x",
        "0x40010000",
        "0xffffffff",
        "0x100000000",
        "0xffffffffff",
        str(1 << 80),
        "1" * 64,
    ),
    *(
        "pc",
        "$sp",
        "enable",
        "enable+4",
        "sp-8",
        "+",
        "a" * 300,
        "user",
        "priv",
        "r",
        "w",
        "x",
        "main",
        "micro",
    ),
    *(
        "--user",
        "--kernel",
        "--tree",
        "--pa",
        "--save",
        "--filter",
        "w+x",
        "user,page",
        "--thumb",
        "--",
        "0-0x1000",
    ),
    *(
        "/4xw",
        "/p16xb",
        "/s",
        "/999999999x",
        "/",
        "'",
        '"',
        "#",
        "\\",
        "\0",
        "é",
        "mmu",
        "all",
        "sctlr",
        "*",
        "?",
    ),
)


@cache
def _session() -> Session:
    machine = Machine(MachineConfig(memory_bytes=64 << 20, timing="tlb"))
    machine.load(IMAGE)
    machine.run(max_insns=200_000)
    return Session(LiveTarget(machine))


def fuzz_line(rng: random.Random) -> str:
    """One line: a command's example, or any words, some characters changed."""
    known = sorted(commands())
    if rng.randrange(2):
        line = commands()[rng.choice(known)].example
    else:
        line = " ".join([rng.choice(known), *(rng.choice(ARGUMENTS) for _ in range(rng.randrange(5)))])
    for _ in range(rng.choice((0, 0, 1, 3))):
        at = rng.randrange(len(line) + 1)
        line = line[:at] + rng.choice((chr(rng.randrange(256)), rng.choice(ARGUMENTS), " ")) + line[at + 1 :]
    complaint, result = "", None
    try:
        found, _ = find(line) if line.strip() else (None, "")
        if found is not None and found.group == "running":
            return "refused"
        result = _session().execute(line)
    except UserError as problem:
        complaint = str(problem)
    assert "\n" not in complaint, f"{line!r}: {complaint}"
    as_json(result)
    as_text(result, colour=True)
    return "refused" if complaint else "accepted"
