"""The metrics of two pictures: known answers."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.metric import Batch, Metric, Result
from hspace_asyrp.lpips import Lpips
from hspace_metrics import consistency, identity, perceptual, psnr, s_dir
from hspace_metrics.consistency import mean_iou

from .metric_models import Colours

Draw = Callable[[int], Tensor]


def measured(metric: Metric, *sets: Tensor) -> dict[tuple[str, str], Result]:
    metric.update(Batch(torch.arange(len(sets[0])), *sets))
    return {(one.name, one.pair): one for one in metric.compute()}


def flat(*colour: float, n: int = 3) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32)[None, :, None, None].expand(n, 3, 8, 8).clone()


def test_psnr_is_what_its_formula_says(pictures: Draw) -> None:
    found = measured(psnr.build(), pictures(0), pictures(0) + 0.02, pictures(0) + 0.2)
    assert found["psnr", "orig-edit"].value == pytest.approx(20 * math.log10(2 / 0.2), abs=1e-4)
    assert found["psnr", "orig-recon"].value == pytest.approx(20 * math.log10(2 / 0.02), abs=1e-3)


def test_equal_pictures_have_no_psnr_but_a_reason(pictures: Draw) -> None:
    one = measured(psnr.build(), pictures(0), pictures(0))["psnr", "orig-recon"]
    assert one.value is None
    assert "infinite" in one.reason


def test_s_dir_is_1_along_the_prompts_and_minus_1_against_them() -> None:
    grey, redder = flat(0, 0, 0), flat(1, 0, 0)
    found = measured(s_dir.build(Colours(), ("grey", "red"), templates=False), grey, grey, redder)
    assert found["s-dir", "orig-edit"].value == pytest.approx(1, abs=1e-5)
    back = measured(s_dir.build(Colours(), ("red", "grey"), templates=False), grey, grey, redder)
    assert back["s-dir", "recon-edit"].value == pytest.approx(-1, abs=1e-5)


def test_s_dir_states_encoder_templates_prompts_and_reference() -> None:
    protocol = measured(s_dir.build(Colours(), ("grey", "red")), flat(0, 0, 0), flat(0, 0, 1))[
        "s-dir", "orig-recon"
    ].protocol
    assert protocol == (
        "cos(dI, dT) per picture by colours, from 'grey' to 'red' in 85 templates; dI from the first of the pair"
    )


def test_a_picture_that_does_not_change_has_no_s_dir() -> None:
    edits = torch.cat([flat(1, 0, 0, n=2), flat(0, 0, 0, n=1)])
    one = measured(s_dir.build(Colours(), ("grey", "red")), flat(0, 0, 0), edits)["s-dir", "orig-recon"]
    assert (one.n, sorted(one.values)) == (2, [0, 1])
    none = measured(s_dir.build(Colours(), ("grey", "red")), flat(0, 0, 0), flat(0, 0, 0))["s-dir", "orig-recon"]
    assert none.value is None
    assert "sees no change" in none.reason


def test_prompts_that_are_one_to_the_encoder_are_refused() -> None:
    with pytest.raises(RefusedError, match="colours reads both as the same"):
        s_dir.build(Colours(), ("a face", "a nose"))


def test_identity_is_1_for_the_same_and_less_for_another() -> None:
    found = measured(identity.build(Colours()), flat(0, 0, 0), flat(0, 0, 0), flat(1, 0, 0))
    assert found["identity", "orig-recon"].value == pytest.approx(1)
    assert found["identity", "orig-edit"].value == pytest.approx(0.5**0.5)


def test_identity_takes_another_encoder_than_the_one_that_reads_prompts() -> None:
    with pytest.raises(NotFoundError, match="no encoder is called 'arcface'"):
        identity.build(Colours(), model="arcface")


def test_sc_of_the_same_is_1_in_both_definitions(pictures: Draw) -> None:
    found = measured(consistency.build("metric_models:halves"), pictures(0), pictures(0))
    assert found["sc", "orig-recon"].value == 1
    assert found["sc.miou", "orig-recon"].value == 1


def test_sc_is_the_share_of_pixels_with_the_same_label() -> None:
    dark, half = flat(-1, -1, -1), flat(-1, -1, -1)
    half[..., :2] = 1
    found = measured(consistency.build("metric_models:halves"), dark, half)
    assert found["sc", "orig-recon"].value == pytest.approx(0.75)
    assert found["sc.miou", "orig-recon"].value == pytest.approx((0.75 + 0) / 2)


def test_mean_iou_counts_the_labels_that_either_picture_has() -> None:
    one = torch.tensor([[[0, 0, 1, 2]], [[5, 5, 5, 5]]])
    other = torch.tensor([[[0, 1, 1, 1]], [[5, 5, 5, 5]]])
    assert mean_iou(one, other).tolist() == pytest.approx([(1 / 2 + 1 / 3 + 0) / 3, 1])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("", "needs a segmenter"),
        ("metric_models", "named as MODULE:ATTRIBUTE"),
        ("metric_models:none", "there is no segmenter"),
    ],
)
def test_a_segmenter_that_is_not_there_is_told(named: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        consistency.build(named)


@pytest.fixture
def lpips(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    weights = {name: one.abs() if "heads" in name else one for name, one in Lpips().state_dict().items()}
    named = {name.replace("heads.", "lin").replace(".weight", ".model.1.weight"): one
             for name, one in weights.items() if "heads" in name}  # fmt: skip
    torch.save({**{name: one for name, one in weights.items() if "heads" not in name}, **named}, tmp_path / "lpips.pth")
    return tmp_path / "lpips.pth"


def test_lpips_is_the_distance_that_the_window_is_measured_with(lpips: Path, pictures: Draw) -> None:
    from hspace_asyrp.lpips import read_lpips

    found = measured(perceptual.build([lpips]), pictures(0), pictures(0), pictures(1))
    known = float(read_lpips([lpips])(pictures(0), pictures(1)).mean())
    assert found["lpips", "orig-edit"].value == pytest.approx(known, rel=1e-5)
    assert found["lpips", "orig-recon"].value == 0


def test_lpips_without_weights_says_which_it_needs() -> None:
    with pytest.raises(UsageError, match="needs its published weights"):
        perceptual.build()


def test_pictures_too_small_for_lpips_have_none(lpips: Path) -> None:
    one = measured(perceptual.build([lpips]), flat(0, 0, 0), flat(1, 0, 0))["lpips", "orig-recon"]
    assert one.value is None
    assert "at least 31 pixels" in one.reason
