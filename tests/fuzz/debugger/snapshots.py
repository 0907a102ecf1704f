"""Snapshots with whatever is in them under a digest that is right."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import struct
import zlib
from functools import cache
from typing import Any

from pyemu.debug.opening import OpenOptions
from pyemu.machine.snapshot import END, MAGIC, MEMORY, META, STATE
from pyemu.native import check, error, ffi, lib
from tests.debug.cores import RAM
from tests.fuzz.damage import damage, hostile_number
from tests.fuzz.debugger.files import Files
from tests.fuzz.debugger.worlds import live_machine

__all__ = ["Snapshots"]

_BLOCK = struct.Struct("<IIIQ")


@cache
def _states() -> list[tuple[dict[str, Any], bytes]]:
    """Descriptions and states of some machines."""
    found = []
    for number in range(6):
        rng = random.Random(f"snapshot/{number}")
        machine = live_machine(rng, ("off", "off", "tlb")[number % 3])
        err = error()
        size = lib.pe_machine_state_save(machine.handle, ffi.NULL, 0, err)
        buffer = ffi.new("char[]", size)
        lib.pe_machine_state_save(machine.handle, buffer, size, err)
        check(err.status, err)
        config = {
            "memory_bytes": machine.config.memory_bytes,
            "smp": machine.config.smp,
            "cpu": machine.config.cpu,
        }
        config |= {"timing": machine.config.timing, "quantum": machine.config.quantum}
        core = None if machine.core is None else machine.core.as_dict()
        found.append(
            ({"config": config, "core": core, "symbols": {"start": RAM}}, bytes(ffi.buffer(buffer, size)))
        )
        machine.close()
    return found


_ODD_META: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    1,
    -1,
    1.5,
    True,
    1 << 70,
    "tlb",
    "\x1b[2J\n",
    {"a": 1},
    [1],
    16 << 20,
    0,
)


def _hostile_meta(rng: random.Random, meta: dict[str, Any]) -> bytes:
    made: Any = json.loads(json.dumps(meta))
    for _ in range(rng.choice((1, 1, 3))):
        part = rng.choice(
            [
                each
                for each in (made, made.get("config"), made.get("core"), made.get("symbols"))
                if isinstance(each, dict)
            ]
        )
        name = rng.choice([*part, "memory_bytes", "core_file", "semihosting", "x\ny", "strict_alignment"])
        if rng.randrange(5) == 0:
            part.pop(name, None)
        else:
            part[name] = copy.deepcopy(rng.choice((*_ODD_META, hostile_number(rng, 64))))
    text = json.dumps(made if rng.randrange(12) else rng.choice(_ODD_META)).encode()
    kind = rng.randrange(10)
    return damage(rng, text) if kind == 0 else b"[" * 100_000 if kind == 1 and rng.randrange(4) == 0 else text


def _block(rng: random.Random, kind: int, address: int, plain: bytes, *, odd: bool) -> bytes:
    """A block of a snapshot; an odd one has a header or packed data that are not true."""
    packed = zlib.compress(plain, 1)
    stored = packed if len(packed) < len(plain) else plain
    fields = [kind, len(stored), len(plain), address]
    if odd:
        field = rng.randrange(4)
        near = fields[field] + rng.choice((-1, 1, 4096, -4096))
        fields[field] = rng.choice((near, hostile_number(rng, 64))) & (
            0xFFFF_FFFF if field < 3 else (1 << 64) - 1
        )
        stored = damage(rng, stored) if stored and rng.randrange(3) == 0 else stored
        if rng.randrange(16) == 0:  # a bomb
            stored = zlib.compress(bytes(8 << 20), 9)
            fields[1:3] = [len(stored), rng.choice((8 << 20, 1 << 20, len(stored) + 1))]
    return _BLOCK.pack(*fields) + stored


class Snapshots(Files):
    """Snapshots whose digest is mostly right, whatever is in them."""

    def case(self, rng: random.Random) -> str:
        meta, state = rng.choice(_states())
        odd = rng.randrange(8)  # which part is damaged
        text = _hostile_meta(rng, meta) if odd < 2 else json.dumps(meta).encode()
        state = damage(rng, state) if odd == 2 else state
        pages = [(RAM + 0x8000, rng.randbytes(4096)), (RAM + 0x30_0000, bytes(4096) + rng.randbytes(4096))]
        blocks = [
            (META, 0, text),
            (STATE, 0, state),
            *((MEMORY, at, data) for at, data in pages),
            (END, 0, b""),
        ]
        if odd == 3:
            one, other = rng.randrange(len(blocks)), rng.randrange(len(blocks))
            blocks[one], blocks[other] = blocks[other], blocks[one]
        elif odd == 4:
            del blocks[rng.randrange(len(blocks))]
        chosen = rng.randrange(len(blocks)) if odd in (5, 6) else -1
        body = b"".join(_block(rng, *each, odd=n == chosen) for n, each in enumerate(blocks))
        version = hostile_number(rng, 32) if rng.randrange(24) == 0 else 1
        content = MAGIC + struct.pack("<I", version) + body
        if odd == 7:
            content = damage(rng, content, 12)
        digest = hashlib.blake2b(content, digest_size=32).digest()
        content += digest if rng.randrange(12) else damage(rng, digest)
        if rng.randrange(24) == 0:
            content = content[: rng.randrange(len(content))]
        timing = rng.choice((None, None, None, None, "off", "tlb"))
        return self.open(rng, content, OpenOptions(timing=timing), lines=2)  # type: ignore[arg-type]
