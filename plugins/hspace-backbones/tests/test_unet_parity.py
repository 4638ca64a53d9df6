"""The official U-Nets' outputs, bottlenecks and edits, reproduced from the official parameters."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor

from hspace import SplitUNet
from hspace.errors import RefusedError, UsageError
from hspace.schedule import alphas_cumprod
from hspace_backbones import openai, pesser
from hspace_backbones.arguments import OpenaiArguments, PesserArguments
from hspace_backbones.layers import Layer, convert, official_shapes
from hspace_backbones.networks import Mends, build

SHARED = Path(__file__).parents[4] / "shared" / "parity"
FILES = sorted(path for path in SHARED.glob("*-tiny.safetensors") if not path.name.startswith(("asyrp", "ldm")))
PUBLISHED = sorted(path for path in SHARED.glob("*.json") if not path.name.startswith("asyrp"))
needs_reference = pytest.mark.skipif(not FILES, reason="the reference tensors are not beside this checkout")


def described(meta: dict[str, Any], groups: int) -> tuple[list[Layer], dict[str, Any], Mends]:
    args = meta["args"] if "args" in meta else meta["unet_args"]
    if "ch_mult" in args:
        ddpm = PesserArguments.read(args, pesser.NEUTRAL)
        return list(pesser.layers(ddpm)), pesser.unet_config(ddpm, groups), pesser.mends(ddpm)
    read = OpenaiArguments.read(args, openai.NEUTRAL)
    return list(openai.layers(read)), openai.unet_config(read, groups), openai.mends(read)


def content(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """What a file says of itself, its weights, and its inputs and outputs."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = {name.removeprefix("ckpt/"): t for name, t in tensors.items() if name.startswith("ckpt/")}
    io = {name.removeprefix("io/"): t for name, t in tensors.items() if name.startswith("io/")}
    return meta, weights, io


@cache
def tiny(path: Path) -> tuple[SplitUNet, dict[str, Tensor]]:
    meta, weights, io = content(path)
    layers, config, mends = described(meta, meta["norm_num_groups"])
    unet = build(UNet2DModel, config, mends)
    unet.load_state_dict(convert(weights, layers))
    backbone = SplitUNet(unet, alphas_cumprod())
    return (backbone.bind(label=io["y"]) if "y" in io else backbone), io


def assert_close(ours: Tensor, reference: Tensor) -> None:
    allowed = 1e-5 * max(1.0, reference.abs().max().item())
    assert (ours - reference).abs().max().item() <= allowed


@needs_reference
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@torch.no_grad()
def test_h_and_temb_are_the_official_ones(path: Path) -> None:
    backbone, io = tiny(path)
    state = backbone.encode_h(io["x"], io["t"])
    assert_close(state.h, io["h"])
    assert state.temb is not None
    assert_close(state.temb, io["temb"])


@needs_reference
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("edited", [False, True])
@torch.no_grad()
def test_eps_is_the_official_one_with_and_without_an_edit(path: Path, edited: bool) -> None:
    backbone, io = tiny(path)
    eps = backbone.decode_h(backbone.encode_h(io["x"], io["t"]), io["delta_h"] if edited else None)
    assert_close(eps, io["out_edit" if edited else "out"][:, :3])


@needs_reference
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@torch.no_grad()
def test_the_learned_variance_is_the_official_one(path: Path) -> None:
    backbone, io = tiny(path)
    assert_close(backbone.unet(io["x"], io["t"], io.get("y")).sample, io["out"])


MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "norm eps": ("ddpm-celebahq256", {"norm_eps": 1e-5}),
    "sine and cosine": ("ddpm-celebahq256", {"flip_sin_to_cos": True}),
    "frequencies": ("ddpm-celebahq256", {"freq_shift": 0}),
    "padding": ("ddpm-celebahq256", {"downsample_padding": 1}),
    "openai padding": ("iddpm-cifar10", {"downsample_padding": 0}),
    "openai norm eps": ("adm-imagenet256-uncond", {"norm_eps": 1e-6}),
    "head width": ("adm-imagenet256-uncond", {"attention_head_dim": 8}),
    "heads": ("iddpm-imagenet64", {}),
    "legacy order": ("adm-imagenet64-cond", {"use_new_attention_order": False}),
    "new order": ("adm-imagenet256-cond", {"use_new_attention_order": True}),
}
"""Mistakes that load silently, each with the reference that shows it."""


@needs_reference
@pytest.mark.parametrize("mistake", MISTAKES)
@torch.no_grad()
def test_a_mistake_that_loads_silently_is_shown_by_the_reference(mistake: str) -> None:
    name, changed = MISTAKES[mistake]
    meta, weights, io = content(SHARED / f"{name}-tiny.safetensors")
    if "order" in mistake:
        meta["args"] = {**meta["args"], **changed}
        changed = {}
    layers, config, mends = described(meta, meta["norm_num_groups"])
    unet = build(UNet2DModel, {**config, **changed}, Mends() if mistake == "heads" else mends)
    unet.load_state_dict(convert(weights, layers))
    error = (unet(io["x"], io["t"], io.get("y")).sample - io["out"]).abs().max().item()
    assert error > 10 * 1e-5 * max(1.0, io["out"].abs().max().item())


@needs_reference
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_parameter_list_is_that_of_its_arguments_and_of_diffusers(path: Path) -> None:
    facts = json.loads(path.read_text())
    layers, config, mends = described(facts["official_constructor"], 32)
    prefix = "model.diffusion_model." if facts["family"] == "ldm" else ""
    manifest = {
        name.removeprefix(prefix): tuple(shape)
        for name, (shape, _) in facts["manifest"].items()
        if name.startswith(prefix)
    }
    assert official_shapes(layers) == manifest
    with torch.device("meta"):
        unet = build(UNet2DModel, config, mends)
        converted = convert({name: torch.empty(shape) for name, shape in manifest.items()}, layers)
    assert {name: t.shape for name, t in converted.items()} == {name: t.shape for name, t in unet.state_dict().items()}


