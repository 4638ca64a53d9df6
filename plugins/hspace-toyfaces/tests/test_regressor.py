"""The attribute regressor: shapes, files, and what its score means."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hspace.errors import NotFoundError, RefusedError
from hspace_toyfaces.attributes import NAMES, sample_attributes, to_matrix
from hspace_toyfaces.learner import generator_for
from hspace_toyfaces.recipes import RegressorRecipe
from hspace_toyfaces.regressor import Regressor, load_regressor
from hspace_toyfaces.regressor_export import export
from hspace_toyfaces.regressor_training import FRESH_SEED, RegressorLearner, augment, r_squared
from hspace_toyfaces.training import Run, train

RECIPE = RegressorRecipe(
    kind="regressor", name="micro", summary="", images=16, batch=8, learning_rate=1e-3, warmup=1,
    image_sizes=(16, 8), channels=(8, 8, 8), features=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    train(RegressorLearner(RECIPE, 0, torch.device("cpu")), Run(folder))
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    export(run, run / "out")
    return run / "out"


@pytest.mark.parametrize("size", [8, 32, 64])
def test_attributes_and_features_of_any_size(size: int) -> None:
    regressor = Regressor(len(NAMES), (8, 8, 8), 12)
    images = torch.zeros(3, 3, size, size)
    assert regressor.predict(images).shape == (3, len(NAMES))
    assert regressor.features(images).shape == (3, 12)


def test_the_prediction_is_linear_in_the_features() -> None:
    regressor = Regressor(2, (8, 8), 4)
    images = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(regressor.predict(images), regressor.last(regressor.features(images)))


def test_an_exported_regressor_comes_back_in_half_precision(run: Path, exported: Path) -> None:
    learner = RegressorLearner(RECIPE, 0, torch.device("cpu"))
    Run(run).begin(learner)
    expected = {name: weight.half().float() for name, weight in learner.ema.state_dict().items()}
    torch.testing.assert_close(dict(load_regressor(exported).state_dict()), expected, rtol=0, atol=0)


def test_its_card_scores_every_attribute_at_every_size(exported: Path) -> None:
    card = json.loads((exported / "card.json").read_text())
    assert [metric["name"] for metric in card["metrics"]] == [f"r2_{name}_{size}" for size in (16, 8) for name in NAMES]


def test_a_missing_regressor_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"card\.json and regressor\.safetensors must be there"):
        load_regressor(tmp_path)


def test_a_damaged_regressor_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes((exported / "card.json").read_bytes())
    (tmp_path / "regressor.safetensors").write_bytes(b"damaged")
    with pytest.raises(RefusedError, match="damaged regressor"):
        load_regressor(tmp_path)


class Constant(Regressor):
    """A regressor that knows the truth of the fresh faces, or only their mean."""

    def __init__(self, answers: Tensor) -> None:
        nn.Module.__init__(self)
        self.answers = nn.Parameter(answers)
        self.asked = 0

    def predict(self, images: Tensor) -> Tensor:
        start, self.asked = self.asked, self.asked + len(images)
        return self.answers[start : self.asked]


def test_r2_is_1_for_the_truth_and_0_for_the_mean() -> None:
    truth = to_matrix(sample_attributes(200, generator=torch.Generator().manual_seed(FRESH_SEED)))
    assert set(r_squared(Constant(truth), 8, 200).values()) == {1.0}
    mean = truth.mean(0, keepdim=True).expand_as(truth)
    assert list(r_squared(Constant(mean.clone()), 8, 200).values()) == pytest.approx([0.0] * len(NAMES), abs=1e-4)


def test_half_of_the_images_stay_sharp_and_noise_is_bounded() -> None:
    images = torch.randn(2000, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    unchanged = (augment(images, 0.0, generator_for(0, 0)) == images).all(dim=(1, 2, 3)).double().mean()
    assert unchanged == pytest.approx(0.5, abs=0.05)
    flat = augment(torch.zeros(2000, 3, 16, 16), 0.1, generator_for(0, 1))
    assert float(flat.std(dim=(1, 2, 3)).max()) == pytest.approx(0.1, abs=0.01)


def test_the_zoo_s_regressor_reads_every_attribute() -> None:
    regressor = load_regressor(Path(__file__).parents[3] / "zoo" / "regressors" / "toyfaces")
    assert min(r_squared(regressor, 64, 200).values()) > 0.85
