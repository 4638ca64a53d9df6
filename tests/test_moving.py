"""Moves of x_t: what each does, how they compose, and how they are stored."""

import json
from math import prod, sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from test_sampling import STEPS, alpha, angle_cosine, real, x_T
from torch import Tensor
from toys import Constant, Counting, basis, toy
from unets import noise

from hspace import Backbone, Direction, edit, sample
from hspace.calibration import CHANGE, units_of
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.meta import META_FILE, AlongPath, Guidance, Move, OneShot, Scope, Strength, read_meta
from hspace.moving import QUANTILE, SATURATIONS, guide, saturation_of, step_of
from hspace.sampling import Edit, at, gaussian, predict_x0
from hspace.sampling import Move as AtWork
from hspace.schedule import generation
from hspace.testing import PlantedBackbone

WALK = generation("asyrp", STEPS, 1000)
T = WALK[2][0]
A = alpha(T)


def moving(backbone: Backbone, move: Move | None = None, points: int = 0, t: int = T, **meta: Any) -> Direction:
    """A direction of space "x" whose vectors are random."""
    assert backbone.card is not None
    move = move or OneShot()
    shape = (move.components, *([points] if points else []), *backbone.card.facts["x_shape"])
    described = {"steps": 40, "strength": Strength(min=-1, max=1), "scope": Scope(kind="global"), **meta}
    weights = {"vectors": noise(*shape, seed=7)}
    return Direction.bind(
        backbone, what="right", finder="test", space="x", move=move, t_edit=t, weights=weights, **described
    )


def shot(v: Tensor, strength: float | Tensor = 1.0, t: int = T, t_boost: int = 0) -> AtWork:
    return AtWork(step_of(OneShot(), v), strength, t, t_boost)


def vector(backbone: Backbone, seed: int = 5) -> Tensor:
    assert backbone.card is not None
    return noise(*backbone.card.facts["x_shape"], seed=seed).double()


def scale(below: int = 1000) -> float:
    """How sampling scales the toy's x_t from that timestep on."""
    return prod(angle_cosine(alpha(t), alpha(t_next)) for t, t_next in WALK if t <= below)


def predicted(backbone: Backbone, x_t: Tensor) -> Tensor:
    return predict_x0(x_t, backbone(x_t, at(T, x_t)), A)


def test_guidance_of_a_linear_eps_has_its_closed_form() -> None:
    backbone = toy()
    v = vector(backbone)
    moved = guide(backbone, x_T(backbone), T, v, gamma=0.3, iterations=7)
    torch.testing.assert_close(moved, x_T(backbone) + 7 * 0.3 * sqrt(1 - A) * v)


def test_guidance_asks_the_network_twice_an_iteration() -> None:
    counting = Counting(toy())
    guide(counting, x_T(counting), T, vector(counting), gamma=1.0, iterations=3)
    assert counting.encoded == 6 * [T]


def test_a_move_has_the_closed_form_of_what_is_left_to_sample() -> None:
    backbone = toy()
    v = vector(backbone)
    x_0 = edit(backbone, x_T(backbone), [shot(v, -0.7)], steps=STEPS)
    torch.testing.assert_close(x_0, scale() * x_T(backbone) - 0.7 * scale(T) * v)


def test_a_move_is_taken_at_the_step_nearest_to_its_timestep() -> None:
    backbone = toy()
    moved = [edit(backbone, x_T(backbone), [shot(vector(backbone), t=T + off)], steps=STEPS) for off in (-40, 0, 40)]
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[1], moved[2])


def test_another_t_edit_of_shifts_is_no_other_t_of_moves() -> None:
    backbone = toy()
    moved = [edit(backbone, x_T(backbone), [shot(vector(backbone))], steps=STEPS, t_edit=t) for t in (None, 0, 999)]
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[1], moved[2])


@pytest.mark.parametrize("other_t", [T, WALK[4][0]], ids=["same t", "another t"])
def test_several_moves_add_up(other_t: int) -> None:
    backbone = toy()
    one, other = vector(backbone, 5), vector(backbone, 6)
    x_0 = edit(backbone, x_T(backbone), [shot(one, 0.5), shot(other, -2.0, other_t)], steps=STEPS)
    torch.testing.assert_close(x_0, scale() * x_T(backbone) + 0.5 * scale(T) * one - 2.0 * scale(other_t) * other)


def test_moves_of_one_timestep_see_the_same_x_t_in_any_order() -> None:
    backbone, x_t, _ = real()
    v = noise(2, 3, 8, 8, seed=6)
    guided = AtWork(step_of(Guidance(gamma=0.5, iterations=2), v[0]), 1.0, T)
    together = [guided, shot(v[1], 3.0)]
    one, other = (edit(backbone, x_t, order, steps=STEPS) for order in (together, together[::-1]))
    torch.testing.assert_close(one, other)


