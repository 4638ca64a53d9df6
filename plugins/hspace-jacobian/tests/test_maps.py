"""The maps of a backbone, their masks, and what they find in h."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel

import hspace
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.testing import PlantedBackbone
from hspace_jacobian import topk_jacobian_svd
from hspace_jacobian.finder import build
from hspace_jacobian.maps import build_map, outside
from hspace_jacobian.masks import mask_picture, read_mask

T = 600


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


@pytest.fixture
def x_t() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def picture(path: Path, size: tuple[int, int] = (8, 8), box: tuple[int, int, int, int] | None = (2, 2, 6, 6)) -> Path:
    image = Image.new("L", (max(size[0], 16), max(size[1], 16)))
    if box is not None:
        image.paste(255, tuple(side * image.width // 8 for side in box))
    image.save(path)
    return path


def task(**fields: Any) -> hspace.Task:
    return hspace.Task(torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)), **fields)


def test_x0_is_the_decoder_in_other_units(toy: PlantedBackbone, x_t: torch.Tensor) -> None:
    a = float(toy.alphas_cumprod[T])
    eps, x_0 = (
        topk_jacobian_svd(one.f, one.z, 3) for one in (build_map(name, toy, x_t, T) for name in ("decoder", "x0"))
    )
    torch.testing.assert_close(x_0.S, eps.S * ((1 - a) / a) ** 0.5, rtol=1e-4, atol=0)


def test_the_decoder_holds_what_the_encoder_left(unet: UNet2DModel) -> None:
    backbone = hspace.SplitUNet(unet, torch.linspace(0.999, 0.01, 1000))
    x_t = torch.randn(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one = build_map("decoder", backbone, x_t, T)
    torch.testing.assert_close(one.f(one.z), backbone(x_t, torch.tensor([600.0])))
    assert one.f(one.z.repeat(3, 1, 1, 1)).shape == (3, 3, 16, 16)


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_pooled_directions_shift_h_everywhere_alike(toy: PlantedBackbone, x_t: torch.Tensor, pool: Any) -> None:
    one = build_map("encoder", toy, x_t, T, pool=pool)
    svd = topk_jacobian_svd(one.f, one.z, 2)
    shifts = one.to_h(svd)
    assert svd.U.shape == (2, *shifts.shape[1:2])
    torch.testing.assert_close(shifts.flatten(1).norm(dim=1), torch.ones(2))
    assert (shifts == shifts[:, :, :1, :1]).all()


def test_what_is_outside_is_orthogonal_and_unit() -> None:
    V, others = (torch.linalg.qr(torch.randn(20, 3)).Q.T.reshape(3, 4, 5) for _ in range(2))
    moved, left = outside(V, others)
    torch.testing.assert_close(moved.flatten(1) @ others.flatten(1).T, torch.zeros(3, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), torch.ones(3))
    assert ((left > 0) & (left <= 1)).all()


def test_a_masked_pmp_leaves_the_rest_of_the_picture_alone(unet: UNet2DModel) -> None:
    backbone = hspace.SplitUNet(unet, torch.linspace(0.999, 0.01, 1000))
    x_t = torch.randn(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8, :] = 1
    one = build_map("pmp", backbone, x_t, T, mask)
    assert one.complement is not None
    inside, rest = topk_jacobian_svd(one.f, one.z, 3), topk_jacobian_svd(one.complement.f, one.z, 5)
    moved, _ = outside(inside.V, rest.V)
    with sdpa_kernel(SDPBackend.MATH):  # the only kernel with a forward mode
        before, after = (
            torch.func.jvp(one.complement.f, (one.z,), (v[None],))[1].norm() for v in (inside.V[0], moved[0])
        )
    assert after < before


@pytest.mark.parametrize("t", [-1, 1000])
def test_a_timestep_outside_the_schedule_is_refused(toy: PlantedBackbone, x_t: torch.Tensor, t: int) -> None:
    with pytest.raises(UsageError, match=f"t must be a timestep from 0 to 999; {t} was given"):
        build_map("encoder", toy, x_t, t)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "h"}, "there is no map 'h'; there are encoder, decoder, x0, pmp"),
        ({"name": "encoder", "mask": torch.ones(1, 1, 8, 8)}, "'encoder' has no picture to mask"),
        ({"name": "decoder", "pool": "sum"}, "pool=sum is for the h of the map 'encoder'"),
        ({"name": "encoder", "pool": "max"}, "pool must be none, sum or mean; 'max' was given"),
        ({"name": "pmp", "mask": torch.zeros(1, 1, 8, 8)}, "the mask selects nothing"),
        ({"name": "pmp", "mask": torch.ones(1, 1, 8, 8)}, "the mask selects everything"),
        ({"name": "pmp", "mask": torch.eye(4)[None, None]}, r"the mask is \(4, 4\), x_t \(8, 8\); resize it"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(
    toy: PlantedBackbone, x_t: torch.Tensor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_map(options.pop("name"), toy, x_t, T, **options)


def test_a_mask_is_read_back_as_it_was_drawn(tmp_path: Path) -> None:
    mask = (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    mask_picture(mask).save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png", 16, 16), mask)


def test_a_mask_of_another_size_is_resized_and_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"mask.png is 64x64; it is used at 8x8, the size of x_t"):
        mask = read_mask(picture(tmp_path / "mask.png", (64, 64)), 8, 8)
    assert mask.sum() == 16
    assert (mask[..., 2:6, 2:6] == 1).all()


@pytest.mark.parametrize(
    ("box", "message"), [(None, "selects nothing"), ((0, 0, 8, 8), "selects everything")], ids=["black", "white"]
)
def test_a_mask_of_one_colour_is_refused(tmp_path: Path, box: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_mask(picture(tmp_path / "mask.png", (16, 16), box), 16, 16)


def test_a_mask_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"")
    with pytest.raises(RefusedError):
        read_mask(tmp_path / "mask.png", 16, 16)
    with pytest.raises(NotFoundError):
        read_mask(tmp_path / "other.png", 16, 16)


@pytest.mark.filterwarnings("ignore:.*it is used at")
@pytest.mark.parametrize("map", ["encoder", "decoder", "x0", "pmp"])
def test_the_finder_takes_every_map(toy: PlantedBackbone, tmp_path: Path, map: Any) -> None:
    mask = None if map == "encoder" else picture(tmp_path / "mask.png")
    (direction,) = build(k=2, map=map, mask=mask).find(toy, task())
    kind = "local" if map == "encoder" else f"local-{map}"
    assert direction.id == f"planted/{kind}-t589.jacobian-svd"
    assert direction.meta.components == 2
    assert direction.meta.provenance.config["map"] == map
    measured = {m.name for m in direction.meta.metrics}
    assert measured == {"sigma", "residual", "angle_bound", "sigma_tail"} | ({"outside"} if map == "pmp" else set())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"null": -1}, "null must be 0 or more"), ({"mask": Path("m.png")}, "'encoder' has no picture to mask")],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(**options)
