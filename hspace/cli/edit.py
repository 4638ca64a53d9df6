"""`hspace edit`: apply directions to picture files."""

from pathlib import Path
from typing import Annotated, Any

import typer

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
from hspace.errors import RefusedError, UsageError

SHEET = "sheet"
"""What a sweep's sheet carries in place of a recipe, so that only a sheet is written over."""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("edit")(edit)


def edit(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    directions: Annotated[list[str], typer.Option("--direction", help="ID or ID=STRENGTH; repeatable.")],
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 40,
    t_edit: Annotated[int | None, typer.Option(help="Edit from this timestep up [default: the direction's].")] = None,
    t_boost: Annotated[int | None, typer.Option(help="Add noise below here [default: the direction's].")] = None,
    fixed_point: Annotated[int, typer.Option(min=0, help="Refinements per inversion step; 0 as published.")] = 1,
    symmetric: Annotated[
        bool | None,
        typer.Option("--symmetric/--asymmetric", help="The edited eps for both terms, or for x_0 alone."),
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="FROM:TO:COUNT, factors on all strengths, as in -2:2:5.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of the boost's noise.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 8,
    out: Annotated[Path, typer.Option(help="Where the edited pictures go.")] = Path("hspace-out/edit"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite other pictures of the same name.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Edit pictures along directions; a rerun skips what is done and unchanged."""
    from hspace.editing import Settings, edit_files, sweep_sheet
    from hspace.images import find_images, read_note, save_picture
    from hspace.loading import load_direction
    from hspace.progress import progress

    asked = [parse_direction(text) for text in directions]
    factors = parse_sweep(sweep) if sweep else []
    files = find_images(images)
    loaded = [(load_direction(id), strength) for id, strength in asked]
    weighed = [(one, one.meta.strength.default if strength is None else strength) for one, strength in loaded]
    name = backbone or weighed[0][0].meta.backbone.id
    model = load_bound(name, bind, pick_device(device), weights, offline)
    settings = Settings(steps, t_edit, t_boost, fixed_point, seed, symmetric)
    sheet = out / "sweep.png"
    if factors and sheet.exists() and not force and read_note(sheet) != SHEET:
        raise RefusedError(f"{sheet} exists and is another picture; choose another --out, or use --force")
    with progress("editing", quiet=as_json) as callback:
        outputs = edit_files(
            model, files, weighed, out, settings=settings, sweep=factors, force=force, batch=batch, callback=callback
        )
    answer: dict[str, Any] = {"outputs": [_row(one) for one in outputs]}
    if factors:
        answer["sheet"] = str(sheet)
        save_picture(sheet, sweep_sheet(outputs, factors), SHEET)
    if as_json:
        print_json(answer)
        return
    print_table(("input", "output", "strengths", ""), (_cells(one) for one in outputs))
    if factors:
        say(f"\nsheet: {answer['sheet']}")


def parse_direction(text: str) -> tuple[str, float | None]:
    """The id and the strength of `ID[=STRENGTH]`. Raises UsageError when the strength is not a number."""
    id, equals, strength = text.partition("=")
    try:
        value = float(strength) if equals else None
    except ValueError:
        value = float("nan")
    if value is not None and not abs(value) < float("inf"):
        raise UsageError(f"--direction {text!r}: the strength after '=' must be a number; {strength!r} was given")
    return id, value


def parse_sweep(text: str) -> list[float]:
    """The factors of FROM:TO:COUNT, evenly spaced. Raises UsageError when it has another form."""
    try:
        start, end, count = text.split(":")
        first, last, n = float(start), float(end), int(count)
    except ValueError as error:
        raise UsageError(f"--sweep takes FROM:TO:COUNT, as in -2:2:5; {text!r} was given") from error
    if n < 2 or not abs(last - first) < float("inf") or first == last:
        raise UsageError(f"--sweep needs two different ends and a count of at least 2; {text!r} was given")
    return [first + (last - first) * index / (n - 1) for index in range(n)]


def _row(one: Any) -> dict[str, Any]:
    return {"input": str(one.input), "output": str(one.output), "strengths": one.strengths, "skipped": one.skipped}


def _cells(one: Any) -> tuple[Any, ...]:
    strengths = ", ".join(f"{id}={strength:g}" for id, strength in one.strengths.items())
    return one.input, one.output, strengths, "was there" if one.skipped else "written"
