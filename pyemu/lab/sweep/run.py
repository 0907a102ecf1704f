"""Runs a sweep: jobs on any executor, rows into the file as they come."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from pyemu.config import UserError
from pyemu.lab.sweep.measure import measure
from pyemu.lab.sweep.plan import Job
from pyemu.lab.sweep.results import Results
from pyemu.lab.sweep.rows import Row

__all__ = ["dask_pool", "process_pool", "run_sweep"]


def run_sweep(
    results: Results,
    executor: Executor,
    progress: Callable[[Job], None] = lambda job: None,
    work: Callable[[Job], list[Row]] = measure,
) -> None:
    """Do what is left of the plan of ``results``; ``progress`` hears of each job that is done.

    ``work`` has to be a function that the executor can send: by default :func:`measure`.  The first job that
    fails ends the sweep; rows of the others stay in the file.
    """
    jobs = results.plan.jobs({row.place for row in results.rows})
    with results.appending():
        futures = {executor.submit(work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                results.add(_rows(future, futures[future]))
                progress(futures[future])
        finally:
            for future in futures:
                future.cancel()


def _rows(future: Future[list[Row]], job: Job) -> list[Row]:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(f"{job}: the process that measured it died, perhaps for want of memory") from None
    except UserError as problem:
        raise UserError(f"{job}: {problem}") from None


@contextmanager
def process_pool(processes: int) -> Iterator[Executor]:
    """Processes of this host."""
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def dask_pool(address: str) -> Iterator[Executor]:
    """The workers of a dask.distributed scheduler, which have pyemu too."""
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--dask needs dask.distributed: pip install 'pyemu-armv7[dask]'") from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as problem:
        raise UserError(f"--dask {address}: no scheduler answers there: {problem}") from None
    with client, client.get_executor() as executor:
        yield executor
