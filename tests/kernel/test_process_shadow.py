"""Processes against a plain-Python shadow: contents, rights, sharing, references, no frame lost."""

from __future__ import annotations

import random
from errno import ENOMEM
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig, Map, Prot, Thp
from pyemu.mmu import Access, Fault, reference
from pyemu.mmu.batch import NO_ADDRESS
from tests.kernel.process_shadow import PAGE, RW, Pair, Space, random_step

CONFIGS: dict[str, dict[str, Any]] = {
    "lpae, highpte": {},
    "lpae, lowmem alone": {"memory_bytes": 512 * MIB},
    "lpae, 2g": {"vmsplit": "2g", "memory_bytes": 3 * GIB},
    "lpae, debug": {"debug_kmap_local": True},
    "classic": {"tables": "classic"},
    "classic, rt": {"tables": "classic", "preemption": "rt"},
    "lpae, billed": {"timing": "cache", "core": "cortex-a15"},
}


def run(pair: Pair, seed: int, steps: int, every: int) -> None:
    rng = random.Random(seed)
    for n in range(steps):
        random_step(rng, pair)
        if n % every == 0:
            pair.compare()
    for space in list(pair.spaces):
        pair.exit(space)
    pair.compare()
    assert not pair.kernel.tasks


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CONFIGS)
def test_random_programs_find_the_memory_that_plain_python_expects(name: str, seed: int) -> None:
    with Kernel(KernelConfig(functional="timing" not in CONFIGS[name], **CONFIGS[name])) as kernel:
        run(Pair(kernel), seed, 600, 20)


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_do_not_notice_huge_pages(seed: int) -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        kernel.set_thp(Thp.ALWAYS)
        pair = Pair(kernel, exact_frames=False)
        run(pair, seed, 1200, 40)
        assert kernel.stats["faults_huge"], "there were some"
        assert kernel.stats["thp_splits"], "and some were split"


def test_random_programs_under_memory_pressure_lose_no_frame() -> None:
    """Allocations fail inside faults, forks and moves; whatever was begun is given back."""
    with Kernel(KernelConfig(memory_bytes=64 * MIB, functional=True)) as kernel:
        rng = random.Random(1)
        idle = kernel.meminfo.mem_free
        processes = [kernel.spawn()]
        refused, errors = 0, set()
        for _ in range(3000):
            process = rng.choice(processes)
            try:
                if rng.random() < 0.3 and len(processes) < 40:
                    processes.append(process.fork())
                at = process.mmap(rng.choice([1, 300, 2000]) * PAGE)
                done = process.touch(at, rng.choice([1, 300, 2000]) * PAGE, write=True)
                if done.signal == 9:
                    refused += 1
                    process.mremap(at, PAGE, 4 * MIB)
            except OSError as problem:
                errors.add(problem.errno)
                refused += 1
            if rng.random() < 0.02 or len(processes) == 40:
                processes.remove(process)
                process.exit()
                processes = processes or [kernel.spawn()]
        assert refused > 20
        assert errors == {ENOMEM}
        kernel.check()
        for process in processes:
            process.exit()
        kernel.check()
        assert kernel.meminfo.mem_free == idle


class Processes(RuleBasedStateMachine):
    """Hypothesis looks for the shortest program that shadow and model disagree about."""

    spaces = st.integers(0, 5)
    pages = st.integers(0, 40)

    @initialize(tables=st.sampled_from(["lpae", "classic"]))
    def boot(self, tables: Any) -> None:
        self.kernel = Kernel(KernelConfig(functional=True, tables=tables))
        self.pair = Pair(self.kernel)
        self.pair.spawn()

    def pick(self, index: int) -> Space:
        return self.pair.spaces[index % len(self.pair.spaces)]

    def page(self, space: Space, index: int) -> int:
        if not space.cells:
            self.pair.mmap(space, 5, RW, Map.PRIVATE)
        pages = sorted(space.cells)
        return pages[index % len(pages)]

    def room(self, space: Space, page: int) -> int:
        """Pages from this one to the end of its area."""
        return next(a for a in space.process.areas if a.start <= page * PAGE < a.end).end // PAGE - page

    @rule(
        index=spaces,
        pages=st.sampled_from([1, 2, 5, 40, 520]),
        shared=st.booleans(),
        prot=st.sampled_from([RW, Prot.READ]),
    )
    def mmap(self, index: int, pages: int, shared: bool, prot: Prot) -> None:
        self.pair.mmap(self.pick(index), pages, prot, Map.SHARED if shared else Map.PRIVATE)

    @rule(index=spaces, at=pages, count=st.integers(1, 30))
    def munmap(self, index: int, at: int, count: int) -> None:
        space = self.pick(index)
        self.pair.munmap(space, self.page(space, at), count)

    @rule(index=spaces, at=pages, count=st.integers(1, 30), prot=st.sampled_from([RW, Prot.READ, Prot.NONE]))
    def mprotect(self, index: int, at: int, count: int, prot: Prot) -> None:
        space = self.pick(index)
        page = self.page(space, at)
        self.pair.mprotect(space, page, min(count, self.room(space, page)), prot)

    @rule(index=spaces, at=pages, count=st.integers(1, 30), new=st.integers(1, 60))
    def mremap(self, index: int, at: int, count: int, new: int) -> None:
        space = self.pick(index)
        page = self.page(space, at)
        count = min(count, self.room(space, page))
        self.pair.mremap(space, page, count, new if space.cells[page].shared is None else min(new, count))

    @rule(index=spaces, at=pages, value=st.integers(1, 2**64 - 1))
    def write(self, index: int, at: int, value: int) -> None:
        space = self.pick(index)
        self.pair.write(space, self.page(space, at), value)

    @rule(index=spaces, at=pages)
    def read(self, index: int, at: int) -> None:
        space = self.pick(index)
        self.pair.read(space, self.page(space, at))

    @rule(index=spaces, at=pages, count=st.integers(1, 60), access=st.sampled_from(list(Access)))
    def touch(self, index: int, at: int, count: int, access: Access) -> None:
        space = self.pick(index)
        self.pair.touch(space, self.page(space, at), count, access)

    @precondition(lambda self: len(self.pair.spaces) < 5)
    @rule(index=spaces)
    def fork(self, index: int) -> None:
        self.pair.fork(self.pick(index))

    @precondition(lambda self: len(self.pair.spaces) > 1)
    @rule(index=spaces)
    def exit(self, index: int) -> None:
        self.pair.exit(self.pick(index))

    @invariant()
    def model_and_shadow_agree(self) -> None:
        if hasattr(self, "pair"):
            self.pair.compare()

    def teardown(self) -> None:
        if hasattr(self, "kernel"):
            self.kernel.close()


TestProcesses = Processes.TestCase
TestProcesses.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("tables", ["lpae", "classic"])
def test_a_walker_in_plain_python_finds_the_same_pages(tables: Any) -> None:
    with Kernel(KernelConfig(functional=True, tables=tables)) as kernel:
        pair = Pair(kernel)
        rng = random.Random(5)
        for _ in range(300):
            random_step(rng, pair)
        compared = 0

        def read(pa: int, size: int) -> int:
            return int.from_bytes(kernel.memory.read(pa, size), "little")

        for space in pair.spaces:
            regime = space.process.regime
            for access in Access:
                for page, pa in pair.translate(space, access).items():
                    result = reference.translate(read, regime, page * PAGE, access, privileged=False)
                    assert (result.pa if result.fault == Fault.NONE else NO_ADDRESS) == pa
                    compared += 1
        assert compared > 1000
