"""`hspace audit`: for whom a direction works worse, and whether that was so before any edit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli.directions import Force, Steps, parse_direction
from hspace.cli.output import BackboneName, Device, Json, Offline, Weights, pick_device, print_json, print_table, say

if TYPE_CHECKING:
    from hspace.audit.auditing import Audit

JSON, MARKDOWN, WORST = "audit.json", "audit.md", "worst.png"


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("audit")(audit)


def audit(
    direction: Annotated[str, typer.Argument(metavar="DIRECTION[=STRENGTH]", help="An id, #k for one of a basis.")],
    group: Annotated[
        str, typer.Option(metavar="ATTRIBUTE|labels.csv", help="An attribute of a source's pictures, or a file.")
    ],
    images: Annotated[list[Path] | None, typer.Option(help="The labelled pictures, or their folder.")] = None,
    source: Annotated[
        str | None, typer.Option(help="A source of pictures [default: that knows the attribute].")
    ] = None,
    samples: Annotated[int, typer.Option(min=4, help="How many pictures, of all groups.")] = 64,
    metrics: Annotated[
        str | None, typer.Option(help="Names from list-metrics, as in psnr,flips; all by default.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="METRIC.key=value, or source.key=value; repeatable.")
    ] = None,
    worst: Annotated[
        str | None, typer.Option(help="What makes a case the worst: a metric's highest, or -METRIC its lowest.")
    ] = None,
    prompt: Annotated[str | None, typer.Option("--from", help="What pictures are [default: the direction's].")] = None,
    target: Annotated[str | None, typer.Option("--to", help="What they should be [default: the direction's].")] = None,
    encoder: Annotated[str | None, typer.Option(help="From list-encoders [default: the backbone's].")] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    steps: Steps = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of the pictures, the draws and the noise.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 16,
    out: Annotated[Path, typer.Option(help="Where the audit goes.")] = Path("hspace-out/audit"),
    force: Force = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compare what a direction does to groups of pictures of equal size, the unedited reconstruction as control."""
    from hspace.audit import answer, auditing
    from hspace.audit.worst import worst_cases, worst_metric, worst_sheet
    from hspace.cli.asking import prompts_of, source_config_of
    from hspace.cli.evaluate import parse_names, settings_of
    from hspace.images import save_picture
    from hspace.jobs import SHEET, require_sheet
    from hspace.progress import progress
    from hspace.storage import write_bytes

    name, strength = parse_direction(direction)
    require_sheet(out / WORST, images or [], force)
    names = parse_names(metrics) if metrics is not None else None
    config, of_source = settings_of(settings or [], names)
    with progress("auditing", quiet=as_json) as callback:
        found = auditing.audit(
            name, group, strength=strength, backbone=backbone, images=images or [], source=source,
            source_config=source_config_of(source, of_source), samples=samples, metrics=names, config=config,
            prompts=prompts_of(prompt, target), encoder=encoder, seed=seed, steps=steps, batch=batch, out=out,
            device=pick_device(device), weights=weights, offline=offline, callback=callback,
        )  # fmt: skip
    if not found.lines:
        _nothing(found)
    told = answer.answer(found, group)
    by, lowest = worst_metric(found, worst)
    cases = worst_cases(found, by, lowest)
    title = f"{'lowest' if lowest else 'highest'} {by}: {found.direction.id} at {found.strength:g}"
    told["worst"] = {"metric": by, "lowest": lowest, "cases": _named(found, cases)}
    write_bytes(out / JSON, _text(told).encode())
    write_bytes(out / MARKDOWN, answer.markdown(told).encode())
    save_picture(out / WORST, worst_sheet(found, cases, title), SHEET)
    if as_json:
        print_json({**told, "out": str(out)})
        return
    print_table(answer.header(told), answer.rows(told))
    for one in told["absent"]:
        say(f"not measured: {one['metric']}: {one['reason']}")
    say(f"\n{answer.note(told)}")
    say(f"{out}: {JSON}, {MARKDOWN}, {WORST} (the {title})")


def _nothing(found: "Audit") -> None:
    from hspace.errors import UsageError

    absent = "; ".join(f"{one.metric}: {one.reason}" for one in found.evaluation.absent)
    raise UsageError(f"no metric has a number for each picture, so there is nothing to compare. {absent}".strip())


def _named(found: "Audit", cases: dict[str, list[tuple[int, float]]]) -> dict[str, dict[str, float]]:
    names = found.evaluation.pictures
    return {group: {names[number]: value for number, value in some} for group, some in cases.items()}


def _text(told: dict[str, Any]) -> str:
    import json

    return json.dumps(told, indent=2, default=str) + "\n"
