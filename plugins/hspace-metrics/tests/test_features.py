"""What pictures are turned into: range, resizing and weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from hspace.errors import NotFoundError, RefusedError
from hspace_metrics.features import Inception, OfTimm, to_bytes

Draw = Callable[[int], Tensor]
MODEL = "test_resnet"
"""timm's own for tests: 0.5M parameters."""


def test_black_is_0_and_white_255_and_nothing_turns_into_its_negative() -> None:
    levels = torch.arange(256)
    images = (levels.float() / 127.5 - 1)[None, None, None].expand(1, 3, 1, 256)
    assert torch.equal(to_bytes(images)[0, 0, 0], levels.to(torch.uint8))


def test_what_lies_beyond_the_range_is_clamped_not_wrapped() -> None:
    assert to_bytes(torch.tensor([-1.2, -1.0, 1.0, 1.2])).tolist() == [0, 0, 255, 255]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("timm") / "weights.pth"
    torch.save(timm.create_model(MODEL).state_dict(), path)
    return path


def test_a_timm_model_by_local_weights_gives_its_pooled_features(weights: Path, pictures: Draw) -> None:
    features = OfTimm(MODEL, str(weights), "cpu")
    network = timm.create_model(MODEL, num_classes=0).eval()
    network.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    config = timm.data.resolve_model_data_config(network)
    side = config["input_size"][-1]
    images = torch.nn.functional.interpolate(pictures(0), (side, side), mode="bicubic")
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    known = network(((images.clamp(-1, 1) + 1) / 2 - mean) / std)
    torch.testing.assert_close(features(images), known, rtol=1e-4, atol=1e-5)
    assert f"timm's {MODEL} ({weights}), {side}x{side} px, antialiased" in features.name


def test_a_large_picture_is_resized_with_an_antialiased_filter(weights: Path) -> None:
    features = OfTimm(MODEL, str(weights), "cpu")
    side = features.preprocess.size[0]
    checks = torch.ones(1, 3, 8 * side, 8 * side)
    checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = -1
    grey = torch.zeros(1, 3, side, side)
    torch.testing.assert_close(features(checks), features(grey), rtol=1e-2, atol=1e-3)


def test_weights_that_do_not_fit_and_unknown_models_are_told(weights: Path, tmp_path: Path) -> None:
    torch.save({"stem.conv1.weight": torch.zeros(3, 3)}, tmp_path / "odd.pth")
    with pytest.raises(RefusedError, match=r"odd\.pth (does not fit the model|lacks)"):
        OfTimm(MODEL, str(tmp_path / "odd.pth"), "cpu")
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(RefusedError, match=r"other\.pth lacks \d+ tensors of the model"):
        OfTimm(MODEL, str(tmp_path / "other.pth"), "cpu")
    with pytest.raises(NotFoundError, match="timm has no model 'resnut'"):
        OfTimm("resnut", "", "cpu")
    with pytest.raises(NotFoundError, match="there is no file"):
        OfTimm(MODEL, str(tmp_path / "none.pth"), "cpu")


def test_weights_that_cannot_be_fetched_say_how_to_bring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("timm.create_model", fails)
    with pytest.raises(NotFoundError, match=rf"not to be had \(no network\); give timm/{MODEL}@FILE"):
        OfTimm(MODEL, "", "cpu")


@pytest.mark.slow
def test_inception_is_read_from_its_file_and_sees_bytes_at_299_px(tmp_path: Path, pictures: Draw) -> None:
    from torch_fidelity import feature_extractor_inceptionv3 as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        known = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(known.state_dict(), tmp_path / "inception.pth")
    images = pictures(0)[:2]
    (rows,) = known.eval()(to_bytes(images))
    old = Inception(str(tmp_path / "inception.pth"), antialias=False, device="cpu")
    torch.testing.assert_close(old(images), rows, rtol=1e-4, atol=1e-4)
    assert "bytes, 299x299 px, TensorFlow 1's bilinear" in old.name
    large = torch.nn.functional.interpolate(images, (299, 299), mode="bilinear")
    new = Inception(str(tmp_path / "inception.pth"), antialias=True, device="cpu")
    torch.testing.assert_close(new(images), new(large), rtol=2e-2, atol=2e-2)


def test_a_file_that_is_no_inception_is_refused(weights: Path) -> None:
    with pytest.raises(RefusedError, match="holds no Inception of FID"):
        Inception(str(weights), antialias=True, device="cpu")
