"""Directions kept apart from others."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hspace import Direction, Task, registry
from hspace.building import build_head
from hspace.errors import HspaceWarning, NotFoundError, RefusedError, UsageError
from hspace.meta import Scope, Strength
from hspace.testing import PlantedBackbone
from hspace.testing import hspace_home as hspace_home
from hspace_jacobian.against import without
from hspace_jacobian.finder import build
from hspace_jacobian.mean_difference import build as build_difference
from hspace_jacobian.rows import Rows
from hspace_jacobian.walking import Window

from .planted import task, values

pytestmark = pytest.mark.usefixtures("hspace_home")
WINDOW = [999, 888, 777, 666, 555, 444]


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, 32, 4, 4, generator=torch.Generator().manual_seed(seed))


def stored(toy: PlantedBackbone, what: str, vectors: Tensor, timesteps: list[int], **meta: Any) -> Direction:
    """A table in the registry."""
    config = {"timesteps": timesteps, "components": len(vectors)}
    fields = {"steps": 10, "t_edit": 0, "strength": Strength(min=-1, max=1), "scope": Scope(kind="global"), **meta}
    direction = Direction.bind(
        toy, what=what, finder="test", head="table", config=config, weights={"vectors": vectors}, **fields
    )
    registry.add(direction)
    return direction


def projected(v0: Tensor, V: Tensor) -> Tensor:
    """v0 - V (V'V)^-1 V' v0 for v0 (k, ...) and the columns V of (q, ...), as written."""
    v, columns = v0.flatten(1).double().mT, V.flatten(1).double().mT
    left: Tensor = v - columns @ torch.linalg.inv(columns.mT @ columns) @ columns.mT @ v
    return left.mT.reshape(v0.shape).float()


def test_what_other_directions_do_is_taken_out_at_every_timestep(toy: PlantedBackbone) -> None:
    v0, V = noise(2, 6, seed=1), noise(3, 6, seed=2) + 0.5
    others = [stored(toy, "others", V, WINDOW).pick(k) for k in range(3)]
    rows, left = without(toy, task(toy), Rows(v0, tuple(WINDOW)), others, Window(400))
    expected = torch.stack([projected(v0[:, row], V[:, row]) for row in range(6)], dim=1)
    torch.testing.assert_close(rows.vectors, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(left, expected.flatten(1).norm(dim=1) / v0.flatten(1).norm(dim=1))


def test_one_row_for_all_timesteps_gets_one_each_where_the_others_differ(toy: PlantedBackbone) -> None:
    v0 = noise(1, 1, seed=1)
    same, differs = stored(toy, "same", noise(1, 1, seed=2), [0]), stored(toy, "differs", noise(1, 6, seed=3), WINDOW)
    one, _ = without(toy, task(toy), Rows(v0, (555,)), [same], Window(400))
    assert one.timesteps == (555,)
    torch.testing.assert_close(one.vectors[:, 0], projected(v0[:, 0], same.weights["vectors"][:, 0]))
    each, _ = without(toy, task(toy), Rows(v0, (555,)), [differs], Window(400))
    assert each.timesteps == tuple(WINDOW)


def test_others_that_depend_on_each_other_count_once(toy: PlantedBackbone) -> None:
    v0, V = noise(1, 1, seed=1), noise(1, 1, seed=2)
    twice = [stored(toy, f"copy{k}", V * (k + 1), [0]) for k in range(2)]
    rows, _ = without(toy, task(toy), Rows(v0, (555,)), twice, Window(400))
    torch.testing.assert_close(rows.vectors[:, 0], projected(v0[:, 0], V[:, 0]), rtol=1e-4, atol=1e-5)


def test_another_direction_counts_in_its_own_window_alone(toy: PlantedBackbone) -> None:
    v0 = noise(1, 1, seed=1)
    late = stored(toy, "late", noise(1, 1, seed=2), [0], t_edit=500, t_start=700)
    rows, _ = without(toy, task(toy), Rows(v0, (555,)), [late], Window(400))
    changed = [not torch.equal(rows.vectors[:, row], v0[:, 0]) for row in range(6)]
    assert changed == [False, False, False, True, True, False]


def test_a_head_that_depends_on_the_picture_is_asked_along_the_trajectory(toy: PlantedBackbone) -> None:
    torch.manual_seed(0)
    head = build_head(toy, "delta-block", {}, None)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    trained = Direction.bind(
        toy, what="trained", finder="test", head="delta-block", config={}, weights=head.state_dict(), steps=10,
        t_edit=0, strength=Strength(min=-1, max=1), scope=Scope(kind="global"),
    )  # fmt: skip
    work = task(toy)
    rows, left = without(toy, work, Rows(noise(1, 1, seed=1), (555,)), [trained], Window(400))
    mean = head(toy.encode_h(work.x_T, torch.full((4,), 999.0))).mean(dim=0)
    assert float((rows.vectors[0, 0] * mean).sum() / mean.norm()) == pytest.approx(0, abs=1e-4)
    assert 0.9 < float(left) < 1


def test_a_find_tells_what_is_left_of_it(toy: PlantedBackbone) -> None:
    stored(toy, "half", (toy.U[:1] + toy.U[1:2]).float()[:, None], [0])
    work = task(toy, labels=torch.tensor([1.0, 1.0, 0.0, 0.0]))  # they differ by U_0
    (direction,) = build_difference(against="planted/half.test").find(toy, work)
    assert values(direction.meta.metrics, "retained") == pytest.approx([0.5**0.5], rel=1e-4)
    expected = (toy.U[0] - toy.U[1]).flatten().float()
    found = direction.weights["vectors"][0, 0].flatten()
    assert float(found @ expected / found.norm() / expected.norm()) == pytest.approx(1, abs=1e-4)
    assert direction.meta.provenance.config["against"] == ["planted/half.test"]


def test_components_that_others_do_already_are_left_out_and_told(toy: PlantedBackbone) -> None:
    work = Task(x_T=noise_x(), steps=10)
    (before,) = build(k=1).find(toy, work)
    registry.add(before)
    with pytest.warns(HspaceWarning, match=r"nothing is left of local-t555#0 beside planted/local-t555"):
        (after,) = build(k=3, against=before.id).find(toy, work)
    assert after.meta.components == 2
    assert values(after.meta.metrics, "sigma") == pytest.approx(toy.S[1:3].tolist(), rel=1e-4)
    assert values(after.meta.metrics, "retained") == pytest.approx([1, 1], rel=1e-3)


def test_nothing_left_is_refused(toy: PlantedBackbone) -> None:
    work = Task(x_T=noise_x(), steps=10)
    (before,) = build(k=2).find(toy, work)
    registry.add(before)
    with pytest.raises(UsageError, match=r"nothing is left of 'local-t555' beside .*#0, .*#1"):
        list(build(k=1, against=[before.id]).find(toy, work))


def test_a_direction_of_another_backbone_is_refused(toy: PlantedBackbone) -> None:
    stored(PlantedBackbone(seed=1), "foreign", noise(1, 1), [0])
    with pytest.raises(RefusedError, match="was found on h of"):
        list(build(k=1, against="planted/foreign.test").find(toy, Task(x_T=noise_x(), steps=10)))


def test_a_name_that_is_none_is_told_before_anything_runs(toy: PlantedBackbone) -> None:
    stored(toy, "half", noise(1, 1), [0])
    with pytest.raises(NotFoundError, match=r"did you mean 'planted/half\.test'"):
        build(against="planted/halv.test")
    with pytest.raises(UsageError, match="against takes ids of directions"):
        build(against="planted/half.test,")


def noise_x() -> Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
