"""`hspace window`: the curves of a backbone, and the editing window that they mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hspace.cli.asking import prompts_of
from hspace.cli.output import (
    BackboneName,
    Bind,
    Device,
    Json,
    Offline,
    Weights,
    load_bound,
    pick_device,
    print_json,
    print_table,
    say,
    told_where_it_stopped,
)

if TYPE_CHECKING:
    from hspace import Backbone
    from hspace_asyrp.distance import Distance
    from hspace_asyrp.window import Curves

COSINES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6)
"""Those that t_edit is told for where there are no prompts."""
SHOWN = 12


def window(
    backbone: BackboneName = None,
    images: Annotated[list[Path] | None, typer.Option(help="A picture, or a folder of them; repeatable.")] = None,
    pictures: Annotated[
        str | None, typer.Option("--source", help="Pictures of a source, by its name in list-sources.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many pictures of the source, or latents.")] = 16,
    source: Annotated[str | None, typer.Option("--from", help="The prompt for the pictures as they are.")] = None,
    target: Annotated[str | None, typer.Option("--to", help="The prompt for the pictures as they should be.")] = None,
    lpips: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Weights of LPIPS: AlexNet, and alex.pth, or a folder of both; repeatable."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="What measures where there is no LPIPS [default: the backbone's].")
    ] = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 40,
    seed: Annotated[int, typer.Option(help="The seed of the latents, or of the source.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the picture of the curves goes.")] = Path("hspace-out"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure how far P_t and x_t are from the finished picture, and say from where to edit and where to boost."""
    from hspace import storage
    from hspace.images import find_images
    from hspace.loading import backbone_encoder, default_backbone, load_encoder
    from hspace_asyrp.distance import perceptual_distance
    from hspace_clip.texts import prompt_cosine

    name = backbone or default_backbone()
    prompts = prompts_of(source, target)
    files = find_images(images or [])
    storage.require_writable(out)
    place = pick_device(device)
    reader = load_encoder(encoder or backbone_encoder(name), device=place) if prompts or not lpips else None
    distance = perceptual_distance(reader, lpips or [], place)
    cosine = prompt_cosine(reader, *prompts) if prompts and reader else None
    model = load_bound(name, bind, place, weights, offline)
    with told_where_it_stopped():
        curves = _curves(model, distance, files, pictures, samples, seed, steps, as_json)
    path = out / f"{model.card.name if model.card else 'backbone'}.window.png"
    _draw(curves, 1.0 if cosine is None else cosine, path)
    _answer(curves, cosine, path, as_json)


def _curves(
    model: "Backbone", distance: "Distance", files: list[Path], source: str | None, samples: int, seed: int, steps: int,
    as_json: bool,
) -> "Curves":  # fmt: skip
    import torch

    from hspace.discovery import pictures_of, with_latents
    from hspace.finder import Task
    from hspace.progress import progress
    from hspace_asyrp.measured import curves_of

    pictures = pictures_of(model, files, source, None, samples, seed)
    with progress("inverting", quiet=as_json) as callback:
        task, _ = with_latents(Task(torch.empty(0), steps, seed), model, pictures, samples, callback)
    with progress("measuring", quiet=as_json) as callback:
        return curves_of(model, distance, task.x_T, steps, callback=callback)


def _draw(curves: "Curves", cosine: float, path: Path) -> None:
    from hspace.plots import drawing

    windows = (curves.t_edit(cosine), curves.t_boost())
    rows = (("P_t", curves.P_t), ("x_t", curves.x_t))
    with drawing(path, "t", f"distance from x_0: {curves.distance}") as axes:
        for (name, row), threshold, t, colour in zip(
            rows, curves.thresholds(cosine), windows, ("C0", "C1"), strict=True
        ):
            axes.plot(curves.timesteps, row, color=colour, label=name)
            if threshold is not None:
                axes.axhline(threshold, color=colour, linewidth=0.8, linestyle=":")
            if t is not None:
                axes.axvline(t, color=colour, linewidth=0.8, linestyle="--")
        axes.set_title(f"t_edit {windows[0]} at cosine {cosine:.3g}, t_boost {windows[1] or 'none'}", fontsize="medium")
        axes.legend()


def _answer(curves: "Curves", cosine: float | None, path: Path, as_json: bool) -> None:
    from dataclasses import asdict

    windows = {value: curves.t_edit(value) for value in (COSINES if cosine is None else (cosine,))}
    if as_json:
        t_edit = {"t_edit": curves.t_edit(cosine)} if cosine is not None else {}
        by_cosine = [{"cosine": value, "t_edit": t} for value, t in windows.items()]
        told = {**t_edit, "t_boost": curves.t_boost(), "windows": by_cosine, "curves": asdict(curves)}
        print_json({**told, "picture": str(path)})
        return
    rows = list(zip(curves.timesteps, curves.P_t, curves.x_t, strict=True))
    print_table(("t", "P_t to x_0", "x_t to x_0"), rows[:: max(1, len(rows) // SHOWN)], curves.distance)
    say("")
    print_table(("cosine of the prompts", "t_edit"), windows.items())
    boost = curves.t_boost()
    if curves.lpips:
        say(f"\nt_boost: {'none, x_t never gets as far as 1.2' if boost is None else boost}")
    else:
        say("\nt_edit is where P_t is as large a share of the whole distance as LPIPS 0.33 is on CelebA-HQ")
        say("t_boost: none; its threshold is one of LPIPS (--lpips)")
    say(f"curves:  {path}   ({curves.pictures} pictures)")
