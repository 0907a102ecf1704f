"""Which kernels a sweep looks at, and what is measured on each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyemu.config import GIB, MIB, UserError, format_size
from pyemu.kernel import KernelConfig
from pyemu.kernel.config import Remedy, Timing
from pyemu.lab.sweep.rows import Place

__all__ = ["CALLS", "REMEDIES", "SIZES", "Job", "Plan"]

SIZES = (512 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB, 16 * GIB)
CALLS = (1, 8, 64, 512)
REMEDIES: tuple[Remedy, ...] = ("no-highpte", "no-fast-gup", "trylock", "skip-high-get")
FORMAT = 1
MAX_CALL = 1 << 20


@dataclass(frozen=True)
class Job:
    """A kernel, and what to measure on it: gup at ``calls`` pages a call; without any, forks."""

    plan: Plan
    memory_bytes: int
    highpte: bool
    rt: bool
    remedy: Remedy = "none"
    calls: tuple[int, ...] = ()

    def __str__(self) -> str:
        words = [format_size(self.memory_bytes), "HIGHPTE" if self.highpte else "no HIGHPTE"]
        words += ["RT"] if self.rt else []
        words += [self.remedy] if self.remedy != "none" else []
        return " ".join(words if self.calls else [*words, "tables"])

    @property
    def places(self) -> list[Place]:
        """Of the rows that it gives."""
        if not self.calls:
            return [("tables", self.memory_bytes, self.highpte, self.rt, self.remedy, 0)]
        return [("gup", self.memory_bytes, self.highpte, self.rt, self.remedy, call) for call in self.calls]

    def kernel_config(self) -> KernelConfig:
        """The kernel; what Kconfig forbids is forced."""
        return KernelConfig(
            memory_bytes=self.memory_bytes,
            preemption="rt" if self.rt else "voluntary",
            highpte=self.highpte,
            remedy=self.remedy,
            force=True,
            timing=self.plan.timing if self.calls else "off",
            core=self.plan.core if self.calls else None,
            functional=not self.calls,
        )


@dataclass(frozen=True)
class Plan:
    """The matrix: HIGHPTE and PREEMPT_RT, on and off, by each RAM size, pages a call and remedy.

    A remedy is tried where it is one: with HIGHPTE and PREEMPT_RT together.

    ``sizes``      bytes of RAM.
    ``calls``      pages of a call of get_user_pages_fast.
    ``megabytes``  that gup_test maps; every page is got and put once.
    """

    sizes: tuple[int, ...] = SIZES
    calls: tuple[int, ...] = CALLS
    remedies: tuple[Remedy, ...] = REMEDIES
    core: str = "cortex-a15"
    timing: Timing = "cache"
    megabytes: int = 32

    def __post_init__(self) -> None:
        for call in self.calls:
            if not 1 <= call <= MAX_CALL:
                raise UserError(f"{call} pages a call: 1 to {MAX_CALL} would be right")
        for remedy in self.remedies:
            if remedy not in REMEDIES:
                raise UserError(f"no remedy {remedy!r}: there are {', '.join(REMEDIES)}")
        for name in ("sizes", "calls", "remedies"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UserError(f"{name}: one of them is there twice")
        if not self.sizes or not self.calls:
            raise UserError("a sweep needs at least one RAM size and one number of pages a call")
        for size in self.sizes:
            Job(self, size, False, False, calls=self.calls).kernel_config()

    def as_dict(self) -> dict[str, Any]:
        """What rows have to agree on to stand in one file."""
        return {"format": FORMAT, **{name: _plain(value) for name, value in asdict(self).items()}}

    def jobs(self, done: Collection[Place] = ()) -> list[Job]:
        """Those that are not done yet, the longest first."""
        left = []
        for job in self._all():
            missing = [place for place in job.places if place not in done]
            if missing:
                left.append(replace(job, calls=tuple(place[-1] for place in missing)) if job.calls else job)
        return sorted(left, key=lambda job: (bool(job.calls), -job.memory_bytes))

    def _all(self) -> Iterator[Job]:
        for size in self.sizes:
            for highpte in (False, True):
                yield Job(self, size, highpte, False)
                for rt in (False, True):
                    yield Job(self, size, highpte, rt, calls=self.calls)
            for remedy in self.remedies:
                yield Job(self, size, True, True, remedy, self.calls)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
