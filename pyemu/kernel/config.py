"""What a model of the kernel is made of, and what Kconfig forbids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pyemu.config import GIB, UserError
from pyemu.kernel.parameters import boot_parameters, native_boot, native_costs, read_costs
from pyemu.native import NativeError, check, error, ffi, lib
from pyemu.timing import Core, read_core

__all__ = ["KernelConfig", "Rule"]

Tables = Literal["lpae", "classic"]
VmSplit = Literal["3g", "3g_opt", "2g", "1g"]
Preemption = Literal["none", "voluntary", "full", "rt"]
HighGet = Literal["on", "erratum", "debug"]
Remedy = Literal["none", "no-highpte", "no-fast-gup", "trylock", "skip-high-get"]
Timing = Literal["off", "tlb", "cache"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "tables": get_args(Tables),
    "vmsplit": get_args(VmSplit),
    "preemption": get_args(Preemption),
    "high_get": get_args(HighGet),
    "remedy": get_args(Remedy),
    "timing": get_args(Timing),
}


@dataclass(frozen=True)
class Rule:
    """What stands against a configuration: the Kconfig symbol, its rule, what would be right."""

    symbol: str
    rule: str
    remedy: str
    forceable: bool


@dataclass(frozen=True)
class KernelConfig:
    """A kernel and its machine: what :class:`pyemu.kernel.Kernel` builds.

    ``memory_bytes``      RAM from 0x40000000 on: a multiple of 2 MB, 64 MB to 64 GB.
    ``tables``            page-table format: ``"lpae"`` or ``"classic"`` (short descriptors).
    ``vmsplit``           where the kernel begins: ``"3g"``, ``"3g_opt"``, ``"2g"``, ``"1g"``.
    ``preemption``        ``"none"``, ``"voluntary"``, ``"full"`` or ``"rt"`` (PREEMPT_RT).
    ``highmem``           RAM beyond lowmem is used.
    ``highpte``           user PTE pages come from highmem; None: as Kconfig has it by default.
    ``high_get``          ARCH_NEEDS_KMAP_HIGH_GET: ``"on"``, off by ``"erratum"`` 798181, off by ``"debug"``.
    ``remedy``            what is done about sleeping locks below gup_fast.
    ``thp``               TRANSPARENT_HUGEPAGE; None: with LPAE.
    ``memcg``             struct page is 36 bytes instead of 32.
    ``zone_dma``          lowmem is ZONE_DMA, as in multi-platform kernels.
    ``debug_kmap_local``  guard slots between windows.
    ``ttbr0_pan``         CPU_TTBR0_PAN: user tables are out of reach outside uaccess windows.
    ``cpus``, ``nr_cpus`` online, and those that windows are laid out for.
    ``vmalloc_bytes``     size of the vmalloc area at full lowmem; 240 MB by default.
    ``boot``              a table of data/boots.toml; None: the one of the format.
    ``timing``, ``core``  of the bill: ``"off"`` counts instructions only; a core by name or as parameters.
    ``functional``        nothing is billed: fastest.
    ``force``             build what Kconfig forbids, where the model can.
    ``costs``             a file of instruction counts instead of the built-in ones.

    A combination that cannot be raises :class:`pyemu.config.UserError` with the rule that forbids it.
    """

    memory_bytes: int = GIB
    tables: Tables = "lpae"
    vmsplit: VmSplit = "3g"
    preemption: Preemption = "voluntary"
    highmem: bool = True
    highpte: bool | None = None
    high_get: HighGet = "on"
    remedy: Remedy = "none"
    thp: bool | None = None
    memcg: bool = True
    zone_dma: bool = True
    debug_kmap_local: bool = False
    ttbr0_pan: bool = False
    cpus: int = 1
    nr_cpus: int = 8
    vmalloc_bytes: int = 0
    boot: str | None = None
    timing: Timing = "off"
    core: str | Core | None = None
    functional: bool = False
    force: bool = False
    costs: str | Path | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UserError(f"{name} {value!r} is not known: {', '.join(choices)} are")
        for name, value in (("memory_bytes", self.memory_bytes), ("vmalloc_bytes", self.vmalloc_bytes)):
            if not 0 <= value < 1 << 63:
                raise UserError(f"{name} of {value} is no size in bytes")
        for name, value in (("cpus", self.cpus), ("nr_cpus", self.nr_cpus)):
            if not 0 <= value < 1 << 31:
                raise UserError(f"{name} of {value} is no number of CPUs")
        if self.timing != "off" and self.core is None:
            raise UserError(f"timing {self.timing} needs a core, such as cortex-a15")
        err = error()
        native, keep = self.native()
        try:
            check(lib.pe_kernel_config_check(native, err), err)
        except NativeError as problem:
            raise UserError(str(problem)) from None
        del keep

    def with_options(self, **changes: Any) -> KernelConfig:
        """A copy with the options that are not None changed."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    @property
    def lpae(self) -> bool:
        """Whether tables are in the long-descriptor format."""
        return self.tables == "lpae"

    @property
    def uses_highpte(self) -> bool:
        """HIGHPTE as asked for, or as Kconfig has it: with HIGHMEM, without PREEMPT_RT."""
        return self.highmem and self.preemption != "rt" if self.highpte is None else self.highpte

    @property
    def highpte_in_force(self) -> bool:
        """The same after the remedy: ``no-highpte`` takes it from PREEMPT_RT."""
        return self.uses_highpte and not (self.preemption == "rt" and self.remedy == "no-highpte")

    def native(self) -> tuple[Any, list[Any]]:
        """A new ``pe_kernel_config *``, and what must live as long as it is used."""
        native = ffi.new("pe_kernel_config *")
        native.ram_bytes = self.memory_bytes
        for name, choices in _CHOICES.items():
            setattr(native, name, choices.index(getattr(self, name)))
        native.flags = self._flags()
        native.cpus, native.nr_cpus = self.cpus, self.nr_cpus
        native.vmalloc_bytes = self.vmalloc_bytes
        native_boot(boot_parameters(self.boot or ("armmp-lpae" if self.lpae else "rt-armmp")), native.boot)
        core = read_core(self.core) if isinstance(self.core, str) else self.core
        keep = [
            native_costs(read_costs(self.costs), core.name if core else None),
            core.native() if core else ffi.NULL,
        ]
        native.costs, native.core = keep
        return native, keep

    def _flags(self) -> int:
        chosen = {
            lib.PE_KERNEL_HIGHMEM: self.highmem,
            lib.PE_KERNEL_HIGHPTE: self.uses_highpte,
            lib.PE_KERNEL_THP: self.lpae if self.thp is None else self.thp,
            lib.PE_KERNEL_MEMCG: self.memcg,
            lib.PE_KERNEL_ZONE_DMA: self.zone_dma,
            lib.PE_KERNEL_SWIOTLB: self.lpae,
            lib.PE_KERNEL_DEBUG_KMAP_LOCAL: self.debug_kmap_local,
            lib.PE_KERNEL_TTBR0_PAN: self.ttbr0_pan,
            lib.PE_KERNEL_FORCE: self.force,
            lib.PE_KERNEL_FUNCTIONAL: self.functional,
        }
        return sum(flag for flag, on in chosen.items() if on)

    def rules(self) -> list[Rule]:
        """Rules that this configuration breaks, which ``force`` set aside."""
        native, _keep = self.native()
        out = ffi.new("pe_kernel_rule[]", 16)
        count = lib.pe_kernel_config_rules(native, out, 16)
        return [
            Rule(
                ffi.string(r.symbol).decode(),
                ffi.string(r.rule).decode(),
                ffi.string(r.remedy).decode(),
                bool(r.forceable),
            )
            for r in out[0:count]
        ]
