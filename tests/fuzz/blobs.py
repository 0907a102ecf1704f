"""Boots random blobs of 4 KB for 10,000 instructions each.

    python -m tests.fuzz.blobs --count 100000 --seed 1

Every blob must end with a stop reason.  A crash, a sanitizer's report, a Python exception, an error of the
engine, a run that overshoots its limit and a blob that takes longer than HANG_SECONDS of the host are
findings; each is printed with the command that repeats it.  Exit status 1 when there is one.

Blobs run in worker processes, which a finding may kill.  A machine serves RENEW blobs in a row (a new one
costs as much as a hundred runs), with its RAM zeroed and its CPUs reset in between.  One blob in four, of
each mix, runs in two pieces, between which a debugger or a snapshot interferes.  Machines take turns with
timing off, tlb and cache, of different cores, some with TLBs and caches of a few entries; bills must add up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import time
from typing import Any

from pyemu.config import MachineConfig
from pyemu.machine import Machine, StopReason
from pyemu.native import NativeError, check, error, ffi, lib
from pyemu.timing import Core, read_core
from tests.bills import check_bill
from tests.fuzz.campaign import HANG_SECONDS, Finding
from tests.fuzz.campaign import Campaign as BaseCampaign
from tests.fuzz.guests import MIXES, Guest, make_guest
from tests.fuzz.values import RAM_BYTES

INSNS = 10_000
BLOCK_INSNS = 2048
"""A run ends with the block that reaches its limit; a page of Thumb code holds no more instructions."""
RENEW = 256
REASONS = frozenset(StopReason) - {StopReason.REQUESTED, StopReason.TIMEOUT}

TIMINGS = ("off", "tlb", "cache")
# Geometries in which little fits: every eviction meets every operation.
TINY: dict[str, Any] = {
    **{f"micro_{name}.{key}": 2 for name in ("instruction", "load", "store") for key in ("entries", "ways")},
    "main_tlb.entries": 8,
    "main_tlb.ways": 2,
    "walk.cache_entries": 1,
    "l1i.size_bytes": 512,
    "l1d.size_bytes": 512,
    "l2.size_bytes": 4096,
    **{f"{level}.ways": 2 for level in ("l1i", "l1d", "l2")},
    "memory.line_fill_entries": 1,
    "memory.store_entries": 1,
    "micro_load.replacement": "lru",
    "micro_tlbs.flushed_by_context": True,
    "pipeline.history_entries": 16,
}


def machine_core(seed: int, first: int, timing: str) -> Core | None:
    """The core of that machine; None with timing off."""
    if timing == "off":
        return None
    rng = random.Random(f"core/{seed}/{first // RENEW}")
    core = read_core(rng.choice(("cortex-a15", "cortex-a7", "cortex-a9")))
    return core.with_values(TINY) if rng.randrange(3) == 0 else core


def machine_config(seed: int, first: int, timing: str = "off") -> MachineConfig:
    """The machine of the blobs first..first+RENEW-1; ``timing`` is one of TIMINGS, or "any" of them."""
    rng = random.Random(f"machine/{seed}/{first // RENEW}")
    level = TIMINGS[first // RENEW % 3] if timing == "any" else timing
    return MachineConfig(
        timing=level,  # type: ignore[arg-type]
        memory_bytes=RAM_BYTES,
        cpu=rng.choice(("cortex-a15", "cortex-a7")),
        smp=rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 4, 8)),
        semihosting=rng.randrange(4) > 0,
        quantum=rng.choice((20_000, 1000, 97)),
        strict_alignment=rng.randrange(4) == 0,
    )


def clean(machine: Machine) -> None:
    """RAM and flash zero again, and no translated code of what they held."""
    memory = lib.pe_machine_mem(machine.handle)
    pages = ffi.new("uint64_t[]", 1024)
    at = 0
    while count := lib.pe_mem_touched(memory, at, pages, len(pages)):
        for page in pages[0:count]:
            if any(machine.read_phys(page, 4096)):
                machine.write_phys(page, bytes(4096))
        at = pages[count - 1] + 4096
    err = error()
    check(lib.pe_mem_reset(memory, err), err)


def boot(machine: Machine, guest: Guest, rng: random.Random | None = None) -> StopReason:
    """Run one guest on a clean machine, with `rng` in two pieces; raises :class:`Finding`."""
    for address, data in (*guest.more, (guest.address, guest.data)):
        machine.write_phys(address, data)
    machine.reset(guest.entry)
    machine.console.write(b"typed\n")
    breakpoints: list[int] = []
    pieces = [INSNS] if rng is None else [rng.randrange(1, INSNS // 2), INSNS // 2]
    for piece in pieces:
        stop = machine.run(max_insns=piece)
        if stop.reason not in REASONS:
            raise Finding(f"stopped with {stop.reason!r}")
        if stop.insns >= piece + BLOCK_INSNS:
            raise Finding(f"{stop.insns} instructions where {piece} were allowed")
        if rng is not None:
            interfere(machine, guest, rng, breakpoints)
    machine.console.read()
    for address in breakpoints:
        lib.pe_machine_break_remove(machine.handle, address, ffi.NULL)
    for cpu in machine.cpus:
        cpu.regs["pc"], cpu.regs["cpsr"], cpu.regs["sctlr"]
    machine.walk(stop.address)
    if machine.config.timing != "off":
        check_bill(machine)
    return stop.reason


def interfere(machine: Machine, guest: Guest, rng: random.Random, breakpoints: list[int]) -> None:
    """What a debugger, a user at the console or a snapshot does between two runs."""
    kind = rng.randrange(6)
    if kind == 0:  # a snapshot goes on as the machine itself
        err = error()
        size = lib.pe_machine_state_save(machine.handle, ffi.NULL, 0, err)
        state = ffi.new("char[]", size)
        lib.pe_machine_state_save(machine.handle, state, size, err)
        check(err.status, err)
        check(lib.pe_machine_state_load(machine.handle, state, size, err), err)
    elif kind == 1:
        address = guest.address + rng.randrange(0, len(guest.data), 2)
        if lib.pe_machine_break_add(machine.handle, address, ffi.NULL) == lib.PE_OK:
            breakpoints.append(address)
    elif kind == 2:
        machine.write_phys(guest.address + 4 * rng.randrange(1000), rng.randbytes(16))
    elif kind == 3:
        machine.console.write(rng.randbytes(rng.randrange(100)))
    elif kind == 4:
        machine.tlb_flush()
    else:
        name = rng.choice(
            ("pc", "r0", "sp", "cpsr", "spsr", "sctlr", "ttbr0", "ttbcr", "d7", "lr_irq", "vbar")
        )
        with contextlib.suppress(NativeError, ValueError):
            machine.set_reg(name, rng.getrandbits(32), cpu=rng.randrange(len(machine.cpus)))


# ---- the worker ----


def work(seed: int, first: int, end: int, mix: str | None, timing: str) -> None:
    """Boots blobs first..end-1; a line on standard output before each, and one with the reason behind it."""
    machine: Machine | None = None
    for index in range(first, end):
        print(index, flush=True)
        if machine is None or index % RENEW == 0:
            if machine is not None:
                machine.close()
            config = machine_config(seed, index, timing)
            machine = Machine(config, machine_core(seed, index, config.timing))
        else:
            clean(machine)
        guest = make_guest(seed, index, mix)
        rng = random.Random(f"interference/{seed}/{index}") if index % 4 == 3 - index // 4 % 4 else None
        print(guest.mix, boot(machine, guest, rng).name.lower(), flush=True)
    if machine is not None:
        machine.close()


# ---- the supervisor ----


class Campaign(BaseCampaign):
    """Boots blobs of a seed; all mixes in turn unless one is asked for."""

    renew, what, chunk = RENEW, "blob", 8 * RENEW

    def __init__(
        self,
        seed: int,
        mix: str | None = None,
        hang_seconds: float = HANG_SECONDS,
        timing: str = "any",
    ) -> None:
        super().__init__(seed, hang_seconds)
        self.mix, self.timing = mix, timing

    def command(self, first: int, end: int) -> list[str]:
        span = f"{first}:{end}"
        command = [sys.executable, "-m", "tests.fuzz.blobs", "--seed", str(self.seed), "--work", span]
        command += ["--timing", self.timing]
        return [*command, "--mix", self.mix] if self.mix else command

    def again(self, first: int, count: int) -> str:
        again = f"python -m tests.fuzz.blobs --seed {self.seed} --first {first} --count {count}"
        again += f" --mix {self.mix}" if self.mix else ""
        return again + (f" --timing {self.timing}" if self.timing != "any" else "")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.blobs", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first blob")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mix", choices=tuple(MIXES), help="one mix only; else they take turns")
    parser.add_argument("--timing", choices=(*TIMINGS, "any"), default="any", help="of the machines")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        first, end = map(int, args.work.split(":"))
        work(args.seed, first, end, args.mix, args.timing)
        return 0
    began = time.monotonic()
    report = Campaign(args.seed, args.mix, timing=args.timing).run(args.first, args.count, args.jobs)
    for (mix, reason), count in sorted(report.ends.items()):
        print(f"{mix:8} {reason:10} {count:8}")
    summary = {
        "seed": args.seed,
        "blobs": report.cases,
        "findings": len(report.findings),
        "seconds": round(time.monotonic() - began, 1),
        "slowest_s": round(report.slowest_s, 2),
        "slowest": report.slowest,
    }
    print(json.dumps(summary))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
