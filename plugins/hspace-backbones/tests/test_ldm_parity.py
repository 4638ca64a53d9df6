"""The official latent diffusion models' outputs, bottlenecks, edits and first stages, reproduced."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel, VQModel
from torch import Tensor

from hspace.errors import RefusedError, UsageError
from hspace.schedule import alphas_cumprod
from hspace_backbones import openai
from hspace_backbones.arguments import OpenaiArguments
from hspace_backbones.first_stage import FirstStage
from hspace_backbones.latent import LatentUNet
from hspace_backbones.layers import convert, official_shapes
from hspace_backbones.ldm_checkpoint import EMA, take_apart
from hspace_backbones.networks import build

SHARED = Path(__file__).parents[4] / "shared" / "parity"
FILES = sorted(SHARED.glob("ldm-*-tiny.safetensors"))
PUBLISHED = sorted(SHARED.glob("ldm-*.json"))
needs_reference = pytest.mark.skipif(not FILES, reason="the reference tensors are not beside this checkout")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


@cache
def tiny(path: Path, averaged: bool = True) -> tuple[LatentUNet, dict[str, Tensor]]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    (meta,) = json.loads(path.with_name(path.name.replace("-tiny.safetensors", ".json")).read_text())["tiny"]
    groups = meta["norm_num_groups"]
    args = OpenaiArguments.read(meta["unet_args"], openai.NEUTRAL)
    layers = list(openai.layers(args))
    checkpoint = {name.removeprefix("ckpt/"): t for name, t in tensors.items() if name.startswith("ckpt/")}
    if not averaged:
        checkpoint = {name: t for name, t in checkpoint.items() if not name.startswith(EMA)}
    parts = take_apart(checkpoint, official_shapes(layers))
    unet = build(UNet2DModel, openai.unet_config(args, groups), openai.mends(args))
    unet.load_state_dict(convert(parts.unet, layers))
    first = FirstStage.read(meta["first_stage"])
    first_stage = build(first.cls, first.config(groups), first.mends())
    first_stage.load_state_dict(convert(parts.first_stage, list(first.layers())))
    io = {name.removeprefix("io/"): t for name, t in tensors.items() if name.startswith("io/")}
    return LatentUNet(unet, first_stage, alphas_cumprod(), parts.scale_factor or 1.0), io


def assert_close(ours: Tensor, reference: Tensor) -> None:
    allowed = 1e-5 * max(1.0, reference.abs().max().item())
    assert (ours - reference).abs().max().item() <= allowed


@needs_reference
@each_file
@torch.no_grad()
def test_h_and_temb_are_the_official_ones(path: Path) -> None:
    backbone, io = tiny(path)
    state = backbone.encode_h(io["x"], io["t"])
    assert_close(state.h, io["h"])
    assert state.temb is not None
    assert_close(state.temb, io["temb"])


@needs_reference
@each_file
@pytest.mark.parametrize("edited", [False, True])
@torch.no_grad()
def test_eps_is_that_of_the_averaged_weights_with_and_without_an_edit(path: Path, edited: bool) -> None:
    backbone, io = tiny(path)
    eps = backbone.decode_h(backbone.encode_h(io["x"], io["t"]), io["delta_h"] if edited else None)
    assert_close(eps, io["out_edit" if edited else "out"])
    assert (eps - io["out_raw_weights"]).abs().max() > 1e-3


@needs_reference
@each_file
@torch.no_grad()
def test_where_there_are_no_averaged_weights_eps_is_that_of_the_raw_ones(path: Path) -> None:
    backbone, io = tiny(path, averaged=False)
    assert_close(backbone(io["x"], io["t"]), io["out_raw_weights"])


@needs_reference
@each_file
@torch.no_grad()
def test_an_image_becomes_the_official_latent(path: Path) -> None:
    backbone, io = tiny(path)
    encoded = io["fs_encoded"] if "fs_encoded" in io else io["fs_encoded_mean"]
    assert_close(backbone.image_to_x0(io["fs_image"]) / backbone.scale_factor, encoded)
    assert_close(io["fs_latent"] * backbone.scale_factor, io["scaled_latent"])


@needs_reference
@each_file
@torch.no_grad()
def test_a_latent_becomes_the_official_image(path: Path) -> None:
    backbone, io = tiny(path)
    assert_close(backbone.x0_to_image(io["scaled_latent"]), io["fs_decoded"])


@needs_reference
@torch.no_grad()
def test_the_codes_are_the_official_ones() -> None:
    backbone, io = tiny(SHARED / "ldm-celebahq256-tiny.safetensors")
    quantized, _, (_, _, codes) = backbone.first_stage.quantize(io["fs_latent"])
    assert torch.equal(codes.reshape(io["fs_codes"].shape), io["fs_codes"])
    assert_close(quantized, io["fs_quantized"])
    unquantized = backbone.first_stage.decode(io["fs_latent"], force_not_quantize=True).sample
    assert_close(unquantized, io["fs_decoded_unquantized"])


@needs_reference
@torch.no_grad()
def test_the_posterior_is_the_official_one() -> None:
    backbone, io = tiny(SHARED / "ldm-lsunchurches256-tiny.safetensors")
    posterior = backbone.first_stage.encode(io["fs_image"]).latent_dist
    assert_close(posterior.mean, io["fs_encoded_mean"])
    assert_close(posterior.logvar, io["fs_encoded_logvar"])


@needs_reference
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_first_stage_is_that_of_its_arguments_and_of_diffusers(path: Path) -> None:
    facts = json.loads(path.read_text())
    first = FirstStage.read(facts["official_constructor"]["first_stage"])
    prefix = "first_stage_model."
    manifest = {
        name.removeprefix(prefix): tuple(shape)
        for name, (shape, _) in facts["manifest"].items()
        if name.startswith(prefix)
    }
    assert official_shapes(first.layers()) == manifest
    assert_every_parameter_is_named(first)


def assert_every_parameter_is_named(first: FirstStage) -> None:
    layers = list(first.layers())
    with torch.device("meta"):
        network = build(first.cls, first.config(4), first.mends())
        weights = {name: torch.empty(shape) for name, shape in official_shapes(layers).items()}
        converted = convert(weights, layers)
    wanted = {name: t.shape for name, t in network.state_dict().items()}
    assert {name: t.shape for name, t in converted.items()} == wanted


DDCONFIG = {
    "double_z": False,
    "z_channels": 3,
    "resolution": 16,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 8,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [],
}
VQ = {"class": "ldm.models.autoencoder.VQModelInterface", "embed_dim": 3, "n_embed": 16, "ddconfig": DDCONFIG}
KL = {"class": "AutoencoderKL", "embed_dim": 3, "n_embed": None, "ddconfig": {**DDCONFIG, "double_z": True}}


@pytest.mark.parametrize("kind", [VQ, KL])
@pytest.mark.parametrize(
    ("changed", "embed_dim"),
    [
        ({}, 5),
        ({"attn_type": "none", "attn_resolutions": [8]}, 3),
        ({"attn_resolutions": [16, 8], "num_res_blocks": 2}, 3),
        ({"ch_mult": [2, 1, 3]}, 4),
        ({"ch_mult": [1]}, 3),
    ],
)
@torch.no_grad()
def test_any_first_stage_arguments_name_every_parameter_and_run(
    kind: dict[str, Any], changed: dict[str, Any], embed_dim: int
) -> None:
    first = FirstStage.read({**kind, "embed_dim": embed_dim, "ddconfig": {**kind["ddconfig"], **changed}})
    assert_every_parameter_is_named(first)
    network = build(first.cls, first.config(4), first.mends())
    backbone = LatentUNet(UNet2DModel(16, block_out_channels=(32, 32, 32, 32)), network, alphas_cumprod())
    x_0 = backbone.image_to_x0(torch.zeros(1, 3, 16, 16))
    assert x_0.shape[1] == embed_dim
    assert backbone.x0_to_image(x_0).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"class": "IdentityFirstStage"}, "class must be one of VQModelInterface, VQModel, AutoencoderKL"),
        ({"n_embed": None}, "n_embed must be the number of codes"),
        ({"ddconfig": {**DDCONFIG, "double_z": True}}, "double_z = True does not go with VQModelInterface"),
        ({"ddconfig": {**DDCONFIG, "attn_type": "linear"}}, "attn_type must be 'vanilla' or 'none'"),
    ],
)
def test_a_first_stage_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FirstStage.read({**VQ, **changed})


def test_averaged_weights_that_are_not_whole_are_refused() -> None:
    weights = {"model_ema.diffusion_modelaweight": torch.zeros(1), "model_ema.decay": torch.zeros(())}
    with pytest.raises(RefusedError, match=r"'model_ema\.diffusion_modelbweight' is missing"):
        take_apart(weights, ["a.weight", "b.weight"])


def test_a_part_that_no_ldm_has_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"has 'cond_stage_model\.embedding\.weight'"):
        take_apart({"cond_stage_model.embedding.weight": torch.zeros(1)}, [])


def test_the_classes_are_the_diffusers_ones() -> None:
    assert (FirstStage.read(VQ).cls, FirstStage.read(KL).cls) == (VQModel, AutoencoderKL)
