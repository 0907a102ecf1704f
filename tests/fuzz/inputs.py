"""Feeds damaged input to what reads input: machine states, snapshots, images, device trees, page tables.

    python -m tests.fuzz.inputs --count 20000 --seed 1 [--target state]

Each target either works or raises :class:`~pyemu.config.UserError` with one line; what was accepted must then
work.  Anything else is a finding: exit status 1, and the number of the input that repeats it (``--first``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pyemu.config import MachineConfig, UserError
from pyemu.machine import LoadOptions, Machine, devicetree
from pyemu.machine.fdt import Tree
from pyemu.machine.loaders import plan_load
from pyemu.machine.snapshot import write_snapshot
from pyemu.mem import Memory
from pyemu.mmu import Access, Regime, translate, translate_many, walk
from pyemu.native import NativeError, check, error, ffi, lib
from tests.fuzz.damage import damage
from tests.fuzz.guests import make_guest
from tests.fuzz.values import LOAD, RAM, RAM_BYTES
from tests.machine.images import Segment, exit_code, hello_elf, make_elf, make_zimage

ROOT = Path(__file__).resolve().parents[2]
CONFIG = MachineConfig(RAM_BYTES, smp=2)
REFUSED, ACCEPTED = "refused", "accepted"


# ---- machine states and snapshots ----


@cache
def _machines() -> tuple[Machine, list[bytes]]:
    """A machine, and states of it after some guests."""
    machine, states = Machine(CONFIG), []
    for number in range(8):
        guest = make_guest(number, number, "system")
        for address, data in (*guest.more, (guest.address, guest.data)):
            machine.write_phys(address, data)
        machine.reset(guest.entry)
        machine.console.write(b"waiting input")
        machine.run(max_insns=2000)
        err = error()
        size = lib.pe_machine_state_save(machine.handle, ffi.NULL, 0, err)
        buffer = ffi.new("char[]", size)
        lib.pe_machine_state_save(machine.handle, buffer, size, err)
        check(err.status, err)
        states.append(bytes(ffi.buffer(buffer, size)))
    return machine, states


def fuzz_state(rng: random.Random) -> str:
    """A machine that took a damaged state runs, and its own state can be saved and loaded."""
    machine, states = _machines()
    content = damage(rng, rng.choice(states))
    err = error()
    try:
        check(lib.pe_machine_state_load(machine.handle, content, len(content), err), err)
    except NativeError:
        return REFUSED
    stop = machine.run(max_insns=2000)
    assert stop.insns < 2000 + 2048
    machine.console.read()
    size = lib.pe_machine_state_save(machine.handle, ffi.NULL, 0, err)
    buffer = ffi.new("char[]", size)
    assert lib.pe_machine_state_save(machine.handle, buffer, size, err) == size
    check(lib.pe_machine_state_load(machine.handle, buffer, size, err), err)
    return ACCEPTED


def fuzz_snapshot(rng: random.Random) -> str:
    """Files with a right digest around damaged content."""
    _, states = _machines()
    meta = {"config": {"memory_bytes": RAM_BYTES, "smp": 2, "cpu": "cortex-a15"}, "symbols": {"start": LOAD}}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "m"
        memory = [(RAM, rng.randbytes(4096)), (RAM + 0x10000, bytes(8192))]
        state = damage(rng, states[0]) if rng.randrange(3) == 0 else states[0]
        if rng.randrange(3) == 0:
            meta = _damaged_meta(rng, meta)
        write_snapshot(path, meta, state, memory)
        content = path.read_bytes()[:-32]
        if rng.randrange(3):
            content = damage(rng, content, 12)
        path.write_bytes(content + hashlib.blake2b(content, digest_size=32).digest())
        try:
            machine = Machine.restore(path)
        except UserError as problem:
            return _one_line(problem)
        with machine:
            machine.run(max_insns=1000)
    return ACCEPTED


def _damaged_meta(rng: random.Random, meta: dict[str, object]) -> dict[str, object]:
    text = damage(rng, json.dumps(meta).encode())
    try:
        loaded = json.loads(text)
    except ValueError:
        return {
            "config": rng.choice((None, [], {"smp": "2"}, {"memory_bytes": 1 << 70}, {"cpu": {}})),
            "symbols": 3,
        }
    return loaded if isinstance(loaded, dict) else {"x": loaded}


# ---- images and device trees ----


def _one_line(problem: UserError) -> str:
    assert str(problem)
    assert "\n" not in str(problem)
    return REFUSED


def _plan(image: bytes, options: LoadOptions) -> str:
    try:
        plan = plan_load(CONFIG, image, options)
    except UserError as problem:
        return _one_line(problem)
    for item in plan.placements:
        assert len(item.data) <= item.size
        assert (item.address >= RAM and item.end <= RAM + RAM_BYTES) or item.end <= 0x0800_0000
    return ACCEPTED


def fuzz_elf(rng: random.Random) -> str:
    """Damaged executables with symbols."""
    elf = make_elf(
        Segment(LOAD, exit_code(0)),
        Segment(LOAD + 0x8000, b"x", size=64),
        symbols=[("f", LOAD), ("g", LOAD + 4)],
    )
    return _plan(damage(rng, elf, 4), LoadOptions())


def _stored_lz4(raw: bytes) -> bytes:
    """The legacy frame, its block made of literals."""
    length = len(raw) - 15
    block = b"\xf0" + b"\xff" * (length // 255) + bytes([length % 255]) + raw
    return struct.pack("<II", 0x184C2102, len(block)) + block


@cache
def _zimages() -> list[bytes]:
    import gzip
    import lzma

    kernel = random.Random(0).randbytes(3000) + bytes(3000)
    packers: tuple[Callable[[bytes], bytes], ...] = (
        lambda raw: gzip.compress(raw, mtime=0),
        lzma.compress,
        lambda raw: lzma.compress(raw, format=lzma.FORMAT_ALONE),
        _stored_lz4,
        zlib.compress,
    )
    return [make_zimage(kernel, pack, text_offset=0x8000) for pack in packers]


def fuzz_zimage(rng: random.Random) -> str:
    """Damaged kernels: headers, tags and compressed data."""
    image = rng.choice(_zimages())
    return _plan(
        damage(rng, image, rng.choice((0x28, 0x60))), LoadOptions(host_decompress=rng.randrange(4) > 0)
    )


@cache
def _tree() -> bytes:
    plan = plan_load(CONFIG, hello_elf(), LoadOptions())
    return next(item.data for item in plan.placements if item.data.startswith(b"\xd0\x0d\xfe\xed"))


def fuzz_dtb(rng: random.Random) -> str:
    """Damaged device trees, given by the user for Linux."""
    try:
        tree = Tree.from_bytes(damage(rng, _tree()))
        devicetree.set_boot(tree, CONFIG, "quiet", (LOAD, LOAD + 4096))
        Tree.from_bytes(tree.to_bytes())
    except UserError as problem:
        return _one_line(problem)
    return ACCEPTED


# ---- translation ----


@cache
def _tables(seed: int) -> Memory:
    """Three segments with holes between them, full of descriptors that lead to each other and outside."""
    rng, memory = random.Random(seed), Memory()
    for base in (0, RAM, 0xFF_FFFF_0000):
        memory.add_ram(base, 16 * 4096)
        for at in range(0, 16 * 4096, 8):
            target = rng.choice((0, RAM, 0xFF_FFFF_0000)) + rng.randrange(16) * 4096
            low = rng.choice((3, 1, 0x701, 2, rng.getrandbits(12)))
            entry = rng.choice((target | low, rng.getrandbits(64), (target | low) << 32 | target | low))
            memory.write(base + at, (entry & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little"))
    return memory


def fuzz_translate(rng: random.Random) -> str:
    """Any regime and address, one at a time and as a batch, give the same and stay inside memory."""
    memory = _tables(rng.randrange(4))
    near = rng.choice((0, RAM, 0xFF_FFFF_0000, rng.getrandbits(40)))
    regime = Regime(
        sctlr=rng.getrandbits(32) | (rng.randrange(8) > 0),
        ttbcr=rng.choice((0, 1 << 31, rng.getrandbits(32))),
        ttbr0=rng.choice((near, near + rng.randrange(1 << 16), rng.getrandbits(64))),
        ttbr1=rng.choice((near, near + rng.randrange(1 << 16), rng.getrandbits(64))),
        dacr=rng.choice((0x5555_5555, 0xFFFF_FFFF, rng.getrandbits(32))),
        mair0=rng.getrandbits(32),
        mair1=rng.getrandbits(32),
        contextidr=rng.getrandbits(32),
    )
    addresses = [rng.choice((rng.getrandbits(32), 0, 0xFFFF_FFFF, rng.randrange(1 << 16))) for _ in range(8)]
    access, privileged = rng.choice(list(Access)), bool(rng.getrandbits(1))
    singles = [translate(memory, regime, va, access, privileged=privileged) for va in addresses]
    for va, single in zip(addresses, singles, strict=True):
        found = walk(memory, regime, va, access, privileged=privileged)
        assert found.result == single
        assert found.text
        assert len(found.steps) <= 3
    packed = struct.pack("<8I", *addresses)
    out = bytearray(64)
    translate_many(memory, regime, packed, out, access=access, privileged=privileged)
    for single, pa in zip(singles, struct.unpack("<8Q", out), strict=True):
        assert pa == (single.pa if single.ok else 0xFFFF_FFFF_FFFF_FFFF)
    return ACCEPTED if any(single.ok for single in singles) else REFUSED


TARGETS: dict[str, Callable[[random.Random], str]] = {
    "state": fuzz_state,
    "snapshot": fuzz_snapshot,
    "elf": fuzz_elf,
    "zimage": fuzz_zimage,
    "dtb": fuzz_dtb,
    "translate": fuzz_translate,
}


def fuzz(
    target: str, seed: int, first: int, count: int, progress: Callable[[int], None] | None = None
) -> Counter[str]:
    """Feed inputs first..first+count-1 of a seed to a target; what came of them."""
    results: Counter[str] = Counter()
    for index in range(first, first + count):
        if progress is not None:
            progress(index)
        results[TARGETS[target](random.Random(f"{target}/{seed}/{index}"))] += 1
    return results


def _supervise(target: str, seed: int, first: int, count: int) -> bool:
    """Run a target in a process of its own, which a finding may kill."""
    command = [sys.executable, "-m", "tests.fuzz.inputs", "--target", target, "--seed", str(seed)]
    began = time.monotonic()
    with tempfile.NamedTemporaryFile() as at:
        done = subprocess.run(
            [*command, "--first", str(first), "--count", str(count), "--progress", at.name],
            cwd=ROOT,
            check=False,
        )
        if done.returncode == 0:
            print(f"{target}: {count} inputs, {time.monotonic() - began:.0f} s")
            return True
        index = at.read().decode()
        print(f"{target}: input {index} ended with status {done.returncode}")
        print(f"  again: {' '.join(['python', *command[1:]])} --first {index} --count 1")
        return False


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.inputs")
    parser.add_argument("--count", type=int, default=20_000, help="inputs of each target")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=tuple(TARGETS))
    parser.add_argument("--progress", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.progress is None:
        targets = [args.target] if args.target else list(TARGETS)
        good = [_supervise(target, args.seed, args.first, args.count) for target in targets]
        return 0 if all(good) else 1
    with args.progress.open("r+b", buffering=0) as file:

        def progress(index: int) -> None:
            file.seek(0)
            file.write(str(index).encode())

        print(args.target, dict(fuzz(args.target, args.seed, args.first, args.count, progress)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
