"""`pyemu cores`: what a person and a script see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyemu.timing import builtin_cores
from tests.conftest import Completed

OWN = """\
[mine]
base = "cortex-a15"
description = "a larger L2"

[mine.l2]
size_bytes = { value = 2_097_152, unit = "bytes", source = "data sheet" }
"""


def test_the_list_names_each_core_and_how_much_of_it_is_assumed(run_pyemu: Callable[..., Completed]) -> None:
    done = run_pyemu("cores")
    assert (done.status, done.stderr) == (0, "")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("cortex")}
    assert list(lines) == ["cortex-a15", "cortex-a7", "cortex-a9"]
    for name, core in builtin_cores().items():
        assumed = sum(entry.assumed for entry in core.parameters.values())
        assert lines[name].split()[3:5] == [str(len(core.parameters)), str(assumed)]


def test_a_core_is_printed_with_value_unit_and_source(run_pyemu: Callable[..., Completed]) -> None:
    done = run_pyemu("cores", "cortex-a15")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["l2.hit_cycles", "21", "cycles", "7-cpu.com,", "Exynos", "5250"] in lines
    assert ["system.dsb_cycles", "20", "cycles", "assumed"] in lines
    printed = {words[0] for words in lines if words}
    assert printed >= set(builtin_cores()["cortex-a15"].parameters)


def test_json_has_every_parameter(run_pyemu: Callable[..., Completed]) -> None:
    parameters = run_pyemu("cores", "cortex-a9", "--json").json["parameters"]
    assert parameters["l2.hit_cycles"] == {
        "value": 23,
        "unit": "cycles",
        "source": "7-cpu.com, Exynos 4210",
        "assumed": False,
    }
    assert set(run_pyemu("cores", "--json").json) == set(builtin_cores())


def test_a_file_adds_cores_and_can_be_checked(run_pyemu: Callable[..., Completed], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN)
    core = run_pyemu("cores", "mine", "--file", "mine.toml", "--json", cwd=tmp_path).json
    assert (core["base"], core["parameters"]["l2.size_bytes"]["value"]) == ("cortex-a15", 2 << 20)
    done = run_pyemu("cores", "--check", "mine.toml", cwd=tmp_path)
    assert (done.status, done.stdout) == (0, "mine.toml: valid: mine\n")


def test_a_mistake_is_one_line_with_status_2(run_pyemu: Callable[..., Completed], tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(OWN.replace("2_097_152", "-1"))
    (tmp_path / "mine.toml").write_text(OWN)
    cases = (
        (["cortex-a8"], "no core 'cortex-a8': there are cortex-a15"),
        (["--check", "bad.toml"], "bad.toml: mine.l2.size_bytes: -1 bytes is negative"),
        (["mine", "--file", "bad.toml"], "bad.toml: mine.l2.size_bytes: -1 bytes is negative"),
        (["--check", "missing.toml"], "missing.toml: No such file"),
        (["mine", "--check", "mine.toml"], "--check takes no NAME"),
        (["--file", "mine.toml", "--check", "mine.toml"], "not allowed with"),
    )
    for arguments, part in cases:
        done = run_pyemu("cores", *arguments, cwd=tmp_path)
        assert (done.status, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert part in done.stderr
