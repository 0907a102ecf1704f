"""A real gdb drives the server; a client that misbehaves does not hurt it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyemu.config import UserError
from pyemu.debug.gdb.packets import Packet, PacketReader, frame
from pyemu.debug.gdb.server import GdbServer
from pyemu.debug.session import Session
from pyemu.debug.target import LiveTarget
from tests.conftest import ROOT, need_tool
from tests.debug.bring_up import (
    FREE,
    MAPPED,
    MARK,
    PTE,
    PTE_VALUE,
    arm_machine,
    bring_up,
    bring_up_elf,
)

GDB = "gdb-multiarch"


@contextmanager
def booted(
    tmp_path: Path, loops: int = 1000, *options: str
) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """`pyemu boot --gdb` of the guest: the process, its port, the ELF file."""
    elf = tmp_path / "bring_up.elf"
    elf.write_bytes(bring_up_elf(loops))
    command = [sys.executable, "-m", "pyemu", "boot", str(elf), "--mem", "16M", "--gdb", "0", *options]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"target remote 127\.0\.0\.1:(\d+)", line)
        assert match, line + process.stderr.read()
        yield process, int(match[1]), elf
    finally:
        process.kill()
        process.communicate()


def gdb(elf: Path, port: int, *commands: str) -> str:
    """What gdb prints in batch mode."""
    need_tool(GDB, "gdb-multiarch")
    typed = [
        "set pagination off",
        "set confirm off",
        "set tcp connect-timeout 20",
        f"target remote 127.0.0.1:{port}",
    ]
    arguments = [argument for each in (*typed, *commands) for argument in ("-ex", each)]
    done = subprocess.run(
        [GDB, "-q", "-nx", "-batch", str(elf), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def test_gdb_debugs_a_bring_up_from_the_mmu_to_the_pte_and_back(tmp_path: Path) -> None:
    with booted(tmp_path) as (process, port, elf):
        output = gdb(
            elf,
            port,
            "break mmu_is_on",
            "continue",
            'printf "sctlr.m %d\\n", $sctlr & 1',
            "break write_pte",
            "continue",
            f'printf "virtual %#x\\n", *(unsigned *){MAPPED:#x}',
            "maintenance packet Qqemu.PhyMemMode:1",
            "maintenance flush dcache",
            f'printf "physical %#x\\n", *(unsigned *){FREE:#x}',
            "maintenance packet Qqemu.PhyMemMode:0",
            "maintenance flush dcache",
            "break call",
            "continue",
            "stepi",
            "stepi",
            'printf "handler %d cpsr %#x\\n", $pc == (unsigned)&svc, $cpsr & 0x1f',
            f"monitor walk {MAPPED:#x}",
            "delete",
            f"watch *(unsigned long long *){PTE:#x}",
            "reverse-continue",
            'printf "back at %d\\n", $pc == (unsigned)&pte_store',
            f'printf "pte %#llx\\n", *(unsigned long long *){PTE:#x}',
            "stepi",
            f'printf "pte then %#llx\\n", *(unsigned long long *){PTE:#x}',
            "delete",
            "detach",
        )
        assert "sctlr.m 1" in output, output
        assert f"virtual {MARK:#x}" in output, output
        assert f"physical {MARK:#x}" in output, output
        assert "handler 1 cpsr 0x13" in output, output
        assert f"result   {FREE:#x}, in a leaf of 2 MB" in output, output
        assert "back at 1" in output, output
        assert "pte 0\n" in output, output
        assert f"pte then {PTE_VALUE:#x}" in output, output
        assert process.wait(timeout=60) == 0  # the guest goes on and ends by itself


def test_gdb_may_come_again_and_interrupt_a_guest_that_runs(tmp_path: Path) -> None:
    with booted(tmp_path, 0xFFFF_FFFF) as (process, port, elf):
        first = gdb(elf, port, "break loop", "continue", 'printf "r8 %u\\n", $r8', "delete", "detach")
        assert "r8 4294967295" in first, first
        time.sleep(0.3)
        second = gdb(elf, port, 'printf "r8 %u\\n", $r8', "info threads", "set $r8 = 1", "detach")
        match = re.search(r"r8 (\d+)", second)
        assert match, second
        assert 1000 < int(match[1]) < 0xFFFF_FFFF
        assert "CPU 0, PL1" in second
        assert process.wait(timeout=60) == 0


def test_gdb_disassembles_what_is_new_in_armv7(tmp_path: Path) -> None:
    with booted(tmp_path, 0xFFFF_FFFF) as (_, port, elf):
        output = gdb(elf, port, "set {unsigned} 0x40000100 = 0xf10e01d3", "x/i 0x40000100", "detach")
        assert "cpsid" in output, output


def test_monitor_helps_and_says_when_it_has_moved_the_guest(tmp_path: Path) -> None:
    with booted(tmp_path) as (_, port, elf):
        output = gdb(
            elf,
            port,
            "monitor help walk",
            "monitor regs pc",
            "monitor s 3",
            "maintenance flush register-cache",
            'printf "moved %d\\n", $pc != 0x40008000',
            "detach",
        )
        assert "example:  walk 0xc0008000 w user" in output, output
        assert output.count("gdb does not know that the guest has moved") == 1, output
        assert "moved 1" in output, output


def test_a_second_gdb_is_told_why_it_is_not_served(tmp_path: Path) -> None:
    with (
        booted(tmp_path, 0xFFFF_FFFF) as (_, port, elf),
        socket.create_connection(("127.0.0.1", port), timeout=20) as first,
    ):
        first.sendall(frame(b"qC"))
        assert first.recv(1) == b"+"
        assert "another gdb is connected to this guest" in gdb(elf, port)


def test_gdb_that_kills_ends_the_run(tmp_path: Path) -> None:
    with booted(tmp_path, 0xFFFF_FFFF) as (process, port, elf):
        gdb(elf, port, "kill")
        process.wait(timeout=60)
        assert process.stderr is not None
        assert "ended by gdb" in process.stderr.read()


# ---- the server and other clients ----


@pytest.fixture
def served() -> Iterator[tuple[GdbServer, int]]:
    guest = bring_up(0xFFFF_FFFF)
    server = GdbServer(Session(LiveTarget(arm_machine(guest), owned=True)), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server, server.address[1]
    if thread.is_alive():
        server.quit = True
        with socket.create_connection(server.address, timeout=10) as last:
            last.sendall(frame(b"k"))
        thread.join(30)
    assert not thread.is_alive()
    server.close()


class Client:
    """Sends packets and waits for answers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._reader = PacketReader()

    def ask(self, payload: bytes) -> bytes:
        self.socket.sendall(frame(payload))
        return self.answer()

    def answer(self) -> bytes:
        while True:
            for event in self._reader.feed(self.socket.recv(4096)):
                if isinstance(event, Packet):
                    return event.data


