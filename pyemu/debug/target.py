"""What a session looks at: a machine that can run, or a dump of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, Protocol

from pyemu.machine.loaders.elf import Symbols
from pyemu.mem import Memory
from pyemu.mmu import Regime

if TYPE_CHECKING:
    from pyemu.kernel import Kernel
    from pyemu.machine import Machine

__all__ = ["Capability", "KernelTarget", "LiveTarget", "Target"]


class Capability(Flag):
    """What can be done with a target beyond reading memory and translating.

    ``RUN``     it executes: steps, breakpoints, history.
    ``WRITE``   memory and registers can be changed.
    ``TLB``     it has modelled TLBs and a cycle model.
    ``KERNEL``  it has a Kernel model.
    """

    NONE = 0
    RUN = auto()
    WRITE = auto()
    TLB = auto()
    KERNEL = auto()


class Target(Protocol):
    """A guest to look at. ``name`` says what it was opened from; ``cpus`` is how many CPUs it has."""

    symbols: Symbols

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capability: ...

    @property
    def cpus(self) -> int: ...

    @property
    def memory(self) -> Memory:
        """Guest memory by physical address."""
        ...

    @property
    def machine(self) -> Machine | None:
        """The machine, where the target is one."""
        ...

    @property
    def kernel(self) -> Any:
        """The Kernel model, or None."""
        ...

    def regime(self, cpu: int) -> Regime:
        """The registers that decide translation on a CPU."""
        ...

    def privileged(self, cpu: int) -> bool:
        """Whether a CPU is at PL1."""
        ...

    def registers(self, cpu: int) -> Mapping[str, int]:
        """The registers that are known, by lower-case name ("r0", "pc", "cpsr", "ttbr0"); a dump may lack
        some."""
        ...

    def close(self) -> None: ...


class LiveTarget:
    """A :class:`~pyemu.machine.Machine`, and the Kernel model that it may belong to.

    ``owned``: closing the target closes both.
    """

    def __init__(
        self, machine: Machine, *, name: str = "machine", kernel: Any = None, owned: bool = False
    ) -> None:
        self._machine = machine
        self._kernel = kernel
        self._name = name
        self._owned = owned
        self.symbols: Symbols = machine.symbols

    @property
    def name(self) -> str:
        return self._name

    @property
    def machine(self) -> Machine:
        return self._machine

    @property
    def kernel(self) -> Any:
        return self._kernel

    @property
    def capabilities(self) -> Capability:
        can = Capability.RUN | Capability.WRITE
        if self._machine.config.timing != "off":
            can |= Capability.TLB
        return can if self._kernel is None else can | Capability.KERNEL

    @property
    def cpus(self) -> int:
        return len(self._machine.cpus)

    @property
    def memory(self) -> Memory:
        return self._machine.mem

    def regime(self, cpu: int) -> Regime:
        return self._machine.regime(cpu)

    def privileged(self, cpu: int) -> bool:
        return self._machine.privileged(cpu)

    def registers(self, cpu: int) -> Mapping[str, int]:
        return self._machine.cpus[cpu].regs

    def close(self) -> None:
        if self._owned:
            if self._kernel is not None:
                self._kernel.close()
            self._machine.close()


class KernelTarget:
    """A :class:`~pyemu.kernel.Kernel` that runs on a memory of its own: tables and tasks, but no CPU that
    executes. One that serves a machine is a :class:`LiveTarget` with that kernel.
    """

    def __init__(self, kernel: Kernel, *, name: str = "kernel", owned: bool = False) -> None:
        self._kernel = kernel
        self._name = name
        self._owned = owned
        self.symbols = Symbols(None)

    @property
    def name(self) -> str:
        return self._name

    @property
    def machine(self) -> None:
        return None

    @property
    def kernel(self) -> Kernel:
        return self._kernel

    @property
    def capabilities(self) -> Capability:
        return Capability.KERNEL if self._kernel.core is None else Capability.KERNEL | Capability.TLB

    @property
    def cpus(self) -> int:
        return self._kernel.config.cpus

    @property
    def memory(self) -> Memory:
        return self._kernel.memory

    def regime(self, cpu: int) -> Regime:
        return self._kernel.regime(cpu)

    def privileged(self, cpu: int) -> bool:
        return True

    def registers(self, cpu: int) -> Mapping[str, int]:
        """Those that decide translation: the model has no others."""
        regime = self.regime(cpu)
        return {field.name: int(getattr(regime, field.name)) for field in fields(regime)}

    def close(self) -> None:
        if self._owned:
            self._kernel.close()
