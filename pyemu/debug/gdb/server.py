"""A server for one gdb at a time: sockets, and the guest that runs between packets.

Nothing here has threads: while the guest runs, the socket is looked at between slices of a few milliseconds.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from pyemu.config import UserError
from pyemu.debug.control import Control, Halt
from pyemu.debug.gdb.packets import Event, Packet, PacketReader, frame
from pyemu.debug.gdb.protocol import Ask, Protocol, Resume
from pyemu.debug.target import Capability
from pyemu.machine.stop import Stop, StopReason
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["DEFAULT_HOST", "GdbServer", "parse_endpoint"]

DEFAULT_HOST = "127.0.0.1"
_WAIT_S = 0.5  # between two looks at limits and at the terminal
_MAX_REFUSED = 4
_SEND_S = 10.0  # a gdb that does not read is given up
_WAITING = (StopReason.IDLE, StopReason.DEADLOCK)


def parse_endpoint(text: str) -> tuple[str, int]:
    """``[HOST:]PORT``; the host is this machine unless it is said. Raises UserError.

    What QEMU's -gdb takes is understood too: ``tcp::1234``.
    """
    text = text.removeprefix("tcp:")
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) < 1 << 16:
        raise UserError(f"{text!r} is no place for gdb: a port from 0 to 65535, or HOST:PORT, is one")
    return host.strip("[]") or DEFAULT_HOST, int(port)


def _reason(problem: OSError | UnicodeError | TypeError) -> str:
    """Why there is no listener, in words of one line."""
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        return "the port is in use, perhaps by a server that still runs; port 0 takes a free one"
    if isinstance(problem, socket.gaierror):
        return "there is no such host"
    return os.strerror(problem.errno) if isinstance(problem, OSError) and problem.errno else str(problem)


class GdbServer:
    """Listens at once; the guest is halted until gdb lets it go. ``address`` is (host, port)."""

    def __init__(self, session: Session, host: str, port: int) -> None:
        self._session = session
        self._can_run = Capability.RUN in session.target.capabilities
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, UnicodeError, TypeError) as problem:  # TypeError: a name that cannot be encoded
            raise UserError(f"gdb: cannot listen at {host}:{port}: {_reason(problem)}") from None
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._client: socket.socket | None = None
        self._refused: list[socket.socket] = []  # they get an answer to what they ask first
        self._resume: Resume | None = None
        self._asleep = False
        self.quit = False

    def close(self) -> None:
        """Let gdb go and listen no more."""
        self._hang_up()
        for each in (self._listener, *self._refused):
            each.close()

    @property
    def _control(self) -> Control:
        return self._session.part(Control)

    # ---- doors ----

    def serve(self, console: BinaryIO | None = None) -> None:
        """Serve until gdb kills the guest or the guest ends by itself; its output goes to ``console``."""
        while not self.quit:
            self._exchange(None if self._resume is None or self._asleep else 0.0)
            if self._resume is not None:
                self._advance()
            if self._can_run and console is not None:
                console.write(self._control.machine.console.read())
                console.flush()
            if self._can_run and self._control.ended is not None and self._client is None:
                return

    def run(self, max_insns: int, also: Sequence[int] = ()) -> Stop:
        """A slice of the guest, as :meth:`~pyemu.machine.Machine.run` would do it.

        While gdb holds the guest, or it waits for ever, this waits for gdb, for input on the descriptors
        ``also``, or half a second, and returns a slice without instructions.
        """
        nothing = Stop(StopReason.LIMIT, self._session.cpu, 0, 0, 0, 0)
        self._exchange(0.0 if self._resume is not None else _WAIT_S, also)
        if self._resume is None:
            return nothing
        if self._resume.how != "continue":
            self._advance()
            return nothing
        stop = self._control.forward(max_insns, stop_when_idle=True)
        if stop.reason is StopReason.DEADLOCK and self._client is not None:
            self._exchange(_WAIT_S, also)
            return replace(stop, reason=StopReason.LIMIT)
        if stop.reason in (StopReason.LIMIT, StopReason.REQUESTED, *_WAITING):
            return stop
        halt = self._control.halted(stop)
        self._report(halt)
        return stop if halt.final else replace(stop, reason=StopReason.LIMIT)

    def type(self, data: bytes) -> None:
        """Input for the guest's console."""
        self._control.type(data)

    # ---- the guest ----

    def _advance(self) -> None:
        resume, control = self._resume, self._control
        assert resume is not None
        try:
            if resume.how == "reverse-step":
                halt: Halt | None = control.reverse_step(resume.cpu)
            elif resume.how == "reverse-continue":
                halt = control.reverse_continue()
            else:
                halt = control.slice(resume.cpu if resume.how == "step" else None)
        except (UserError, NativeError) as problem:
            self._resume = None
            self._send(b"O" + f"{problem}\n".encode().hex().encode())
            self._send(b"T05thread:%02x;" % (resume.cpu + 1))
            return
        self._asleep = halt is not None and halt.reason is StopReason.DEADLOCK
        if halt is not None and not self._asleep:
            self._report(halt)

    def _report(self, halt: Halt) -> None:
        self._resume = None
        if self._client is not None:
            self._send(self._protocol.stopped(halt))
        elif not halt.final:
            self._resume = Resume("continue", halt.cpu)

    # ---- the socket ----

    def _exchange(self, wait_s: float | None, also: Sequence[int] = ()) -> None:
        """Take and answer what has come; waits up to ``wait_s`` seconds for the first of it."""
        waited: list[Any] = [self._listener, *also, *self._refused]
        if self._client is not None:
            waited.append(self._client)
        ready = select.select(waited, [], [], wait_s)[0]
        if self._client is not None and self._client in ready:
            self._receive()
        self._refused = [each for each in self._refused if each not in ready or not _refuse(each)]
        if self._listener in ready:
            self._accept()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self._client is not None:
            client.setblocking(False)
            self._refused.append(client)
            if len(self._refused) > _MAX_REFUSED:
                self._refused.pop(0).close()
            return
        client.settimeout(_SEND_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client, self._reader, self._acks = client, PacketReader(), True
        self._protocol = Protocol(self._session, self._send)
        self._resume, self._asleep = None, False
        self._points = set(self._control.points) if self._can_run else set()

    def _receive(self) -> None:
        assert self._client is not None
        try:
            data = self._client.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._let_go()
            return
        for event in self._reader.feed(data):
            if self._client is None:
                return
            self._handle(event)

    def _handle(self, event: Packet | Event) -> None:
        if event is Event.INTERRUPT:
            self._interrupt()
        elif event is Event.BAD:
            self._raw(b"-")
        elif event is Event.NACK:
            self._raw(self._last)
        elif isinstance(event, Packet):
            if self._acks:
                self._raw(b"+")
            self._obey(self._protocol.answer(event.data))

    _last = b""

    def _obey(self, answer: bytes | Resume | Ask) -> None:
        if isinstance(answer, Resume):
            self._resume, self._asleep = answer, False
            if self._control.ended is not None and not answer.how.startswith("reverse"):
                self._report(self._control.ended)
        elif isinstance(answer, Ask):
            if answer.answer:
                self._send(answer.answer)
            if answer.what == "no-ack":
                self._acks = False
            elif answer.what == "detach":
                self._let_go()
            else:
                self.quit = True
                self._hang_up()
        else:
            self._send(answer)

    def _interrupt(self) -> None:
        if self._resume is not None:
            cpu = self._session.cpu
            control = self._control
            self._report(
                Halt(StopReason.REQUESTED, cpu, control.pc(cpu), 0, control.position, 0),
            )

    def _let_go(self) -> None:
        """gdb has gone: what it set goes too, and the guest goes on."""
        self._hang_up()
        if not self._can_run:
            return
        control = self._control
        for point in [each for number, each in control.points.items() if number not in self._points]:
            control.remove(point)
        self._asleep = False
        self._resume = None if control.ended is not None else Resume("continue", self._session.cpu)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _send(self, payload: bytes) -> None:
        self._last = frame(payload)
        self._raw(self._last)

    def _raw(self, data: bytes) -> None:
        if self._client is None:
            return
        try:
            self._client.sendall(data)
        except OSError:
            self._let_go()


def _refuse(client: socket.socket) -> bool:
    """Tell a second gdb why it is not served; False until it has asked for more than that."""
    try:
        data = client.recv(4096)
        if data and b"$" not in data:
            return False
        client.sendall(b"+" + frame(b"E.another gdb is connected to this guest"))
    except OSError:
        pass
    client.close()
    return True


def announce(server: GdbServer) -> None:
    """One line that says where gdb can connect; nothing runs before it does."""
    host, port = server.address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print(f"pyemu: halted until gdb connects: target remote {where}", file=sys.stderr, flush=True)
