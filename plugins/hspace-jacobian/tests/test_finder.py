"""The finder jacobian-svd on a backbone whose h is linear in x_t."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

import hspace
from hspace.calibration import CHANGE
from hspace.errors import HspaceError, UsageError
from hspace.testing import FinderContract, PlantedBackbone
from hspace_jacobian.finder import build
from hspace_jacobian.walking import walk


class TestJacobianSVD(FinderContract):
    finder = "jacobian-svd"


class TestJacobianSVDOfOneComponent(FinderContract):
    finder = "jacobian-svd"
    config: Mapping[str, Any] = {"k": 1, "at": 0}


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


def task(samples: int = 1, **fields: Any) -> hspace.Task:
    return hspace.Task(torch.randn(samples, 3, 8, 8, generator=torch.Generator().manual_seed(0)), **fields)


def test_every_component_reports_sigma_and_residual(toy: PlantedBackbone) -> None:
    (direction,) = build(k=3).find(toy, task())
    by_name = {(m.name, m.component): m.value for m in direction.meta.metrics}
    assert [by_name["sigma", i] for i in range(3)] == pytest.approx(toy.S[:3].tolist(), rel=1e-5)
    assert all(by_name["residual", i] <= 1e-3 for i in range(3))
    assert direction.meta.provenance.config["verified"] is True


@pytest.mark.parametrize("sign", [1, -1])
def test_strength_1_changes_pictures_by_the_unit(toy: PlantedBackbone, sign: int) -> None:
    work = task(steps=20)
    (direction,) = build(k=1).find(toy, work)
    plain = hspace.sample(toy, work.x_T, steps=work.steps)
    edited = hspace.edit(toy, work.x_T, [(direction, sign)], steps=work.steps)
    assert float((edited - plain).square().mean().sqrt()) == pytest.approx(CHANGE, rel=0.05)


def test_the_first_latents_have_a_basis_each(toy: PlantedBackbone) -> None:
    directions = list(build(k=2, bases=2).find(toy, task(samples=3, seed=5)))
    assert [direction.id for direction in directions] == [f"planted/local-t589-{i}.jacobian-svd" for i in range(2)]
    assert all(direction.meta.scope.kind == "local" for direction in directions)
    assert all(direction.meta.scope.x_T_seed == 5 for direction in directions)


def test_a_latent_of_a_picture_names_the_picture(toy: PlantedBackbone) -> None:
    (direction,) = build(k=2).find(toy, task(x_0=torch.zeros(1, 3, 8, 8), image_sha256=("ab" * 32,)))
    assert direction.meta.scope.x_T_seed is None
    assert direction.meta.scope.image_sha256 == "ab" * 32


def test_progress_ends_at_the_total(toy: PlantedBackbone) -> None:
    seen: list[tuple[int, int]] = []
    two = task(samples=2, progress=lambda done, total: seen.append((done, total)))
    list(build(k=2, bases=2).find(toy, two))
    assert seen[-1] == (4, 4)


def test_the_walk_stops_at_the_step_nearest_to_at(toy: PlantedBackbone) -> None:
    x_T = task().x_T
    x_t, t = walk(toy, x_T, steps=11, at=600)
    assert t == 599
    angles = toy.alphas_cumprod[[999, 899, 799, 699, 599]].sqrt().arccos()
    factor = angles.diff().cos().prod()  # where eps = sqrt(1 - a_t) x_t, a step of DDIM turns by an angle
    torch.testing.assert_close(x_t, x_T * float(factor))


def test_a_direction_may_be_applied_at_one_timestep(toy: PlantedBackbone) -> None:
    work = task(steps=20)
    (direction,) = build(k=1, t_edit=560, t_start=600, scale="sigma").find(toy, work)
    assert (direction.meta.t_edit, direction.meta.t_start) == (560, 600)
    assert direction.meta.head.config["timesteps"] == [578]
    plain, edited = (hspace.edit(toy, work.x_T, [(direction, s)], steps=20) for s in (0.0, 1.0))
    h = toy.encode_h(walk(toy, work.x_T, steps=20, at=578)[0], torch.tensor([578.0])).h
    assert 0.05 < float((edited - plain).square().mean().sqrt()) < CHANGE  # one step cannot do more with half of |h|
    assert float(direction.weights["vectors"].norm()) == pytest.approx(float(h.norm()) / 2, rel=1e-5)


def test_a_window_between_two_steps_is_refused(toy: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match="no timestep of 20 sampling steps is from t_edit = 590 to t_start = 600"):
        list(build(k=1, t_edit=590, t_start=600).find(toy, task(steps=20)))


@pytest.mark.parametrize("at", [-1, 1000])
def test_a_timestep_outside_the_schedule_is_refused(toy: PlantedBackbone, at: int) -> None:
    with pytest.raises(UsageError, match=f"at must be a timestep from 0 to 999; {at} was given"):
        list(build(at=at).find(toy, task()))


def test_no_bases_are_refused() -> None:
    with pytest.raises(UsageError, match="bases must be at least 1; 0 was given"):
        build(bases=0)


def test_an_h_that_does_not_react_is_an_error(toy: PlantedBackbone) -> None:
    toy.E.zero_()
    with pytest.raises(HspaceError, match="h does not react to x_t at t=589"):
        list(build(k=2).find(toy, task()))


def test_a_misspelt_name_is_answered_with_the_names_there_are() -> None:
    import hspace_jacobian

    with pytest.raises(AttributeError, match="it has JacobianSVD, topk_jacobian_svd"):
        _ = hspace_jacobian.topk
