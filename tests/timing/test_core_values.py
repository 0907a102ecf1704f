"""Cores that a program makes: one parameter changed, written as JSON and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.config import MachineConfig, UserError
from pyemu.timing import Caches, Core, builtin_cores, configured_core, read_core
from pyemu.timing.schema import keys

A15 = read_core("cortex-a15")


def test_a_changed_parameter_is_used_and_says_who_set_it() -> None:
    core = A15.with_values({"l1d.hit_cycles": 9, "main_tlb.page_bytes": (4096,)}, source="a sweep")
    caches = Caches(core)
    caches.access(0x1000)
    assert caches.access(0x1000) == core["l1d.hit_cycles"] == 9
    assert core["main_tlb.page_bytes"] == (4096,)
    assert core.parameters["l1d.hit_cycles"].source == "a sweep"
    changed = {name for name in keys() if core.parameters[name] != A15.parameters[name]}
    assert changed == {"l1d.hit_cycles", "main_tlb.page_bytes"}
    assert A15["l1d.hit_cycles"] == 4
    assert (core.name, A15.with_values({}, name="other").name) == ("cortex-a15", "other")


def test_a_value_that_a_program_sets_is_assumed_unless_it_says_otherwise() -> None:
    assert set(A15.with_values({"l2.hit_cycles": 22}).assumed) == {*A15.assumed, "l2.hit_cycles"}


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"l1d.hits": 3}, r"cortex-a15\.l1d\.hits: unknown key: l1d\.hit_cycles would be right"),
        ({"l1d.hit_cycles": -1}, r"cortex-a15\.l1d\.hit_cycles: -1 cycles is negative"),
        ({"l1d.hit_cycles": "4"}, r"cortex-a15\.l1d\.hit_cycles: '4' is no whole number"),
        ({"l1d.size_bytes": 30_000}, r"cortex-a15\.l1d\.size_bytes: 30000"),
        ({"main_tlb.page_bytes": (5,)}, r"cortex-a15\.main_tlb\.page_bytes: \[5\] is no list of page sizes"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(values: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        A15.with_values(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", builtin_cores())
def test_a_core_comes_back_from_json_as_it_was(name: str) -> None:
    core = read_core(name)
    assert Core.from_dict(json.loads(json.dumps(core.as_dict()))) == core


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_damaged_json_is_a_users_mistake_in_one_line(data: st.DataObject) -> None:
    """Any part of a core replaced by any JSON value is refused, or is a core."""
    core: Any = json.loads(json.dumps(A15.as_dict()))
    home, key = core, data.draw(st.sampled_from(sorted(core)))
    while isinstance(home[key], dict) and data.draw(st.booleans()):
        home = home[key]
        key = data.draw(st.sampled_from(sorted(home)))
    home[key] = data.draw(JSON)
    read, complaint = read_or_complain(core)
    assert "\n" not in complaint
    if read is not None:
        assert set(read.parameters) == set(keys())


def read_or_complain(core: Any) -> tuple[Core | None, str]:
    try:
        return Core.from_dict(core), ""
    except UserError as problem:
        return None, str(problem)


@given(JSON)
def test_any_json_value_is_no_core(value: Any) -> None:
    with pytest.raises(UserError):
        Core.from_dict(value)


def test_a_configuration_names_its_core(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[mine]\nbase = "cortex-a7"\n')
    assert configured_core(MachineConfig()).name == "cortex-a15"
    assert configured_core(MachineConfig(cpu="cortex-a7")).name == "cortex-a7"
    assert configured_core(MachineConfig(core="cortex-a9")).name == "cortex-a9"
    assert configured_core(MachineConfig(core_file=path)).name == "mine"
    assert configured_core(MachineConfig(core="cortex-a9", core_file=path)).name == "cortex-a9"
    path.write_text('[mine]\nbase = "cortex-a7"\n[yours]\nbase = "mine"\n')
    with pytest.raises(UserError, match=r"own\.toml: it has 2 cores, choose one: mine, yours"):
        configured_core(MachineConfig(core_file=path))
    assert configured_core(MachineConfig(core="yours", core_file=path)).base == "mine"
