"""The prompt in a terminal: it answers, completes, and works without prompt_toolkit."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.debug.targets import FIRMWARE, run_image

WITHOUT = "import sys; sys.modules['prompt_toolkit'] = None; from pyemu.cli import main; sys.exit(main())"
PROMPT = "(pyemu) "


def talk(keys: list[str], home: Path, **environment: str) -> tuple[str, int]:
    """Types a line at each prompt in a terminal; returns all that was shown and the exit status."""
    near, far = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(home), **environment}
    command = [sys.executable, "-c", WITHOUT, "debug", str(FIRMWARE / "broken-correct.elf")]
    guest = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=env, close_fds=True)
    os.close(far)
    shown, deadline, left = "", time.monotonic() + 60, list(keys)
    try:
        while time.monotonic() < deadline:
            if select.select([near], [], [], 0.2)[0]:
                try:
                    shown += os.read(near, 65536).decode(errors="replace")
                except OSError:
                    break
            elif guest.poll() is not None:
                break
            if left and shown.endswith(PROMPT) and shown.count(PROMPT) == len(keys) - len(left) + 1:
                os.write(near, f"{left.pop(0)}\n".encode())
        return shown, guest.wait(10)
    finally:
        guest.kill()
        os.close(near)


def test_a_prompt_answers_and_quits_without_prompt_toolkit(tmp_path: Path) -> None:
    shown, status = talk(["sym enable", "nonsense", "quit"], tmp_path)
    assert status == 0
    assert shown.count(PROMPT) == 3
    assert "0x400100" in shown
    assert "no command 'nonsense'" in shown


def test_prompt_toolkit_reads_lines_and_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prompt_toolkit")
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    from pyemu.debug.terminal import Words, reader

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    session, _ = run_image("broken-correct")
    with session, create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        read = reader(session, PROMPT)
        keys.send_text("sym enable\n")
        assert read() == "sym enable"
        offered = Words(session).get_completions(Document("walk enab"), CompleteEvent())
        assert [each.text for each in offered] == ["enable", "enabled"]
        keys.send_text("\x04")
        with pytest.raises(EOFError):
            read()
    assert "sym enable" in (tmp_path / "pyemu" / "history").read_text()


def test_colours_are_left_out_where_they_are_not_wanted(tmp_path: Path) -> None:
    colour, _ = talk(["sym enable", "quit"], tmp_path)
    plain, _ = talk(["sym enable", "quit"], tmp_path, NO_COLOR="1")
    assert "\x1b[36m0x" in colour
    assert "\x1b[36m0x" not in plain
    assert "enable" in plain
