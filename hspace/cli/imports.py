"""`hspace import` and `hspace pull`: directions that others trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli.output import Device, Json, Offline, Weights, pick_device, print_json, print_table, say

if TYPE_CHECKING:
    from hspace.importing import Imported
    from hspace.remote import Published

Home = Annotated[
    str | None, typer.Option("--backbone", help="What it was trained on: a name from list-backbones, or a folder.")
]
Name = Annotated[str | None, typer.Option(help="What to call it, in place of the importer's choice.")]
Prompts = Annotated[tuple[str, str] | None, typer.Option(metavar="FROM TO", help="The two texts it was trained with.")]
TEdit = Annotated[int | None, typer.Option(min=0, help="The timestep from which up it was trained.")]
TBoost = Annotated[int | None, typer.Option(min=0, help="The timestep below which noise is added.")]
Steps = Annotated[int | None, typer.Option(min=1, help="The sampling steps it was trained with.")]
Cosine = Annotated[
    float | None, typer.Option(min=-1, max=1, help="CLIP's cosine of the two texts; t_edit can follow from it.")
]
HeadSettings = Annotated[list[str] | None, typer.Option("--set", help="key=value for the head; repeatable.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command("import")(import_file)
    cli.command("pull")(pull)


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A direction in another format, such as a .pth file.")],
    backbone: Home = None,
    name: Name = None,
    prompts: Prompts = None,
    t_edit: TEdit = None,
    t_boost: TBoost = None,
    steps: Steps = None,
    cosine: Cosine = None,
    settings: HeadSettings = None,
    weights: Weights = None,
    offline: Offline = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Import a direction that other code trained; its file is never unpickled."""
    from hspace.importing import import_direction

    given = _given(prompts=prompts, t_edit=t_edit, t_boost=t_boost, steps=steps, cosine=cosine)
    imported = import_direction(
        file,
        backbone=backbone,
        name=name,
        given=given,
        settings=settings or [],
        device=pick_device(device),
        weights=weights,
        offline=offline,
    )
    _tell(imported, as_json, f"hspace import {file}")


def pull(
    name: Annotated[str | None, typer.Argument(help="LIST/NAME; without it, all there are get listed.")] = None,
    backbone: Home = None,
    called: Annotated[str | None, typer.Option("--name", help="What to call it, in place of its own name.")] = None,
    t_edit: TEdit = None,
    t_boost: TBoost = None,
    cosine: Cosine = None,
    mirror: Annotated[str | None, typer.Option("--from", metavar="URL", help="A mirror of the list's files.")] = None,
    weights: Weights = None,
    offline: Offline = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Fetch a published direction, check it, and import it."""
    from hspace import remote

    if name is None:
        _list(list(remote.published().values()), mirror, as_json)
        return
    from hspace.importing import import_direction

    one = remote.find(name)
    path = remote.fetch(one, base=mirror, offline=offline)
    given = _given(t_edit=t_edit, t_boost=t_boost, cosine=cosine)
    imported = import_direction(
        path,
        backbone=backbone,
        name=called,
        given=given,
        source=one.url(),
        device=pick_device(device),
        weights=weights,
        offline=offline,
    )
    _tell(imported, as_json, f"hspace pull {name}")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _list(found: list["Published"], mirror: str | None, as_json: bool) -> None:
    rows = [
        {"name": one.id, **one.file.model_dump(exclude={"facts"}), **one.file.facts}
        | {"url": one.url(mirror), "licence": one.listing.licence, "source": one.listing.source}
        for one in found
    ]
    if as_json:
        print_json({"published": rows})
        return
    columns = ("name", "backbone", "prompts", "t_edit", "licence")
    print_table(columns, ([row.get(column) for column in columns] for row in rows))
    if not rows:
        say("No installed zoo lists published directions. Install hspace-asyrp.")


def _tell(imported: "Imported", as_json: bool, again: str) -> None:
    meta = imported.direction.meta
    if as_json:
        told = meta.model_dump(mode="json", exclude={"weights", "metrics"})
        print_json({"direction": {**told, "path": str(imported.folder), "tied": imported.tied, "note": imported.note}})
        return
    facts = [" -> ".join(map(repr, meta.prompts))] if meta.prompts else []
    facts += [f"t_edit {meta.t_edit}", *([] if meta.t_boost is None else [f"t_boost {meta.t_boost}"])]
    say(f"{meta.id}: {', '.join(facts)}, {meta.steps} steps")
    if imported.note is not None:
        say(f"note: {imported.note}")
    if imported.tied:
        say(f"next: hspace edit FACE.png --direction {meta.id}=1")
        return
    say(f"Not tied: {meta.backbone.id!r} is not here, so nothing can be edited with it yet. Once its weights are:")
    say(f"next: {again} --weights FILE, your copy of the published one, or --backbone FOLDER")
