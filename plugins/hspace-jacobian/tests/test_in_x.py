"""The finder jacobian-svd in space x."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hspace
from hspace.calibration import CHANGE
from hspace.errors import UsageError
from hspace.meta import Guidance, OneShot
from hspace.testing import FinderContract, PlantedBackbone
from hspace_jacobian.finder import build
from hspace_jacobian.masks import mask_picture


class TestJacobianSVDInX(FinderContract):
    finder = "jacobian-svd"
    config: Mapping[str, Any] = {"k": 3, "space": "x"}

    def planted(self, backbone: PlantedBackbone, count: int) -> Tensor:
        return backbone.V[:count]


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


def task() -> hspace.Task:
    return hspace.Task(torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)), steps=20)


def test_the_encoder_is_followed_by_guidance_and_pmp_in_one_shot(toy: PlantedBackbone) -> None:
    (encoder,), (pmp,) = (list(build(k=2, map=map, space="x").find(toy, task())) for map in ("encoder", "pmp"))
    assert (encoder.meta.id, pmp.meta.id) == tuple(
        f"planted/{what}.jacobian-svd" for what in ("local-x-t578", "local-pmp-x-t578")
    )
    assert encoder.meta.move == Guidance(components=2, gamma=1.0, iterations=16)
    assert pmp.meta.move == OneShot(components=2)
    assert encoder.meta.t_edit == pmp.meta.t_edit == 578


def test_what_each_does_to_h_is_kept_beside_it(toy: PlantedBackbone) -> None:
    (direction,) = build(k=3, space="x").find(toy, task())
    cosines = (direction.weights["shifts"].double() * toy.U[:3]).flatten(1).sum(dim=1)
    torch.testing.assert_close(cosines.abs(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)
    along = (direction.weights["vectors"].double() * toy.V[:3]).flatten(1).sum(dim=1)
    assert torch.equal(along.sign(), cosines.sign())  # a step along v moves h along +u


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("move", ["guidance", "one-shot"])
def test_strength_1_changes_pictures_by_the_unit(toy: PlantedBackbone, move: Any, sign: int) -> None:
    work = task()
    (direction,) = build(k=1, space="x", move=move).find(toy, work)
    plain = hspace.sample(toy, work.x_T, steps=work.steps)
    edited = hspace.edit(toy, work.x_T, [(direction, sign)], steps=work.steps)
    assert float((edited - plain).square().mean().sqrt()) == pytest.approx(CHANGE, rel=0.01)


def test_a_mask_keeps_the_moves_of_pmp_inside(toy: PlantedBackbone, tmp_path: Path) -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    mask_picture(mask).save(tmp_path / "mask.png")
    with pytest.warns(UserWarning, match="it is used at 8x8"):
        (direction,) = build(k=1, map="pmp", mask=tmp_path / "mask.png", space="x").find(toy, task())
    (v,) = direction.weights["vectors"]
    inside = v[:, 2:6, 2:6].norm() / v.norm()
    assert float(inside) > 0.999  # P_t of the toy is sqrt(a) x_t: what changes the inside alone is the inside
    assert "outside" in {one.name for one in direction.meta.metrics}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"space": "x", "map": "decoder"}, "'decoder' starts from h, so it has no directions of space 'x'"),
        ({"space": "x", "map": "x0"}, "'x0' starts from h"),
        ({"move": "one-shot"}, "move=one-shot is for directions of space 'x'"),
        ({"space": "x", "move": "jump"}, "move must be guidance or one-shot; 'jump' was given"),
        ({"space": "x", "gamma": 0.0}, "guidance needs gamma > 0 and iterations >= 1; 0 and 16"),
        ({"space": "x", "iterations": 0}, "guidance needs gamma > 0 and iterations >= 1; 1 and 0"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_at_once(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        build(**options)
