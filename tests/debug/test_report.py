"""``pyemu report``: one file that shows what the session knows, also in a browser."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyemu.config import MachineConfig
from pyemu.debug import LiveTarget, Session
from pyemu.debug.opening import open_kernel
from pyemu.debug.report import render_page, write_report
from pyemu.debug.report.collect import collect
from pyemu.kernel import KernelConfig
from pyemu.kernel.bill import read_spent
from pyemu.machine import Machine
from pyemu.mmu import Access, mapped_ranges
from tests.conftest import ROOT, Completed, unavailable
from tests.debug.targets import run_image

MIB = 1 << 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1200, 1600


class Links(html.parser.HTMLParser):
    """Every reference to something outside the file, and what the scripts hold."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._script = (values.get("type") or "js") if tag == "script" else None
        for name in ("src", "href", "data", "action", "poster"):
            if values.get(name) and not str(values[name]).startswith("data:"):
                self.outside.append(str(values[name]))

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))


def page_data(path: Path) -> dict[str, Any]:
    links = Links()
    links.feed(path.read_text())
    assert links.outside == []
    (data,) = [text for kind, text in links.scripts if kind == "application/json"]
    found: dict[str, Any] = json.loads(data)
    return found


@pytest.fixture(scope="module")
def timed() -> Machine:
    machine = Machine(MachineConfig(memory_bytes=64 * MIB, timing="cache"))
    machine.load(ROOT / "firmware/elf/lpae.elf")
    machine.run(max_insns=200_000)
    return machine


