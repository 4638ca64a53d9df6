"""The four families in small: each has what its name stands for, is trained, stored and opened again."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D

from hspace import load_backbone
from hspace.checkpoint import load_checkpoint
from hspace.errors import NotFoundError, RefusedError
from hspace_backbones.latent import LatentUNet
from hspace_toyfaces.architectures import build_unet
from hspace_toyfaces.backbone_export import export
from hspace_toyfaces.backbone_training import BackboneLearner
from hspace_toyfaces.first_stage_training import FirstStageLearner
from hspace_toyfaces.recipes import BackboneRecipe, FirstStageRecipe, revise
from hspace_toyfaces.training import Run, train

CPU = torch.device("cpu")
FIRST_STAGE = FirstStageRecipe(
    kind="first-stage", name="codes", summary="", images=16, batch=4, learning_rate=1e-3, warmup=2, image_size=16,
    channels=(8, 8), codes=16, continuous_share=0.5, precision="float32",
)  # fmt: skip


def recipe(family: str, **changes: object) -> BackboneRecipe:
    latent = {"patch": 1, "first_stage": "codes"} if family == "ldm" else {}
    common = {"kind": "backbone", "name": family, "summary": "", "images": 8, "batch": 4, "learning_rate": 1e-3}
    shape = {"image_size": 16, "channels": (8, 16), "attention": (1,), "head_channels": 8, "precision": "float32"}
    return BackboneRecipe.model_validate({**common, **shape, "family": family, **latent, **changes})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs")
    train(FirstStageLearner(FIRST_STAGE, 0, CPU), Run(folder / "codes"))
    return folder


def unet(family: str) -> UNet2DModel:
    return build_unet(recipe(family), 12, 8)


@pytest.mark.parametrize("family", ["iddpm", "adm"])
def test_iddpm_and_adm_learn_their_variance_and_scale_and_shift(family: str) -> None:
    network = unet(family)
    assert network.config.out_channels == 2 * network.config.in_channels
    norms = [block.time_embedding_norm for block in network.modules() if isinstance(block, ResnetBlock2D)]
    assert set(norms) == {"scale_shift"}


@pytest.mark.parametrize(("family", "blocks"), [("ddpmpp", 0), ("iddpm", 0), ("adm", 2), ("ldm", 0)])
def test_adm_alone_resamples_in_residual_blocks(family: str, blocks: int) -> None:
    resampling = [b for b in unet(family).modules() if isinstance(b, ResnetBlock2D) and (b.up or b.down)]
    assert len(resampling) == blocks


def test_attention_is_where_the_recipe_says_and_in_the_middle() -> None:
    heads = [block.heads for block in unet("iddpm").modules() if isinstance(block, Attention)]
    assert heads == [2, 2, 2, 2]  # one down, two up, one in the middle


@pytest.mark.parametrize("family", ["ddpmpp", "iddpm", "adm", "ldm"])
def test_a_family_is_trained_stored_and_opened(family: str, runs: Path, tmp_path: Path) -> None:
    learner = BackboneLearner(recipe(family), 0, CPU, runs)
    train(learner, Run(runs / family))
    export(runs / family, tmp_path)
    backbone = load_backbone(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    state = backbone.encode_h(torch.zeros(1, *card["x_shape"]), torch.zeros(1))
    assert card["family"] == family
    assert card["h_shape"] == list(state.h.shape[1:])
    torch.testing.assert_close(backbone.alphas_cumprod, learner.alphas_cumprod, rtol=1e-5, atol=1e-7)
    x_t, t = torch.randn(1, *card["x_shape"], generator=torch.Generator().manual_seed(0)), torch.tensor([300.0])
    expected = learner.backbone.decode_h(learner.backbone.encode_h(x_t, t))
    torch.testing.assert_close(backbone.decode_h(backbone.encode_h(x_t, t)), expected, rtol=1e-2, atol=1e-2)  # fp16


def test_the_latents_have_unit_variance_and_come_back(runs: Path) -> None:
    learner = BackboneLearner(recipe("ldm"), 0, CPU, runs)
    assert isinstance(learner.backbone, LatentUNet)
    faces = learner.samples(2, 0)
    assert faces.shape == (2, 3, 16, 16)
    from hspace_toyfaces.backbone_measures import faces as renders

    x_0 = learner.backbone.image_to_x0(renders(64, 16, 5))
    assert x_0.shape[1:] == (3, 8, 8)
    assert float(x_0.std()) == pytest.approx(1, abs=0.1)


def test_the_codes_are_drawn_from_latents_when_quantising_begins() -> None:
    learner = FirstStageLearner(FIRST_STAGE, 0, CPU)
    learner.step(0)
    learner.step(1)
    assert not learner.quantised
    learner.step(2)
    assert learner.quantised
    codes = learner.ema.quantize.embedding.weight
    assert float(codes.std(dim=0).min()) > 1 / FIRST_STAGE.codes  # the constructor's are all within that


def test_a_first_stage_goes_on_with_the_same_bits_across_the_start_of_quantising(runs: Path, tmp_path: Path) -> None:
    learner = FirstStageLearner(FIRST_STAGE, 0, CPU)
    for step in range(2):
        learner.step(step)
    Run(tmp_path).save(learner, 2)
    assert train(FirstStageLearner(FIRST_STAGE, 0, CPU), Run(tmp_path))
    whole, parts = load_checkpoint(runs / "codes"), load_checkpoint(tmp_path)
    assert whole is not None
    assert parts is not None
    assert all(torch.equal(whole.tensors[name], parts.tensors[name]) for name in whole.tensors)


def test_an_ldm_without_its_first_stage_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="the recipe's first stage is the run"):
        BackboneLearner(recipe("ldm"), 0, CPU, tmp_path)


def test_an_unfinished_first_stage_is_refused(tmp_path: Path) -> None:
    Run(tmp_path / "codes").save(FirstStageLearner(FIRST_STAGE, 0, CPU), 1)
    with pytest.raises(RefusedError, match="at step 1 of 4"):
        BackboneLearner(recipe("ldm"), 0, CPU, tmp_path)


def test_another_kind_of_run_is_no_first_stage(runs: Path) -> None:
    train(BackboneLearner(recipe("ddpmpp"), 0, CPU), Run(runs / "pixels"))
    with pytest.raises(RefusedError, match="trains a backbone, not a first stage"):
        BackboneLearner(recipe("ldm", first_stage="pixels"), 0, CPU, runs)


def test_each_face_is_shown_at_as_many_noise_levels_as_asked(runs: Path) -> None:
    seen: list[torch.Tensor] = []
    learner = BackboneLearner(revise(recipe("ldm"), noises=2), 0, CPU, runs)
    learner.model.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    learner.step(0)
    low, high = seen[0].chunk(2)
    assert bool((low < high).all())
