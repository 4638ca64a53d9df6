"""`hspace discover`: find directions, store them, and show them on a sheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli import asking
from hspace.cli.label import print_labels
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
from hspace.cli.scoring import Scored, Scorer

if TYPE_CHECKING:
    from hspace.cost import Cost
    from hspace.discovery import Discovery

MEASURED = (
    "sigma", "residual", "share", "overlap", "explained", "difference", "agreement", "retained",
    "effect", "full_effect",
)  # fmt: skip
"""The measurements of a find that the table shows, where there are any."""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("discover")(discover)


def discover(
    unsupervised: Annotated[bool, typer.Option("--unsupervised", help="Use a finder that needs nothing.")] = False,
    recipe: Annotated[
        str | None, typer.Option(help="A direction's recipe, from 'recipes list', or a .toml file; options win.")
    ] = None,
    finder: Annotated[str | None, typer.Option(help="A name from list-finders [default: jacobian-svd].")] = None,
    backbone: BackboneName = None,
    source: Annotated[str | None, typer.Option("--from", help="The prompt for the pictures as they are.")] = None,
    target: Annotated[str | None, typer.Option("--to", help="The prompt for the pictures as they should be.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="What reads the prompts, from list-encoders [default: the backbone's].")
    ] = None,
    head: Annotated[str | None, typer.Option(help="The head to train, from list-heads.")] = None,
    init: Annotated[str | None, typer.Option(help="A direction of this backbone whose head to start from.")] = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="How many directions.")] = None,
    at: Annotated[int | None, typer.Option(help="The training timestep at which to look.")] = None,
    map_: Annotated[
        str | None, typer.Option("--map", help="What to differentiate: encoder, decoder, x0 or pmp.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="A picture, white where the map is looked at.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value for the finder, or with head., source. or score. before it; repeatable."),
    ] = None,
    images: Annotated[list[Path] | None, typer.Option(help="A picture, or a folder of them; repeatable.")] = None,
    pictures: Annotated[
        str | None, typer.Option("--source", help="Pictures of a source, by its name in list-sources.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A CSV file with a label for each picture of --images: file_name,smiling.")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(help="The column of --labels, or what --source knows of its pictures.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many pictures of the source, or latents where there are none [default: the finder's].",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampling steps [default: 40].")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all that is random [default: 0].")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the find [default: the finder's choice].")] = None,
    score: Annotated[
        str | None, typer.Option(help="Say what each direction does, by a labeller of list-labellers: attributes, ...")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the sheet goes.")] = Path("hspace-out"),
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would cost, in passes, seconds and memory, and end there.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find directions in a backbone's h-space, store them in the registry, and draw a sheet of what they do."""
    from contextlib import ExitStack

    from hspace import discovery
    from hspace.images import find_images
    from hspace.loading import backbone_encoder, default_backbone
    from hspace.processes import is_main
    from hspace.progress import progress

    known = asking.arguments_of(recipe, finder)
    prompts = asking.prompts_of(source, target, known.get("prompts"))
    chosen = asking.finder_of(unsupervised, finder or known.get("finder"), prompts)
    parts = asking.by_part(settings or [])
    config = asking.config_of(chosen, parts[""], parts["head"], known.get("config", {}), head=head, init=init)
    said = {"k": k, "at": at, "map": map_, "mask": mask}
    config |= {key: value for key, value in said.items() if value is not None}
    backbone = backbone or known.get("backbone") or default_backbone()
    place = pick_device(device)
    scorer = Scorer.of(score, parts["score"], backbone, encoder, place)
    if prompts is not None:
        encoder = encoder or known.get("encoder") or backbone_encoder(backbone)
    given = {"encoder": encoder, "samples": samples, "steps": steps, "seed": seed, "name": name, "prompts": prompts}
    asked: dict[str, Any] = {**known, **{key: value for key, value in given.items() if value is not None}}
    asked |= {
        "finder": chosen, "config": config, "images": find_images(images or []), "source": pictures,
        "source_config": asking.source_config_of(pictures, parts["source"]), "device": place, "weights": weights,
        "offline": offline, "labels": labels, "attribute": attribute,
    }  # fmt: skip
    asked["backbone"] = load_bound(backbone, bind, place, weights, offline) if bind or scorer else backbone
    if estimate:
        cost = discovery.estimate(**{key: value for key, value in asked.items() if key != "name"})
        if is_main():
            _answer_cost(cost, as_json)
        return
    with told_where_it_stopped(), ExitStack() as stack:
        found = discovery.discover(**asked, out=out, progress=lambda what: stack.enter_context(progress(what)))
    if is_main():
        _answer(found, as_json, scorer.score(asked["backbone"], found) if scorer else None)


def _answer(found: "Discovery", as_json: bool, scored: "Scored | None") -> None:
    rows = [
        row
        for direction, folder in zip(found.directions, found.folders, strict=True)
        for row in _rows(direction, folder)
    ]
    if as_json:
        print_json(
            {
                "directions": rows,
                "sheet": str(found.sheet),
                **({"spectrum": str(found.spectrum)} if found.spectrum else {}),
                **({"score": {**scored.answer(), "path": str(scored.path)}} if scored else {}),
                "seconds": round(found.seconds, 2),
                "pictures": {
                    "inverted": found.inverted,
                    "from_cache": found.from_cache,
                    "skipped": [{"path": str(path), "why": why} for path, why in found.skipped.items()],
                },
            }
        )
        return
    told = [name for name in MEASURED if any(name in row for row in rows)]
    print_table(("id", *told), ((row["id"], *(row.get(name) for name in told)) for row in rows))
    if scored:
        say("")
        print_labels(scored.labelling)
    if found.inverted:
        say(f"\n{found.inverted} pictures, {found.from_cache} of them inverted before; {len(found.skipped)} left out")
    say(f"\nsheet: {found.sheet}   ({found.seconds:.1f} s)")
    if found.spectrum:
        say(f"spectrum: {found.spectrum}")
    if scored:
        say(f"scores: {scored.path}")
    if rows:
        say(f"next:  hspace edit FACE.png --direction '{rows[0]['id']}=2'")


def _answer_cost(cost: "Cost", as_json: bool) -> None:
    from dataclasses import asdict

    from hspace.cost import total

    rows = [*((stage.name, stage.passes, stage.seconds) for stage in cost.stages)]
    rows.append(("all", total(cost.stages), cost.seconds))
    if as_json:
        stages = [{"stage": name, **asdict(passes), "seconds": round(seconds, 2)} for name, passes, seconds in rows]
        print_json({"stages": stages, "seconds": round(cost.seconds, 2), "peak_bytes": cost.peak_bytes})
        return
    columns = ("stage", "encoder", "decoder", "with graph", "seconds")
    print_table(
        columns,
        ((name, one.encoder, one.decoder, one.decoder_with_graph, round(seconds, 1)) for name, one, seconds in rows),
    )
    memory = "-" if cost.peak_bytes is None else f"{cost.peak_bytes / 2**20:.0f} MiB"
    say(f"\npasses are counted in pictures; about {cost.seconds:.0f} s on this machine, at most {memory} of memory")


def _rows(direction: Any, folder: Path) -> list[dict[str, Any]]:
    from hspace.sheets import parts

    def measured(name: str, component: int | None) -> float | None:
        values = (one.value for one in direction.meta.metrics if (one.name, one.component) == (name, component))
        return next(values, None)

    return [
        {
            "id": part.id,
            "path": str(folder),
            **{name: value for name in MEASURED if (value := measured(name, part.component)) is not None},
        }
        for part in parts([direction])
    ]
