"""One job of a sweep: a kernel made, measured and let go."""

from __future__ import annotations

from pyemu.lab.sweep.plan import Job
from pyemu.lab.sweep.rows import Row

__all__ = ["measure"]


def measure(job: Job) -> list[Row]:
    """The rows of a job."""
    raise NotImplementedError
