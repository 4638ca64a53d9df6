"""DDPM++: the contract, and the folders it is loaded from."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from hspace import load_backbone
from hspace.errors import RefusedError
from hspace.schedule import alphas_cumprod
from hspace.testing import BackboneContract
from hspace_backbones.ddpmpp import FACTS, tiny


class TestTiny(BackboneContract):
    card = "ddpmpp-random-tiny"


def unet(**changed: object) -> UNet2DModel:
    config = {
        "sample_size": 16,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        **FACTS,
    }
    return UNet2DModel(**{**config, **changed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A zoo folder: a U-Net on patches, half precision, v-prediction, and our card."""
    place = tmp_path / "ddpmpp-mine"
    unet(in_channels=12, out_channels=12).half().save_pretrained(place / "unet")
    DDPMScheduler(prediction_type="v_prediction").save_pretrained(place / "scheduler")
    card = {"format": 1, "name": "ddpmpp-mine", "family": "ddpmpp", "patch": 2, "x_shape": [12, 16, 16]}
    (place / "card.json").write_text(json.dumps(card))
    return place


def test_a_zoo_folder_loads_in_float32_with_its_card(folder: Path) -> None:
    backbone = load_backbone(folder)
    assert {weight.dtype for weight in backbone.parameters()} == {torch.float32}
    assert backbone.card is not None
    assert backbone.card.name == "ddpmpp-mine"
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_patches_are_an_exact_permutation_of_the_picture(folder: Path) -> None:
    backbone = load_backbone(folder)
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    assert backbone.image_to_x0(image).shape == (2, 12, 16, 16)
    assert torch.equal(backbone.x0_to_image(backbone.image_to_x0(image)), image)


def test_a_v_prediction_is_turned_into_eps(folder: Path) -> None:
    backbone = load_backbone(folder)
    x_t, t = torch.randn(1, 12, 16, 16), torch.tensor([300.0])
    v = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).float()(x_t, t).sample
    a = float(alphas_cumprod()[300])
    assert torch.allclose(backbone(x_t, t), a**0.5 * v + (1 - a) ** 0.5 * x_t, atol=1e-5)


@pytest.mark.parametrize("layout", ["pipeline", "flat"])
def test_a_hub_folder_loads_without_a_card_of_ours(tmp_path: Path, layout: str) -> None:
    place = tmp_path / "ddpm-hub"
    model = unet().eval().requires_grad_(False)
    if layout == "pipeline":
        DDPMPipeline(model, DDPMScheduler()).save_pretrained(place)
    else:
        model.save_pretrained(place)
        DDPMScheduler().save_pretrained(place)
    backbone = load_backbone(place)
    assert backbone.card is not None
    assert (backbone.card.name, backbone.card.facts["x_shape"]) == ("ddpm-hub", (3, 16, 16))
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor([10.0])
    assert torch.allclose(backbone(x_t, t), model(x_t, t).sample, atol=1e-5)


def test_a_folder_of_another_family_is_refused_by_name(tmp_path: Path) -> None:
    unet(flip_sin_to_cos=True).save_pretrained(tmp_path / "unet")
    with pytest.raises(
        RefusedError, match=r"no backbone family reads the folder .* \(tried: adm, ddpmpp, iddpm, ldm\)"
    ):
        load_backbone(tmp_path)


def test_a_folder_without_its_schedule_is_refused(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(RefusedError, match=r"has no scheduler_config\.json"):
        load_backbone(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["conv_in.bias"]
    save_file(weights, path)
    with pytest.raises(RefusedError, match=r"conv_in\.bias"):
        load_backbone(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["conv_in.bias"][0] = torch.nan
    save_file(weights, path)
    with pytest.raises(RefusedError, match="not finite"):
        load_backbone(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RefusedError, match="could not read the U-Net"):
        load_backbone(folder)


def test_the_tiny_one_has_the_same_weights_at_every_call() -> None:
    one, other = tiny().state_dict(), tiny().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
