"""An exported backbone is a diffusers folder with a card, and its measurements are what they say."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

from hspace import load_backbone
from hspace.errors import NotFoundError, RefusedError
from hspace.schedule import alphas_cumprod
from hspace_toyfaces.backbone_export import export
from hspace_toyfaces.backbone_measures import faces, round_trip
from hspace_toyfaces.backbone_training import BackboneLearner
from hspace_toyfaces.recipes import BackboneRecipe
from hspace_toyfaces.training import Run, train

ZOO = Path(__file__).parents[3] / "zoo" / "backbones"
RECIPE = BackboneRecipe(
    kind="backbone", name="micro", summary="Micro", images=8, batch=4, learning_rate=1e-3, image_size=16,
    channels=(8, 16),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    train(BackboneLearner(RECIPE, 0, torch.device("cpu")), Run(folder))
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    export(run, run / "out")
    return run / "out"


def test_the_folder_is_read_by_diffusers(exported: Path) -> None:
    scheduler = DDPMScheduler.from_pretrained(exported / "scheduler")
    assert scheduler.config.prediction_type == "v_prediction"
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), alphas_cumprod("linear"), rtol=1e-4, atol=1e-8)
    assert UNet2DModel.from_pretrained(exported / "unet", torch_dtype=torch.float16).dtype == torch.float16


def test_the_weights_are_the_moving_average(run: Path, exported: Path) -> None:
    learner = BackboneLearner(RECIPE, 0, torch.device("cpu"))
    Run(run).begin(learner)
    weights = UNet2DModel.from_pretrained(exported / "unet").state_dict()
    expected = {name: weight.half().float() for name, weight in learner.ema.state_dict().items()}
    torch.testing.assert_close(dict(weights), expected, rtol=0, atol=0)


def test_the_card_has_the_shapes_of_the_network(exported: Path) -> None:
    card = json.loads((exported / "card.json").read_text())
    backbone = load_backbone(exported)
    state = backbone.encode_h(torch.zeros(1, *card["x_shape"]), torch.zeros(1))
    assert [card["x_shape"], card["h_shape"]] == [[12, 8, 8], list(state.h.shape[1:])]
    assert card["training"]["images"] == 8
    assert card["metrics"] == []
    assert card["summary"] == "Micro"


def test_an_unfinished_run_says_that_it_is_preliminary(tmp_path: Path) -> None:
    learner = BackboneLearner(RECIPE, 0, torch.device("cpu"))
    Run(tmp_path).save(learner, 1)
    export(tmp_path, tmp_path / "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["summary"] == "Micro (preliminary: 1 of 2 steps)"


def test_a_folder_without_a_run_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no training run"):
        export(tmp_path, tmp_path / "out")


def test_the_run_of_something_else_is_refused(run: Path, tmp_path: Path) -> None:
    from hspace_toyfaces.regressor_export import export as export_regressor

    with pytest.raises(RefusedError, match="trains a backbone, not a regressor"):
        export_regressor(run, tmp_path)


def test_more_fixed_point_iterations_invert_better(exported: Path) -> None:
    images, backbone = faces(2, 16, 0), load_backbone(exported)
    assert round_trip(backbone, images, 2) > round_trip(backbone, images, 0)


@pytest.mark.parametrize("card", sorted(ZOO.glob("*-toyfaces-*/card.json")), ids=lambda card: card.parent.name)
def test_a_zoo_backbone_draws_faces_and_inverts_them(card: Path) -> None:
    figures = {metric["name"]: metric["value"] for metric in json.loads(card.read_text())["metrics"]}
    assert figures["frechet_distance"] < 2.4 * figures["frechet_distance_floor"]
    assert figures["inversion_psnr"] > 40
