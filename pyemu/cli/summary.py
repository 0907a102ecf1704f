"""What a run of ``pyemu boot`` says at its end: a few lines to a person, one JSON object to a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyemu.cli.session import Ending
from pyemu.machine.diagnosis import Diagnosis
from pyemu.machine.dialogue import Dialogue
from pyemu.machine.stop import Stats

if TYPE_CHECKING:
    from pyemu.machine.bill import Bill

STATUS_BROKEN = 1
STATUS_STUCK = 3
STATUS_UNMATCHED = 4
STATUS_TIMEOUT = 124
STATUS_INTERRUPTED = 130

_TEXT = {
    "limit": "instruction limit reached",
    "time": "guest time limit reached",
    "poweroff": "powered off",
    "reset": "asked for a reset",
    "deadlock": "stuck: every CPU waits, no timer is armed and no input can come",
    "timeout": "time limit reached",
    "quit": "ended by Ctrl-A x",
    "killed": "ended by gdb",
    "interrupted": "interrupted",
    "matched": "--until matched",
    "requested": "stopped",
}
_STATUS = {
    "deadlock": STATUS_STUCK,
    "lockup": STATUS_STUCK,
    "timeout": STATUS_TIMEOUT,
    "interrupted": STATUS_INTERRUPTED,
}


def exit_status(ending: Ending, dialogue: Dialogue) -> int:
    """The exit status that ``pyemu boot --help`` documents."""
    if dialogue.waiting_for is not None and ending.reason not in ("quit", "killed", "interrupted"):
        return STATUS_UNMATCHED
    if ending.reason == "exit":
        return ending.stop.status & 0xFF
    return _STATUS.get(ending.reason, 0)


# Endings that leave open what the guest was doing.
_UNFINISHED = ("deadlock", "limit", "time", "timeout", "interrupted")


def _why(ending: Ending, diagnosis: Diagnosis) -> str:
    stop = ending.stop
    if ending.reason == "exit":
        return f"exit status {stop.status}"
    if ending.reason == "lockup":
        return f"CPU {stop.cpu} locked up: {diagnosis.cause}"
    return _TEXT.get(ending.reason, ending.reason)


def _mips(ending: Ending) -> float:
    return ending.insns / 1e6 / ending.host_s if ending.host_s > 0 else 0.0


def _faults(stats: Stats) -> int:
    return stats.data_aborts + stats.prefetch_aborts + stats.undefs


def for_person(ending: Ending, dialogue: Dialogue, stats: Stats, diagnosis: Diagnosis) -> str:
    """The summary as lines of text."""
    speed = f"{ending.host_s:.2f} s ({_mips(ending):.0f} MIPS)"
    kinds = f"{stats.data_aborts:,} data, {stats.prefetch_aborts:,} prefetch, {stats.undefs:,} undefined"
    guest_s = stats.time_ns / 1e9
    counts = f"{ending.insns:,} instructions in {speed}, {guest_s:.3f} s of guest time"
    details = diagnosis.lines if ending.reason in _UNFINISHED else list(diagnosis.notes)
    lines = (
        [_why(ending, diagnosis), *details, counts] if details else [f"{_why(ending, diagnosis)}: {counts}"]
    )
    lines.append(
        f"{stats.walks:,} walks, {stats.fills:,} fills, {_faults(stats):,} faults ({kinds}), "
        f"{stats.irqs + stats.fiqs:,} interrupts"
    )
    if dialogue.waiting_for is not None:
        step = f"step {dialogue.matched + 1} of {dialogue.total}"
        lines.append(f"--expect {dialogue.waiting_for!r} did not match ({step})")
    return "\n".join(f"pyemu: {line}" for line in lines)


def for_program(
    ending: Ending, dialogue: Dialogue, stats: Stats, diagnosis: Diagnosis, bill: Bill | None = None
) -> dict[str, Any]:
    """The summary as a JSON object; all but ``host`` is the same in each run with the same input.

    The bill of a machine with timing is under ``timing``.
    """
    stop = ending.stop
    return {
        "reason": ending.reason,
        "exit_status": exit_status(ending, dialogue),
        "guest_status": stop.status if ending.reason == "exit" else None,
        "cpu": stop.cpu,
        "address": stop.address if ending.reason in ("breakpoint", "lockup") else None,
        "cause": diagnosis.cause,
        "cpus": [asdict(at) for at in diagnosis.cpus],
        "notes": list(diagnosis.notes),
        "instructions": ending.insns,
        "guest_seconds": stats.time_ns / 1e9,
        "walks": stats.walks,
        "fills": stats.fills,
        "faults": _faults(stats),
        "interrupts": stats.irqs + stats.fiqs,
        "expect": {
            "matched": dialogue.matched,
            "total": dialogue.total,
            "waiting_for": dialogue.waiting_for,
        },
        "stats": dict(stats),
        **({} if bill is None else {"timing": bill.as_dict()}),
        "host": {"seconds": ending.host_s, "mips": _mips(ending)},
    }