def test_a_move_and_a_shift_compose() -> None:
    backbone = toy()
    head, v = Constant(noise(1, 8, 4, 4, seed=5, dtype=torch.float64)), vector(backbone)
    alone = [edit(backbone, x_T(backbone), [one], steps=STEPS) for one in (Edit(head, 0.7, 400), shot(v))]
    both = edit(backbone, x_T(backbone), [Edit(head, 0.7, 400), shot(v)], steps=STEPS)
    torch.testing.assert_close(both - alone[0], alone[1] - scale() * x_T(backbone))


def test_normalise_counts_moves_too() -> None:
    backbone = toy()
    v = vector(backbone)
    one = edit(backbone, x_T(backbone), [shot(v), Edit(Constant(torch.zeros(1, 8, 4, 4)))], steps=STEPS, normalise=True)
    torch.testing.assert_close(one, edit(backbone, x_T(backbone), [shot(v, 1 / sqrt(2))], steps=STEPS))


KINDS: dict[str, tuple[Move, int]] = {
    "one-shot": (OneShot(), 0),
    "guidance": (Guidance(gamma=1.0, iterations=3), 0),
    "path": (AlongPath(strengths=(-2.0, 0.0, 3.0)), 3),
}


@pytest.mark.parametrize("saturation", [None, *SATURATIONS])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_at_strength_0_among_others_is_sampled_bit_for_bit(kind: str, saturation: str | None) -> None:
    backbone, x_t, _ = real()
    move, points = KINDS[kind]
    plain = sample(backbone, x_t, steps=STEPS)
    edits = [(moving(backbone, move, points), torch.tensor([1.0, 0.0, -2.0]))]
    edited = edit(backbone, x_t, edits, steps=STEPS, t_boost=500, saturation=saturation_of(saturation))
    assert [torch.equal(edited[row], plain[row]) for row in range(3)] == [False, True, False]


def test_strength_0_costs_what_sampling_costs() -> None:
    counting = Counting(real()[0])
    edit(counting, x_T(counting).float(), [shot(noise(3, 8, 8), 0.0)], steps=STEPS)
    assert len(counting.encoded) == STEPS


def test_below_t_boost_the_tail_of_a_move_is_stochastic() -> None:
    backbone, x_t, _ = real()
    v = noise(3, 8, 8, seed=6)
    one, other = (edit(backbone, x_t, [shot(v, t_boost=300)], steps=STEPS, noise=gaussian(seed)) for seed in (0, 1))
    plain = edit(backbone, x_t, [shot(v)], steps=STEPS)
    assert not torch.equal(one, other)
    assert not torch.equal(one, plain)


@pytest.mark.parametrize(("strength", "share"), [(-2.0, {0: 1.0}), (-1.0, {0: 0.5}), (1.5, {2: 0.5}), (3.0, {2: 1.0})])
def test_a_path_goes_straight_between_its_points(strength: float, share: dict[int, float]) -> None:
    points = noise(3, 3, 4, 4, dtype=torch.float64)
    points[1] = 0
    backbone = toy()
    step = step_of(AlongPath(strengths=(-2.0, 0.0, 3.0)), points)
    moved = step(backbone, x_T(backbone), T, torch.full((1, 1, 1, 1), strength, dtype=torch.float64))
    expected = x_T(backbone) + sum(part * points[index] for index, part in share.items())
    torch.testing.assert_close(moved, expected)


def test_beyond_the_end_of_a_path_is_refused() -> None:
    backbone, x_t, _ = real()
    found = moving(backbone, AlongPath(strengths=(-2.0, 0.0, 3.0)), points=3)
    with pytest.raises(UsageError, match=r"the path goes from strength -2 to 3; -2\.5 was asked for"):
        edit(backbone, x_t, [(found, -2.5)], steps=STEPS)


def test_contrast_gives_back_mean_and_deviation() -> None:
    backbone = toy()
    x_t = x_T(backbone)
    moved = saturation_of("contrast")(backbone, x_t, 1.8 * x_t + 0.4, T)  # type: ignore[misc]
    torch.testing.assert_close(predicted(backbone, moved), predicted(backbone, x_t))


def test_clamp_ends_at_the_quantile_of_what_was_there() -> None:
    backbone = toy()
    x_t = x_T(backbone)
    before = predicted(backbone, x_t).abs().flatten(1)
    limit = before.kthvalue(-int(-QUANTILE * before.shape[1] // 1), dim=1).values
    moved = saturation_of("clamp")(backbone, x_t, 3 * x_t, T)  # type: ignore[misc]
    torch.testing.assert_close(predicted(backbone, moved).abs().flatten(1).amax(dim=1), limit)
    inside = 0.1 * x_t
    assert torch.equal(saturation_of("clamp")(backbone, x_t, inside, T), inside)  # type: ignore[misc]


def test_length_gives_back_the_length_of_x_t() -> None:
    backbone = toy()
    x_t, v = x_T(backbone), vector(backbone)
    moved = saturation_of("length")(backbone, x_t, x_t + 3 * v, T)  # type: ignore[misc]
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), x_t.flatten(1).norm(dim=1))
    torch.testing.assert_close(moved / moved.norm(), (x_t + 3 * v) / (x_t + 3 * v).norm(), rtol=0, atol=0.3)


