"""Distances between subspaces: known angles, the random baseline, and what a direction spans."""

from math import pi, sin

import pytest
import torch
from torch import Tensor
from toys import basis, toy
from unets import noise

from hspace.comparison import Subspace, compare, principal_angles, random_distances, spans
from hspace.direction import Direction
from hspace.errors import HspaceError, UsageError
from hspace.meta import Scope, Strength
from hspace.plots import draw_distances
from hspace.testing import PlantedBackbone

SHAPE = (8, 4, 4)
N = 128


def rows(*vectors: Tensor) -> Tensor:
    return torch.stack(vectors)


def tilted(angles: list[float], n: int = N) -> tuple[Tensor, Tensor]:
    """Two subspaces of n dimensions with these principal angles."""
    axes, k = torch.eye(n, dtype=torch.float64), len(angles)
    theta = torch.tensor(angles, dtype=torch.float64)[:, None]
    return axes[:k], theta.cos() * axes[:k] + theta.sin() * axes[k : 2 * k]


def named(name: str, U: Tensor) -> Subspace:
    return Subspace(name, SHAPE, U)


def test_planted_angles_are_found_in_rising_order() -> None:
    U, V = tilted([0.7, 0.3, 1.2])
    torch.testing.assert_close(principal_angles(U, V), torch.tensor([0.3, 0.7, 1.2], dtype=torch.float64))


def test_the_two_distances_are_the_norms_of_the_angles_and_of_their_sines() -> None:
    distance = compare([named("a", tilted([0.3, 0.7])[0]), named("b", tilted([0.3, 0.7])[1])]).distances[0, 1]
    assert distance.geodesic == pytest.approx((0.3**2 + 0.7**2) ** 0.5)
    assert distance.chordal == pytest.approx((sin(0.3) ** 2 + sin(0.7) ** 2) ** 0.5)


def test_another_basis_of_a_subspace_is_the_same_subspace() -> None:
    U = torch.linalg.qr(noise(N, 5, dtype=torch.float64)).Q.mT
    turned = torch.linalg.qr(noise(5, 5, seed=1, dtype=torch.float64)).Q @ U
    assert float(principal_angles(U, turned).max()) < 1e-7


def test_a_line_inside_a_subspace_is_at_angle_0() -> None:
    U = torch.linalg.qr(noise(N, 5, dtype=torch.float64)).Q.mT
    assert principal_angles(U[2:3], U).shape == (1,)
    assert float(principal_angles(U[2:3], U)) < 1e-7


def test_random_lines_of_a_plane_are_at_45_degrees_on_average() -> None:
    random = random_distances(1, 1, 2, draws=4000)
    assert random.geodesic == pytest.approx(pi / 4, abs=0.03)
    assert random.geodesic_sd == pytest.approx(pi / 2 / 12**0.5, rel=0.05)  # uniform from 0 to 90 degrees


def test_the_random_chordal_distance_is_the_known_one() -> None:
    k, n = 10, 200
    expected = (k * (1 - k / n)) ** 0.5  # E |U'V|^2 = k^2 / n
    random = random_distances(k, k, n)
    assert random.chordal == pytest.approx(expected, rel=0.01)
    assert 0 < random.chordal_sd < 0.1


def test_two_random_subspaces_are_as_far_apart_as_random_ones() -> None:
    U, V = (torch.linalg.qr(noise(N, 6, seed=seed, dtype=torch.float64)).Q.mT for seed in (3, 4))
    distance = compare([named("a", U), named("b", V)]).distances[0, 1]
    assert distance.share == pytest.approx(1, abs=4 * distance.random.geodesic_sd / distance.random.geodesic)


def test_the_seed_fixes_the_random_ones() -> None:
    assert random_distances(2, 3, 50, 4, 0) == random_distances.__wrapped__(2, 3, 50, 4, 0)
    assert random_distances(2, 3, 50, 4, 0) != random_distances(2, 3, 50, 4, 1)


