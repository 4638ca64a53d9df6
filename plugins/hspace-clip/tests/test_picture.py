"""The differentiable preprocessing against open_clip's own."""

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from hspace.errors import RefusedError
from hspace_clip.picture import Preprocess, read_preprocess

SIZES = [(224, 224), (256, 256), (64, 64), (32, 32), (300, 200), (512, 512), (225, 224)]
CASES = [*((size, mode) for size in SIZES for mode in ("shortest", "squash")), ((201, 333), "shortest")]
TOLERANCE = 1.25 / 255
"""In units of a picture's range [0, 1]; PIL rounds to bytes after each of its two passes, tensors do not."""


def picture(width: int, height: int) -> Image.Image:
    """Smooth blobs with hard edges and full contrast, where the cubic kernel overshoots."""
    x, y = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    waves = np.stack([np.sin(x + y), np.sin(x * y / 3), np.where(np.sin(2 * x) * np.cos(3 * y) > 0, 1, -1)], axis=-1)
    return Image.fromarray(((waves + 1) * 127.5).round().astype(np.uint8))


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def config(**changes: object) -> dict[str, object]:
    return {**vars(PreprocessCfg()), **changes}


@pytest.mark.parametrize(("size", "mode"), CASES, ids=str)
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_a_picture_becomes_what_open_clip_makes_of_it(size: tuple[int, int], mode: str, kernel: str) -> None:
    facts = config(resize_mode=mode, interpolation=kernel)
    theirs = image_transform_v2(PreprocessCfg(**facts), is_train=False)(picture(*size))
    ours = read_preprocess(facts)(to_tensor(picture(*size)))[0]
    std = torch.tensor(PreprocessCfg().std)[:, None, None]
    assert ours.shape == theirs.shape
    assert float(((ours - theirs) * std).abs().max()) <= TOLERANCE


def test_a_picture_of_the_models_size_is_only_scaled() -> None:
    image = to_tensor(picture(32, 32))
    plain = Preprocess((32, 32), (0.5,) * 3, (0.5,) * 3)
    assert torch.allclose(plain(image), image, atol=1e-6)


def test_the_gradient_of_a_value_past_white_still_pulls_it_back() -> None:
    image = torch.full((1, 3, 8, 8), 1.5, requires_grad=True)
    Preprocess((8, 8), (0.5,) * 3, (0.5,) * 3)(image).sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert bool((image.grad > 0).all())


@pytest.mark.parametrize("changed", [{"interpolation": "nearest"}, {"resize_mode": "longest"}, {"size": (224, 112)}])
def test_a_transform_that_is_not_ours_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(RefusedError, match="hspace-clip resizes by"):
        read_preprocess(config(**changed))
