"""`hspace evaluate`: what directions do to pictures, or what was done to pictures in folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hspace.cli.asking import by_prefix, prompts_of, source_config_of
from hspace.cli.directions import Steps
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
from hspace.errors import HspaceError, UsageError

if TYPE_CHECKING:
    from hspace.evaluation.evaluated import Evaluation
    from hspace.evaluation.streams import Folders

FILE = "evaluation.json"


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("evaluate")(evaluate)


def evaluate(
    directions: Annotated[
        list[str] | None, typer.Argument(metavar="[DIRECTION]...", help="Ids, with #k for one of a basis; folders.")
    ] = None,
    images: Annotated[list[Path] | None, typer.Option(help="A picture, or a folder of them; repeatable.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Pictures of a source, by its name in list-sources.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many of the source, or of drawn ones with neither.")] = 64,
    orig: Annotated[Path | None, typer.Option(help="Instead of directions: a folder of originals.")] = None,
    recon: Annotated[Path | None, typer.Option(help="A folder of reconstructions, of the same names.")] = None,
    edit: Annotated[Path | None, typer.Option(help="A folder of edits, of the same names.")] = None,
    size: Annotated[int | None, typer.Option(min=16, help="Resize the pictures of folders to N pixels a side.")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names from list-metrics, as in psnr,kid; all by default.")
    ] = None,
    strength: Annotated[
        str | None, typer.Option(help="As in -1,1,2; or range, for half and all of it; by default each one's own.")
    ] = None,
    before: Annotated[
        str | None, typer.Option("--from", help="The prompt for the pictures as they are; the direction's by default.")
    ] = None,
    after: Annotated[str | None, typer.Option("--to", help="The prompt for the pictures as they should be.")] = None,
    encoder: Annotated[str | None, typer.Option(help="From list-encoders; the backbone's by default.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="METRIC.key=value, or source.key=value; repeatable.")
    ] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Steps = 40,
    seed: Annotated[int, typer.Option(min=0, help="The seed of pictures, noise and intervals.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 16,
    out: Annotated[
        Path, typer.Option(help=f"Where {FILE} goes, and where a stopped call goes on.")
    ] = Path("hspace-out/evaluate"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Measure what directions do to pictures, or compare folders of pictures, with intervals."""
    from hspace import evaluation
    from hspace.evaluation.streams import Folders
    from hspace.processes import is_main
    from hspace.progress import progress

    folders = Folders(orig, recon, edit)
    require_one(directions or [], folders, bool(images or source or strength or backbone), size)
    names = parse_names(metrics) if metrics is not None else None
    at = parse_strengths(strength) if strength is not None else None
    config, of_source = settings_of(settings or [], names)
    place = pick_device(device)
    shared: dict[str, Any] = {
        "metrics": names, "config": config, "prompts": prompts_of(before, after), "encoder": encoder, "seed": seed,
        "batch": batch, "out": out, "device": place,
    }  # fmt: skip
    if directions:
        shared |= {
            "images": images or [], "source": source, "source_config": source_config_of(source, of_source),
            "samples": samples, "strengths": at, "steps": steps, "weights": weights, "offline": offline,
            "backbone": bound(backbone, directions[0], bind, place, weights, offline) if bind else backbone,
        }  # fmt: skip
    with told_where_it_stopped(), progress("measuring", quiet=as_json) as callback:
        if directions:
            found = evaluation.evaluate(directions, **shared, callback=callback)
        else:
            found = evaluation.evaluate_folders(folders, **shared, size=size, callback=callback)
    if is_main():
        _answer(found, out / FILE, as_json)


def bound(name: str | None, direction: str, bind: list[str], device: str, weights: Path | None, offline: bool) -> Any:
    """The backbone of that name, or of a direction, under the conditions of --bind."""
    from hspace.loading import load_direction

    return load_bound(name or load_direction(direction).meta.backbone.id, bind, device, weights, offline)


def require_one(directions: list[str], folders: "Folders", of_directions: bool, size: int | None) -> None:
    """Raises UsageError unless either directions or folders are measured, with the options that are for them."""
    if directions and folders.given():
        raise UsageError("give directions, or folders of pictures with --orig, --recon and --edit; not both")
    if not directions and not folders.given():
        raise UsageError(
            "say what to measure: directions ('hspace list-directions'), or two of --orig, --recon and --edit"
        )
    if directions and size is not None:
        raise UsageError("--size is for folders; a backbone paints pictures of a size of its own")
    if not directions and of_directions:
        raise UsageError("--images, --source, --strength and --backbone are for directions; leave them away")


def parse_names(text: str) -> list[str]:
    """The names of a comma-separated list. Raises UsageError for an empty one."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"--metrics takes names from 'hspace list-metrics', as in psnr,kid; {text!r} was given")
    return names


def parse_strengths(text: str) -> list[float] | Literal["range"]:
    """The numbers of a comma-separated list, or "range". Raises UsageError for anything else."""
    if text == "range":
        return "range"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--strength takes numbers, as in -1,1,2, or range; {text!r} was given") from error
    if not all(abs(number) < float("inf") for number in numbers):
        raise UsageError(f"--strength takes finite numbers; {text!r} was given")
    return numbers


def settings_of(pairs: list[str], names: list[str] | None) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The settings of --set by metric, read by their types, and the pairs for the source.

    Raises NotFoundError for a metric that is not there, UsageError for one that is not measured.
    """
    from hspace.settings import parse_settings

    parts = by_prefix(pairs)
    of_source = parts.pop("source", [])
    for name, own in parts.items():
        if names is not None and name not in names:
            raise UsageError(f"--set {name}.{own[0]}: {name!r} is not among the --metrics")
    return {name: parse_settings(own, "metrics", name) for name, own in parts.items()}, of_source


def _answer(found: "Evaluation", path: Path, as_json: bool) -> None:
    import json

    from hspace import storage

    answer = found.answer()
    storage.write_bytes(path, (json.dumps(answer, indent=1, default=str) + "\n").encode())
    if as_json:
        print_json({**answer, "path": str(path)})
    else:
        _print(found, path)
    if all(row.result.value is None for row in found.rows):
        raise HspaceError(f"nothing could be measured; {path} says why")


def _print(found: "Evaluation", path: Path) -> None:
    shown = [row for row in found.rows if not row.result.detail]
    several = len({row.direction for row in shown}) > 1, len({row.strength for row in shown}) > 1
    columns = ("direction", "strength", "measure", "pair", "value", "95 % interval", "spread", "floor", "n")
    kept = [name for name, there in zip(columns, (*several, *[True] * 7), strict=True) if there]
    table = []
    for row in shown:
        one = row.result
        cells = (row.direction, row.strength, one.name, one.pair, one.value, _interval(one.low, one.high),
                 one.spread, one.floor, one.n)  # fmt: skip
        if one.value is not None:
            table.append([cell for name, cell in zip(columns, cells, strict=True) if name in kept])
    print_table(kept, table)
    missing: dict[str, dict[str, None]] = {}
    for row in shown:
        if row.result.value is None:
            missing.setdefault(row.result.reason, {})[f"{row.result.name} {row.result.pair}".strip()] = None
    for absent in found.absent:
        missing.setdefault(absent.reason, {})[absent.metric] = None
    for reason, names in missing.items():
        say(f"no {', '.join(names)}: {reason}")
    say(f"\n{found.settings['pictures']}; how each was measured is in {path}")


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:.4g} to {high:.4g}"
