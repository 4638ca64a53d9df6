"""`hspace convert`: a published checkpoint as a folder that every command opens."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hspace.cli.output import Json, print_json, say

KEYS = ("args", "unet_args", "first_stage", "scale_factor", "diffusion")


def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A .pt, .pth, .ckpt, .bin or .safetensors file.")],
    family: Annotated[str, typer.Option(help="ddpmpp, iddpm, adm or ldm.")],
    out: Annotated[Path, typer.Option(help="The folder to write; it must not be there yet, or be empty.")],
    like: Annotated[str | None, typer.Option(help="The name of a published model of the same architecture.")] = None,
    args: Annotated[Path | None, typer.Option(help="A JSON file of the official constructor's arguments.")] = None,
    norm_num_groups: Annotated[int, typer.Option(help="Groups of the norms; the official code has 32.", min=1)] = 32,
    as_json: Json = False,
) -> None:
    """Convert a checkpoint of official code, exactly; it is never unpickled."""
    from hspace.archive import read_checkpoint
    from hspace.storage import sha256
    from hspace_backbones.conversion import convert_checkpoint
    from hspace_backbones.converted_folder import require_free, write_folder

    described = _described(family, like, args)
    require_free(out)
    converted = convert_checkpoint(read_checkpoint(checkpoint), family, described, norm_num_groups)
    source = f"{checkpoint.name}, sha256 {sha256(checkpoint)}"
    write_folder(converted, out, family, source)
    facts = {name: value for name, value in converted.facts.items() if name != "official"}
    told = {"folder": str(out), "family": family, "source": source, **facts, "schedule": converted.schedule.config()}
    if as_json:
        print_json(told)
        return
    say(f"{out}: {family}, x_t {facts['x_shape']}, h {facts['h_shape']}")
    say(f"schedule {_schedule(told['schedule'])}, timestep scale {facts['timestep_scale']:g}")
    say("The order of q, k, v, the heads, the schedule and the groups of norms do not show in a checkpoint:")
    say("they are as the arguments say. Look at a few samples before you trust them.")


def _schedule(config: dict[str, Any]) -> str:
    if config["trained_betas"] is not None:
        return f"from the checkpoint's own betas, {config['num_train_timesteps']} steps"
    return f"{config['beta_schedule']}, {config['num_train_timesteps']} steps"


def _described(family: str, like: str | None, args: Path | None) -> dict[str, Any]:
    from hspace.errors import UsageError
    from hspace_backbones import published
    from hspace_backbones.conversion import FAMILIES

    if family not in FAMILIES:
        raise UsageError(f"family must be one of {', '.join(FAMILIES)}; {family!r} was given")
    if (like is None) == (args is None):
        raise UsageError("say what the checkpoint is: either --like PUBLISHED_NAME or --args ARGS.json")
    if like is not None:
        return published.like(like, family)
    assert args is not None
    return _read_args(args)


def _read_args(path: Path) -> dict[str, Any]:
    import json
    from difflib import get_close_matches

    from hspace.errors import NotFoundError, UsageError

    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except (ValueError, OSError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(described, dict):
        raise UsageError(f"{path} must hold an object with {', '.join(KEYS)}")
    for name in described:
        if name not in KEYS and (close := get_close_matches(name, KEYS, n=1, cutoff=0.8)):
            raise UsageError(f"{path} has {name!r}; did you mean {close[0]!r}?")
    return described
