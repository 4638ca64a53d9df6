"""Plots of what a long run did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from hspace.storage import write_bytes


def draw_losses(lines: Sequence[Mapping[str, float]], path: Path) -> None:
    """Writes the loss against the images seen, both axes labelled, the loss on a logarithmic scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.semilogy([line["images"] for line in lines], [line["loss"] for line in lines], linewidth=1)
    axes.set_xlabel("images")
    axes.set_ylabel("loss")
    axes.grid(visible=True, which="both", alpha=0.3)
    png = BytesIO()
    canvas.print_png(png)  # type: ignore[no-untyped-call]
    write_bytes(path, png.getvalue())
