"""Parameter sets of cores: what is built in, what a file may say, how one wrong key is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyemu.config import UserError
from pyemu.native import NativeError, check, error, lib
from pyemu.timing import builtin_cores, load_cores, read_core
from pyemu.timing.schema import keys

# The measured figures that the model stands on (7-cpu.com) and what the reference manuals say of each core.
PUBLISHED = {
    "cortex-a15": {
        "clock_hz": 1_700_000_000,
        "l1d.size_bytes": 32 << 10,
        "l1d.ways": 2,
        "l1d.line_bytes": 64,
        "l1d.hit_cycles": 4,
        "l2.size_bytes": 1 << 20,
        "l2.ways": 16,
        "l2.hit_cycles": 21,
        "memory.dram_ns": 110,
        "micro_instruction.entries": 32,
        "micro_load.entries": 32,
        "micro_store.entries": 32,
        "micro_load.miss_cycles": 12,
        "main_tlb.entries": 512,
        "main_tlb.ways": 4,
        "walk.cache_entries": 16,
        "walk.cache_reach_bytes": 1 << 20,
    },
    "cortex-a7": {
        "main_tlb.entries": 256,
        "main_tlb.ways": 2,
        "micro_load.entries": 10,
        "micro_store.entries": 0,
    },
    "cortex-a9": {
        "clock_hz": 1_200_000_000,
        "l1d.ways": 4,
        "l1d.line_bytes": 32,
        "l1d.hit_cycles": 4,
        "l2.hit_cycles": 23,
        "memory.dram_ns": 110,
        "micro_load.entries": 32,
        "micro_load.miss_cycles": 7,
        "main_tlb.entries": 128,
        "main_tlb.ways": 2,
    },
}


def value(number: Any, unit: str = "cycles", source: str = "assumed") -> str:
    return f'{{ value = {number}, unit = "{unit}", source = "{source}" }}'


def own(text: str) -> str:
    """A file with a core on the base of cortex-a15 and further lines."""
    return f'[mine]\nbase = "cortex-a15"\n{text}\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_built_in_core_has_the_published_figures(name: str) -> None:
    core = read_core(name)
    assert {key: core[key] for key in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_value_of_a_built_in_core_has_its_unit_and_a_source(name: str) -> None:
    core = builtin_cores()[name]
    assert list(core.parameters) == list(keys())
    for key, parameter in core.parameters.items():
        assert parameter.unit == keys()[key].unit
        sourced = ("7-cpu.com", "ARM DDI", "gem5 configs", "hardwarebug.org")
        assert parameter.source.startswith(sourced) != parameter.assumed, (key, parameter.source)


def test_a_main_tlb_miss_costs_what_was_published_for_a_descriptor_in_the_cache() -> None:
    a15, a9 = read_core("cortex-a15"), read_core("cortex-a9")
    assert a15["main_tlb.miss_cycles"] + a15["l2.hit_cycles"] == 30
    assert 10 <= a15["main_tlb.miss_cycles"] + a15["l1d.hit_cycles"] <= 30
    assert a9["main_tlb.miss_cycles"] + a9["l1d.hit_cycles"] == 7


def test_the_c_struct_holds_the_values() -> None:
    native = read_core("cortex-a15").native()
    assert (native.clock_hz, native.l2.size_bytes, native.l1d.hit_cycles) == (1_700_000_000, 1 << 20, 4)
    assert native.l2.replacement == lib.PE_REPLACE_RANDOM
    assert native.main_tlb.page_bytes == 1 << 12 | 1 << 16 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 30
    assert native.l1d.write_allocate is True
    assert lib.pe_core_dram_cycles(native) == 187  # 110 ns at 1.7 GHz


def test_a_core_on_a_base_changes_only_what_it_gives(tmp_path: Path) -> None:
    path = write(tmp_path, own(f"[mine.l2]\nsize_bytes = {value(2 << 20, 'bytes', 'data sheet')}"))
    core, base = read_core("mine", path), read_core("cortex-a15")
    changed = {key for key in core.parameters if core[key] != base[key]}
    assert (changed, core["l2.size_bytes"], core.base) == ({"l2.size_bytes"}, 2 << 20, "cortex-a15")
    assert core.parameters["l2.size_bytes"].source == "data sheet"


def test_a_core_may_stand_on_one_before_it_in_the_same_file(tmp_path: Path) -> None:
    text = own(f"[mine.memory]\ndram_ns = {value(80, 'ns')}") + '[other]\nbase = "mine"\n'
    assert load_cores(write(tmp_path, text))["other"]["memory.dram_ns"] == 80


def test_without_a_base_a_core_gives_everything(tmp_path: Path) -> None:
    text = (
        (Path(__file__).parents[2] / "pyemu/timing/data/cores.toml")
        .read_text()
        .replace("[cortex-a15", "[whole")
    )
    cores = load_cores(write(tmp_path, text))
    assert dict(cores["whole"].parameters) == dict(read_core("cortex-a15").parameters)
    assert cores["whole"].base is None


MISTAKES = {
    "unknown key": (
        own(f"[mine.l1d]\nhit_cylces = {value(4)}"),
        "mine.l1d.hit_cylces: unknown key: l1d.hit_cycles",
    ),
    "unknown group": (own(f"[mine.l3]\nhit_cycles = {value(4)}"), "mine.l3: unknown key: "),
    "negative latency": (
        own(f"[mine.l1d]\nhit_cycles = {value(-4)}"),
        "mine.l1d.hit_cycles: -4 cycles is negative: 0",
    ),
    "size": (
        own(f"[mine.l1d]\nsize_bytes = {value(30000, 'bytes')}"),
        "mine.l1d.size_bytes: 30000 is not 2 ways x a power of two of sets x lines of 64 bytes: 32768 ",
    ),
    "sets no power of two": (
        own(f"[mine.l1d]\nways = {value(3, 'ways')}"),
        "mine.l1d.size_bytes: 32768 is not 3 ways x a power of two of sets x lines of 64 bytes: 24576 ",
    ),
    "line": (
        own(f"[mine.l1d]\nline_bytes = {value(48, 'bytes')}"),
        "mine.l1d.line_bytes: 48 is no power of two: 32",
    ),
    "line of L2": (
        own(f"[mine.l2]\nline_bytes = {value(32, 'bytes')}"),
        "mine.l2.line_bytes: 32 is less than a line of L1",
    ),
    "no unit": (
        own('[mine.l1d]\nhit_cycles = { value = 4, source = "assumed" }'),
        'mine.l1d.hit_cycles: the unit is missing: { value = ..., unit = "cycles", source = "..." } would',
    ),
    "no source": (
        own('[mine.l1d]\nhit_cycles = { value = 4, unit = "cycles" }'),
        "hit_cycles: the source is missing",
    ),
    "empty source": (
        own(f"[mine.l1d]\nhit_cycles = {value(4, source=' ')}"),
        "hit_cycles: the source is ' '",
    ),
    "wrong unit": (
        own(f"[mine.memory]\ndram_ns = {value(110, 'us')}"),
        "mine.memory.dram_ns: the unit is 'us': \"ns\"",
    ),
    "bare number": (own("[mine.l1d]\nhit_cycles = 4"), "mine.l1d.hit_cycles: 4 has no unit and no source: "),
    "text": (
        own(f"[mine.l1d]\nhit_cycles = {value(chr(34) + 'four' + chr(34))}"),
        "'four' is no whole number",
    ),
    "fraction": (own(f"[mine.l1d]\nhit_cycles = {value(4.5)}"), "4.5 is no whole number"),
    "boolean for a number": (own(f"[mine.l1d]\nhit_cycles = {value('true')}"), "True is no whole number"),
    "number for a boolean": (
        own(f"[mine.l1d]\nwrite_allocate = {value(1, 'boolean')}"),
        "1 is no boolean: true or",
    ),
    "policy": (
        own(f"[mine.l2]\nreplacement = {value(chr(34) + 'fifo' + chr(34), 'policy')}"),
        "'fifo' is no replacement",
    ),
    "page size": (
        own(f"[mine.main_tlb]\npage_bytes = {value('[4096, 8192]', 'bytes')}"),
        "is no list of page sizes",
    ),
    "no small page": (
        own(f"[mine.main_tlb]\npage_bytes = {value('[65536]', 'bytes')}"),
        "mine.main_tlb.page_bytes: the sizes add up to 0x10000: 4096 and any of",
    ),
    "too large": (own(f"[mine.l1d]\nhit_cycles = {value(1 << 40)}"), "cycles is too much: "),
    "out of range": (
        own(f"[mine.pipeline]\nissue_width = {value(0, 'instructions/cycle')}"),
        "issue_width: 0 is not in range: 1 to 16",
    ),
    "latency out of range": (
        own(f"[mine.latency]\nvfp_add_cycles = {value(100001)}"),
        "mine.latency.vfp_add_cycles: 100001 is",
    ),
    "tlb sets": (
        own(f"[mine.main_tlb]\nentries = {value(500, 'entries')}"),
        "500 is not 4 ways x a power of two of sets: 512",
    ),
    "history": (
        own(f"[mine.pipeline]\nhistory_entries = {value(1000, 'entries')}"),
        "1000 is no power of two: 1024",
    ),
    "walk reach": (
        own(f"[mine.walk]\ncache_reach_bytes = {value(3, 'bytes')}"),
        "mine.walk.cache_reach_bytes: 3 is no",
    ),
    "clock": (own(f"clock_hz = {value(1, 'Hz')}"), "mine.clock_hz: 1 is not in range: 1000000 to"),
    "further key": (
        own('[mine.l1d]\nhit_cycles = { value = 4, unit = "cycles", source = "assumed", note = "" }'),
        "key 'note'",
    ),
    "group no table": (own("l1d = 3"), "mine.l1d: not a table: [mine.l1d] would be right"),
    "base": (
        '[mine]\nbase = "cortex-a14"\n',
        "mine.base: no core 'cortex-a14': one of cortex-a15, cortex-a7, cortex-a9",
    ),
    "base no text": ("[mine]\nbase = 7\n", "mine.base: 7 is no text"),
    "no base": ("[mine]\n", "mine.clock_hz: missing: "),
    "core no table": ("mine = 1\n", "mine: not a table: [mine] would be right"),
    "name": ('["a b"]\nbase = "cortex-a15"\n', "'a b': letters, digits"),
    "empty": ("", "no core in it"),
    "no TOML": ("[mine", "not a TOML file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_file_and_key_and_what_would_be_right(
    tmp_path: Path, mistake: str
) -> None:
    text, part = MISTAKES[mistake]
    path = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_cores(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert part in message
    assert "\n" not in message


def test_a_core_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no core 'cortex-a8': there are cortex-a15, cortex-a7, cortex-a9"):
        read_core("cortex-a8")
    with pytest.raises(UserError, match=r"no core 'your' in .*mine\.toml: there are .*mine"):
        read_core("your", write(tmp_path, own("")))


def test_a_file_that_cannot_be_read_is_a_users_mistake(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(UserError, match=str(path)):
            load_cores(path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not a TOML file"):
        load_cores(tmp_path / "binary.toml")
    (tmp_path / "long.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UserError, match="larger than 1M"):
        load_cores(tmp_path / "long.toml")


@given(
    st.sampled_from(sorted(keys())),
    st.one_of(st.integers(-(1 << 70), 1 << 70), st.booleans(), st.floats(), st.text()),
)
def test_any_value_is_either_taken_or_refused_with_a_reason(name: str, number: Any) -> None:
    key = keys()[name]
    reason = key.complain(number)
    if reason is not None:
        assert "would be right" in reason
        return
    core = read_core("cortex-a15").native()
    group, _, inner = name.rpartition(".")
    setattr(getattr(core, group) if group else core, inner, key.native(number))
    err = error()
    if lib.pe_core_check(core, err) != lib.PE_OK:
        with pytest.raises(NativeError, match="would be right") as problem:
            check(err.status, err)
        assert str(problem.value).startswith((group, "l2.line_bytes") if group else name)