BASE = {
    "in_channels": 3,
    "model_channels": 16,
    "out_channels": 6,
    "num_res_blocks": 1,
    "attention_resolutions": [2],
    "image_size": 16,
    "channel_mult": [1, 2, 3],
    "num_heads": 4,
}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"channel_mult": [0.5, 1, 2], "attention_resolutions": [1, 4]},
        {"channel_mult": [2, 1], "attention_resolutions": []},
        {"channel_mult": [1], "attention_resolutions": [1]},
        {"num_res_blocks": 3, "num_classes": 5, "resblock_updown": True},
        {"use_scale_shift_norm": True, "num_head_channels": 8, "num_heads": -1},
        {"use_scale_shift_norm": True, "resblock_updown": True, "use_new_attention_order": True},
    ],
)
def test_any_openai_arguments_name_every_parameter_of_the_network(changed: dict[str, Any]) -> None:
    args = OpenaiArguments.read({**BASE, **changed})
    layers = list(openai.layers(args))
    with torch.device("meta"):
        unet = build(UNet2DModel, openai.unet_config(args, 4), openai.mends(args))
        weights = {name: torch.empty(shape) for name, shape in official_shapes(layers).items()}
        converted = convert(weights, layers)
    assert {name: t.shape for name, t in converted.items()} == {name: t.shape for name, t in unet.state_dict().items()}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"ch_mult": [1], "attn_resolutions": [16]},
        {"ch_mult": [2, 1, 3], "num_res_blocks": 3, "attn_resolutions": [16, 4], "out_ch": 6, "in_channels": 4},
        {"resolution": 24, "attn_resolutions": [6], "ch_mult": [1, 1.5, 2]},
    ],
)
def test_any_pesser_arguments_name_every_parameter_of_the_network(changed: dict[str, Any]) -> None:
    base = {"ch": 8, "out_ch": 3, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [8]}
    args = PesserArguments.read({**base, "in_channels": 3, "resolution": 16, **changed})
    layers = list(pesser.layers(args))
    with torch.device("meta"):
        unet = build(UNet2DModel, pesser.unet_config(args, 4), pesser.mends(args))
        weights = {name: torch.empty(shape) for name, shape in official_shapes(layers).items()}
        converted = convert(weights, layers)
    assert {name: t.shape for name, t in converted.items()} == {name: t.shape for name, t in unet.state_dict().items()}


@torch.no_grad()
def test_a_first_level_wider_than_the_first_convolution_runs() -> None:
    args = {"ch": 8, "out_ch": 3, "ch_mult": [2, 1], "num_res_blocks": 1, "attn_resolutions": [], "in_channels": 3}
    read = PesserArguments.read({**args, "resolution": 16})
    unet = build(UNet2DModel, pesser.unet_config(read, 4), pesser.mends(read))
    assert unet(torch.zeros(1, 3, 16, 16), torch.zeros(1)).sample.shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda w: w.pop("out.2.bias"), "'out.2.bias' is missing"),
        (lambda w: w.update(more=torch.zeros(1)), "'more' is left over"),
        (lambda w: w.update({"out.0.bias": torch.zeros(3)}), r"'out.0.bias' is \[3\] in the file, \[16\] by"),
    ],
)
def test_a_wrong_parameter_is_named(damage: Any, message: str) -> None:
    layers = list(openai.layers(OpenaiArguments.read(BASE)))
    weights = {name: torch.empty(shape) for name, shape in official_shapes(layers).items()}
    damage(weights)
    with pytest.raises(RefusedError, match=message):
        convert(weights, layers)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"depth": 3}, "takes no argument 'depth'"),
        ({"image_size": "16"}, "image_size must be int; '16' was given"),
        ({"conv_resample": False}, "conv_resample = False is not supported"),
        ({"num_heads": 5}, "num_heads = 5 does not divide"),
        ({"channel_mult": 3}, "channel_mult must be a list of numbers"),
        ({"channel_mult": []}, "channel_mult must hold a number above 0 for each level"),
        ({"channel_mult": [1, 0, 2]}, "channel_mult must hold a number above 0 for each level"),
        ({"image_size": 18}, "image_size = 18 cannot be halved as often as 3 levels ask, 2 times"),
        ({"image_size": 0}, "image_size = 0 cannot be halved"),
    ],
)
def test_a_wrong_argument_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OpenaiArguments.read({**BASE, **changed}, openai.NEUTRAL)


def test_how_it_was_trained_is_no_obstacle() -> None:
    trained = {"use_checkpoint": True, "use_fp16": True, "dims": 2}
    assert OpenaiArguments.read({**BASE, **trained}, openai.NEUTRAL) == OpenaiArguments.read(BASE)


@pytest.mark.parametrize(
    ("changed", "message"), [({"ch_mult": []}, "ch_mult must"), ({"resolution": 9}, "resolution = 9")]
)
def test_ddpm_levels_that_cannot_be_are_refused(changed: dict[str, Any], message: str) -> None:
    base = {"ch": 8, "out_ch": 3, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [8], "in_channels": 3}
    with pytest.raises(UsageError, match=message):
        PesserArguments.read({**base, "resolution": 16, **changed})


def test_a_lacking_argument_is_named() -> None:
    with pytest.raises(UsageError, match="the arguments lack image_size"):
        OpenaiArguments.read({name: value for name, value in BASE.items() if name != "image_size"})
