"""Runs micro-benchmarks under the cycle model: each a machine of its own, several at a time."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyemu.config import CPU_MODELS, MachineConfig, UserError
from pyemu.lab.programs import MAX_INSNS, MEMORY_BYTES
from pyemu.lab.protocol import MAX_TEXT_BYTES, ProtocolError, parse_points

__all__ = ["Job", "Run", "machine_config", "run_job", "run_jobs"]

# Between two slices a run looks at how much was printed.
SLICE_INSNS = 64_000_000


@dataclass(frozen=True)
class Job:
    """A program to run on a core: ``core`` is a name of ``pyemu cores``, or of ``core_file``."""

    name: str
    program: Path
    core: str
    core_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} on {self.core}"


@dataclass(frozen=True)
class Run:
    """What a job printed, and how many instructions of the guest it took."""

    job: Job
    text: str
    insns: int


def machine_config(job: Job) -> MachineConfig:
    """The machine of a job; its identity is the core's where pyemu has that one, else Cortex-A15."""
    from pyemu.timing import read_core

    core = read_core(job.core, job.core_file)
    cpu = next((name for name in (core.name, core.base) if name in CPU_MODELS), CPU_MODELS[0])
    return MachineConfig(
        memory_bytes=MEMORY_BYTES, timing="cache", core=job.core, core_file=job.core_file
    ).with_options(cpu=cpu)


def run_job(job: Job, max_insns: int = MAX_INSNS) -> Run:
    """Run a program to its exit; raises UserError when it ends in another way or prints nonsense."""
    from pyemu.machine import Machine, StopReason

    with Machine(machine_config(job)) as machine:
        machine.load(job.program)
        output, insns, reason, status = b"", 0, StopReason.LIMIT, 0
        while reason is StopReason.LIMIT and insns < max_insns and len(output) <= MAX_TEXT_BYTES:
            stop = machine.run(max_insns=min(SLICE_INSNS, max_insns - insns))
            reason, status, insns = stop.reason, stop.status, insns + stop.insns
            output += machine.console.read()
    text = output.decode("utf-8", "replace")
    if len(output) > MAX_TEXT_BYTES:
        raise UserError(f"{job}: it printed more than {MAX_TEXT_BYTES} bytes: no benchmark does")
    if reason is StopReason.LIMIT:
        raise UserError(f"{job}: still running after {insns} instructions: it hangs")
    if reason is not StopReason.EXIT or status != 0:
        how = f"status {status}" if reason is StopReason.EXIT else reason.name
        last = next((line for line in reversed(text.splitlines()) if line), "nothing")
        raise UserError(f"{job}: ended with {how}, its last line {last[:80]!r}: an exit with 0 was due")
    try:
        parse_points(text)
    except ProtocolError as problem:
        raise UserError(f"{job}: {problem}") from None
    return Run(job, text, insns)


def run_jobs(
    jobs: Sequence[Job], processes: int, progress: Callable[[Run], None] = lambda run: None
) -> list[Run]:
    """Run jobs in that many processes, in the order of ``jobs``; ``progress`` hears of each that is done.

    The first that fails ends all; its UserError is raised.
    """
    if processes == 1 or len(jobs) < 2:
        runs = []
        for job in jobs:
            runs.append(run_job(job))
            progress(runs[-1])
        return runs
    with _pool(min(processes, len(jobs))) as pool:
        futures = {pool.submit(run_job, job): job for job in jobs}
        for future in as_completed(futures):
            progress(_result(future, futures[future]))
        return [_result(future, job) for future, job in futures.items()]


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, which end at once when the block is left by an exception; Ctrl-C is for us alone."""
    others = set(multiprocessing.active_children())
    # Not forked: the engine's locks do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _result(future: Future[Run], job: Job) -> Run:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(f"{job}: the process that ran it died, perhaps for want of memory") from None
