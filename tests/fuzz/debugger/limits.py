"""What a case must not do: take long, grow, or touch files that nobody named.

Time is CPU time of this process, so that a busy host is no finding.  Files are seen by Python's audit events;
the C core opens files to read them only, and memory that it maps has guard pages (csrc/mem/map.c).
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyemu.debug import control, forward
from pyemu.native import lib
from tests.fuzz.campaign import Finding

__all__ = ["CPU_SECONDS", "Guard", "ctrl_c_after"]

CPU_SECONDS = 8.0
GROWTH_BYTES = 1 << 30
_LOOK_CASES = 8
SLICES = 150
"""How often a case may run the guest before Ctrl-C: a loop has no end by itself."""
SLICE_INSNS = 4096
CHECKPOINT_BYTES = 32 << 20

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.kill", "os.putenv", "os.unsetenv"),
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen"),
    *("pty.spawn", "socket.connect", "socket.bind", "socket.sendto", "shutil.copyfile", "shutil.move"),
    *("shutil.rmtree", "pickle.find_class", "webbrowser.open"),
)


class Guard:
    """Watches the cases of a process. ``directory`` is where it may make files; cases may not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._armed = False
        self._named: tuple[str, ...] = ()
        self._deeds: list[str] = []
        self._base, self._cases = _new_peak(), 0
        sys.dont_write_bytecode = True
        faulthandler.enable()
        faulthandler.register(signal.SIGPROF, chain=True)
        sys.addaudithook(self._heard)

    @contextlib.contextmanager
    def case(self) -> Iterator[None]:
        """Around each case; raises :class:`Finding` behind one that did what it must not."""
        self._deeds.clear()
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_PROF, 0)
        if self._deeds:
            raise Finding(f"files, processes or sockets that nobody named: {self._deeds[:4]}")
        self._cases += 1
        if self._cases % _LOOK_CASES == 0:
            grown, self._base = _peak() - self._base, _new_peak()
            if grown > GROWTH_BYTES:
                raise Finding(f"this process has grown by {grown >> 20} MB")

    @contextlib.contextmanager
    def naming(self, *paths: str | Path) -> Iterator[None]:
        """The user has named files to be written: they, and their temporary names beside them."""
        self._named = tuple(os.path.abspath(path) for path in paths)
        try:
            yield
        finally:
            self._named = ()

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """What the harness itself does in a case."""
        was, self._armed = self._armed, False
        try:
            yield
        finally:
            self._armed = was

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event == "open":
            path, mode, flags = args
            written = (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & _WRITES
            if written and not self._is_named(path):
                self._refuse(f"open {path!r} {mode!r} {flags!r}")
        elif event in _CHANGES and not (args and self._is_named(args[0])):
            self._refuse(f"{event} {args!r}"[:300])

    def _is_named(self, path: Any) -> bool:
        if isinstance(path, int):  # a descriptor, which was allowed when it was made
            return True
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        given = os.path.abspath(os.fsdecode(path))
        parent, name = os.path.split(given)
        return any(
            given == each
            or (parent == os.path.dirname(each) and name.startswith(f".{os.path.basename(each)}."))
            for each in self._named
        )

    def _refuse(self, what: str) -> None:
        self._deeds.append(what)
        raise Finding(what)


def _peak() -> int:
    """Bytes of memory that this program has had at most; ru_maxrss begins with those of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _new_peak() -> int:
    """Begins a new peak at what is held now: the sanitizers keep much of what thousands of cases free."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # man 5 proc
    return _peak()


class _Counted:
    """The C core, whose runs end as by Ctrl-C once there were so many of them."""

    def __init__(self) -> None:
        self.left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)

    def pe_machine_run(self, machine: Any, run: Any, stop: Any, err: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            stop.reason, stop.insns = lib.PE_STOP_REQUESTED, 0
            return lib.PE_OK
        return lib.pe_machine_run(machine, run, stop, err)


_COUNTED = _Counted()


def ctrl_c_after(slices: int = SLICES) -> None:
    """From now on guests run so many slices, small ones, and then stop as by Ctrl-C; again in each case."""
    forward.lib = _COUNTED
    forward.SLICE_INSNS = SLICE_INSNS
    control.CHECKPOINT_INSNS = dict.fromkeys(control.CHECKPOINT_INSNS, 4 * SLICE_INSNS)
    control.MAX_CHECKPOINT_BYTES = CHECKPOINT_BYTES
    _COUNTED.left = slices
