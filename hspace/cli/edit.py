"""`hspace edit`: apply directions to picture files."""

from pathlib import Path
from typing import Annotated, Any

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

FORM = "FROM:TO:COUNT, or ID=FROM:TO:COUNT"


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("edit")(edit)


def edit(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
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
    sweep: Annotated[
        list[str] | None,
        typer.Option(help=f"{FORM}: factors on all strengths, or strengths of one direction; two make a grid."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of the boost's noise.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 8,
    out: Annotated[Path, typer.Option(help="Where the edited pictures go.")] = Path("hspace-out/edit"),
    force: Force = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Edit pictures along directions; a rerun skips what is done and unchanged."""
    from hspace.editing import edit_files
    from hspace.images import find_images, save_picture
    from hspace.jobs import SHEET, Settings, require_sheet
    from hspace.progress import progress
    from hspace.sweep import Sweep, sweep_sheet

    swept = [parse_sweep(text) for text in sweep or []]
    asked = with_swept([parse_direction(text) for text in directions or []], [id for id, _ in swept if id])
    files = find_images(images)
    weighed = load_weighed(asked)
    ids = {typed: one.id for (typed, _), (one, _) in zip(asked, weighed, strict=True)}
    sweeps = [Sweep(factors, ids[id] if id else None) for id, factors in swept]
    name = backbone or weighed[0][0].meta.backbone.id
    model = load_bound(name, bind, pick_device(device), weights, offline)
    settings = Settings(steps, t_edit, t_boost, fixed_point, seed, symmetric, normalise, saturation)
    sheet = out / "sweep.png"
    if sweeps:
        require_sheet(sheet, files, force)
    with progress("editing", quiet=as_json) as callback:
        outputs = edit_files(
            model, files, weighed, out, settings=settings, sweeps=sweeps, force=force, batch=batch, callback=callback
        )
    answer: dict[str, Any] = {"outputs": [_row(one) for one in outputs]}
    if sweeps:
        answer["sheet"] = str(sheet)
        save_picture(sheet, sweep_sheet(outputs, sweeps), SHEET)
    if as_json:
        print_json(answer)
        return
    print_table(("input", "output", "strengths", ""), (_cells(one) for one in outputs))
    if sweeps:
        say(f"\nsheet: {answer['sheet']}")


def parse_sweep(text: str) -> tuple[str | None, tuple[float, ...]]:
    """The id, where there is one, and the evenly spaced numbers of `[ID=]FROM:TO:COUNT`.

    Raises UsageError when it has another form.
    """
    id, equals, span = text.rpartition("=")
    try:
        start, end, count = span.split(":")
        first, last, n = float(start), float(end), int(count)
    except ValueError as error:
        raise UsageError(f"--sweep takes {FORM}, as in -2:2:5; {text!r} was given") from error
    if equals and not id:
        raise UsageError(f"--sweep takes {FORM}; {text!r} names no direction before '='")
    if n < 2 or not abs(last - first) < float("inf") or first == last:
        raise UsageError(f"--sweep needs two different ends and a count of at least 2; {text!r} was given")
    return id or None, tuple(first + (last - first) * index / (n - 1) for index in range(n))


def with_swept(asked: list[tuple[str, float | None]], swept: list[str]) -> list[tuple[str, float | None]]:
    """The directions to apply: those asked for, and those swept, each of these at 1 times the sweep.

    Raises UsageError when there is none, and when a swept one has a strength of its own.
    """
    for id, strength in asked:
        if id in swept and strength is not None:
            raise UsageError(f"{id!r} is swept, so its strength is the sweep's: leave '={strength:g}' away")
    known = [id for id, _ in asked]
    both = [(id, 1.0 if id in swept else strength) for id, strength in asked]
    both += [(id, 1.0) for id in dict.fromkeys(swept) if id not in known]
    if not both:
        raise UsageError("no direction was given; name one with --direction ID=STRENGTH ('hspace list-directions')")
    return both


def _row(one: Any) -> dict[str, Any]:
    return {"input": str(one.input), "output": str(one.output), "strengths": one.strengths, "skipped": one.skipped}


def _cells(one: Any) -> tuple[Any, ...]:
    return one.input, one.output, written(one.strengths), "was there" if one.skipped else "written"