@pytest.fixture(scope="module")
def page(timed: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "page.html"
    write_report(Session(LiveTarget(timed, name="a guest")), path)
    return path


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text()
    assert page_data(page)["name"] == "a guest"
    assert not re.search(r"https?://|@import|url\((?!data:)", text)
    assert "/*data*/" not in text
    assert "fetch(" not in text
    assert "import(" not in text


def test_its_ranges_are_what_the_tables_map(page: Path, timed: Machine) -> None:
    data = page_data(page)
    expected = [r for r in mapped_ranges(timed.mem, timed.regime(), contiguous=True) if not r.outside]
    assert [row[:5] for row in data["ranges"]] == [
        [r.va, r.size, r.pa, r.leaf_size, r.level] for r in expected
    ]
    assert data["mapped"] == sum(r.size for r in expected)
    for va, size, pa, *_, kind in data["ranges"]:
        for offset in (0, size - 1):
            t = timed.translate(va + offset, Access.READ, privileged=True)
            assert t.pa == pa + offset
            assert ("r" in data["kinds"][kind]["kernel"]) == t.ok


def test_tlb_and_bill_are_there_with_timing_only(page: Path, timed: Machine) -> None:
    data = page_data(page)
    assert data["bill"]["cycles"] == timed.bill().cycles == sum(row["cycles"] for row in data["bill"]["rows"])
    assert len(data["tlb"]["entries"]) > 4
    with Machine(MachineConfig(memory_bytes=64 * MIB)) as machine:
        plain = collect(Session(LiveTarget(machine)))
    assert (plain["tlb"], plain["bill"], plain["ranges"], plain["mmu_on"]) == (None, None, [], False)


def test_an_entry_that_the_tables_contradict_is_marked(tmp_path: Path) -> None:
    """A page is moved behind the guest's back: its TLB entry is the only one that differs."""
    with Machine(MachineConfig(memory_bytes=64 * MIB, timing="tlb")) as machine:
        machine.load(ROOT / "firmware/elf/lpae.elf")
        machine.run(max_insns=200_000)
        session = Session(LiveTarget(machine))
        before = collect(session)["tlb"]["entries"]
        assert not any(entry["stale"] for entry in before)
        entry = next(e for e in before if e["array"] == "main" and e["size"] == 4096)
        step = machine.walk(entry["va"]).steps[-1]
        machine.write_phys(step.descriptor_pa, (step.descriptor + 0x10_0000).to_bytes(8, "little"))
        stale = [e for e in collect(session)["tlb"]["entries"] if e["stale"]]
    assert {e["va"] for e in stale} == {entry["va"]}
    assert stale[0]["tables"] == f"{entry['pa'] + 0x10_0000:#x}"


def test_findings_are_those_of_doctor_mmu(run_pyemu: Callable[..., Completed], tmp_path: Path) -> None:
    """With --max-insns the run is on record: the finding says who wrote the descriptor."""
    path = tmp_path / "page.html"
    blob = ROOT / "firmware/elf/broken-missing_tlbi.elf"
    done = run_pyemu("report", blob, "--timing", "tlb", "--max-insns", "100000", "-o", path)
    assert done.status == 0
    data = page_data(path)
    (found,) = data["findings"]["findings"]
    assert found["check"] == "missing TLBI"
    assert "written at 0x400100dc" in found["text"]
    assert {e["va"] for e in data["tlb"]["entries"] if e["stale"]} == {0x8000_0000}


def test_registers_are_marked_where_they_point_to() -> None:
    session, _ = run_image("broken-uart_unmapped")
    with session:
        marks = {mark["name"]: mark["va"] for mark in collect(session)["marks"]}
        assert marks == {"PC": 0x4001_0150, "DFAR": 0x0900_0000}  # SP of abort mode was never set
        session.machine.set_reg("sp", 0x4020_0000)
        assert [mark["name"] for mark in collect(session)["marks"]] == ["DFAR", "PC", "SP"]


def test_text_of_the_guest_cannot_leave_its_place(page: Path, tmp_path: Path) -> None:
    data = page_data(page)
    data["name"] = "</script><script>throw 1</script><!--"
    (tmp_path / "page.html").write_text(render_page(data))
    assert page_data(tmp_path / "page.html")["name"] == data["name"]


def test_the_same_guest_gives_the_same_page(page: Path, timed: Machine, tmp_path: Path) -> None:
    write_report(Session(LiveTarget(timed, name="a guest")), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_command(run_pyemu: Callable[..., Completed], tmp_path: Path) -> None:
    blob = ROOT / "firmware/elf/lpae.elf"
    path = tmp_path / "page.html"
    done = run_pyemu("report", blob, "--timing", "tlb", "--max-insns", "1000000", "-o", path)
    assert (done.status, done.stderr) == (0, "")
    assert page_data(path)["mmu_on"]
    for args, why in (
        ((blob, "-o", tmp_path / "no" / "page.html"), "cannot write the report"),
        ((blob, "-o", path, "--max-insns", "0"), "above 0"),
        ((tmp_path / "none", "-o", path), "No such file"),
    ):
        done = run_pyemu("report", *args)
        assert (done.status, done.stdout) == (2, "")
        assert why in done.stderr
        assert done.stderr.count("\n") == 1


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    return found or unavailable("no Chromium is installed (Debian: apt install chromium)")


def headless(browser: str, profile: Path, *args: str) -> str:
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ]
    command += [f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def element(dom: str, identity: str) -> str:
    """The text inside an element."""
    found = re.search(rf'<(\w+)[^>]*\bid="{identity}"[^>]*>(.*?)</\1>', dom, re.S)
    assert found is not None, identity
    return re.sub(r"<[^>]*>", " ", found[2])


def test_a_browser_shows_the_page_without_an_error(browser: str, page: Path, tmp_path: Path) -> None:
    dom = headless(browser, tmp_path, "--dump-dom", f"{page.as_uri()}#va=0x40010000")
    data = page_data(page)
    assert 'data-ready="true"' in dom
    assert element(dom, "error").strip() == ""
    assert element(dom, "title") == "a guest"
    assert element(dom, "selected").startswith("0x40010000-")
    assert dom.count('class="link"') == len(data["ranges"])
    assert len(re.findall(r">L[12] table 0x", dom)) >= 3
    assert f"{data['bill']['cycles']:,} cycles of cortex-a15" in element(dom, "bill-summary")
    findings, notes = data["findings"]["findings"], data["findings"]["notes"]
    assert len(findings) + len(notes) == len(re.findall(r"<li>", dom))
    assert data["findings"]["state"] in element(dom, "state")
    assert "TTBR0" in element(dom, "regime")
    assert "EAE=1" in element(dom, "regime")


def close(pixel: Any, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return all(abs(float(a) - b) < 0.02 for a, b in zip(pixel, wanted, strict=False))


def test_a_screenshot_has_the_map_to_scale(browser: str, page: Path, tmp_path: Path) -> None:
    """The overview is as wide as 4 GB: the colour at each sample is that of the range there, or of a hole."""
    from matplotlib.image import imread

    shot = tmp_path / "page.png"
    headless(browser, tmp_path / "profile", f"--screenshot={shot}", page.as_uri())
    pixels = imread(shot)
    assert pixels.shape[:2] == (HEIGHT, WIDTH)
    data = page_data(page)
    colours = {"rwx": "#e0559a", "rw-": "#d99b1f", "r-x": "#7a5bc0"}
    row, left, right = map_row(pixels)
    checked = set()
    for va, size, *_, kind in data["ranges"]:
        if size < 64 * MIB:
            continue
        x = left + int((va + size / 2) / (1 << 32) * (right - left))
        user = data["kinds"][kind]["user"]
        assert close(pixels[row][x], colours[user]), (hex(va), pixels[row][x])
        checked.add(user)
    assert checked
    hole = left + int(0xE000_0000 / (1 << 32) * (right - left))
    assert close(pixels[row][hole], "#eceded")


def map_row(pixels: Any) -> tuple[int, int, int]:
    """A row inside the overview and its ends: the first rectangle with the colour of the mark."""
    mark = "#c2410c"
    for y in range(0, HEIGHT, 1):
        marked = [x for x in range(WIDTH) if close(pixels[y][x], mark)]
        if len(marked) > WIDTH / 2:
            return y + 17, marked[0], marked[-1]
    raise AssertionError("no overview on the page")


def test_a_kernel_model_without_a_program_has_tlb_and_bill(tmp_path: Path) -> None:
    with Session(open_kernel(KernelConfig(timing="tlb", core="cortex-a15"))) as session:
        for line in ("spawn bench", "mmap 64K 0x10000000", "touch 0x10000000 4 w"):
            session.execute(line)
        write_report(session, tmp_path / "page.html")
        spent, main = read_spent(session.target.kernel), session.execute("tlb main").entries
    data = page_data(tmp_path / "page.html")
    shown = [entry["va"] for entry in data["tlb"]["entries"] if entry["array"] == "main"]
    assert shown == [held.entry.va for held in main]
    assert shown
    assert data["bill"]["cycles"] == spent.cycles > 0
    assert data["bill"]["core"] == "cortex-a15"
