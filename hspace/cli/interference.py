"""`hspace interference`: what directions do to one another when they are applied together."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hspace.cli.directions import (
    Directions,
    FixedPoint,
    Force,
    Steps,
    Symmetric,
    TEdit,
    load_weighed,
    parse_direction,
    written,
)
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
)


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("interference")(interference)


def interference(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Pictures to measure on, or folders of them; drawn ones by default.")
    ] = None,
    directions: Directions = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    samples: Annotated[int, typer.Option(min=1, help="How many latents to draw where no picture is given.")] = 4,
    seed: Annotated[int, typer.Option(help="The seed of the drawn latents.")] = 0,
    steps: Steps = 40,
    t_edit: TEdit = None,
    fixed_point: FixedPoint = 1,
    symmetric: Symmetric = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 8,
    out: Annotated[Path, typer.Option(help="Where the sheet goes.")] = Path("hspace-out/interference"),
    force: Force = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure what directions do to one another: the cosine of their delta_h, and how far their effects add up."""
    import torch

    from hspace import composition
    from hspace.images import find_images, save_picture
    from hspace.jobs import SHEET, Settings, require_sheet, require_sound
    from hspace.progress import progress
    from hspace.sampling import latents
    from hspace.storage import require_writable

    weighed = load_weighed([parse_direction(text) for text in directions or []])
    composition.require_several(weighed)
    files = find_images(images or [])
    sheet = out / "interference.png"
    require_sheet(sheet, files, force)
    name = backbone or weighed[0][0].meta.backbone.id
    model = load_bound(name, bind, pick_device(device), weights, offline)
    require_sound(model, files, weighed)
    require_writable(out)
    settings = Settings(steps, fixed_point=fixed_point)
    parts = [settings.inverted(model, files[start : start + batch]) for start in range(0, len(files), batch)]
    x_T = torch.cat(parts) if parts else latents(model, samples, seed)
    with progress("measuring", quiet=as_json) as callback:
        found = composition.interference(
            model, x_T, weighed, steps=steps, t_edit=t_edit, symmetric=symmetric, batch=batch, callback=callback
        )
    ids = [one.id for one, _ in weighed]
    labels = [path.stem for path in files] or [f"x_T {index}" for index in range(samples)]
    strengths = {one.id: strength for one, strength in weighed}
    save_picture(sheet, composition.interference_sheet(found, labels, written(strengths)), SHEET)
    if as_json:
        print_json({**_answer(found, ids, strengths), "pictures": len(labels), "sheet": str(sheet)})
        return
    rows = [(id, strengths[id], change) for id, change in zip(ids, found.changes, strict=True)]
    print_table(("direction", "strength", "change alone"), [*rows, ("all together", None, found.together)])
    say("")
    print_table(
        ("cosine of delta_h", "and", "mean", "at t", "", "at t", ""),
        [(ids[i], ids[j], found.cosine(i, j), *_ends(found.cosines[i, j])) for i, j in found.cosines],
    )
    say(f"\ndeparture from the sum of each alone: {found.departure:.3g}  (0: they add up, 1: as large as the changes)")
    say(f"sheet: {sheet}")


def _ends(cosines: dict[int, float]) -> tuple[Any, ...]:
    highest, lowest = max(cosines), min(cosines)
    return highest, cosines[highest], lowest, cosines[lowest]


def _answer(found: Any, ids: list[str], strengths: dict[str, float]) -> dict[str, Any]:
    return {
        "directions": [
            {"id": id, "strength": strengths[id], "change": change}
            for id, change in zip(ids, found.changes, strict=True)
        ],
        "pairs": [
            {"directions": [ids[i], ids[j]], "cosine": found.cosine(i, j), "cosines": found.cosines[i, j]}
            for i, j in found.cosines
        ],
        "together": found.together,
        "departure": found.departure,
    }
