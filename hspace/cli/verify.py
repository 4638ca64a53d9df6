"""`hspace verify`: is every direction in the registry whole, and is a backbone what it is taken for?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli.output import (
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
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError

if TYPE_CHECKING:
    from hspace.verification import Verified

SHEET = "verified"
"""What a sheet carries in place of a recipe, so that only a sheet is written over."""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("verify")(verify)


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Directions, all when none is named; or, with --images, a backbone.")
    ] = None,
    images: Annotated[list[Path] | None, typer.Option(help="Pictures of a backbone's domain; repeatable.")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many of the pictures, and how many samples.")] = 8,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 40,
    seed: Annotated[int, typer.Option(help="The seed of the noise and of the samples.")] = 0,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    out: Annotated[Path, typer.Option(help="Where a backbone's sheet goes.")] = Path("hspace-out/verify"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite another picture of the sheet's name.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check directions: their description, sha256 and numbers; or, with --images, a backbone: its eps on pictures."""
    if not images:
        _verify_directions(names or [], as_json)
        return
    if len(names or []) != 1:
        raise UsageError("--images is for one backbone: hspace verify BACKBONE --images DIR")
    (name,) = names or []
    from hspace import storage
    from hspace.images import find_images, read_note, save_picture
    from hspace.progress import progress
    from hspace.verification import verify as verify_backbone

    files = find_images(images)
    sheet = out / f"{Path(name).resolve().name}.png"
    if sheet.exists() and not force and read_note(sheet) != SHEET:
        raise RefusedError(f"{sheet} exists and is another picture; choose another --out, or use --force")
    storage.require_writable(out)
    model = load_bound(name, bind, pick_device(device), weights, offline)
    with progress("verifying", quiet=as_json) as callback:
        found = verify_backbone(model, files, n=n, steps=steps, seed=seed, callback=callback)
    save_picture(sheet, found.sheet, SHEET)
    if as_json:
        print_json(_answer(name, found, sheet))
    else:
        _print(found, sheet)
    if found.problems:
        raise HspaceError(
            f"{name} does not look right: {'; '.join(found.problems)}. Compare 'hspace show {name}' with how it was "
            "trained (and see that the pictures are of its domain)"
        )


def _answer(name: str, found: "Verified", sheet: Path) -> dict[str, Any]:
    return {
        "backbone": name,
        "verdict": "wrong" if found.problems else "right",
        "problems": found.problems,
        "pictures": [
            {"input": path, "psnr": value, "first_stage_psnr": found.first_stage.get(path)}
            for path, value in found.psnr.items()
        ],
        "psnr": _mean(found.psnr),
        "first_stage_psnr": _mean(found.first_stage),
        "skipped": [{"input": path, "reason": reason} for path, reason in found.skipped.items()],
        "eps": [vars(level) for level in found.levels],
        "other_assumptions": found.others,
        "sheet": sheet,
    }


def _mean(values: dict[Path, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _print(found: "Verified", sheet: Path) -> None:
    rows = [(path, value, found.first_stage.get(path)) for path, value in found.psnr.items()]
    means = ("mean", _mean(found.psnr), _mean(found.first_stage))
    print_table(("picture", "PSNR, dB", "of the first stage alone"), [*rows, means])
    for path, reason in found.skipped.items():
        say(f"skipped: {path}: {reason}")
    levels = [(one.t, one.alpha_cumprod, one.error, one.guess, one.error / one.guess) for one in found.levels]
    say("")
    print_table(("t", "alpha_cumprod", "error of eps", "of a guess", "ratio"), levels)
    say("")
    ordered = sorted(found.others.items(), key=lambda one: one[1])
    print_table(("under another assumption", "error of eps"), ((what, f"{part:+.2%}") for what, part in ordered))
    say(f"\nsheet: {sheet}")
    if not found.problems:
        say("It looks right: no other assumption fits the pictures better, and its eps is far better than a guess.")


def _verify_directions(ids: list[str], as_json: bool) -> None:
    from hspace import registry
    from hspace.direction import Direction

    entries = [_entry(id) for id in ids] if ids else list(registry.entries())
    rows = []
    for entry in entries:
        problem = None
        try:
            direction = Direction.load(entry.folder)
            if direction.meta.id != entry.id:
                problem = f"the folder is {entry.id!r}, the description says {direction.meta.id!r}"
        except HspaceError as error:
            problem = str(error)
        rows.append({"id": entry.id, "owner": entry.owner, "path": str(entry.folder), "problem": problem})
    bad = [row["id"] for row in rows if row["problem"]]
    if as_json:
        print_json({"directions": rows})
    else:
        print_table(("id", "owner", "status"), ((row["id"], row["owner"], row["problem"] or "ok") for row in rows))
        say(f"{len(rows)} checked, {len(bad)} damaged")
    if bad:
        raise RefusedError(f"{len(bad)} of {len(rows)} directions are damaged: {', '.join(map(str, bad))}")


def _entry(id: str) -> Any:
    from hspace import registry
    from hspace.plugins import plugins

    try:
        return registry.find(id)
    except NotFoundError as error:
        if id in {card.name for card in plugins().cards("backbones")} or Path(id).is_dir():
            way_out = f"give pictures of its domain: hspace verify {id} --images DIR"
            raise UsageError(f"{id} is no direction of the registry. If it is a backbone, {way_out}") from error
        raise
