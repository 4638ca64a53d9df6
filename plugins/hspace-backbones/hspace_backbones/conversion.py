"""A published checkpoint as diffusers networks: what is to be written, before anything is."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from hspace.errors import RefusedError, UsageError
from hspace_backbones import diffusion, guess, openai, pesser
from hspace_backbones.arguments import OpenaiArguments, PesserArguments
from hspace_backbones.diffusion import Diffusion
from hspace_backbones.first_stage import FirstStage
from hspace_backbones.layers import Layer, Shapes, convert, official_shapes
from hspace_backbones.ldm_checkpoint import UNET, take_apart
from hspace_backbones.networks import Mends, build

Guess = Callable[[Shapes, Mapping[str, Any]], dict[str, Any]]
FAMILIES = ("ddpmpp", "iddpm", "adm", "ldm")


@dataclass(frozen=True)
class Network:
    """A network to be written: the diffusers class, its arguments and mends, and its weights."""

    cls: type[Any]
    config: dict[str, Any]
    mends: Mends
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class Converted:
    """All that goes into a folder: the networks by the names of theirs, the schedule, and the card's facts."""

    networks: dict[str, Network]
    schedule: Diffusion
    facts: dict[str, Any]


def convert_checkpoint(
    weights: Mapping[str, Tensor], family: str, described: Mapping[str, Any], norm_num_groups: int = 32
) -> Converted:
    """The networks of an official state dict; `described` has the keys of the published facts.

    That is `args`, or `unet_args`, `first_stage` and `scale_factor` for an LDM, and `diffusion` if the schedule is
    not the family's usual one. Raises UsageError for arguments that are wrong in themselves, RefusedError for
    weights that are not theirs, with the argument that would explain it.
    """
    if family == "ldm":
        return _convert_ldm(weights, described, norm_num_groups)
    args = _part(described, "args", family)
    schedule = Diffusion.read(described.get("diffusion") or {})
    if family == "ddpmpp":
        read = PesserArguments.read(args, pesser.NEUTRAL)
        config, mends = pesser.unet_config(read, norm_num_groups), pesser.mends(read)
        unet = _network(UNet2DModel, config, mends, weights, list(pesser.layers(read)), guess.pesser, asdict(read))
    else:
        unet = _openai(weights, OpenaiArguments.read(args, openai.NEUTRAL), norm_num_groups)
    return Converted({"unet": unet}, schedule, _facts(unet, schedule, args, norm_num_groups))


def _convert_ldm(weights: Mapping[str, Tensor], described: Mapping[str, Any], norm_num_groups: int) -> Converted:
    args = OpenaiArguments.read(_part(described, "unet_args", "ldm"), openai.NEUTRAL)
    first = FirstStage.read(_part(described, "first_stage", "ldm"))
    _require_raw(weights, args)
    parts = take_apart(weights, official_shapes(openai.layers(args)))
    if args.in_channels != first.embed_dim:
        raise UsageError(f"in_channels = {args.in_channels} are not the first stage's embed_dim = {first.embed_dim}")
    unet = _openai(parts.unet, args, norm_num_groups)
    config, layers = first.config(norm_num_groups), list(first.layers())
    given = {**asdict(first.args), "embed_dim": first.embed_dim, "n_embed": first.codes}
    stage = _network(first.cls, config, first.mends(), parts.first_stage, layers, guess.first_stage, given)
    schedule = diffusion.of_ldm(described.get("diffusion"), parts.betas)
    facts = {
        **_facts(unet, schedule, described["unet_args"], norm_num_groups),
        "first_stage": {**first.mends().facts(), "official": dict(described["first_stage"])},
        "scale_factor": _scale_factor(described.get("scale_factor"), parts.scale_factor, first),
        "ema": parts.ema,
    }
    return Converted({"unet": unet, "first_stage": stage}, schedule, facts)


def _require_raw(weights: Mapping[str, Tensor], args: OpenaiArguments) -> None:
    """Explains a wrong U-Net by its raw weights, where there are any: the averaged ones lost their dots."""
    raw = {name.removeprefix(UNET): t for name, t in weights.items() if name.startswith(UNET)}
    if raw:
        _converted(raw, list(openai.layers(args)), guess.openai, asdict(args))


