"""The kernel's benchmark of get_user_pages on a model (mm/gup_test.c, tools/testing/selftests/mm/)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal, get_args

from pyemu.config import MIB, UserError
from pyemu.kernel.bill import Spent, read_spent
from pyemu.kernel.config import KernelConfig
from pyemu.kernel.gup import Foll, GupCall
from pyemu.kernel.kernel import Kernel
from pyemu.kernel.process import Advice, Map, Process, Signal, spawn
from pyemu.kernel.reports import Report, clear_reports, read_reports
from pyemu.native import check, error, ffi, lib
from pyemu.timing import read_core

__all__ = ["COMMANDS", "GupRun", "GupTest", "GupTestResult", "run_gup_test"]

Command = Literal["gup_fast", "gup_basic", "pin_fast", "pin_basic", "pin_longterm"]
COMMANDS: tuple[str, ...] = get_args(Command)

PAGE_SIZE = 4096
MAX_REPEATS = 1_000_000
MAX_MEGABYTES = 4095

_NAMES = {
    "gup_fast": "GUP_FAST_BENCHMARK",
    "gup_basic": "GUP_BASIC_TEST",
    "pin_fast": "PIN_FAST_BENCHMARK",
    "pin_basic": "PIN_BASIC_TEST",
    "pin_longterm": "PIN_LONGTERM_BENCHMARK",
}
_CALLS = {
    "gup_fast": GupCall.GUP_FAST,
    "gup_basic": GupCall.GUP,
    "pin_fast": GupCall.PIN_FAST,
    "pin_basic": GupCall.PIN,
    "pin_longterm": GupCall.PIN_LONGTERM,
}
# The others print only that they are done.
_TIMED = ("gup_fast", "pin_fast", "pin_longterm")
_HZ_WITHOUT_CORE = 1_000_000_000


@dataclass(frozen=True)
class GupTest:
    """What gup_test does: map, touch every page, then get and put all pages ``repeats`` times.

    ``command``         which function: ``"gup_fast"``, ``"gup_basic"``, ``"pin_fast"``, ``"pin_basic"``,
                        ``"pin_longterm"``.
    ``size_bytes``      of the mapping: whole megabytes.
    ``pages_per_call``  negative: all pages in one call.
    ``thp``             True for MADV_HUGEPAGE, False for MADV_NOHUGEPAGE, None for neither.
    ``write``           FOLL_WRITE.
    ``shared``          MAP_SHARED instead of MAP_PRIVATE.
    """

    command: Command = "gup_fast"
    size_bytes: int = 128 * MIB
    repeats: int = 1
    pages_per_call: int = 1
    thp: bool | None = None
    write: bool = True
    shared: bool = False

    def __post_init__(self) -> None:
        if self.command not in COMMANDS:
            raise UserError(f"command {self.command!r} is not known: {', '.join(COMMANDS)} are")
        if self.size_bytes % MIB or not MIB <= self.size_bytes <= MAX_MEGABYTES * MIB:
            raise UserError(f"size of {self.size_bytes} bytes: 1 to {MAX_MEGABYTES} megabytes would be right")
        if not 1 <= self.repeats <= MAX_REPEATS:
            raise UserError(f"{self.repeats} repeats: 1 to {MAX_REPEATS} would be right")
        if not self.pages_per_call or abs(self.pages_per_call) >= 1 << 31:
            raise UserError(
                f"{self.pages_per_call} pages a call: 1 or more would be right, or negative for all"
            )

    @property
    def pages(self) -> int:
        """Pages of the mapping."""
        return self.size_bytes // PAGE_SIZE

    @property
    def call_pages(self) -> int:
        """Pages that one call asks for."""
        return self.pages_per_call if self.pages_per_call > 0 else self.pages

    @property
    def name(self) -> str:
        """The ioctl, as gup_test prints it."""
        return _NAMES[self.command]


@dataclass(frozen=True)
class GupRun:
    """One repeat: the ioctl once.

    ``size_bytes``    how far it came; less than the mapping when a call got fewer pages than it asked for.
    ``pages``         that were got and put back.
    ``get``, ``put``  what either cost.
    ``host_seconds``  of both on the host, from outside the model: no two runs have the same.
    """

    size_bytes: int
    pages: int
    get: Spent
    put: Spent
    host_seconds: float


@dataclass(frozen=True)
class GupTestResult:
    """All repeats; ``stats`` are the model's counters of their time, by field of ``pe_kernel_stats``.

    ``reports`` are those of the measured calls alone.
    """

    config: KernelConfig
    test: GupTest
    clock_hz: int
    runs: tuple[GupRun, ...]
    stats: Mapping[str, int]
    reports: tuple[Report, ...]

    @property
    def pages(self) -> int:
        """Of all repeats."""
        return sum(run.pages for run in self.runs)

    @property
    def get(self) -> Spent:
        """What getting cost, in all repeats."""
        return sum((run.get for run in self.runs), Spent.nothing())

    @property
    def put(self) -> Spent:
        """What putting back cost, in all repeats."""
        return sum((run.put for run in self.runs), Spent.nothing())

    def per_page(self, amount: int) -> float | None:
        """An amount of all repeats, for one page; None when none was got."""
        return amount / self.pages if self.pages else None

    @property
    def host_pages_per_second(self) -> float | None:
        """Pages that this host gets and puts in a second; None where the time is too short to be seen."""
        seconds = sum(run.host_seconds for run in self.runs)
        return self.pages / seconds if seconds > 0 else None

    def microseconds(self, spent: Spent) -> int:
        """Whole microseconds at the core's clock, as gup_test has them."""
        return spent.cycles * 1_000_000 // self.clock_hz

    @property
    def lines(self) -> list[str]:
        """What gup_test prints between its plan and its end (kselftest's form)."""
        lines = []
        for run in self.runs:
            if self.test.command in _TIMED:
                get, put = self.microseconds(run.get), self.microseconds(run.put)
                short = (
                    f", truncated (size: {run.size_bytes})" if run.size_bytes != self.test.size_bytes else ""
                )
                lines.append(f"# {self.test.name}: Time: get:{get} put:{put} us{short}")
                continue
            lines.append(f"# {self.test.name}: done")
            if run.size_bytes != self.test.size_bytes:
                lines.append(f"# Truncated (size: {run.size_bytes})")
        return [*lines, "ok 1 ioctl status 0"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys do not depend on what happened."""
        get, put = self.get, self.put
        return {
            "command": self.test.name,
            "size_bytes": self.test.size_bytes,
            "pages": self.pages,
            "pages_per_call": self.test.call_pages,
            "repeats": self.test.repeats,
            "truncated": [run.size_bytes for run in self.runs if run.size_bytes != self.test.size_bytes],
            "clock_hz": self.clock_hz,
            "get_usec": [self.microseconds(run.get) for run in self.runs],
            "put_usec": [self.microseconds(run.put) for run in self.runs],
            "instructions_per_page": self.per_page(get.insns),
            "cycles_per_page": self.per_page(get.cycles),
            "put_instructions_per_page": self.per_page(put.insns),
            "put_cycles_per_page": self.per_page(put.cycles),
            "host_pages_per_second": self.host_pages_per_second,
            "ledger": get.as_dict(),
            "put_ledger": put.as_dict(),
            "stats": dict(self.stats),
            "reports": [report.as_dict() for report in self.reports],
        }


def run_gup_test(config: KernelConfig, test: GupTest) -> GupTestResult:
    """Run it on a kernel of its own; raises UserError where its memory does not fit."""
    with Kernel(config) as kernel:
        process = spawn(kernel, "gup_test")
        address = _map(process, test)
        process.run()
        clear_reports(kernel)
        before = kernel.stats
        runs = tuple(_measure(kernel, test, address) for _ in range(test.repeats))
        after = kernel.stats
        return GupTestResult(
            config=config,
            test=test,
            clock_hz=_clock_hz(config),
            runs=runs,
            stats={name: value - before[name] for name, value in after.items()},
            reports=tuple(read_reports(kernel)),
        )


def _map(process: Process, test: GupTest) -> int:
    """The mapping, every page of it touched."""
    megabytes = test.size_bytes // MIB
    try:
        address = process.mmap(test.size_bytes, flags=Map.SHARED if test.shared else Map.PRIVATE)
        if test.thp is not None:
            process.madvise(address, test.size_bytes, Advice.HUGEPAGE if test.thp else Advice.NOHUGEPAGE)
    except OSError as problem:
        raise UserError(f"a mapping of {megabytes} MB: {problem.strerror}: less would be right") from None
    touch = process.touch(address, test.size_bytes, write=True)
    if touch.signal is not Signal.NONE:
        raise UserError(
            f"a mapping of {megabytes} MB: memory ran out after {touch.count * PAGE_SIZE // MIB} MB: less, "
            "or more RAM, would be right"
        )
    return address


def _measure(kernel: Kernel, test: GupTest, address: int) -> GupRun:
    call, err = _CALLS[test.command], error()
    put = lib.pe_kernel_unpin if call.pins else lib.pe_kernel_gup_put
    pfns, out = ffi.new("uint32_t[]", test.pages), ffi.new("pe_gup_result *")
    per_call = min(test.call_pages, test.pages)
    start, began = read_spent(kernel), perf_counter()
    foll = Foll.WRITE if test.write else Foll.NONE
    check(
        lib.pe_kernel_gup(kernel.handle, int(call), address, test.pages, per_call, int(foll), pfns, out, err),
        err,
    )
    ended = perf_counter()
    got = read_spent(kernel)
    pages = max(0, out.pages)
    began_put = perf_counter()
    check(put(kernel.handle, pfns, pages, err), err)
    ended_put = perf_counter()
    calls = -(-pages // per_call)
    return GupRun(
        size_bytes=min(calls * per_call, test.pages) * PAGE_SIZE,
        pages=pages,
        get=got - start,
        put=read_spent(kernel) - got,
        host_seconds=ended - began + ended_put - began_put,
    )


def _clock_hz(config: KernelConfig) -> int:
    core = read_core(config.core) if isinstance(config.core, str) else config.core
    return _HZ_WITHOUT_CORE if core is None else int(core["clock_hz"])