def test_a_direction_spans_what_its_vectors_span() -> None:
    backbone, direction = toy(), basis(toy(), components=3)
    (found,) = spans(direction, backbone)
    vectors = torch.linalg.qr(direction.weights["vectors"].flatten(1).double().mT).Q.mT
    assert found.name == direction.id
    assert found.h_shape == SHAPE
    assert float(principal_angles(found.U, vectors).max()) < 1e-6
    torch.testing.assert_close(found.U @ found.U.mT, torch.eye(3, dtype=torch.float64))


def test_a_component_that_was_picked_spans_a_line() -> None:
    (found,) = spans(basis(toy(), components=3).pick(1), toy())
    assert (found.name, len(found.U)) == ("planted/left.test#1", 1)


def stacked(vectors: Tensor, timesteps: list[int]) -> Direction:
    config = {"timesteps": timesteps, "components": len(vectors)}
    return Direction.bind(
        toy(), what="stacked", finder="test", head="table", config=config, weights={"vectors": vectors}, steps=11,
        t_edit=0, strength=Strength(min=-1, max=1), scope=Scope(kind="global"),
    )  # fmt: skip


def test_a_direction_with_rows_for_timesteps_spans_something_at_each() -> None:
    direction = stacked(noise(2, 3, *SHAPE), [100, 500, 900])
    found = spans(direction, toy())
    assert [one.name for one in found] == [f"planted/stacked.test t={t}" for t in (100, 500, 900)]
    for row, one in enumerate(found):
        vectors = torch.linalg.qr(direction.weights["vectors"][:, row].flatten(1).double().mT).Q.mT
        assert float(principal_angles(one.U, vectors).max()) < 1e-6


def test_of_many_timesteps_eight_are_compared_the_first_and_the_last_among_them() -> None:
    times = list(range(0, 1000, 50))
    found = spans(stacked(noise(1, 20, *SHAPE), times), toy())
    assert len(found) == 8
    assert (found[0].name[-3:], found[-1].name[-3:]) == ("t=0", "950")


def test_one_can_say_at_which_timesteps() -> None:
    found = spans(stacked(noise(1, 2, *SHAPE), [0, 900]), toy(), at=(900,))
    assert [one.name for one in found] == ["planted/stacked.test"]


def test_components_that_depend_on_one_another_span_fewer_dimensions() -> None:
    vectors = noise(3, 1, *SHAPE)
    vectors[2] = vectors[0] - 2 * vectors[1]
    (found,) = spans(stacked(vectors, [0]), toy())
    assert len(found.U) == 2


def test_the_lengths_of_components_do_not_matter() -> None:
    vectors = noise(2, 1, *SHAPE)
    vectors[1] *= 1e-5
    (found,) = spans(stacked(vectors, [0]), toy())
    assert len(found.U) == 2


def test_a_direction_that_shifts_nothing_spans_nothing() -> None:
    with pytest.raises(HspaceError, match="does not shift h at t=0, so it spans nothing"):
        spans(stacked(torch.zeros(1, 1, *SHAPE), [0]), toy())


@pytest.mark.parametrize("t", [-1, 1000])
def test_a_timestep_outside_the_schedule_is_refused(t: int) -> None:
    with pytest.raises(UsageError, match=f"a timestep to compare at is from 0 to 999; {t} was given"):
        spans(basis(toy()), toy(), at=(t,))


def test_one_subspace_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="between two subspaces or more; 1 given"):
        compare(spans(basis(toy()), toy()))


def test_subspaces_of_different_h_are_refused_with_both_shapes() -> None:
    wider = PlantedBackbone((3, 8, 8), (32, 4, 4))
    both = [*spans(basis(toy()), toy()), *spans(basis(wider), wider)]
    with pytest.raises(UsageError, match=r"planted/left.test has 8x4x4, planted/left.test 32x4x4"):
        compare(both)


def test_the_heat_map_is_a_picture(tmp_path: object) -> None:
    from pathlib import Path

    from PIL import Image

    path = Path(str(tmp_path)) / "map.png"
    U, V = tilted([0.2, 0.4])
    draw_distances(compare([named("one", U), named("other", V), named("third", rows(V[0], U[1]))]), path)
    with Image.open(path) as picture:
        assert min(picture.size) > 200
