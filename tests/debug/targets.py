"""Targets of the tests: recorded tables, hand-made tables, and small machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from pyemu.config import MachineConfig, Timing
from pyemu.debug import Capability, LiveTarget, Session
from pyemu.machine import Machine, Stop
from pyemu.machine.loaders import Symbols
from pyemu.mem import Memory
from pyemu.mmu import Regime
from tests.mmu.dump_cases import Dump

FIRMWARE = Path(__file__).parents[2] / "firmware" / "elf"


class TableTarget:
    """Memory and a regime, and nothing else."""

    def __init__(
        self,
        memory: Memory,
        regime: Regime,
        *,
        privileged: bool = True,
        registers: Mapping[str, int] | None = None,
        symbols: Mapping[str, int] | None = None,
    ) -> None:
        self.symbols = Symbols.known(dict(symbols or {}))
        self._memory, self._regime, self._privileged = memory, regime, privileged
        known = {field.name: int(getattr(regime, field.name)) for field in fields(regime)}
        self._registers = {**known, **(registers or {})}

    @property
    def name(self) -> str:
        return "tables"

    @property
    def capabilities(self) -> Capability:
        return Capability.NONE

    @property
    def cpus(self) -> int:
        return 1

    @property
    def memory(self) -> Memory:
        return self._memory

    @property
    def machine(self) -> None:
        return None

    @property
    def kernel(self) -> None:
        return None

    def regime(self, cpu: int) -> Regime:
        return self._regime

    def privileged(self, cpu: int) -> bool:
        return self._privileged

    def registers(self, cpu: int) -> Mapping[str, int]:
        return self._registers

    def close(self) -> None:
        pass


def dump_memory(case: Dump) -> Memory:
    """The recorded tables as guest memory."""
    memory = Memory()
    for base, data in case.runs():
        memory.add_ram(base, len(data))
        memory.write(base, data)
    return memory


def dump_regime(case: Dump) -> Regime:
    values = {field.name: getattr(case.regime, field.name) for field in fields(case.regime)}
    return Regime(**values)


def dump_session(case: Dump) -> Session:
    """A session on recorded tables."""
    return Session(TableTarget(dump_memory(case), dump_regime(case), privileged=case.privileged))


def run_image(name: str, *, timing: Timing = "off", max_insns: int = 200_000) -> tuple[Session, Stop]:
    """An image of firmware/elf after it has run, and how that ended."""
    machine = Machine(MachineConfig(timing=timing))
    machine.load(FIRMWARE / f"{name}.elf")
    stop = machine.run(max_insns=max_insns)
    return Session(LiveTarget(machine, name=name, owned=True)), stop
