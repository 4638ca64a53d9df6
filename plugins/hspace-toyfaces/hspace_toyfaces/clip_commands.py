"""`hspace toyfaces train-clip`, `export-clip` and `measure-clip`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hspace_toyfaces import commands as shared
from hspace_toyfaces.commands import Device, Fresh, Images, Out, RecipeName, RunFolder, Seed, Threads


def train_clip(
    recipe: RecipeName, out: Out = None, images: Images = None, seed: Seed = 0,
    device: Device = "cpu", threads: Threads = 1, fresh: Fresh = False,
) -> None:  # fmt: skip
    """Train a tiny CLIP on rendered faces and captions; run it again to go on where it stopped."""
    from hspace_toyfaces.clip_recipe import ClipRecipe
    from hspace_toyfaces.clip_training import ClipLearner

    plan, where = shared._plan(ClipRecipe, recipe, images), shared._device(device, threads)
    shared._run(ClipLearner(plan, seed, where), shared._folder(plan, out), fresh)


def export_clip(
    run: RunFolder, out: Annotated[Path, typer.Option(help="Folder to write, e.g. zoo/encoders/NAME.")]
) -> None:
    """Write a run's averaged weights as an encoder folder: half-precision weights, config, vocabulary and card."""
    from hspace_toyfaces.clip_export import export

    export(run, out)
    typer.echo(f"{out}")


def measure_clip(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An exported encoder; its card gets the figures.")],
    threads: Threads = 1,
) -> None:
    """Measure an exported encoder on fresh faces and unseen sentences, and write the figures into its card."""
    from hspace_toyfaces.clip_export import measure

    shared._device("cpu", threads)
    for metric in measure(folder):
        typer.echo(f"{metric['name']:<28}{metric['value']:>8.3f}  {metric['protocol']}")
