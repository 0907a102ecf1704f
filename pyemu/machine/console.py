"""The guest's console: what it wrote through the PL011 or semihosting, and what it will read."""

from __future__ import annotations

from typing import Any

from pyemu.native import check, error, ffi, lib

CHUNK_BYTES = 1 << 16


class Console:
    """The two ends of the guest's serial line.

    Output stays here until :meth:`read` takes it.  Input is queued without limit.
    """

    def __init__(self, machine: Any) -> None:
        self._machine = machine
        self._output = bytearray()
        self._chunk = ffi.new("char[]", CHUNK_BYTES)

    def collect(self) -> bytes:
        """Take over what the guest has written so far and return it; the core's buffer is empty then."""
        start = len(self._output)
        while size := lib.pe_machine_console_read(self._machine.handle, self._chunk, CHUNK_BYTES):
            self._output += ffi.buffer(self._chunk, size)
        return bytes(self._output[start:])

    def read(self) -> bytes:
        """What the guest has written since the last read."""
        self.collect()
        output = bytes(self._output)
        self._output.clear()
        return output

    def drop(self, keep: int) -> int:
        """Forget all output but the latest ``keep`` bytes; returns how many bytes that were."""
        gone = max(0, len(self._output) - keep)
        del self._output[:gone]
        return gone

    def write(self, data: bytes | str) -> None:
        """Type this to the guest; text is sent as UTF-8, and nothing is added to it."""
        raw = data.encode() if isinstance(data, str) else bytes(data)
        if raw:
            err = error()
            check(lib.pe_machine_console_write(self._machine.handle, raw, len(raw), err), err)

    def close(self) -> bool:
        """No more will be typed: a semihosting read of the guest sees the end of its input.

        Returns whether a CPU waits in such a read.
        """
        return bool(lib.pe_machine_console_close(self._machine.handle))
