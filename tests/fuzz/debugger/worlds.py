"""What cases look at: machines that run, dumps, bare tables, Kernel models, each made from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pyemu.config import MIB, MachineConfig
from pyemu.debug import KernelTarget, LiveTarget, Session
from pyemu.debug.dump import open_dump
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.kmap import kmap_local
from pyemu.kernel.program import start_program
from pyemu.machine import Machine
from pyemu.mem import Memory
from tests.debug.bring_up import arm_machine, bring_up, thumb_machine
from tests.debug.cores import RAM, Load, like_linux, make_core, note, prstatus
from tests.debug.kallsyms_image import LAYOUTS, encode, some_symbols
from tests.debug.test_hostile_tables import random_session
from tests.fuzz.blobs import machine_core
from tests.fuzz.guests import make_guest
from tests.kernel.hosted import program
from tests.machine.traps.guest import SMALL

__all__ = ["ROOT", "WORLDS", "core_of_a_guest", "live_machine", "make_world", "ram_like_linux"]

ROOT = RAM + MIB
ELF = Path(__file__).resolve().parents[3] / "firmware/elf"
HELD = 0x1_0000
"""How much of RAM and tables a small core or image holds."""

_FOREVER = 1 << 31


# ---- machines ----


def live_machine(rng: random.Random, timing: str) -> Machine:
    """Some guest, some way into its run."""
    kind = rng.randrange(8)
    if kind < 2:
        machine = arm_machine(bring_up(rng.choice((1, 1000, _FOREVER))), _config(rng, timing))
    elif kind == 2 and timing == "off":
        machine = thumb_machine()
    elif kind < 5:
        machine = Machine(_config(rng, timing))
        machine.load(rng.choice(_images()))
    else:
        machine = _wild(rng, timing)
    if insns := rng.choice((0, 0, 10, 50, 200, 3000)):
        machine.run(max_insns=insns)
    return machine


@cache
def _images() -> list[Path]:
    wanted = (
        "broken-*.elf",
        "lpae.elf",
        "short.elf",
        "shootdown.elf",
        "user.elf",
        "timer.elf",
        "thumb.elf",
        "highmem.elf",
    )
    return sorted(path for pattern in wanted for path in ELF.glob(pattern))


def _config(rng: random.Random, timing: str) -> MachineConfig:
    return MachineConfig(
        timing=timing,  # type: ignore[arg-type]
        memory_bytes=SMALL.memory_bytes,
        smp=rng.choice((1, 1, 2, 4)),
        quantum=rng.choice((20_000, 97)),
    )


def _wild(rng: random.Random, timing: str) -> Machine:
    """A random guest, with tables and registers as no system has them."""
    config, seed = _config(rng, timing), rng.randrange(1000)
    machine = Machine(config, machine_core(seed, 0, timing))
    guest = make_guest(seed, rng.randrange(64), rng.choice(("system", "system", "arm", "thumb")))
    for address, data in (*guest.more, (guest.address, guest.data)):
        machine.write_phys(address, data)
    machine.reset(guest.entry)
    return machine


def _live(timing: str) -> Callable[[random.Random, Path], Session]:
    return lambda rng, _: Session(LiveTarget(live_machine(rng, timing), owned=True))


# ---- dumps ----


@cache
def ram_like_linux(format: str) -> tuple[bytes, bytes]:
    """The beginning of RAM with VMCOREINFO in it, and what lies from ROOT on: the tables of a kernel."""
    with Memory() as memory:
        memory.add_ram(RAM, 4 * MIB)
        like_linux(memory, format, ROOT)
        info = note(b"VMCOREINFO", 0, b"OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=c0100000\n")
        memory.write(RAM + 0x5000, info)
        memory.write(RAM + 0x6000, encode(some_symbols(random.Random(0), 600), LAYOUTS["6.1"]))
        return memory.read(RAM, HELD), memory.read(ROOT, HELD)


def core_of_a_guest(format: str, bits: int = 32) -> bytes:
    """A small core that is right."""
    low, tables = ram_like_linux(format)
    loads = [Load(RAM, low, 2 * HELD), Load(ROOT, tables)]
    return make_core(loads, note(b"CORE", 1, prstatus()) * 2, bits=bits)


def _dump(rng: random.Random, directory: Path) -> Session:
    format = rng.choice(("lpae", "short"))
    path = directory / "dump"
    path.write_bytes(core_of_a_guest(format, rng.choice((32, 64))))
    regs = directory / "regs"
    ttbcr = 0x8000_0000 if format == "lpae" else rng.choice((0, 0, 1, 7))
    regs.write_text(f'{{"sctlr": "30c5387d", "ttbcr": {ttbcr}, "ttbr0": {ROOT}, "ttbr1": {ROOT}, "dacr": 1}}')
    return Session(open_dump(path, regs=None if rng.randrange(8) == 0 else regs))


# ---- tables and kernels ----


def _tables(rng: random.Random, directory: Path) -> Session:
    return random_session(rng, Memory())


def _kernel(rng: random.Random, directory: Path) -> Session:
    lpae = rng.randrange(4) > 0
    config = KernelConfig(
        memory_bytes=rng.choice((256 * MIB, 1024 * MIB, 4096 * MIB if lpae else 2048 * MIB)),
        tables="lpae" if lpae else "classic",
        cpus=rng.choice((1, 2)),
        debug_kmap_local=bool(rng.randrange(2)),
        functional=bool(rng.randrange(2)),
    )
    kernel = Kernel(config)
    process = kernel.spawn("bench")
    process.run()
    address = process.mmap(64 * 4096)
    process.touch(address, 8 * 4096, write=True)
    for _ in range(rng.randrange(3)):
        kmap_local(kernel, (RAM >> 12) + rng.randrange(config.memory_bytes >> 12))
    return Session(KernelTarget(kernel, owned=True))


class _Hosted(LiveTarget):
    """A machine and the kernel that serves it, which both go with the session."""

    def close(self) -> None:
        self.kernel.close()
        super().close()


def _hosted(rng: random.Random, directory: Path) -> Session:
    """A program that stores through all of its data for ever, page after page, on a Kernel model."""
    config = KernelConfig(memory_bytes=256 * MIB)
    machine = Machine(MachineConfig(memory_bytes=config.memory_bytes, semihosting=False))
    machine.reset(0)
    kernel = Kernel(config, machine=machine)
    # movw r0, #0; movt r0, #2; again: str r0, [r0]; add r0, r0, #4; b again
    start_program(kernel, program(0xE3000000, 0xE3400002, 0xE5800000, 0xE2800004, 0xEAFFFFFC), ())
    machine.run(max_insns=rng.choice((1, 100, 5000)))
    return Session(_Hosted(machine, kernel=kernel, owned=True))


WORLDS: dict[str, Callable[[random.Random, Path], Session]] = {
    "off": _live("off"),
    "tlb": _live("tlb"),
    "cache": _live("cache"),
    "dump": _dump,
    "tables": _tables,
    "kernel": _kernel,
    "hosted": _hosted,
}
_WEIGHTS = {"off": 8, "tlb": 4, "cache": 1, "dump": 5, "tables": 4, "kernel": 4, "hosted": 2}


def make_world(rng: random.Random, directory: Path, *names: str) -> tuple[str, Session]:
    """One of the worlds (of `names`, if any are given), and which."""
    chosen = names or tuple(WORLDS)
    name = rng.choices(chosen, [_WEIGHTS[each] for each in chosen])[0]
    return name, WORLDS[name](rng, directory)
