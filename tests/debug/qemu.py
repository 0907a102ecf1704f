"""A guest on QEMU that is stopped and asked: dumps of it, and what QEMU itself answers."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.acceptance.guest import Guest

# As QEMU's gdb stub names the registers that decide translation; MAIR0 and MAIR1 are PRRR and NMRR too.
REGISTERS = ("SCTLR", "TTBCR", "TTBR0", "TTBR1", "DACR", "MAIR0", "MAIR1", "CONTEXTIDR_EL1")


class Qemu:
    """QEMU with a guest; a context manager that ends it."""

    def __init__(self, guest: Guest, directory: Path, binary: str = "qemu-system-arm") -> None:
        self._directory = directory
        self.console = directory / "console"
        command = [part for part in guest.qemu(binary) if part != "-nographic"]
        command += ["-display", "none", "-monitor", "none", "-serial", f"file:{self.console}"]
        command += ["-qmp", f"unix:{directory}/qmp,server=on,wait=off"]
        command += ["-gdb", f"unix:{directory}/gdb,server=on,wait=off"]
        self._process = subprocess.Popen(command)

    def __enter__(self) -> Qemu:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def wait_for(self, text: str, timeout: float = 120) -> None:
        """Until the console shows it."""
        deadline = time.monotonic() + timeout
        while not self.console.exists() or text.encode() not in self.console.read_bytes():
            assert time.monotonic() < deadline, f"no {text!r} on the console"
            assert self._process.poll() is None, "QEMU ended"
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the guest and connect to QEMU's own protocol."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(self._directory / "qmp"))
        self._file = self._socket.makefile("rw")
        self._file.readline()
        self.ask("qmp_capabilities")
        self.ask("stop")

    def ask(self, command: str, **arguments: Any) -> Any:
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            answer = json.loads(self._file.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def dump(self, path: Path) -> None:
        """dump-guest-memory: an ELF core of physical memory."""
        self.ask("dump-guest-memory", paging=False, protocol=f"file:{path}")

    def save_memory(self, path: Path, base: int, size: int) -> None:
        """pmemsave: a raw image."""
        self.ask("pmemsave", val=base, size=size, filename=str(path))

    def gva2gpa(self, va: int) -> int | None:
        """The physical address, or None: by QEMU's own walk, on CPU 0 as it stands."""
        text = self.ask("human-monitor-command", **{"command-line": f"gva2gpa {va:#x}"})
        found = re.match(r"gpa: (0x[0-9a-f]+)", text)
        return int(found[1], 16) if found else None

    def registers(self) -> dict[str, str]:
        """The registers that decide translation, from QEMU's gdb stub.

        The guest stays stopped: it would run on when gdb detaches, but not when it disconnects.
        """
        commands = [f"target remote {self._directory}/gdb", *(f"p/x ${name}" for name in REGISTERS)]
        commands = ["set architecture arm", *commands, "disconnect"]
        arguments = [part for command in commands for part in ("-ex", command)]
        done = subprocess.run(
            ["gdb-multiarch", "-nx", "-batch", *arguments], capture_output=True, text=True, check=True
        )
        values = re.findall(r"^\$\d+ = (0x[0-9a-f]+)$", done.stdout, re.M)
        assert len(values) == len(REGISTERS), done.stdout + done.stderr
        return dict(zip(REGISTERS, values, strict=True))
