"""Plots: what a long run did, the spectrum of a basis, and how far apart bases are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hspace.storage import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hspace.comparison import Comparison
    from hspace.spectra import Spectrum


def draw_losses(lines: Sequence[Mapping[str, float]], path: Path) -> None:
    """Writes the loss against the images seen, both axes labelled, the loss on a logarithmic scale."""
    with drawing(path, "images", "loss") as axes:
        axes.semilogy([line["images"] for line in lines], [line["loss"] for line in lines], linewidth=1)


def draw_spectra(spectra: Sequence[Spectrum], path: Path) -> None:
    """Writes sigma against the component, a line per basis; what is known beyond a basis is drawn lighter."""
    from matplotlib.ticker import MaxNLocator

    with drawing(path, "component", "sigma") as axes:
        for one in spectra:
            (line,) = axes.plot(list(one.sigma), list(one.sigma.values()), marker="o", markersize=4, label=one.name)
            if one.tail:
                label = None if len(spectra) > 1 else "beyond the basis, at least"
                (rest,) = axes.plot(list(one.tail), list(one.tail.values()), color=line.get_color(), alpha=0.5)
                rest.set(marker="o", markersize=3, markerfacecolor="none", linewidth=1, label=label)
        axes.set_ylim(0, 1.08 * max(max(one.sigma.values()) for one in spectra))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize="small")


def draw_distances(comparison: Comparison, path: Path) -> None:
    """Writes the heat map of D_geo between all pairs; the colour is its share of that of random subspaces."""
    from matplotlib.ticker import FixedLocator

    whole = [one.name for one in comparison.subspaces]
    homes = {name.partition("/")[0] for name in whole}
    names = whole if len(homes) > 1 else [name.partition("/")[2] or name for name in whole]
    n = len(names)
    shares = [[0.0] * n for _ in names]
    for (i, j), distance in comparison.distances.items():
        shares[i][j] = shares[j][i] = distance.share or 0.0
    side, label = 0.75 * n + 1, 0.08 * max(map(len, names))
    with drawing(path, "", "", figsize=(side + label + 1.5, side + label), grid=False) as axes:
        shown = axes.imshow(shares, vmin=0, vmax=1, cmap="viridis")
        for (i, j), distance in comparison.distances.items():
            for column, row in ((i, j), (j, i)):
                dark = (distance.share or 0.0) < 0.6
                axes.text(column, row, f"{distance.geodesic:.2f}", ha="center", va="center", color="wk"[not dark])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator(range(n)))
        axes.set_xticklabels(names, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
        axes.set_yticklabels(names, fontsize="small")
        axes.figure.colorbar(shown, label="D_geo, as a share of that of random subspaces")


@contextmanager
def drawing(
    path: Path, x: str, y: str, *, figsize: tuple[float, float] = (6, 3.5), grid: bool = True
) -> Iterator[Axes]:
    """Axes with those labels, written to `path` as a PNG when the block ends well."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    yield axes
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if grid:
        axes.grid(visible=True, which="both", alpha=0.3)
    png = BytesIO()
    canvas.print_png(png)  # type: ignore[no-untyped-call]
    write_bytes(path, png.getvalue())
