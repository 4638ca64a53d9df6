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
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value for the finder, head.key=value for its head; repeatable."),
    ] = None,
    images: Annotated[list[Path] | None, typer.Option(help="A picture, or a folder of them; repeatable.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="How many latents to draw where there are no images [default: 4].")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampling steps [default: 40].")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all that is random [default: 0].")] = None,
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
    from hspace.processes import is_main
    from hspace.progress import progress

    known = _recipe(recipe, finder)
    prompts = _prompts(source, target, known.get("prompts"))
    chosen = _finder(unsupervised, finder or known.get("finder"), prompts)
    config = _config(chosen, settings or [], known.get("config", {}), head=head, init=init)
    config |= {key: value for key, value in (("k", k), ("at", at)) if value is not None}
    backbone = backbone or known.get("backbone") or default_backbone()
    if prompts is not None:
        encoder = encoder or known.get("encoder") or backbone_encoder(backbone)
    given = {"encoder": encoder, "samples": samples, "steps": steps, "seed": seed, "name": name, "prompts": prompts}
    asked = {**known, **{key: value for key, value in given.items() if value is not None}}
    asked |= {"finder": chosen, "config": config, "images": find_images(images or [])}
    with ExitStack() as stack:
        place = pick_device(device)
        asked["backbone"] = load_bound(backbone, bind, place, weights, offline) if bind else backbone
        found = discovery.discover(
            **asked,
            out=out,
            device=place,
            weights=weights,
            offline=offline,
            progress=lambda what: stack.enter_context(progress(what)),
        )
    if not is_main():
        return
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


def _recipe(name: str | None, finder: str | None) -> dict[str, Any]:
    """The arguments of `discover` that a recipe gives; its settings are left away where another finder is asked for."""
    if name is None:
        return {}
    from hspace.direction_recipe import read_direction_recipe

    arguments = read_direction_recipe(name).arguments()
    return {**arguments, "config": arguments["config"] if finder in (None, arguments["finder"]) else {}}


def _prompts(source: str | None, target: str | None, known: tuple[str, str] | None) -> tuple[str, str] | None:
    if known is not None:
        source, target = known[0] if source is None else source, known[1] if target is None else target
    if source is None and target is None:
        return None
    for option, prompt in (("--from", source), ("--to", target)):
        if prompt is None or not prompt.strip():
            raise UsageError(f"{option} needs a prompt: --from 'a face' --to 'a smiling face'")
    return str(source), str(target)


def _config(finder: str, settings: list[str], base: dict[str, Any], **options: str | None) -> dict[str, Any]:
    """The finder's settings, options among them; under `head_config` those that begin with `head.`, for the head.

    What is given wins over `base`, whose settings of a head are for its own head alone.
    """
    from hspace.settings import parse_settings, setting

    own = [pair for pair in settings if not pair.startswith("head.")]
    of_head = [pair.removeprefix("head.") for pair in settings if pair.startswith("head.")]
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    mine = parse_settings([*own, *given], "finders", finder)
    config = {**base, **mine}
    if mine.get("head", base.get("head")) != base.get("head"):
        config.pop("head_config", None)
    if of_head:
        trained = str(config.get("head", setting("finders", finder, "head")))
        config["head_config"] = {**config.get("head_config", {}), **parse_settings(of_head, "heads", trained)}
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
