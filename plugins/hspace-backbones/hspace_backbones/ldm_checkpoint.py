"""The parts of a latent diffusion checkpoint: U-Net, first stage, scale factor, schedule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from hspace.errors import RefusedError
from hspace_backbones.layers import some

UNET = "model.diffusion_model."
EMA = "model_ema."
FIRST_STAGE = "first_stage_model."
LOSS = "first_stage_model.loss."


@dataclass(frozen=True)
class LdmCheckpoint:
    """A checkpoint taken apart; `ema` tells whether the U-Net's weights are the averaged ones."""

    unet: dict[str, Tensor]
    first_stage: dict[str, Tensor]
    ema: bool
    scale_factor: float | None
    betas: Tensor | None


def take_apart(weights: Mapping[str, Tensor], unet_names: Iterable[str]) -> LdmCheckpoint:
    """The parts of a checkpoint whose U-Net has the official names `unet_names`.

    The averaged weights are taken where there are any, as the official sampling does. Names without a dot are the
    schedule's tables; a first stage's loss is for training; both are left out. Raises RefusedError for a tensor of
    no part, and for averaged weights that are not those of the U-Net.
    """
    averaged = {name.removeprefix(EMA): t for name, t in weights.items() if name.startswith(EMA)}
    unet = {name.removeprefix(UNET): t for name, t in weights.items() if name.startswith(UNET)}
    if averaged:
        unet = _averaged(averaged, unet_names)
    first_stage = {
        name.removeprefix(FIRST_STAGE): t
        for name, t in weights.items()
        if name.startswith(FIRST_STAGE) and not name.startswith(LOSS)
    }
    strange = [repr(name) for name in weights if "." in name and not name.startswith((UNET, EMA, FIRST_STAGE))]
    if strange:
        raise RefusedError(f"no part of an unconditional LDM has {some(strange)}")
    scale_factor = weights.get("scale_factor")
    return LdmCheckpoint(
        unet,
        first_stage,
        bool(averaged),
        None if scale_factor is None else float(scale_factor),
        weights.get("betas"),
    )


def _averaged(averaged: Mapping[str, Tensor], unet_names: Iterable[str]) -> dict[str, Tensor]:
    """The U-Net's averaged weights; their names lost their dots, so they are found from the U-Net's own."""
    dotless = {name: f"diffusion_model{name.replace('.', '')}" for name in unet_names}
    missing = [repr(EMA + short) for short in dotless.values() if short not in averaged]
    left_over = [repr(EMA + one) for one in averaged if one not in {*dotless.values(), "decay", "num_updates"}]
    if missing or left_over:
        wrong = [f"{one} is missing" for one in missing] + [f"{one} is left over" for one in left_over]
        raise RefusedError(f"the averaged weights are not those of the arguments (unet_args): {some(wrong)}")
    return {name: averaged[short] for name, short in dotless.items()}