def test_ctrl_c_stops_a_guest_that_runs(served: tuple[GdbServer, int]) -> None:
    client = Client(served[1])
    client.socket.sendall(frame(b"c"))
    time.sleep(0.2)
    client.socket.sendall(b"\x03")
    assert client.answer().startswith(b"T02thread:01;")
    assert client.ask(b"D") == b"OK"


def test_the_connection_that_breaks_takes_its_breakpoints_along(served: tuple[GdbServer, int]) -> None:
    guest = bring_up()
    first = Client(served[1])
    assert first.ask(b"Z0,%x,4" % guest.address_of("loop")) == b"OK"
    first.socket.close()
    time.sleep(0.3)
    second = Client(served[1])
    assert second.ask(b"?").startswith(b"T05")
    second.socket.sendall(frame(b"c"))
    time.sleep(0.2)
    second.socket.sendall(b"\x03")
    assert second.answer().startswith(b"T02")
    assert second.ask(b"D") == b"OK"


def test_garbage_between_packets_is_passed_over(served: tuple[GdbServer, int]) -> None:
    client = Client(served[1])
    client.socket.sendall(bytes(range(4, 36)) + b"$zzzz#00" + b"#" * 100)
    assert client.ask(b"qC") == b"QC1"


def test_a_second_gdb_is_turned_away(served: tuple[GdbServer, int]) -> None:
    first = Client(served[1])
    assert first.ask(b"qC") == b"QC1"
    with socket.create_connection(("127.0.0.1", served[1]), timeout=20) as second:
        second.sendall(frame(b"qSupported"))
        heard = b"".join(iter(lambda: second.recv(4096), b""))
        assert heard == b"+" + frame(b"E.another gdb is connected to this guest")
    assert first.ask(b"qC") == b"QC1"


def test_a_port_that_is_in_use_is_named(served: tuple[GdbServer, int]) -> None:
    session = Session(LiveTarget(arm_machine(bring_up(10)), owned=True))
    with session, pytest.raises(UserError, match=rf"127.0.0.1:{served[1]}: the port is in use"):
        GdbServer(session, "127.0.0.1", served[1])


def test_the_exit_of_the_guest_is_told() -> None:
    guest = bring_up(10)
    server = GdbServer(Session(LiveTarget(arm_machine(guest), owned=True)), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    client = Client(server.address[1])
    assert client.ask(b"vCont;c") == b"W%02x" % 0
    client.socket.sendall(frame(b"k"))
    thread.join(30)
    assert not thread.is_alive()
    server.close()
