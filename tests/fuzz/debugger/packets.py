"""gdb's packets: one at a time into parser and protocol, and conversations with a server whose guest runs."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from pyemu.debug import LiveTarget, Session
from pyemu.debug.gdb.packets import MAX_PAYLOAD, Event, Packet, PacketReader, frame
from pyemu.debug.gdb.protocol import Ask, Protocol, Resume
from pyemu.debug.gdb.server import GdbServer
from tests.fuzz.campaign import Finding
from tests.fuzz.debugger.fuzzer import Fuzzer
from tests.fuzz.debugger.limits import Guard, ctrl_c_after
from tests.fuzz.debugger.lines import keep_few_points
from tests.fuzz.debugger.payloads import framed, payload
from tests.fuzz.debugger.worlds import live_machine, make_world

__all__ = ["Conversations", "Packets"]


def _pieces(rng: random.Random, data: bytes) -> Iterable[bytes]:
    if rng.randrange(4):
        return [data]
    size = rng.choice((1, 2, 7, 64))
    return [data[at : at + size] for at in range(0, len(data), size)]


def _check_sent(data: bytes) -> None:
    """What goes to gdb is made of acknowledgements and whole packets, none too long."""
    at = 0
    while at < len(data):
        if data[at : at + 1] in (b"+", b"-"):
            at += 1
            continue
        end = data.find(b"#", at)
        if data[at : at + 1] != b"$" or end < 0 or len(data) < end + 3:
            raise Finding(f"no packet: {data[at : at + 60]!r}")
        assert data[end + 1 : end + 3] == b"%02x" % (sum(data[at + 1 : end]) & 0xFF)
        assert end - at <= 2 * MAX_PAYLOAD
        at = end + 3


class Packets(Fuzzer):
    """Single packets, framed, into the reader and the protocol; one that resumes is not carried out here."""

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.name, self.session = make_world(
            rng, guard.directory, "off", "off", "off", "tlb", "dump", "kernel", "hosted"
        )
        self.said: list[bytes] = []
        self.protocol = Protocol(self.session, self.said.append)

    def case(self, rng: random.Random) -> str:
        ctrl_c_after()
        sent = framed(rng, payload(rng, self.session))
        reader, ends, sound = PacketReader(), [], True
        for piece in _pieces(rng, sent):
            for event in reader.feed(piece):
                sound &= event is not Event.BAD
                if isinstance(event, Packet):
                    ends.append(self._ask(event.data))
        for part in self.said:
            _check_sent(frame(part))
        self.said.clear()
        assert isinstance(self.protocol.answer(b"?"), bytes)
        keep_few_points(self.session)
        return ends[-1] if ends else "cut" if sound else "bad-frame"

    def _ask(self, data: bytes) -> str:
        answer = self.protocol.answer(data)
        if isinstance(answer, Resume):
            assert 0 <= answer.cpu < self.session.target.cpus
            return "resumed"
        if isinstance(answer, Ask):
            return answer.what
        assert isinstance(answer, bytes)
        _check_sent(frame(answer))
        return (
            "unknown" if not answer else "refused" if answer[:1] == b"E" and len(answer) == 3 else "answered"
        )

    def close(self) -> None:
        self.session.close()


class _Server(GdbServer):
    """A server that does one thing at a time."""

    def turn(self, wait_s: float = 0.0) -> None:
        """What ``serve`` does again and again."""
        self._exchange(0.0 if self.running else wait_s)
        if self._resume is not None and not self.quit:
            self._advance()

    @property
    def running(self) -> bool:
        return self._resume is not None

    @property
    def connected(self) -> bool:
        return self._client is not None


class Conversations(Fuzzer):
    """A client that connects, sends this and that while the guest runs, and goes or stays."""

    block = 16

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.machine = live_machine(rng, rng.choice(("off", "off", "off", "tlb")))
        self.session = Session(LiveTarget(self.machine, owned=True))
        self.server = _Server(self.session, "127.0.0.1", 0)
        self.client: socket.socket | None = None
        self.heard = bytearray()

    def case(self, rng: random.Random) -> str:
        ctrl_c_after()
        with self.guard.off():
            self._connect()
        for _ in range(rng.choice((2, 4, 8, 8, 16))):
            self._say(rng)
            for _ in range(rng.choice((1, 1, 2, 3))):
                self.server.turn()
                self._listen()
            if self.server.quit:
                break
        end = "killed" if self.server.quit else "running" if self.server.running else "halted"
        keep_few_points(self.session)
        if self.server.quit or not self.server.connected:
            self._hang_up()
            self.server.quit = False
            return end
        if rng.randrange(4) == 0:
            self._hang_up()
            self.server.turn()
            return f"{end}-gone"
        self._still_answers()
        return end

    def _say(self, rng: random.Random) -> None:
        assert self.client is not None
        kind = rng.randrange(12)
        data = framed(rng, payload(rng, self.session))
        if kind == 0:
            data = b"\x03" * rng.choice((1, 1, 2, 50))
        elif kind == 1:
            data += framed(rng, payload(rng, self.session)) + b"\x03"
        elif kind == 2:
            data = b"-" * rng.choice((1, 3))
        if self.server.connected:
            self.client.sendall(data)

    def _listen(self) -> None:
        """Take what has come; a server that waits for us would hang."""
        assert self.client is not None
        while True:
            try:
                data = self.client.recv(1 << 16)
            except (BlockingIOError, ConnectionError):
                return
            if not data:
                return
            self.heard += data

    def _connect(self) -> None:
        if self.client is not None:
            return
        self.client = socket.create_connection(self.server.address, timeout=10)
        self.client.setblocking(False)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard.clear()
        for _ in range(10):
            self.server.turn(1.0)
            if self.server.connected:
                return
        raise Finding("the server does not accept a client")

    def _hang_up(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def _still_answers(self) -> None:
        """The guest halts when it is asked to; what was said before is well formed."""
        assert self.client is not None
        self.client.sendall(b"#00$#00\x03" + frame(b"qC"))  # whatever packet was open is over
        for _ in range(200):
            self.server.turn(0.1)
            self._listen()
            if b"$QC" in self.heard[-64:]:
                break
        else:
            raise Finding(f"no answer to qC: {bytes(self.heard[-200:])!r}")
        assert not self.server.running, "an interrupt did not stop the guest"
        _check_sent(bytes(self.heard))
        self.heard.clear()

    def close(self) -> None:
        self._hang_up()
        self.server.close()
        self.session.close()
