"""`hspace distill`: a direction's head replaced by a table of what it answers on average."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli.output import BackboneName, Device, Json, pick_device, print_json, print_table, say

if TYPE_CHECKING:
    from hspace import Backbone, Direction
    from hspace_heads.distill import Stage
    from hspace_heads.latents import Latents


def distill(
    direction: Annotated[str, typer.Argument(metavar="DIRECTION", help="An id, with #k for one of a basis; a folder.")],
    form: Annotated[str, typer.Option(help="per-timestep, or global: one vector.")] = "per-timestep",
    backbone: BackboneName = None,
    images: Annotated[list[Path] | None, typer.Option(help="A picture, or a folder of them; repeatable.")] = None,
    source: Annotated[str | None, typer.Option(help="Pictures of a source, by its name in list-sources.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Pictures to average over, where no --images say.")] = 32,
    held_out: Annotated[int, typer.Option(min=1, help="Further pictures, to measure on.")] = 8,
    strength: Annotated[float | None, typer.Option(help="At which to edit [default: the direction's].")] = None,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 40,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 8,
    seed: Annotated[int, typer.Option(help="The seed of the latents, or of the source.")] = 0,
    name: Annotated[str | None, typer.Option(help="What to call it [default: as it was, with the form].")] = None,
    out: Annotated[Path, typer.Option(help="Where the sheet goes.")] = Path("hspace-out"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Replace a direction's head by a table of its mean shifts, and measure what of its effect is lost."""
    from contextlib import ExitStack

    from hspace import storage
    from hspace.loading import load_backbone, load_direction
    from hspace.progress import progress
    from hspace_heads import distill as algorithm
    from hspace_heads.options import one_of
    from hspace_heads.storing import require_free, store

    one_of("distill", "form", form, algorithm.Form)
    found = load_direction(direction)
    require_free(found, form, name)
    storage.require_writable(out)
    model = load_backbone(backbone or found.meta.backbone.id, device=pick_device(device))
    with ExitStack() as stack:

        def stage(what: str) -> Any:
            return stack.enter_context(progress(what, quiet=as_json))

        pictures = _latents(model, images or [], source, samples, held_out, seed, steps, batch, stage)
        done = algorithm.distill(
            model, found, pictures.x_T, pictures.held_out, form, name=name,
            strength=strength, steps=steps, batch=batch, data=pictures.data, stage=stage,
        )  # fmt: skip
        stored, sheet = store(model, found, done.direction, pictures.held_out, out, stage("drawing"))
    _answer(stored, sheet, as_json)


def _latents(
    model: "Backbone", images: list[Path], source: str | None, samples: int, held_out: int,
    seed: int, steps: int, batch: int, stage: "Stage",
) -> "Latents":  # fmt: skip
    from hspace.errors import UsageError
    from hspace.images import find_images
    from hspace_heads import latents

    if images and source is not None:
        raise UsageError("--images and --source both say where pictures come from; give one of them")
    if images:
        return latents.of_images(model, find_images(images), steps, batch, stage("inverting"))
    if source is not None:
        return latents.of_source(model, source, samples, held_out, seed, steps, batch, stage("inverting"))
    return latents.drawn(model, samples, held_out, seed)


def _answer(stored: "Direction", sheet: Path, as_json: bool) -> None:
    figures = {one.name: one.value for one in stored.meta.metrics}
    if as_json:
        config = stored.meta.provenance.config
        print_json({"id": stored.id, "form": config["form"], "metrics": figures, "sheet": str(sheet)})
        return
    print_table(("id", *figures), [(stored.id, *figures.values())])
    say(f"\n{stored.meta.metrics[0].protocol}; changes are root mean squares of pictures in [-1, 1]")
    say(f"sheet: {sheet}")
    say(f"next:  hspace edit FACE.png --direction '{stored.id}'")
