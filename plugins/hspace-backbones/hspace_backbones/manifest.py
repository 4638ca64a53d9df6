"""What a published network consists of: the names and shapes that its files must hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel

from hspace.archive import read_checkpoint
from hspace.cards import Card
from hspace.errors import RefusedError
from hspace_backbones import openai, pesser
from hspace_backbones.arguments import OpenaiArguments, PesserArguments
from hspace_backbones.first_stage import FirstStage
from hspace_backbones.folders import ARCHIVED, WEIGHTS
from hspace_backbones.layers import Shapes, differences, some
from hspace_backbones.layout import first_stage_folder, unet_folder
from hspace_backbones.networks import Mends, build

OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""What old repositories call the layers of an attention; diffusers renames them as it loads."""

Blueprint = tuple[type[Any], dict[str, Any], Mends]


def check(card: Card, folder: Path) -> None:
    """Raises RefusedError when the networks in a folder are not those of the card's `official` arguments.

    Names and shapes are compared; no weight is read. A card without `official` is taken at its folder's word.
    """
    if "official" not in card.facts:
        return
    groups = card.facts.get("norm_num_groups", 32)
    for part, blueprint in blueprints(card.facts["family"], card.facts["official"], groups).items():
        place = unet_folder(folder) if part == "unet" else first_stage_folder(folder)
        if place is None:
            raise RefusedError(f"{folder} has no first stage, which {card.name} has.")
        wrong = differences(_found(place), parameters(blueprint))
        if wrong:
            raise RefusedError(f"the weights in {place} are not those of {card.name}: {some(wrong)}.")


def blueprints(family: str, described: Mapping[str, Any], groups: int) -> dict[str, Blueprint]:
    """The diffusers class, arguments and mends of each network of a model that is so described."""
    if family == "ddpmpp":
        pesser_args = PesserArguments.read(described["args"], pesser.NEUTRAL)
        return {"unet": (UNet2DModel, pesser.unet_config(pesser_args, groups), pesser.mends(pesser_args))}
    args = OpenaiArguments.read(described["unet_args" if family == "ldm" else "args"], openai.NEUTRAL)
    unet: Blueprint = (UNet2DModel, openai.unet_config(args, groups), openai.mends(args))
    if family != "ldm":
        return {"unet": unet}
    first = FirstStage.read(described["first_stage"])
    return {"unet": unet, "first_stage": (first.cls, first.config(groups), first.mends())}


def parameters(blueprint: Blueprint) -> Shapes:
    """The names and shapes of the parameters of a network, which is not built for real."""
    with torch.device("meta"):
        network = build(*blueprint)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _found(place: Path) -> Shapes:
    """The names and shapes in a network's file, by diffusers' present names."""
    if (place / WEIGHTS).is_file():
        shapes = _header(place / WEIGHTS)
    else:
        shapes = {name: tuple(tensor.shape) for name, tensor in read_checkpoint(place / ARCHIVED).items()}
    return {".".join(_renamed(name.split("."))): shape for name, shape in shapes.items()}


def _header(path: Path) -> Shapes:
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, size)))
            shapes = {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}
            end = max((one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RefusedError(f"{path} is not a sound safetensors file.") from error
    if size != 8 + length + end:
        raise RefusedError(f"{path} has {size} bytes; its header says {8 + length + end}.")
    return shapes


def _renamed(parts: list[str]) -> list[str]:
    """An attention's layers by their present names."""
    return [*parts[:-2], OLD_NAMES.get(parts[-2], parts[-2]), parts[-1]] if len(parts) > 2 else parts
