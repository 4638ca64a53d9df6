"""The published models and checkpoints: the official constructor arguments, and where each file comes from."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hspace.cards import Card
from hspace.errors import UsageError, not_found

MODELS = Path(__file__).with_name("published.json")
CHECKPOINTS = Path(__file__).with_name("checkpoints.json")
DESCRIBED = ("args", "unet_args", "first_stage", "scale_factor", "diffusion")
"""What `hspace convert` takes of a model's facts."""


@cache
def published() -> dict[str, dict[str, Any]]:
    """The facts of every published model; `also` lists further names that each goes by."""
    facts: dict[str, dict[str, Any]] = json.loads(MODELS.read_text(encoding="utf-8"))
    return facts


@cache
def checkpoints() -> dict[str, dict[str, Any]]:
    """The facts of every published checkpoint, by the name of its card; `model` is the model that it holds."""
    facts: dict[str, dict[str, Any]] = json.loads(CHECKPOINTS.read_text(encoding="utf-8"))
    return facts


def like(name: str, family: str) -> dict[str, Any]:
    """The facts of the model of that name, file name, or file name without its suffix.

    Raises NotFoundError with the nearest names, UsageError when it is of another family.
    """
    names = {alias: model for model, facts in published().items() for alias in (model, *facts["also"])}
    for card, facts in checkpoints().items():
        file = facts.get("file", card)
        for alias in (card, file, facts.get("repo", card), file.removesuffix(".pt").removesuffix(".ckpt")):
            names.setdefault(alias, facts["model"])
    if name not in names:
        raise not_found("published checkpoint", name, names, "Or give the constructor's arguments with --args.")
    found = published()[names[name]]
    if found["family"] != family:
        raise UsageError(f"{name} is of the family {found['family']}, not {family}")
    return found


def cards() -> list[Card]:
    """A card for each published checkpoint."""
    return [_card(name, facts) for name, facts in checkpoints().items()]


def _card(name: str, facts: dict[str, Any]) -> Card:
    model = published()[facts["model"]]
    kept = {key: value for key, value in facts.items() if key not in ("summary", "note")}
    told = {
        "family": model["family"],
        **shapes(model),
        "h_site": "mid.out",
        "schedule": schedule(model["diffusion"]),
        "source": facts.get("repo") or facts["source"],
        "weights": "download" if "repo" in facts or "url" in facts else "bring-your-own",
        "get": how_to_get(facts),
        **kept,
        "official": {key: model[key] for key in DESCRIBED if key in model},
    }
    return Card(name, "hspace.loading:load_folder", facts["summary"], facts=told, store="hspace_backbones.store")


def shapes(model: Mapping[str, Any]) -> dict[str, Any]:
    """x_shape and h_shape of a model, and its number of classes, if it has any, from its arguments alone."""
    args = model.get("unet_args") or model["args"]
    size = args.get("image_size") or args["resolution"]
    width, mults = args.get("model_channels") or args["ch"], args.get("channel_mult") or args["ch_mult"]
    bottom = size // 2 ** (len(mults) - 1)
    classes = args.get("num_classes")
    return {
        "x_shape": (args["in_channels"], size, size),
        "h_shape": (int(width * mults[-1]), bottom, bottom),
        **({} if classes is None else {"num_classes": classes}),
    }


def schedule(diffusion: Mapping[str, Any]) -> str:
    """A schedule in words."""
    scaled = ", timesteps rescaled to 1000" if diffusion.get("rescale_timesteps") else ""
    betas = f", betas {diffusion['beta_start']:g} to {diffusion['beta_end']:g}" if "beta_start" in diffusion else ""
    return f"{diffusion['schedule']}, {diffusion['num_train_timesteps']} steps{betas}{scaled}"


def how_to_get(facts: Mapping[str, Any]) -> str:
    """How a checkpoint's weights are had, in words."""
    note = f" ({facts['note']})" if "note" in facts else ""
    if "repo" in facts:
        return f"downloaded from the hub's {facts['repo']} at its first use{note}"
    if "url" in facts:
        return f"downloaded and converted at its first use{note}; or --weights {facts['file']}"
    return f"cannot be downloaded: {facts['note']}. Give your copy with --weights {facts['file']}"
