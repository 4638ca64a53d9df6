"""iDDPM, ADM and LDM: the contracts, and the folders they are loaded from."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import Attention, AttnProcessor
from safetensors.torch import load_file, save_file

from hspace import SplitUNet, load_backbone
from hspace.errors import RefusedError
from hspace.testing import BackboneContract
from hspace_backbones import adm, ddpmpp, iddpm, ldm
from hspace_backbones.latent import LatentUNet

FAMILIES = {"ddpmpp": ddpmpp, "iddpm": iddpm, "adm": adm, "ldm": ldm}


class TestIddpm(BackboneContract):
    card = "iddpm-random-tiny"


class TestAdm(BackboneContract):
    card = "adm-random-tiny"


class TestConditionalAdm(BackboneContract):
    card = "adm-cond-random-tiny"
    condition = {"label": 3}  # noqa: RUF012


class TestLdm(BackboneContract):
    card = "ldm-random-tiny"
    image_tolerance = 8.0


def save(folder: Path, backbone: Any, **facts: Any) -> Path:
    """A folder as `hspace convert` writes it; without facts, one in the hub's layout."""
    backbone.unet.save_pretrained(folder / "unet")
    DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195).save_pretrained(
        folder / "scheduler"
    )
    if isinstance(backbone, LatentUNet):
        backbone.first_stage.save_pretrained(folder / ("first_stage" if facts else "vqvae"))
    if facts:
        card = {"format": 1, "name": folder.name, "x_shape": [3, 16, 16], **facts}
        (folder / "card.json").write_text(json.dumps(card))
    return folder


@torch.no_grad()
def test_the_heads_and_the_timestep_scale_of_the_card_are_applied_on_load(tmp_path: Path) -> None:
    tiny = iddpm.tiny()
    loaded = load_backbone(save(tmp_path / "mine", tiny, family="iddpm", num_heads=4, timestep_scale=0.25))
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor([1001.0])
    torch.testing.assert_close(loaded(x_t, t), tiny(x_t, t))
    other = load_backbone(save(tmp_path / "other", tiny, family="iddpm", timestep_scale=0.25))
    assert not torch.allclose(other(x_t, t), tiny(x_t, t), atol=1e-3)


@torch.no_grad()
def test_a_hub_ldm_folder_loads_with_its_latents_unscaled(tmp_path: Path) -> None:
    tiny = ldm.tiny()
    assert isinstance(tiny, LatentUNet)
    tiny.first_stage.register_to_config(scaling_factor=0.18215)
    loaded = load_backbone(save(tmp_path / "ldm-hub", tiny))
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(loaded.image_to_x0(image), tiny.image_to_x0(image))
    assert loaded.card is not None
    assert (loaded.card.name, loaded.card.facts["x_shape"]) == ("ldm-hub", (3, 8, 8))


@torch.no_grad()
def test_the_hubs_old_names_of_attentions_are_understood(tmp_path: Path) -> None:
    tiny = ldm.tiny()
    folder = save(tmp_path / "ldm-hub", tiny)
    for part in ("unet", "vqvae"):
        path = folder / part / "diffusion_pytorch_model.safetensors"
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        weights = load_file(path)
        for new, before in old.items():
            weights = {name.replace(f".{new}.", f".{before}."): tensor for name, tensor in weights.items()}
        save_file(weights, path, {"format": "pt"})
    x_t, t = torch.randn(1, 3, 8, 8), torch.tensor([10.0])
    torch.testing.assert_close(load_backbone(folder)(x_t, t), tiny(x_t, t))


def archived(folder: Path) -> Path:
    """Rewrites a folder's weights as torch archives, as old repositories of the hub have them."""
    for path in folder.rglob("*.safetensors"):
        torch.save(load_file(path), path.with_suffix(".bin"))
        path.unlink()
    return folder


@torch.no_grad()
def test_a_hub_folder_of_torch_archives_loads(tmp_path: Path) -> None:
    tiny = ldm.tiny()
    x_t, t = torch.randn(1, 3, 8, 8), torch.tensor([10.0])
    torch.testing.assert_close(load_backbone(archived(save(tmp_path / "ldm-hub", tiny)))(x_t, t), tiny(x_t, t))


def test_a_hub_folder_of_compressed_archives_is_refused(tmp_path: Path) -> None:
    folder = archived(save(tmp_path / "ldm-hub", ldm.tiny()))
    path = folder / "unet" / "diffusion_pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    with pytest.raises(RefusedError, match="compressed or encrypted member"):
        load_backbone(folder)


@torch.no_grad()
def test_the_heads_hold_whatever_processor_the_attentions_have() -> None:
    tiny = iddpm.tiny()
    assert isinstance(tiny, SplitUNet)
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor([100.0])
    eps = tiny(x_t, t)
    for module in tiny.unet.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())
    torch.testing.assert_close(tiny(x_t, t), eps, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_scale_factor_of_the_card_scales_the_latents(tmp_path: Path) -> None:
    tiny = ldm.tiny()
    loaded = load_backbone(save(tmp_path / "mine", tiny, family="ldm", scale_factor=0.5))
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(loaded.image_to_x0(image), 0.5 * tiny.image_to_x0(image))


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_family_that_the_card_names_reads_a_folder(tmp_path: Path, family: str) -> None:
    backbone = ldm.tiny() if family == "ldm" else FAMILIES[family].tiny()
    folder = save(tmp_path / "mine", backbone, family=family)
    readers = [name for name, module in FAMILIES.items() if module.load(folder) is not None]
    assert readers == [family]


def test_an_ldm_folder_without_its_first_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="has no first stage"):
        load_backbone(save(tmp_path / "mine", adm.tiny(), family="ldm"))


@pytest.mark.parametrize("heads", [0, 10**9, "4", True])
def test_a_card_with_an_absurd_number_of_heads_is_refused(tmp_path: Path, heads: object) -> None:
    with pytest.raises(RefusedError, match="num_heads in the card must be a number from 1 to"):
        load_backbone(save(tmp_path / "mine", iddpm.tiny(), family="iddpm", num_heads=heads))
