"""`hspace interpolate`: the pictures between two."""

from pathlib import Path
from typing import Annotated

import typer

from hspace.cli.directions import (
    Directions,
    FixedPoint,
    Force,
    Normalise,
    Saturation,
    Steps,
    Symmetric,
    TBoost,
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
from hspace.errors import UsageError


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("interpolate")(interpolate)


def interpolate(
    first: Annotated[Path, typer.Argument(help="The picture to start from.")],
    second: Annotated[Path, typer.Argument(help="The picture to end at.")],
    frames: Annotated[int, typer.Option(min=2, help="How many pictures, both ends included.")] = 7,
    directions: Directions = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Steps = 40,
    t_edit: TEdit = None,
    t_boost: TBoost = None,
    fixed_point: FixedPoint = 1,
    symmetric: Symmetric = None,
    normalise: Normalise = False,
    saturation: Saturation = None,
    seed: Annotated[int, typer.Option(help="The seed of the boost's noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the frames go.")] = Path("hspace-out/interpolate"),
    force: Force = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Go from one picture to another along the arc between their latents; a rerun skips what is done."""
    from hspace.images import find_images, save_picture
    from hspace.interpolation import interpolate_files, strip
    from hspace.jobs import SHEET, Settings, require_sheet
    from hspace.loading import default_backbone
    from hspace.progress import progress

    ends = (first, second)
    if len(find_images(ends)) != len(ends):
        raise UsageError(f"interpolate goes from one picture to another; {first} and {second} are not two pictures")
    weighed = load_weighed([parse_direction(text) for text in directions or []])
    name = backbone or (weighed[0][0].meta.backbone.id if weighed else default_backbone())
    model = load_bound(name, bind, pick_device(device), weights, offline)
    settings = Settings(steps, t_edit, t_boost, fixed_point, seed, symmetric, normalise, saturation)
    sheet = out / f"{first.stem}-{second.stem}.strip.png"
    require_sheet(sheet, ends, force)
    with progress("interpolating", quiet=as_json) as callback:
        made = interpolate_files(
            model, ends, weighed, out, frames=frames, settings=settings, force=force, callback=callback
        )
    title = written({one.id: strength for one, strength in weighed})
    save_picture(sheet, strip(made, title), SHEET)
    if as_json:
        rows = [{"fraction": one.fraction, "output": str(one.output), "skipped": one.skipped} for one in made]
        print_json({"outputs": rows, "strip": str(sheet)})
        return
    rows_shown = [(one.fraction, one.output, "was there" if one.skipped else "written") for one in made]
    print_table(("from first to second", "output", ""), rows_shown)
    say(f"\nstrip: {sheet}")
