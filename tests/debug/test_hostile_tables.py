"""Whatever a guest put into its registers and tables: every command answers or refuses in one line."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.render import as_json, as_text
from pyemu.mem import Memory
from pyemu.mmu import Regime
from tests.debug.targets import TableTarget

RAM, RAM_BYTES = 0x4000_0000, 1 << 20
LINES = (
    "walk {va}",
    "walk {va} w user",
    "why {va} x priv",
    "why {va} w user",
    "pt {va}",
    "pt --tree",
    "pt {va}+0x1000000 --pa",
    "pt {va}+0x1000000 --save here",
    "alias {pa}",
    "doctor mmu",
    "cp15",
    "regs",
    "info",
    "kmap",
    "x/4xw {va}",
    "x/s {va}",
    "x/p4xg {pa}",
    "dis {va} 4",
    "dis {va} 4 --thumb",
    "cpu",
)


def random_session(source: random.Random, memory: Memory) -> Session:
    """Tables that mostly point into memory, and registers of any value."""
    memory.add_ram(RAM, RAM_BYTES)
    words = []
    for _ in range(8192):
        word = source.getrandbits(64) & ~(0xFF << 32)
        near = RAM | source.getrandbits(20)
        words.append(source.choice((0, word, word & ~0xFFFF_FFFC | near & ~3, near | 3)) & (1 << 64) - 1)
    memory.write(RAM, b"".join(word.to_bytes(8, "little") for word in words))
    regime = Regime(
        sctlr=source.getrandbits(32) | source.choice((0, 1)),
        ttbcr=source.choice((0, 1 << 31)) | source.getrandbits(31),
        ttbr0=RAM | source.getrandbits(18),
        ttbr1=source.choice((RAM | source.getrandbits(18), source.getrandbits(64))),
        dacr=source.getrandbits(32),
        mair0=source.getrandbits(32),
        mair1=source.getrandbits(32),
        contextidr=source.getrandbits(32),
    )
    registers = {
        "pc": source.getrandbits(32),
        "cpsr": source.getrandbits(32),
        "vbar": source.getrandbits(32) & -32,
    }
    registers |= {
        "dfsr": source.getrandbits(14),
        "ifsr": source.getrandbits(13),
        "par": source.getrandbits(64),
    }
    return Session(TableTarget(memory, regime, privileged=source.random() < 0.5, registers=registers))


@given(st.integers(0, 1 << 48))
@settings(max_examples=60, deadline=None)
def test_every_command_survives_any_tables_and_registers(seed: int) -> None:
    source = random.Random(seed)
    with Memory() as memory:
        session = random_session(source, memory)
        for line in LINES:
            values = {"va": hex(source.getrandbits(32) & 0xFEFF_FFFF), "pa": hex(source.getrandbits(40))}
            complaint, result = "", None
            try:
                result = session.execute(line.format(**values))
            except UserError as problem:
                complaint = str(problem)
            assert "\n" not in complaint
            as_json(result)
            as_text(result)
