"""Draws the curves of micro-benchmarks: one PNG and one SVG a benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.config import format_size
from pyemu.lab.figure import COLOURS, MARKERS, figure_of_panels, save_figure
from pyemu.lab.measure import Result, curve_of, points_of
from pyemu.lab.protocol import Point
from pyemu.lab.published import Benchmark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_benchmark"]

PUBLISHED_COLOUR = "#555555"

MAX_TICKS = 8
LOGARITHMIC_FROM = 16

Series = dict[str, list[tuple[int, float]]]


def draw_benchmark(
    benchmark: Benchmark, points: Mapping[str, Sequence[Point]], results: Iterable[Result], directory: Path
) -> list[Path]:
    """Write NAME.png and NAME.svg of a benchmark and return their paths: a panel for each core of ``points``.

    Curves are drawn over the benchmark's axis, bars where its points have no numbers on it. Levels that were
    published come from ``results``. Raises UserError when a file cannot be written.
    """
    known = list(results)
    with figure_of_panels(len(points)) as (figure, panels):
        for panel, (core, its) in zip(panels, points.items(), strict=True):
            panel.set_title(core)
            theirs = [
                result for result in known if (result.core.name, _first(result)) == (core, benchmark.name)
            ]
            if benchmark.axis:
                _draw_curves(panel, benchmark, _series(benchmark, its))
                _draw_published(panel, theirs)
            else:
                _draw_bars(panel, benchmark, its, theirs)
        if benchmark.axis:
            _share_height(panels, benchmark, [point for its in points.values() for point in its])
        figure.suptitle(benchmark.title)
        return save_figure(figure, directory / benchmark.name)


def _share_height(panels: Any, benchmark: Benchmark, points: Sequence[Point]) -> None:
    """One y axis for all panels, logarithmic where plateaus would else lie on top of one another."""
    heights = [point.each for point in points_of(points, benchmark.name, {}) if point.each > 0]
    if heights and max(heights) > LOGARITHMIC_FROM * min(heights):
        top = math.ceil(math.log2(max(heights) * 1.1))
        ticks = [1 << power for power in range(math.floor(math.log2(max(1, min(heights)))), top + 1)]
        panels[0].set_yscale("log", base=2)
        panels[0].set_yticks(ticks, [str(tick) for tick in ticks])
        panels[0].minorticks_off()
    else:
        panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel(benchmark.y)
    if panels[-1].get_legend_handles_labels()[1]:
        panels[-1].legend(fontsize=7, frameon=False)


def _first(result: Result) -> str | None:
    """The benchmark on whose plot a result stands."""
    return result.measure.picks[0][1].benchmark if result.measure.picks else None


def _series(benchmark: Benchmark, points: Iterable[Point]) -> Series:
    """The curves of a benchmark, by what their keys beside the axis are."""
    found: dict[str, list[Point]] = {}
    for point in points_of(points, benchmark.name, {}):
        found.setdefault(_label(benchmark, point), []).append(point)
    curves = {label: curve_of(its, benchmark.axis) for label, its in found.items()}
    return {label: curve for label, curve in curves.items() if curve}


def _label(benchmark: Benchmark, point: Point) -> str:
    """What its keys beside the axis say: words by themselves, numbers with their key."""
    keys = ((key, value) for key, value in point.keys.items() if key != benchmark.axis)
    return ", ".join(
        value if isinstance(value, str) else f"{key} {_number(key, value)}" for key, value in keys
    )


def _number(key: str, value: int) -> str:
    return format_size(value) if key.endswith("bytes") else str(value)


def _draw_curves(panel: Axes, benchmark: Benchmark, curves: Series) -> None:
    for number, (label, curve) in enumerate(curves.items()):
        panel.plot(
            [x for x, _ in curve],
            [y for _, y in curve],
            label=label,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=3.5,
            linewidth=1.2,
        )
    shown = _ticks({x for curve in curves.values() for x, _ in curve})
    panel.set_xscale("log", base=2)
    panel.set_xticks(shown, [_number(benchmark.axis, x) for x in shown])
    panel.minorticks_off()
    panel.set_xlabel(benchmark.x)


def _ticks(places: set[int]) -> list[int]:
    """Some of them: powers of two where there are enough."""
    powers = sorted(x for x in places if x & (x - 1) == 0)
    chosen = powers if len(powers) > 2 else sorted(places)
    return chosen[:: -(-len(chosen) // MAX_TICKS) or 1]


def _draw_published(panel: Axes, results: Iterable[Result]) -> None:
    """Dashed lines where plateaus lie after what was published, dotted ones where they end."""
    line: Any = {"color": PUBLISHED_COLOUR, "linewidth": 0.8, "zorder": 1}
    for result in results:
        edge = result.measure.picks[0][1].take == "edge"
        for place in result.places:
            if edge:
                panel.axvline(place, linestyle=":", **line)
                continue
            panel.axhline(place, linestyle="--", **line)
            panel.annotate(
                f"{result.measure.title}, published",
                (0, place),
                xycoords=("axes fraction", "data"),
                xytext=(3, 2),
                textcoords="offset points",
                color=PUBLISHED_COLOUR,
                fontsize=6,
            )


def _draw_bars(panel: Axes, benchmark: Benchmark, points: Iterable[Point], results: Iterable[Result]) -> None:
    """A bar for each point, and a dashed line across it where it would end after what was published."""
    its = points_of(points, benchmark.name, {})
    bars = panel.barh(
        [_label(benchmark, point) for point in its], [point.each for point in its], color=COLOURS[0]
    )
    panel.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
    for result in results:
        for row, point in enumerate(its):
            if points_of([point], benchmark.name, result.measure.picks[0][1].where):
                panel.vlines(result.places, row - 0.45, row + 0.45, colors=COLOURS[1], linestyles="--")
    panel.invert_yaxis()
    panel.set_xlabel(benchmark.y)
