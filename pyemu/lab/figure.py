"""Figures by matplotlib: one look, PNG and SVG, the same bytes each time.

The only file that imports matplotlib; it comes with ``pip install 'pyemu-armv7[plot]'``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pyemu.config import UserError

__all__ = ["COLOURS", "MARKERS", "figure_of_panels", "need_matplotlib", "save_figure"]

# Okabe and Ito's palette: distinct also to those who do not tell red from green.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

PANEL_INCHES = (4.6, 3.8)
DPI = 150

_STYLE: Any = {
    "svg.hashsalt": "pyemu",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def need_matplotlib() -> None:
    """Raise :class:`~pyemu.config.UserError` unless matplotlib is installed."""
    if find_spec("matplotlib") is None:
        raise UserError("plots need matplotlib: pip install 'pyemu-armv7[plot]', or --no-plots")


@contextmanager
def figure_of_panels(count: int, *, share_y: bool = True) -> Iterator[tuple[Any, Any]]:
    """A figure and its panels, side by side, in this project's style while the block lasts."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        width, height = PANEL_INCHES
        figure = Figure(figsize=(width * count, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(1, count, sharey=share_y, squeeze=False)[0]


def save_figure(figure: Any, stem: Path) -> list[Path]:
    """Write STEM.png and STEM.svg and return their paths; UserError when that cannot be."""
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    try:
        for path, metadata in zip(paths, ({"Software": None}, {"Date": None, "Creator": None}), strict=True):
            figure.savefig(path, dpi=DPI, metadata=metadata)
    except OSError as problem:
        raise UserError(f"{problem.filename or stem}: {problem.strerror or problem}") from None
    return paths
