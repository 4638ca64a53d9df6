"""`hspace label`: name found directions by what they do to pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from hspace.errors import UsageError

if TYPE_CHECKING:
    from hspace.labeller import Labeller
    from hspace.labelling import Label, Labelling

PROMPTS, ATTRIBUTES = "prompts", "attributes"
"""The labellers that options of their own name."""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("label")(label)


def label(
    direction: Annotated[str, typer.Argument(metavar="DIRECTION", help="An id, with #k for one of a basis; a folder.")],
    prompts: Annotated[
        str | None, typer.Option(help="What may be seen: prompts with commas between, or a file with one on each line.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="What reads the prompts, from list-encoders [default: the backbone's].")
    ] = None,
    attributes: Annotated[bool, typer.Option("--attributes", help="By the attributes of the toy faces.")] = False,
    by: Annotated[str | None, typer.Option(help="Another labeller, from list-labellers.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value for the labeller; repeatable.")] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 32,
    strength: Annotated[float | None, typer.Option(help="At - and + this [default: the largest of its range].")] = None,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the pictures and of the random directions.")] = 1,
    controls: Annotated[
        int | None, typer.Option(min=0, help="Random directions beside them [default: as many, up to 10].")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the names into the direction.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Name each component of a direction, either sign, by what it does to pictures; "unnamed" where nothing fits."""
    from hspace import labelling
    from hspace.labeller import takes
    from hspace.loading import load_direction
    from hspace.progress import progress

    chosen = chosen_labeller(prompts, attributes, by)
    if encoder is not None and not takes(chosen, "encoder"):
        raise UsageError(f"labeller {chosen!r} reads no encoder; leave away --encoder {encoder}")
    found = load_direction(direction)
    name, place = backbone or found.meta.backbone.id, pick_device(device)
    own = [*(settings or []), *([f"prompts={prompts}"] if prompts else [])]
    labeller = load_labeller(chosen, own, name, encoder, place)
    model = load_bound(name, bind, place, weights, offline)
    look: dict[str, Any] = {"strength": strength, "n": n, "seed": seed, "steps": steps, "controls": controls}
    with progress("labelling", quiet=as_json) as callback:
        labelled = labelling.label(model, [found], labeller, **look, callback=callback)
    if record:
        labelling.record(direction, found, labelled)
    if as_json:
        print_json({"labeller": chosen, **answer(labelled)})
        return
    print_labels(labelled)


def chosen_labeller(prompts: str | None, attributes: bool, by: str | None) -> str:
    """The labeller that the options name. Raises UsageError unless exactly one of them does."""
    named = [PROMPTS] * (prompts is not None) + [ATTRIBUTES] * attributes + [by] * (by is not None)
    if len(named) != 1:
        raise UsageError("say by what to name it, one of --prompts, --attributes, or --by with one of list-labellers")
    return str(named[0])


def load_labeller(
    name: str, settings: list[str], backbone: str | Path | None, encoder: str | None, device: str
) -> "Labeller":
    """The labeller of that name with its key=value settings; its encoder is the backbone's where none is said."""
    from hspace.labeller import build_labeller, takes
    from hspace.loading import backbone_encoder, default_backbone
    from hspace.settings import parse_settings

    config = parse_settings(settings, "labellers", name)
    offered: dict[str, Any] = {"device": device}
    if takes(name, "encoder"):
        offered["encoder"] = encoder or backbone_encoder(backbone or default_backbone())
    return build_labeller(name, config, **offered)


def answer(labelled: "Labelling") -> dict[str, Any]:
    """What a labelling says, for JSON."""
    from hspace.labelling import FIRST, SELECTIVE

    return {
        "labels": [_row(one) for one in labelled.labels],
        "hit": {
            "k": FIRST,
            "names": labelled.hits(),
            "selective": labelled.hits(selectivity=SELECTIVE),
            "selectivity": SELECTIVE,
            "random": labelled.random_hits(),
        },
        "random": [_row(one) for one in labelled.random],
        "threshold": labelled.threshold,
        "threshold_from": "random directions" if labelled.measured else "the labeller",
        "protocol": labelled.protocol,
    }


def print_labels(labelled: "Labelling") -> None:
    """Prints a row per direction and sign, and below them the hits and where the threshold is from."""
    from hspace.labelling import FIRST, SELECTIVE

    columns = ("direction", "strength", "label", "nearest", "score", "selectivity", "z")
    print_table(columns, ([_row(one)[column] for column in columns] for one in labelled.labels))
    selective = _listed(labelled.hits(selectivity=SELECTIVE))
    say(f"\nHIT@{FIRST}: {_listed(labelled.hits())}; with selectivity >= {SELECTIVE}: {selective}")
    say(f"{len(labelled.random) // 2} random directions as long: {_by_chance(labelled)}")
    say(labelled.protocol)


def _by_chance(labelled: "Labelling") -> str:
    holds = f"a name holds from {labelled.threshold:.3g} on"
    if not labelled.random:
        return f"not looked at; {holds}"
    if labelled.measured:
        chance = len(labelled.random) + 1
        return f"{holds}, above their largest score; by chance, 1 of {chance} sides would pass"
    largest = max(abs(one.score) for one in labelled.random)
    return f"{_listed(labelled.random_hits())}, largest score {largest:.3g}; {holds}"


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


def _row(one: "Label") -> dict[str, Any]:
    return {
        "direction": one.direction,
        "strength": one.strength,
        "label": one.text,
        "nearest": one.name,
        "score": one.score,
        "selectivity": one.selectivity,
        "z": one.z,
    }
