"""Plots of a sweep: cost by pages a call, lowmem by RAM, remedies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyemu.config import format_size
from pyemu.lab.figure import COLOURS, MARKERS, figure_of_panels, save_figure
from pyemu.lab.sweep.answers import gup_rows, reference_size, table_rows
from pyemu.lab.sweep.rows import Row

__all__ = ["draw_sweep"]

_Curves = Mapping[str, Sequence[tuple[int, float]]]


def draw_sweep(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Write cost, remedies and lowmem, each .png and .svg, as far as there are rows; returns the paths."""
    paths = []
    size = reference_size(rows)
    if size is not None:
        here = [row for row in rows if row.memory_bytes == size]
        paths += _draw_cost(here, size, directory)
        paths += _draw_remedies(here, size, directory)
    return paths + _draw_lowmem(rows, directory)


def _draw_cost(rows: Sequence[Row], size: int, directory: Path) -> list[Path]:
    names = {False: "PTE pages in lowmem", True: "PTE pages in highmem"}
    with figure_of_panels(2, share_y=False) as (figure, panels):
        for panel, what in zip(panels, ("cycles", "instructions"), strict=True):
            curves = {
                name: [
                    (row.pages_per_call, getattr(row, what)) for row in gup_rows(rows, highpte=on, rt=False)
                ]
                for on, name in names.items()
            }
            _curves(panel, curves, "pages a call", f"{what} a page", str)
        figure.suptitle(f"get_user_pages_fast with {format_size(size)} of RAM")
        return save_figure(figure, directory / "cost")


def _draw_remedies(rows: Sequence[Row], size: int, directory: Path) -> list[Path]:
    its = gup_rows(rows, highpte=True, rt=True, remedy=None)
    if not its:
        return []
    curves = {
        f"{remedy} (forbidden)" if remedy == "none" else remedy: [
            (row.pages_per_call, row.cycles) for row in its if row.remedy == remedy
        ]
        for remedy in dict.fromkeys(sorted((row.remedy for row in its), key=lambda name: name != "none"))
    }
    with figure_of_panels(1) as (figure, panels):
        _curves(panels[0], curves, "pages a call", "cycles a page", str)
        panels[0].set_yscale("log", base=2)
        figure.suptitle(f"HIGHPTE with PREEMPT_RT, {format_size(size)} of RAM")
        return save_figure(figure, directory / "remedies")


def _draw_lowmem(rows: Sequence[Row], directory: Path) -> list[Path]:
    if not table_rows(rows, highpte=False):
        return []
    names = {False: "HIGHPTE off", True: "HIGHPTE on"}
    with figure_of_panels(2, share_y=False) as (figure, panels):
        for panel, what, label in zip(
            panels,
            ("low_each_kb", "processes"),
            ("kB of lowmem a process", "room for processes"),
            strict=True,
        ):
            curves = {
                name: [(row.memory_bytes, getattr(row, what)) for row in table_rows(rows, highpte=on)]
                for on, name in names.items()
            }
            _curves(panel, curves, "RAM", label, format_size)
        figure.suptitle("Processes that touch a page in each 2 MB of 2 GB")
        return save_figure(figure, directory / "lowmem")


def _curves(panel: Any, curves: _Curves, x: str, y: str, name: Any) -> None:
    """Lines over a logarithmic axis, whose ticks are the places that there are."""
    for number, (label, curve) in enumerate((label, curve) for label, curve in curves.items() if curve):
        panel.plot(
            [place for place, _ in curve],
            [height for _, height in curve],
            label=label,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=1.2,
        )
    places = sorted({place for curve in curves.values() for place, _ in curve})
    panel.set_xscale("log", base=2)
    panel.set_xticks(places, [name(place) for place in places])
    panel.minorticks_off()
    panel.set_ylim(bottom=0)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.legend(fontsize=7, frameon=False)
