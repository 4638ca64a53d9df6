"""`hspace discover`: find directions, store them, and show them on a sheet."""

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
from hspace.errors import UsageError
from hspace.plugins import plugins

MEASURED = ("sigma", "residual", "effect", "full_effect")
"""The measurements of a find that the table shows, where there are any."""


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("discover")(discover)


def discover(
    unsupervised: Annotated[bool, typer.Option("--unsupervised", help="Use a finder that needs nothing.")] = False,
    finder: Annotated[str | None, typer.Option(help="A name from list-finders [default: jacobian-svd].")] = None,
    backbone: BackboneName = None,
    source: Annotated[str | None, typer.Option("--from", help="The prompt for the pictures as they are.")] = None,
    target: Annotated[str | None, typer.Option("--to", help="The prompt for the pictures as they should be.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="What reads the prompts, from list-encoders [default: the backbone's].")
    ] = None,
    head: Annotated[str | None, typer.Option(help="The head to train, from list-heads.")] = None,
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
        typer.Option("--set", help="key=value for the finder, head.key=value for its head; repeatable."),
    ] = None,
    images: Annotated[list[Path] | None, typer.Option(help="A picture, or a folder of them; repeatable.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many latents to draw where there are no images.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 40,
    seed: Annotated[int, typer.Option(help="The seed of all that is random.")] = 0,
    name: Annotated[str | None, typer.Option(help="What to call the find [default: the finder's choice].")] = None,
    out: Annotated[Path, typer.Option(help="Where the sheet goes.")] = Path("hspace-out"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find directions in a backbone's h-space, store them in the registry, and draw a sheet of what they do."""
    from contextlib import ExitStack

    from hspace import discovery
    from hspace.images import find_images
    from hspace.loading import backbone_encoder, default_backbone
    from hspace.progress import progress

    prompts = _prompts(source, target)
    chosen = _finder(unsupervised, finder, prompts)
    config = _config(chosen, settings or [], head)
    said = {"k": k, "at": at, "map": map_, "mask": mask}
    config |= {key: value for key, value in said.items() if value is not None}
    if prompts is not None:
        encoder = encoder or backbone_encoder(backbone or default_backbone())
    places = find_images(images or [])
    with ExitStack() as stack:
        found = discovery.discover(
            load_bound(backbone or default_backbone(), bind, pick_device(device), weights, offline)
            if bind
            else backbone,
            finder=chosen,
            config=config,
            images=places,
            samples=samples,
            prompts=prompts,
            encoder=encoder,
            seed=seed,
            steps=steps,
            name=name,
            out=out,
            device=pick_device(device),
            weights=weights,
            offline=offline,
            progress=lambda what: stack.enter_context(progress(what)),
        )
    rows = [
        row
        for direction, folder in zip(found.directions, found.folders, strict=True)
        for row in _rows(direction, folder)
    ]
    if as_json:
        print_json({"directions": rows, "sheet": str(found.sheet), "seconds": round(found.seconds, 2)})
        return
    told = [name for name in MEASURED if any(name in row for row in rows)]
    print_table(("id", *told), ((row["id"], *(row.get(name) for name in told)) for row in rows))
    say(f"\nsheet: {found.sheet}   ({found.seconds:.1f} s)")
    if rows:
        say(f"next:  hspace edit FACE.png --direction '{rows[0]['id']}=2'")


def _prompts(source: str | None, target: str | None) -> tuple[str, str] | None:
    if source is None and target is None:
        return None
    for option, prompt in (("--from", source), ("--to", target)):
        if prompt is None or not prompt.strip():
            raise UsageError(f"{option} needs a prompt: --from 'a face' --to 'a smiling face'")
    return str(source), str(target)


def _config(finder: str, settings: list[str], head: str | None) -> dict[str, Any]:
    """The finder's settings, and under `head_config` those that begin with `head.`, read by the head's own types."""
    from hspace.settings import parse_settings, setting

    own = [pair for pair in settings if not pair.startswith("head.")]
    of_head = [pair.removeprefix("head.") for pair in settings if pair.startswith("head.")]
    config = parse_settings([*own, *([f"head={head}"] if head else [])], "finders", finder)
    if of_head:
        trained = str(config.get("head", setting("finders", finder, "head")))
        config["head_config"] = parse_settings(of_head, "heads", trained)
    return config


def _finder(unsupervised: bool, finder: str | None, prompts: tuple[str, str] | None) -> str:
    from hspace.discovery import TEXT_DRIVEN, UNSUPERVISED

    if not unsupervised and finder is None and prompts is None:
        raise UsageError(
            "say how to look: --unsupervised, --from and --to, or --finder with a name from 'hspace list-finders'"
        )
    name = finder or (TEXT_DRIVEN if prompts is not None and not unsupervised else UNSUPERVISED)
    needs = plugins().find("finders", name).needs
    if unsupervised and needs:
        raise UsageError(f"--unsupervised takes a finder that needs nothing; {name!r} needs {', '.join(needs)}")
    return name


def _rows(direction: Any, folder: Path) -> list[dict[str, Any]]:
    from hspace.discovery import parts

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
