"""`pyemu gup`: gup_test's options and lines, what a page costs, what is refused, what is reported."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.conftest import Completed

Run = Callable[..., Completed]
RULE = "HIGHPTE depends on HIGHMEM && !PREEMPT_RT"
CHAIN = [
    "gup_fast_pgd_range",
    "gup_fast_pte_range",
    "__pte_offset_map",
    "__kmap_local_page_prot",
    "kmap_high_get",
]
FORBIDDEN = ("--highpte", "--preempt-rt")
SMALL = ("-m", "2", "--timing", "off")


def line_of(done: Completed, start: str) -> str:
    """The line that begins so, without its beginning."""
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(start))
    return line.removeprefix(start)


def test_the_first_line_is_that_of_gup_test_and_figures_follow(run_pyemu: Run) -> None:
    done = run_pyemu("gup", "-m", "4")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    match = re.fullmatch(r"# GUP_FAST_BENCHMARK: Time: get:(\d+) put:(\d+) us", lines[0])
    assert match
    assert lines[1] == "ok 1 ioctl status 0"
    figures = re.match(
        r"([\d.]+) instructions and ([\d.]+) cycles a page, ([\d.]+) us", line_of(done, "get: ")
    )
    assert figures
    assert int(match[1]) == int(float(figures[3].replace(",", "")))
    assert float(figures[2]) * 1024 / 1700 == pytest.approx(float(figures[3]), rel=0.01)
    assert re.fullmatch(r"[\d,]+ pages per second", line_of(done, "host: "))
    assert "no report" in lines


def test_the_ledger_adds_up(run_pyemu: Run) -> None:
    done = run_pyemu("gup", "-m", "4")
    rows = [
        re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines() if re.search(r"\d {2,}\d", line)
    ]
    cells = {row[0]: [int(cell.replace(",", "")) for cell in (row[1], *row[-2:])] for row in rows}
    whole = cells.pop("all")
    assert {"instructions", "barriers", "TLB maintenance", "walk"} < set(cells)
    assert [sum(row[i] for row in cells.values()) for i in range(3)] == whole
    assert whole[0] == whole[1] + whole[2]


@pytest.mark.parametrize(
    ("options", "name", "timed"),
    [
        (["-u"], "GUP_FAST_BENCHMARK", True),
        (["-U"], "GUP_BASIC_TEST", False),
        (["-a"], "PIN_FAST_BENCHMARK", True),
        (["-b"], "PIN_BASIC_TEST", False),
        (["-L"], "PIN_LONGTERM_BENCHMARK", True),
        (["-U", "-u"], "GUP_FAST_BENCHMARK", True),
    ],
)
def test_each_command_prints_its_name_and_time_as_gup_test_does(
    run_pyemu: Run, options: list[str], name: str, timed: bool
) -> None:
    done = run_pyemu("gup", *SMALL, "-r", "2", *options)
    first, second, third = done.stdout.splitlines()[:3]
    form = rf"# {name}: Time: get:\d+ put:\d+ us" if timed else f"# {name}: done"
    assert re.fullmatch(form, first)
    assert re.fullmatch(form, second)
    assert third == "ok 1 ioctl status 0"


def test_options_do_what_they_do_in_gup_test(run_pyemu: Run) -> None:
    def stats(*options: str) -> dict[str, float]:
        found = run_pyemu("gup", *SMALL, "-n", "64", "--json", *options).json
        return {**found["stats"], "insns": found["instructions_per_page"], "pages": found["pages"]}

    plain = stats()
    assert (plain["pages"], plain["gup_fast_pages"], plain["pte_windows"]) == (512, 512, 8)
    assert stats("-r", "3")["pages"] == 3 * 512
    assert stats("-m", "4")["pages"] == 1024
    assert stats("-n", "-1")["pte_windows"] == stats("-n", "512")["pte_windows"] in (1, 2)
    assert stats("-t")["pte_maps"] == 0
    assert stats("-T")["pte_windows"] == 8
    assert stats("-a")["unpinned_pages"] == 512
    assert stats("-a")["insns"] > plain["insns"]
    assert stats("-U")["gup_slow_pages"] == 512
    assert stats("-W")["gup_fast_pages"] == stats("-w")["gup_fast_pages"] == 512
    assert stats("-S")["gup_fast_pages"] == 512
    assert stats("--no-highpte")["pte_windows"] == stats("--mem", "512M")["pte_windows"] == 0
    assert stats("--tables", "classic")["gup_slow_pages"] == 512


def test_json_is_one_object_with_the_figures_the_ledger_and_the_reports(run_pyemu: Run) -> None:
    done = run_pyemu("gup", "-m", "4", "-n", "8", *FORBIDDEN, "--force", "--json")
    assert done.stdout.count("\n") == 1
    found = done.json
    assert found["host_pages_per_second"] > 0
    get = found["ledger"]
    assert found["instructions_per_page"] * found["pages"] == get["instructions"]["events"]
    cycles = sum(charge["cycles"] for charge in get.values())
    assert found["cycles_per_page"] * found["pages"] == pytest.approx(cycles)
    assert found["get_usec"] == [cycles * 1_000_000 // found["clock_hz"]]
    assert found["kernel"]["broken_rules"] == [RULE]
    assert [report["lock"] for report in found["reports"]] == ["kmap_lock", "page_address_htable[n].lock"]
    for report in found["reports"]:
        assert (report["kind"], report["count"]) == ("sleeping_function", 128)
        assert (report["irqs_disabled"], report["blocked"], report["name"]) == (True, False, "gup_test")
        assert [name for name in report["chain"] if name in CHAIN] == CHAIN


def test_two_runs_count_the_same(run_pyemu: Run) -> None:
    first, second = (run_pyemu("gup", "-m", "4", "--json").json for _ in range(2))
    for found in (first, second):
        del found["host_pages_per_second"]
    assert first == second


def test_what_kconfig_forbids_is_refused_with_its_reason(run_pyemu: Run) -> None:
    done = run_pyemu("gup", *FORBIDDEN)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert RULE in done.stderr
    assert "--force builds it all the same" in done.stderr


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--no-highmem", "--highpte"], "HIGHPTE depends on HIGHMEM"),
        (["--tables", "lpae", "--vmsplit", "3g_opt"], "VMSPLIT_3G_OPT depends on !ARM_LPAE"),
        (["--tables", "classic", "--mem", "16G"], "RAM above 4 GB depends on ARM_LPAE"),
    ],
)
def test_what_cannot_be_gets_the_rule_that_forbids_it(run_pyemu: Run, options: list[str], rule: str) -> None:
    done = run_pyemu("gup", *options)
    assert (done.status, done.stdout) == (2, "")
    assert rule in done.stderr
    assert done.stderr.count("\n") == 1


def test_forced_it_completes_and_shows_the_report_of_both_locks(run_pyemu: Run) -> None:
    done = run_pyemu("gup", *SMALL, *FORBIDDEN, "--force")
    assert (done.status, done.stderr) == (0, "")
    assert f"forced against: {RULE}" in line_of(done, "kernel: ")
    chains = re.findall(r"^call chain: (.*)$", done.stdout, re.M)
    assert len(chains) == 2
    for chain in chains:
        assert [name for name in chain.split(" → ") if name in CHAIN] == CHAIN
    assert done.stdout.count("BUG: sleeping function called from invalid context at") == 2
    assert done.stdout.count("irqs_disabled(): 128, non_block: 0, pid: 1, name: gup_test") == 2
    assert re.findall(r"^lock: (\S+)$", done.stdout, re.M) == ["kmap_lock", "page_address_htable[n].lock"]


@pytest.mark.parametrize("choice", ["off", "erratum", "debug-highmem"])
def test_without_high_get_nothing_is_reported(run_pyemu: Run, choice: str) -> None:
    done = run_pyemu("gup", *SMALL, *FORBIDDEN, "--force", "--high-get", choice)
    assert done.stdout.splitlines()[-1] == "no report"


@pytest.mark.parametrize("remedy", ["no-highpte", "no-fast-gup", "trylock", "skip-high-get"])
def test_each_remedy_needs_no_force_reports_nothing_and_has_its_cost(run_pyemu: Run, remedy: str) -> None:
    forced = run_pyemu("gup", *SMALL, *FORBIDDEN, "--force", "--json").json
    found = run_pyemu("gup", *SMALL, *FORBIDDEN, "--remedy", remedy, "--json").json
    assert found["reports"] == []
    assert found["pages"] == 512
    more, most = found["instructions_per_page"], forced["instructions_per_page"]
    assert {"no-fast-gup": more > most, "trylock": more == pytest.approx(most, rel=0.1)}.get(
        remedy, more < most
    )


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--tables", "lpae", "--vmsplit", "3g_opt"], "VMSPLIT_3G_OPT depends on !ARM_LPAE"),
        (["--tables", "classic", "--mem", "16G"], "depends on ARM_LPAE"),
        (["--mem", "0"], "64M to 64G"),
        (["--mem", "4Q"], "'4Q' is not a size"),
        (["--core", "cortex-m3"], "cortex-m3"),
        (["--remedy", "prayer"], "invalid choice: 'prayer'"),
        (["-m", "0"], "-m 0"),
        (["-m", "5000"], "1 to 4095 megabytes"),
        (["-m", "4000", "--mem", "16G"], "a mapping of 4000 MB: Cannot allocate memory"),
        (["-m", "487", "--mem", "512M"], "memory ran out after"),
        (["-n", "0"], "0 pages a call"),
        (["-n", "many"], "'many' is not a number"),
        (["-r", "0"], "0 repeats"),
        (["-z"], "unrecognized arguments: -z"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_with_status_2(run_pyemu: Run, options: list[str], part: str) -> None:
    done = run_pyemu("gup", *options)
    assert (done.status, done.stdout) == (2, "")
    assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_has_examples_of_what_it_is_for(run_pyemu: Run) -> None:
    text = run_pyemu("gup", "--help").stdout
    for option in ("-m", "-r", "-n", "-t", "-T", "-w", "-W", "-u", "-U", "-a", "-b", "-L", "-S"):
        assert f"  {option} " in text
    assert "pyemu gup --highpte --preempt-rt --force" in text
