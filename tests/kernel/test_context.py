"""Execution context: sections nest, end in balance, and say together whether the CPU may sleep."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.context import Disabled, disabled, occupied, read_context
from pyemu.native import NativeError, check, error, ffi, lib

CONFIG = KernelConfig(functional=True, cpus=2)
NAMES = {
    Disabled.IRQS: "interrupts",
    Disabled.PREEMPTION: "preemption",
    Disabled.RCU: "RCU",
    Disabled.MIGRATION: "migration",
    Disabled.HARDIRQ: "hard-irq context",
}
ENDS = {
    Disabled.IRQS: lib.PE_CONTEXT_IRQ_ENABLE,
    Disabled.PREEMPTION: lib.PE_CONTEXT_PREEMPT_ENABLE,
    Disabled.RCU: lib.PE_CONTEXT_RCU_UNLOCK,
    Disabled.MIGRATION: lib.PE_CONTEXT_MIGRATE_ENABLE,
    Disabled.HARDIRQ: lib.PE_CONTEXT_HARDIRQ_EXIT,
}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(CONFIG)


@given(st.lists(st.sampled_from(Disabled), max_size=12))
def test_sections_nest_and_are_counted(sections: list[Disabled]) -> None:
    with Kernel(CONFIG) as kernel:
        depth: Counter[Disabled] = Counter()
        entered = []
        for section in sections:
            scope = disabled(kernel, section)
            scope.__enter__()
            entered.append(scope)
            depth[section] += 1
            now = read_context(kernel)
            assert now.irqs_disabled == bool(depth[Disabled.IRQS] or depth[Disabled.HARDIRQ])
            assert now.in_hardirq == bool(depth[Disabled.HARDIRQ])
            assert (now.preempt_count, now.rcu_depth) == (depth[Disabled.PREEMPTION], depth[Disabled.RCU])
            assert now.migrate_disabled == depth[Disabled.MIGRATION]
            assert now.may_sleep == (set(depth) <= {Disabled.MIGRATION})
        for scope in reversed(entered):
            scope.__exit__(None, None, None)
        assert read_context(kernel).may_sleep
        assert read_context(kernel).migrate_disabled == 0


def test_a_section_is_of_the_cpu_that_runs(kernel: Kernel) -> None:
    with disabled(kernel, Disabled.IRQS):
        assert not read_context(kernel, 1).irqs_disabled


def end(kernel: Kernel, section: Disabled) -> None:
    err = error()
    check(lib.pe_kernel_context_change(kernel.handle, ENDS[section], err), err)


@pytest.mark.parametrize("section", Disabled)
def test_a_section_that_nobody_entered_is_not_left(kernel: Kernel, section: Disabled) -> None:
    with pytest.raises(NativeError, match=f"^{NAMES[section]}.* nothing to enable"):
        end(kernel, section)


def test_an_interrupt_handler_may_turn_interrupts_on(kernel: Kernel) -> None:
    with disabled(kernel, Disabled.HARDIRQ):
        end(kernel, Disabled.IRQS)
        assert read_context(kernel).in_hardirq
        assert not read_context(kernel).irqs_disabled
        with pytest.raises(NativeError, match="nothing to enable"):
            end(kernel, Disabled.IRQS)
    assert not read_context(kernel).irqs_disabled


def test_a_lock_is_occupied_once(kernel: Kernel) -> None:
    again = occupied(kernel, lib.PE_LOCK_KMAP)
    with (
        occupied(kernel, lib.PE_LOCK_KMAP),
        pytest.raises(NativeError, match="kmap_lock is occupied"),
    ):
        again.__enter__()
    with pytest.raises(NativeError, match="no lock 9: 0 to 8 are"):
        occupied(kernel, lib.PE_LOCKS).__enter__()


def test_locks_and_functions_have_names_of_their_own() -> None:
    functions = [ffi.string(lib.pe_kernel_function_name(i)).decode() for i in range(lib.PE_FUNCTIONS)]
    locks = [ffi.string(lib.pe_lock_name(i)).decode() for i in range(lib.PE_LOCKS)]
    assert len(set(functions)) == len(functions)
    assert len(set(locks)) == len(locks)
    assert lib.pe_kernel_function_name(lib.PE_FUNCTIONS) == ffi.NULL
    assert lib.pe_lock_name(lib.PE_LOCKS) == ffi.NULL


def test_a_cpu_that_is_not_there_has_no_context(kernel: Kernel) -> None:
    with pytest.raises(NativeError, match="no CPU 2: there are 2"):
        read_context(kernel, 2)
