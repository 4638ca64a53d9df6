"""What a folder's model is taken to be, from its configs alone, and what a wrong one of these would do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hspace.assumptions import Assumption
from hspace.zoo import CARD_FILE
from hspace_backbones.layout import CONFIG, family, first_stage_folder, read_json, scheduler_config, unet_folder

Json = Mapping[str, Any]
NOISE = "loads all the same; samples are noise or garbled"
FAINT = "loads all the same and changes eps by less than 1 %; 'hspace verify' cannot see it"
SHIFTED = "loads all the same; pictures drift in colour and sharpness, and inversion does not return"


def ddpmpp(folder: Path) -> list[Assumption]:
    """What is assumed of the DDPM++ in a folder; empty for another family's."""
    return _read(folder) if family(folder) == "ddpmpp" else []


def iddpm(folder: Path) -> list[Assumption]:
    """What is assumed of the iDDPM in a folder; empty for another family's."""
    return _read(folder) if family(folder) == "iddpm" else []


def adm(folder: Path) -> list[Assumption]:
    """What is assumed of the ADM in a folder; empty for another family's."""
    return _read(folder) if family(folder) == "adm" else []


def ldm(folder: Path) -> list[Assumption]:
    """What is assumed of the LDM in a folder; empty for another family's."""
    return _read(folder) if family(folder) == "ldm" else []


def _read(folder: Path) -> list[Assumption]:
    facts, unet = read_json(folder / CARD_FILE), read_json(unet_folder(folder) / CONFIG)
    place = first_stage_folder(folder)
    return [
        *_attentions(facts, unet),
        *_norms(unet),
        *_time(facts, unet),
        *_noise(facts, unet, scheduler_config(folder)),
        *([] if place is None else _first_stage(facts, read_json(place / CONFIG))),
        Assumption("classes", _classes(unet), "a wrong number does not load"),
    ]


def _attentions(facts: Json, unet: Json) -> list[Assumption]:
    official = facts.get("official") or {}
    if "ch_mult" in official or facts.get("family") == "ddpmpp":
        order = "stored apart"
    elif "model_channels" in official:
        new = official.get("use_new_attention_order", False)
        order = "all q, all k, all v" if new else "q, k, v of each head in turn"
    else:
        order = "as stored by diffusers"
    width, heads = unet.get("attention_head_dim"), facts.get("num_heads")
    each = f"{heads} everywhere" if heads else "1 everywhere" if width is None else f"one per {width} channels"
    return [
        Assumption("order of q, k, v", order, NOISE),
        Assumption("heads", each, "loads all the same; from hardly visible to garbled, by how much attention does"),
    ]


def _norms(unet: Json) -> list[Assumption]:
    padding = "right and bottom" if unet.get("downsample_padding") == 0 else "all sides"
    resampling = "in residual blocks" if unet.get("downsample_type") == "resnet" else padding
    return [
        Assumption("norm eps", unet.get("norm_eps"), FAINT),
        Assumption("norm groups", unet.get("norm_num_groups"), NOISE),
        Assumption("padding of downsampling", resampling, NOISE),
    ]


def _time(facts: Json, unet: Json) -> list[Assumption]:
    order = "cosine, sine" if unet.get("flip_sin_to_cos", True) else "sine, cosine"
    spread = f"{order}; frequencies over half - {unet.get('freq_shift', 0)}"
    return [
        Assumption("time embedding", spread, NOISE),
        Assumption("timestep scale", facts.get("timestep_scale", 1.0), NOISE),
    ]


def _noise(facts: Json, unet: Json, scheduler: Json) -> list[Assumption]:
    T = scheduler.get("num_train_timesteps")
    ends = f"{scheduler.get('beta_start')} to {scheduler.get('beta_end')}"
    name = scheduler.get("beta_schedule")
    schedule = f"{name}, {T} steps" if name == "squaredcos_cap_v2" else f"{name}, beta {ends}, {T} steps"
    if scheduler.get("trained_betas") is not None:
        schedule = f"the checkpoint's own betas, {len(scheduler['trained_betas'])} steps"
    learned = (unet.get("out_channels") or 0) == 2 * (unet.get("in_channels") or 0) != 0
    dropped = "learned, the second half of the output; dropped" if learned else "not learned"
    averaged = {True: "averaged (EMA)", False: "raw"}.get(facts.get("ema"), "as in the file")  # type: ignore[arg-type]
    return [
        Assumption("schedule", schedule, SHIFTED),
        Assumption("prediction type", scheduler.get("prediction_type", "epsilon"), NOISE),
        Assumption("variance", dropped, "samples are noise if the halves were the other way round"),
        Assumption("weights", averaged, "samples are rougher if they should be the averaged ones"),
    ]


def _first_stage(facts: Json, config: Json) -> list[Assumption]:
    vq = config.get("_class_name") == "VQModel"
    scale = facts.get("scale_factor", 1.0 if vq else config.get("scaling_factor"))
    return [
        Assumption("first stage", config.get("_class_name"), "a wrong one does not load"),
        Assumption("scale of latents", scale, NOISE),
    ]


def _classes(unet: Json) -> str:
    classes = unet.get("num_class_embeds")
    return "none" if classes is None else f"{classes}, said with --bind label=N"
