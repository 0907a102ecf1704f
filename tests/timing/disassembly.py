"""Disassembly by capstone in a process of its own.

The package loads its library in a way that sanitizers refuse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable

_SCRIPT = """
import capstone, json, sys
modes = {False: capstone.CS_MODE_ARM, True: capstone.CS_MODE_THUMB}
address, asked = json.load(sys.stdin)
for code, thumb in asked:
    found = capstone.Cs(capstone.CS_ARCH_ARM, modes[thumb]).disasm(bytes.fromhex(code), address)
    print("; ".join(f"{insn.mnemonic} {insn.op_str}".strip() for insn in found))
"""


def disassemble(asked: Iterable[tuple[str, bool]], address: int) -> list[str]:
    """The text of each piece of code, given as hexadecimal bytes and whether it is Thumb."""
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    command, text = [sys.executable, "-c", _SCRIPT], json.dumps([address, list(asked)])
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.splitlines()