def test_saturation_without_a_move_and_an_unknown_one_are_refused() -> None:
    backbone, x_t, head = real()
    with pytest.raises(UsageError, match="saturation is for directions of space 'x'"):
        edit(backbone, x_t, [Edit(head)], steps=STEPS, saturation=saturation_of("length"))
    with pytest.raises(NotFoundError, match="no saturation is called 'contrst'; did you mean 'contrast'"):
        saturation_of("contrst")


def test_the_unit_of_a_move_changes_pictures_by_the_unit() -> None:
    backbone = PlantedBackbone()
    x_t, v = noise(1, 3, 8, 8), noise(3, 8, 8, seed=5)
    (unit,) = units_of(backbone, [shot(v, t=600)], x_t, longest=1e6)
    changed = edit(backbone, x_t, [shot(v, unit, t=600)], steps=20) - sample(backbone, x_t, steps=20)
    assert float(changed.square().mean().sqrt()) == pytest.approx(CHANGE, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_direction_returns_as_it_was_saved_and_moves_alike(kind: str, tmp_path: Path) -> None:
    backbone, x_t, _ = real()
    move, points = KINDS[kind]
    direction = moving(backbone, move, points)
    kept = direction.save(tmp_path)
    loaded = Direction.load(tmp_path)
    assert loaded.meta == kept.meta
    one, other = (edit(backbone, x_t, [(each, 1.0)], steps=STEPS) for each in (direction, loaded))
    assert torch.equal(one, other)


def test_a_component_of_a_basis_is_picked() -> None:
    backbone, x_t, _ = real()
    pair = moving(backbone, OneShot(components=2))
    with pytest.raises(UsageError, match="is a basis of 2 directions; pick one"):
        edit(backbone, x_t, [(pair, 1.0)], steps=STEPS)
    picked = edit(backbone, x_t, [(pair.pick(1), 1.0)], steps=STEPS)
    torch.testing.assert_close(picked, edit(backbone, x_t, [shot(pair.weights["vectors"][1])], steps=STEPS))


def changed(folder: Path, **values: Any) -> None:
    content = json.loads((folder / META_FILE).read_text())
    (folder / META_FILE).write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"move": None}, "one of space 'x' a move and no head"),
        ({"head": {"name": "table"}}, "one of space 'x' a move and no head"),
        ({"space": "h"}, "one of space 'x' a move and no head"),
        ({"move": {"kind": "teleport"}}, "move: Input tag 'teleport'"),
        ({"move": {"kind": "guidance", "gamma": 1.0}}, "move.guidance.iterations: Field required"),
        ({"move": {"kind": "guidance", "gamma": 0, "iterations": 1}}, "move.guidance.gamma: Input should be greater"),
        ({"move": {"kind": "path", "strengths": [1, 2]}}, "the strengths of a path must rise, and 0 is one of them"),
        ({"move": {"kind": "path", "strengths": [1, 0]}}, "the strengths of a path must rise, and 0 is one of them"),
        ({"move": {"kind": "one-shot", "components": 0}}, "move.one-shot.components: Input should be greater"),
    ],
    ids=str,
)
def test_an_unsound_description_is_refused(values: dict[str, Any], why: str, tmp_path: Path) -> None:
    moving(toy()).save(tmp_path)
    changed(tmp_path, **values)
    with pytest.raises(RefusedError, match=f"is not a sound direction: .*{why}"):
        read_meta(tmp_path)


def test_vectors_of_another_size_and_another_backbone_are_refused() -> None:
    other, small = moving(real()[0]), PlantedBackbone((3, 4, 4), (16, 4, 4))
    with pytest.raises(RefusedError, match=r"the vectors of .* are \(1, 3, 8, 8\); x_t of this backbone needs \(1, 3,"):
        other.tie(small)
    with pytest.raises(RefusedError, match="was found on h of"):
        moving(toy()).move(PlantedBackbone((3, 4, 4), (8, 4, 4), seed=1, dtype=torch.float64))


def test_one_of_space_x_has_no_head_and_one_of_space_h_no_move() -> None:
    backbone = toy()
    with pytest.raises(UsageError, match=rf"is of space 'x': it moves x_t at t = {T} and shifts no h"):
        moving(backbone).head(backbone)
    with pytest.raises(UsageError, match="is of space 'h': it shifts h and moves no x_t"):
        basis(backbone).move(backbone)


def test_a_symmetric_shift_and_a_move_are_of_no_different_modes() -> None:
    backbone, x_t, _ = real()
    edit(backbone, x_t, [(basis(backbone, mode="symmetric"), 1.0), (moving(backbone), 1.0)], steps=STEPS)
