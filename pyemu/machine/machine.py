"""The machine: a board with its CPUs, from power-on to the last instruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pyemu.config import MachineConfig, Timing, UserError
from pyemu.machine import board
from pyemu.machine.console import Console
from pyemu.machine.cpu import Cpu, need_timing
from pyemu.machine.loaders import LoadOptions, LoadPlan, Symbols, plan_load
from pyemu.machine.loaders.files import read_file
from pyemu.machine.memory import MachineMemory
from pyemu.machine.snapshot import BLOCK_BYTES, Snapshot, saved_config, saved_symbols, write_snapshot
from pyemu.machine.stop import Alarm, Stats, Stop, StopReason
from pyemu.mem import Memory
from pyemu.mmu import Access, Regime, Translation, Walk, read_virtual, translate, walk, write_virtual
from pyemu.native import NativeError, check, check_handle, error, ffi, lib, load_capstone

if TYPE_CHECKING:
    from pyemu.machine.bill import Bill
    from pyemu.timing import Caches, Core, Ledger

# A run is cut at multiples of this many instructions, so that signals are heard and output is collected.
SLICE_INSNS = 4_000_000
MAX_IMAGE_BYTES = 4 << 30

# Ends of a slice that need not end the run.
_PASSING = (StopReason.LIMIT, StopReason.OUTPUT, StopReason.REQUESTED)

_CPU_MODELS = {"cortex-a15": lib.PE_CPU_CORTEX_A15, "cortex-a7": lib.PE_CPU_CORTEX_A7}
_TIMINGS = {"off": lib.PE_TIMING_OFF, "tlb": lib.PE_TIMING_TLB, "cache": lib.PE_TIMING_CACHE}


class Machine:
    """A board that runs ARM code; see :class:`~pyemu.config.MachineConfig` for what it is made of.

    A context manager: leaving it frees the memory of the guest.  After :meth:`load`, :meth:`run` runs it and
    says why it stopped.  Faults of the guest are results and never Python exceptions.

        with Machine(MachineConfig(memory_bytes=1 << 30)) as m:
            m.load("hello.elf")
            stop = m.run(max_insns=1_000_000)
            print(stop.reason, m.console.read())

    ``core`` is the :class:`~pyemu.timing.Core` whose cycles are counted if the configuration has timing; with
    None, the one that the configuration names.

    Not for use from two threads at once, but for :meth:`stop`.
    """

    def __init__(
        self,
        config: MachineConfig = MachineConfig(),  # noqa: B008  (frozen)
        core: Core | None = None,
    ) -> None:
        self.config = config
        self.core = _timed_core(config, core)
        native, err = ffi.new("pe_machine_config *"), error()
        native.ram_base, native.ram_size = board.RAM_BASE, config.memory_bytes
        native.ncpus, native.cpu_model = config.smp, _CPU_MODELS[config.cpu]
        native.flags = lib.PE_MACHINE_SEMIHOSTING * config.semihosting
        native.flags |= lib.PE_MACHINE_STRICT_ALIGNMENT * config.strict_alignment
        native.quantum = config.quantum
        native.timing = _TIMINGS[config.timing]
        native_core = ffi.NULL if self.core is None else self.core.native()
        native.core = native_core
        handle = check_handle(lib.pe_machine_new(native, err), err)
        self._handle = ffi.gc(handle, lib.pe_machine_free)
        self._mem = MachineMemory.of(self)
        self.console = Console(self)
        self.cpus = tuple(Cpu(self, number) for number in range(config.smp))
        self.symbols = Symbols(None)
        self.plan: LoadPlan | None = None
        self._asked_to_stop = False

    @property
    def handle(self) -> Any:
        """The core's ``pe_machine *``."""
        if self._handle is None:
            raise ValueError("the machine is closed")
        return self._handle

    def close(self) -> None:
        """Free the machine; it cannot be used any more."""
        if self._handle is not None:
            self._mem.close()
            ffi.release(self._handle)
            self._handle = None

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- loading ----

    def load(
        self, image: str | Path | bytes | None = None, options: LoadOptions | None = None, **kwargs: Any
    ) -> LoadPlan:
        """Load an image and make CPU 0 ready to start it; returns what was decided.

        ``image`` is a file or its content: an ELF executable, a Linux zImage or a flat binary; None starts
        what ``flash`` holds.  The fields of :class:`LoadOptions` may be given as keywords.  Raises
        :class:`~pyemu.config.UserError` before anything is written when it cannot be loaded.
        """
        given = options or LoadOptions(**kwargs)
        if isinstance(image, (str, Path)):
            plan = self._plan_file(image, given)
        else:
            plan = plan_load(self.config, image, given)
        self._carry_out(plan)
        return plan

    def _plan_file(self, path: str | Path, options: LoadOptions) -> LoadPlan:
        data = read_file(path, MAX_IMAGE_BYTES, "image")
        try:
            return plan_load(self.config, data, options)
        except UserError as problem:
            raise UserError(f"{path}: {problem}") from None

    def _carry_out(self, plan: LoadPlan) -> None:
        flash: dict[int, bytearray] = {}
        for item in plan.placements:
            if item.address >= board.RAM_BASE:
                self._mem.write(item.address, item.data)
                self._mem.clear(item.address + len(item.data), item.size - len(item.data))
                continue
            bank = item.address // board.FLASH_BANK_BYTES
            content = flash.setdefault(bank, bytearray())
            at = item.address - board.FLASH_BASES[bank]
            content.extend(bytes(max(0, at + len(item.data) - len(content))))
            content[at : at + len(item.data)] = item.data
        for bank, content in flash.items():
            err = error()
            check(lib.pe_machine_set_flash(self.handle, bank, bytes(content), len(content), err), err)
        self.reset(plan.entry, plan.registers)
        self.symbols = Symbols(plan.elf)
        self.plan = plan

    def reset(self, pc: int, registers: Mapping[str, int] | None = None) -> None:
        """Start CPU 0 afresh at ``pc`` (bit 0: Thumb): SVC mode, MMU off; the others wait for PSCI CPU_ON."""
        err = error()
        check(lib.pe_machine_reset(self.handle, pc, err), err)
        for name, value in (registers or {}).items():
            self.cpus[0].regs[name] = value

    # ---- running ----

    def run(
        self,
        max_insns: int | None = None,
        until: int | str | bytes | None = None,
        timeout: float | None = None,
        max_time_ns: int | None = None,
        stop_when_idle: bool = False,
    ) -> Stop:
        """Run until something ends it, and say what.

        ``max_insns``       so many instructions, of all CPUs together; ends with the block that reaches it.
        ``until``           an address (int) or a symbol of the loaded ELF (str): stops before it;
                            bytes, or a str that is no symbol: stops when the console shows this text.
        ``timeout``         seconds of the host; the only limit that is not deterministic.
        ``max_time_ns``     guest time, counted from the machine's start.
        ``stop_when_idle``  stop when every CPU waits, instead of passing to the next timer event.
        """
        address, text = self._resolve(until)
        self._asked_to_stop = False
        run = ffi.new("pe_run *")
        keep = ffi.new("char[]", text) if text is not None else ffi.NULL
        run.console_until, run.max_time_ns, run.stop_when_idle = keep, max_time_ns or 0, stop_when_idle
        err = error()
        if address is not None:
            check(lib.pe_machine_break_add(self.handle, address, err), err)
        timer = None if timeout is None else Alarm(self, timeout)
        try:
            return self._run_slices(run, max_insns, timer, text)
        finally:
            if timer is not None:
                timer.cancel()
            if address is not None:
                check(lib.pe_machine_break_remove(self.handle, address, err), err)

    def _resolve(self, until: int | str | bytes | None) -> tuple[int | None, bytes | None]:
        if isinstance(until, int):
            return until, None
        if isinstance(until, str):
            address = self.symbols.find(until)
            if address is not None:
                return address, None
            until = until.encode()
        if until is not None and (not until or b"\0" in until):
            raise UserError("until: console text must not be empty or hold a NUL")
        return None, until

    def _run_slices(self, run: Any, max_insns: int | None, watch: Alarm | None, text: bytes | None) -> Stop:
        native, err = ffi.new("pe_stop *"), error()
        done, executed = 0, self.stats().insns
        seen = b""
        while True:
            run.max_insns = SLICE_INSNS - executed % SLICE_INSNS
            if max_insns is not None:
                if done >= max_insns:  # the core stops at the end of a block, so there may be a few more
                    return Stop(StopReason.LIMIT, native.cpu, 0, 0, done, 0)
                run.max_insns = min(run.max_insns, max_insns - done)
            check(lib.pe_machine_run(self.handle, run, native, err), err)
            done, executed = done + native.insns, executed + native.insns
            native.insns = done
            stop = Stop.from_native(native)
            new = self.console.collect()
            if stop.reason not in _PASSING:
                return stop
            if watch is not None and watch.over():
                return replace(stop, reason=StopReason.TIMEOUT)
            if self.asked_to_stop() or stop.reason == StopReason.REQUESTED:
                return replace(stop, reason=StopReason.REQUESTED)
            if text is not None:  # the core forgets half a match at the end of a slice
                seen = (seen + new)[-(len(text) - 1 + len(new)) :]
                if text in seen:
                    return replace(stop, reason=StopReason.CONSOLE)

    def stop(self) -> None:
        """Ask a running machine to return; for signal handlers and other threads."""
        self._asked_to_stop = True
        lib.pe_machine_stop(self.handle)

    def asked_to_stop(self) -> bool:
        """Whether :meth:`stop` was called since this was asked last.

        Python calls a signal's handler when the core has returned, and the core hears only what it is asked
        while it runs: so whoever runs a machine in slices asks between them.
        """
        asked, self._asked_to_stop = self._asked_to_stop, False
        return asked

    def stats(self) -> Stats:
        """Counters since the machine was made: instructions, walks, fills, faults, interrupts, ..."""
        native = ffi.new("pe_stats *")
        lib.pe_machine_stats(self.handle, native)
        return Stats.from_native(native)

    @property
    def time_ns(self) -> int:
        """Guest time."""
        return self.stats().time_ns

    # ---- looking inside ----

    def reg(self, name: str, cpu: int = 0) -> int:
        """A register's value, by name: "r0", "sp_irq", "d0", "ttbr0"."""
        return self.cpus[cpu].regs[name]

    def set_reg(self, name: str, value: int, cpu: int = 0) -> None:
        """Write a register."""
        self.cpus[cpu].regs[name] = value

    @property
    def mem(self) -> Memory:
        """RAM and flash by physical address; what is written there, code too, is what the guest finds."""
        return self._mem

    def regime(self, cpu: int = 0) -> Regime:
        """The registers that decide translation on a CPU, as they are now."""
        return self._regime(cpu)[0]

    def privileged(self, cpu: int = 0) -> bool:
        """Whether a CPU is in a privileged mode now."""
        return self._regime(cpu)[1]

    def _regime(self, cpu: int, privileged: bool | None = None) -> tuple[Regime, bool]:
        regime, now, err = ffi.new("pe_regime *"), ffi.new("bool *"), error()
        check(lib.pe_machine_regime(self.handle, cpu, regime, now, err), err)
        return Regime.from_native(regime), bool(now[0]) if privileged is None else privileged

    def translate(
        self, va: int, access: Access = Access.READ, privileged: bool | None = None, cpu: int = 0
    ) -> Translation:
        """Translate with the CPU's registers as they are now; ``privileged`` None: as the CPU is now."""
        regime, who = self._regime(cpu, privileged)
        return translate(self._mem, regime, va, access, privileged=who)

    def walk(
        self, va: int, access: Access = Access.READ, privileged: bool | None = None, cpu: int = 0
    ) -> Walk:
        """Translate, with each descriptor that is read on the way."""
        regime, who = self._regime(cpu, privileged)
        return walk(self._mem, regime, va, access, privileged=who)

    def read(self, va: int, size: int, privileged: bool | None = None, cpu: int = 0) -> bytes:
        """Bytes at a virtual address; :class:`~pyemu.mmu.TranslationFault` where a page cannot be read."""
        regime, who = self._regime(cpu, privileged)
        return read_virtual(self._mem, regime, va, size, privileged=who)

    def write(
        self, va: int, data: bytes, privileged: bool | None = None, cpu: int = 0, force: bool = False
    ) -> None:
        """Write at a virtual address, all or nothing; ``force``: also where the guest may only read."""
        regime, who = self._regime(cpu, privileged)
        access = Access.READ if force else Access.WRITE
        write_virtual(self._mem, regime, va, data, access, privileged=who)

    def read_phys(self, pa: int, size: int) -> bytes:
        """Bytes at a physical address of RAM or flash."""
        return self._mem.read(pa, size)

    def write_phys(self, pa: int, data: bytes) -> None:
        """Write at a physical address; ignores that flash is read-only to the guest."""
        self._mem.write(pa, data)

    def tlb_flush(self) -> None:
        """Forget cached translations of all CPUs, after tables were changed from outside."""
        lib.pe_machine_tlb_flush(self.handle)

    # ---- the cycle model ----

    @property
    def ledger(self) -> Ledger:
        """What cycles were spent on, to read. Needs timing."""
        from pyemu.timing import Ledger

        need_timing(self, "ledger", "tlb", "cache")
        return Ledger.of(self)

    @property
    def caches(self) -> Caches:
        """Modelled caches, to look at. Needs timing "cache"."""
        from pyemu.timing import Caches

        need_timing(self, "modelled cache", "cache")
        return Caches.of(self)

    def bill(self) -> Bill:
        """All that the cycle model has counted since the machine was reset or restored. Needs timing."""
        from pyemu.machine.bill import read_bill

        need_timing(self, "bill", "tlb", "cache")
        return read_bill(self)

    # ---- snapshots ----

    def snapshot(self, path: str | Path) -> None:
        """Write the whole machine to a file: complete, or not at all."""
        err = error()
        size = lib.pe_machine_state_save(self.handle, ffi.NULL, 0, err)
        check(err.status, err)
        state = ffi.new("char[]", size)
        size = lib.pe_machine_state_save(self.handle, state, size, err)
        check(err.status, err)
        # A file of cores may be gone or changed when the snapshot is used: it holds the core itself.
        config = {name: value for name, value in asdict(self.config).items() if name != "core_file"}
        core = None if self.core is None else self.core.as_dict()
        meta = {"config": config, "core": core, "symbols": self.symbols.addresses}
        write_snapshot(path, meta, bytes(ffi.buffer(state, size)), self._mem.content(BLOCK_BYTES))

    @classmethod
    def restore(
        cls, path: str | Path, timing: Timing | None = None, core: Core | str | None = None
    ) -> Machine:
        """A machine as it was when :meth:`snapshot` wrote the file; with timing, caches and TLBs are cold.

        ``timing`` and ``core`` (one, or the name of one) are those of the file unless others are given;
        guest time goes on from where it was.
        """
        with Snapshot(path) as saved:
            config, counted = saved_config(saved, timing, core)
            symbols = saved_symbols(saved)
            machine = cls(config, counted)
            try:
                for address, data in saved.memory():
                    machine.write_phys(address, data)
                err = error()
                state = saved.state
                check(lib.pe_machine_state_load(machine.handle, state, len(state), err), err)
            except UserError:
                machine.close()
                raise
            except NativeError as problem:
                machine.close()
                raise UserError(f"{path}: damaged snapshot: {problem}") from None
            machine.symbols = Symbols.known(symbols)
            return machine


def _timed_core(config: MachineConfig, core: Core | None) -> Core | None:
    """The core that is counted; None with timing off, which needs neither cores nor a disassembler."""
    if config.timing == "off":
        return None
    from pyemu.timing import configured_core

    load_capstone()
    return configured_core(config) if core is None else core
