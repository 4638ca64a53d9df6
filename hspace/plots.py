"""Plots of what a long run did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hspace.storage import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_losses(lines: Sequence[Mapping[str, float]], path: Path) -> None:
    """Writes the loss against the images seen, both axes labelled, the loss on a logarithmic scale."""
    with drawing(path, "images", "loss") as axes:
        axes.semilogy([line["images"] for line in lines], [line["loss"] for line in lines], linewidth=1)


@contextmanager
def drawing(path: Path, x: str, y: str) -> Iterator[Axes]:
    """Axes with those labels, written to `path` as a PNG when the block ends well."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    yield axes
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, which="both", alpha=0.3)
    png = BytesIO()
    canvas.print_png(png)  # type: ignore[no-untyped-call]
    write_bytes(path, png.getvalue())