def _openai(weights: Mapping[str, Tensor], args: OpenaiArguments, norm_num_groups: int) -> Network:
    config, layers = openai.unet_config(args, norm_num_groups), list(openai.layers(args))
    return _network(UNet2DModel, config, openai.mends(args), weights, layers, guess.openai, asdict(args))


def _network(
    cls: type[Any],
    config: dict[str, Any],
    mends: Mends,
    weights: Mapping[str, Tensor],
    layers: list[Layer],
    guesser: Guess,
    given: Mapping[str, Any],
) -> Network:
    converted = _converted(weights, layers, guesser, given)
    for name, tensor in converted.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise RefusedError(f"the checkpoint holds values that are no finite numbers, in what becomes {name!r}")
    _check(cls, config, mends, converted)
    return Network(cls, config, mends, converted)


def _converted(
    weights: Mapping[str, Tensor], layers: list[Layer], guesser: Guess, given: Mapping[str, Any]
) -> dict[str, Tensor]:
    try:
        return convert(weights, layers)
    except RefusedError as error:
        raise RefusedError(f"{error}. {_explanation(weights, guesser, given)}") from error


def _explanation(weights: Mapping[str, Tensor], guesser: Guess, given: Mapping[str, Any]) -> str:
    try:
        explained = guess.explain(guesser({name: tuple(t.shape) for name, t in weights.items()}, given), given)
    except (KeyError, IndexError, ZeroDivisionError):
        return "Its names are not of this layout: is it of another family?"
    return f"The file shows {explained}." if explained else "No argument explains it: is the file whole?"


def _check(cls: type[Any], config: dict[str, Any], mends: Mends, weights: Mapping[str, Tensor]) -> None:
    """Raises UsageError when diffusers cannot build it, RefusedError when its parameters are others after all."""
    try:
        with torch.device("meta"):
            network = build(cls, config, mends)
    except ValueError as error:
        groups = config["norm_num_groups"]
        raise UsageError(
            f"no network can be built of these arguments with --norm-num-groups {groups}: {error}"
        ) from error
    wanted = {name: t.shape for name, t in network.state_dict().items()}
    if wanted != {name: t.shape for name, t in weights.items()}:
        raise RefusedError(f"diffusers' {cls.__name__} has other parameters than these arguments describe")


def _facts(unet: Network, schedule: Diffusion, args: Mapping[str, Any], norm_num_groups: int) -> dict[str, Any]:
    config = unet.config
    size, widths = config["sample_size"], config["block_out_channels"]
    shrink = 2 ** (len(widths) - 1)
    classes = config.get("num_class_embeds")
    return {
        "x_shape": [config["in_channels"], size, size],
        "h_shape": [widths[-1], size // shrink, size // shrink],
        "h_site": "mid.out",
        **unet.mends.facts(),
        **({} if classes is None else {"num_classes": classes}),
        "timestep_scale": schedule.timestep_scale,
        "norm_num_groups": norm_num_groups,
        "official": dict(args),
    }


def _scale_factor(given: Any, found: float | None, first: FirstStage) -> float:
    """The given number, or the checkpoint's own; 1 for a VQModel that has neither."""
    said = float(given) if isinstance(given, (int, float)) else None
    if said is not None and found is not None and abs(said - found) > 1e-3 * abs(found):
        raise RefusedError(f"scale_factor = {said} was given, the checkpoint's own is {found:g}")
    if said is None and found is None and not first.codes:
        raise UsageError("scale_factor is neither in the checkpoint nor in the arguments")
    scale = said if said is not None else 1.0 if found is None else found
    if not 0 < scale < 1e6:
        raise RefusedError(f"scale_factor must be positive; it is {scale}")
    return scale


def _part(described: Mapping[str, Any], name: str, family: str) -> Mapping[str, Any]:
    part = described.get(name)
    if not isinstance(part, Mapping):
        raise UsageError(f"the arguments lack {name!r}, which a checkpoint of the family {family} needs")
    return part
