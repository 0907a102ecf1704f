"""Configurations: what is accepted, and the one line that says why something is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyemu.config import (
    GIB,
    MAX_CPUS,
    MAX_MEMORY_BYTES,
    MAX_QUANTUM,
    MIB,
    MIN_MEMORY_BYTES,
    MachineConfig,
    UserError,
    format_size,
    parse_memory,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16M", 16 * MIB),
        ("1G", GIB),
        ("64g", 64 * GIB),
        ("512MiB", 512 * MIB),
        ("1048576K", GIB),
        ("0x40000000", GIB),
        ("1073741824", GIB),
        (" 2 GB ", 2 * GIB),
    ],
)
def test_a_memory_size_takes_units(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0", "less than 16M"),
        ("17", "17 bytes"),
        ("4Q", "is not a size"),
        ("65G", "more than 64G"),
        ("-1G", "is not a size"),
        ("", "is not a size"),
        ("1.5G", "is not a size"),
        ("16777217", "not a multiple of 1M"),
        ("9" * 20 + "G", "more than 64G"),
        ("9" * 5000, "is not a size"),
        ("G", "is not a size"),
        ("0x", "is not a size"),
    ],
)
def test_a_memory_size_that_cannot_be_says_what_would_be_right(text: str, part: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_memory(text)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "M" in str(caught.value)


def test_a_size_formats_back_to_the_text_that_parses_to_it() -> None:
    for size in (0, 17, 1024, 1536 * MIB, 4 * GIB, 3 * MIB + 1):
        assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    "bad",
    [{"cpu": "cortex-a9"}, {"smp": 0}, {"smp": 9}, {"quantum": 0}, {"memory_bytes": 5}, {"timing": "on"}],
)
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UserError):
        MachineConfig(**bad)  # type: ignore[arg-type]


def test_options_that_are_not_given_leave_the_configuration_as_it_is() -> None:
    config = MachineConfig(memory_bytes=4 * GIB, smp=2)
    assert config.with_options(memory_bytes=None, smp=None, cpu="cortex-a7") == MachineConfig(
        4 * GIB, "cortex-a7", 2
    )


def test_a_toml_file_configures_a_machine(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "m.toml"  # type: ignore[operator]
    path.write_text(
        '[machine]\nmem = "4G"\ncpu = "cortex-a7"\nsmp = 2\nsemihosting = false\nstrict_alignment = true\n'
    )
    assert MachineConfig.from_toml(path) == MachineConfig(
        4 * GIB, "cortex-a7", 2, False, strict_alignment=True
    )


def test_the_limits_of_a_configuration_are_those_of_the_core() -> None:
    """They are written in Python too, so that a command line is checked before the core is loaded."""
    from pyemu.machine import Machine
    from pyemu.native import lib

    assert lib.PE_MAX_CPUS == MAX_CPUS
    for size in (MIN_MEMORY_BYTES, MAX_MEMORY_BYTES):
        Machine(MachineConfig(size, smp=MAX_CPUS, quantum=MAX_QUANTUM)).close()


def test_an_unknown_option_names_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"'ram': there are mem, cpu, smp, .*, strict_alignment"):
        MachineConfig().with_options(ram="4G")


@pytest.mark.parametrize(
    "text",
    [
        "machine = 3",
        "[machine]\nmem = true",
        "[machine]\nmem = '4Q'",
        "[machine]\nram = '4G'",
        "[machine]\nsmp = '2'",
        "[machine]\nsmp = true",
        "[machine",
        "[machine]\nsmp = 99",
        "[machine]\ntiming = 'on'",
        "[machine]\ntiming = true",
        "[machine]\ncore = 15",
        "[machine]\ncore_file = ['a']",
    ],
)
def test_a_wrong_toml_file_is_one_line_that_names_the_file(
    text: str, tmp_path: pytest.TempPathFactory
) -> None:
    path = tmp_path / "m.toml"  # type: ignore[operator]
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        MachineConfig.from_toml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_cores_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    for name, found in (("own.toml", tmp_path / "own.toml"), ("/etc/own.toml", Path("/etc/own.toml"))):
        path.write_text(f'[machine]\ntiming = "tlb"\ncore = "mine"\ncore_file = "{name}"\n')
        config = MachineConfig.from_toml(path)
        assert (config.timing, config.core, config.core_file) == ("tlb", "mine", found)
        assert config.with_options(core_file=None) == config
    assert MachineConfig().with_options(core_file="own.toml").core_file == Path("own.toml")


def test_a_missing_toml_file_is_named(tmp_path: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError, match=r"none\.toml: No such file"):
        MachineConfig.from_toml(tmp_path / "none.toml")  # type: ignore[operator]
