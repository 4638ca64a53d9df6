"""bfloat16 and float16: every family loads in them, and edits stay close to those in float32."""

import pytest
import torch

from hspace import edit, load_backbone, load_direction
from hspace.images import to_picture
from hspace.sampling import latents, sample

FAMILIES = ["ddpmpp-random-tiny", "iddpm-random-tiny", "adm-random-tiny", "ldm-random-tiny"]
LARGEST_RMS = {torch.bfloat16: 0.02, torch.float16: 0.003}
"""Of pictures in [-1, 1]; measured: 0.0072 and 0.0007."""


@pytest.mark.parametrize("dtype", LARGEST_RMS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_samples_in_half_precision(name: str, dtype: torch.dtype) -> None:
    backbone = load_backbone(name, dtype=dtype)
    assert {weight.dtype for weight in backbone.parameters()} == {dtype}
    image = backbone.x0_to_image(sample(backbone, latents(backbone, 1, seed=0), steps=2))
    assert image.dtype == dtype
    assert to_picture(image[0]).size == (image.shape[-1], image.shape[-1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_an_edit_in_half_precision_is_close_to_that_in_float32(dtype: torch.dtype) -> None:
    direction = load_direction("ddpmpp-toyfaces-32/middle.jacobian-svd#0")
    edited = []
    for one in (torch.float32, dtype):
        backbone = load_backbone("ddpmpp-toyfaces-32", dtype=one)
        x_0 = edit(backbone, latents(backbone, 1, seed=0), [(direction, direction.meta.strength.default)], steps=20)
        edited.append(backbone.x0_to_image(x_0).float())
    assert float((edited[0] - edited[1]).square().mean().sqrt()) < LARGEST_RMS[dtype]
