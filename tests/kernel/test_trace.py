"""Events of the model: kept in order, they change nothing, and their cycles are those of the bill."""

from __future__ import annotations

import pytest

from pyemu.kernel import Kernel, KernelConfig, Process
from pyemu.kernel.bill import read_spent
from pyemu.kernel.gup import Foll, GupCall, get_user_pages, put_pages
from pyemu.kernel.trace import EventKind, Trace, function_name, tracing

PAGE = 4096
CONFIGS = [
    KernelConfig(),
    KernelConfig(tables="classic", memory_bytes=1 << 30),
    KernelConfig(preemption="rt", highpte=True, force=True),
    KernelConfig(timing="cache", core="cortex-a7"),
]


def work(kernel: Kernel) -> Process:
    process = kernel.spawn("work")
    at = process.mmap(64 * PAGE)
    process.touch(at, 32 * PAGE, write=True)
    child = process.fork()
    child.touch(at, 8 * PAGE, write=True)
    process.run()
    for call in (GupCall.GUP_FAST, GupCall.GUP):
        result = get_user_pages(kernel, call, at, 64, flags=Foll.WRITE)
        put_pages(kernel, result.pfns)
    process.munmap(at, 16 * PAGE)
    child.exit()
    return process


def outcome(config: KernelConfig, traced: bool) -> tuple[object, ...]:
    with Kernel(config) as kernel:
        if traced:
            with tracing(kernel):
                process = work(kernel)
        else:
            process = work(kernel)
        kernel.check()
        return kernel.stats, read_spent(kernel), process.areas, kernel.meminfo


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.tables}-{c.preemption}-{c.timing}")
def test_the_model_does_and_bills_the_same_when_it_is_traced(config: KernelConfig) -> None:
    assert outcome(config, True) == outcome(config, False)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.tables}-{c.preemption}-{c.timing}")
def test_functions_nest_and_cycles_add_up_to_the_bill(config: KernelConfig) -> None:
    with Kernel(config) as kernel:
        before = read_spent(kernel)
        with tracing(kernel) as trace:
            work(kernel)
            spent = read_spent(kernel) - before
        assert not trace.left_out
        opened: list[int] = []
        for event in trace.events:
            if event.kind is EventKind.ENTER:
                opened.append(event.code)
            assert event.depth == len(opened)
            if event.kind is EventKind.LEAVE:
                assert opened.pop() == event.code
        assert opened == []
        assert sum(event.cycles for event in trace.events) <= spent.cycles
        assert sum(event.cycles for event in trace.events) > 0.9 * spent.cycles


def test_the_writes_of_a_trace_are_what_the_tables_hold() -> None:
    with Kernel(KernelConfig()) as kernel:
        process = kernel.spawn("work")
        process.run()
        with tracing(kernel) as trace:
            at = process.mmap(8 * PAGE)
            process.touch(at, 8 * PAGE, write=True)
        held: dict[int, int] = {}
        for event in trace.events:
            if event.kind is EventKind.WRITE:
                assert held.get(event.pa, event.old_value) == event.old_value
                held[event.pa] = event.value
        assert len(held) > 8
        for pa, value in held.items():
            assert int.from_bytes(kernel.memory.read(pa, 8), "little") == value


def test_what_does_not_fit_is_counted() -> None:
    with Kernel(KernelConfig()) as kernel:
        with tracing(kernel) as whole:
            work(kernel)
        with tracing(kernel, 10) as part:
            kernel.spawn("more").touch(0)
        assert (len(part.events), part.left_out > 0) == (10, True)
        assert len(whole.events) > 1000
        with tracing(kernel) as nothing:
            pass
        assert nothing == Trace()


def test_a_trace_ends_with_its_block_also_by_an_exception() -> None:
    with Kernel(KernelConfig()) as kernel:
        with pytest.raises(OSError, match="Invalid"), tracing(kernel) as trace:
            kernel.spawn("work").mmap(0)
        assert trace.events
        count = len(trace.events)
        work(kernel)
        assert len(trace.events) == count
    assert function_name(1 << 20) == f"function {1 << 20}"
