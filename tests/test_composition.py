"""Several directions at once, and what they do to one another."""

from math import sqrt

import pytest
import torch
from test_sampling import ROWS, STEPS, real, x_T
from torch import Tensor
from toys import Constant, Counting, basis, toy
from unets import noise

from hspace import Head, State, edit, sample
from hspace.composition import interference, interference_sheet
from hspace.errors import HspaceError, UsageError
from hspace.sampling import Edit, gaussian
from hspace.schedule import generation

WALKED = [t for t, _ in generation("asyrp", STEPS, 1000)]


class Watched(Head):
    """A constant shift that remembers the timesteps at which it was asked for."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner = Constant(noise(1, 16, 4, 4, seed=seed))
        self.asked: list[int] = []

    def forward(self, state: State) -> Tensor:
        self.asked.append(int(state.t[0]))
        shift: Tensor = self.inner(state)
        return shift


def shifts() -> tuple[Tensor, Tensor]:
    """Two shifts of the toy's h whose cosine is 0.6."""
    one, other = (noise(1, 8, 4, 4, seed=seed, dtype=torch.float64) for seed in (5, 6))
    one = one / one.norm()
    other = other - (one * other).sum() * one
    return one, 0.6 * one + 0.8 * other / other.norm()


def test_each_direction_acts_in_its_own_window_only() -> None:
    backbone, x_t, _ = real()
    early, late = Watched(5), Watched(6)
    edit(backbone, x_t, [Edit(early, t_edit=900), Edit(late, -1.0, t_edit=500)], steps=STEPS)
    assert early.asked == [t for t in WALKED if t >= 900]
    assert late.asked == [t for t in WALKED if t >= 500]
    assert len(early.asked) < len(late.asked) < STEPS


def test_the_changes_of_directions_in_their_own_windows_add_up_on_the_linear_toy() -> None:
    backbone = toy()
    one, other = (Edit(Constant(shift), s, t) for shift, s, t in zip(shifts(), (1.0, -0.5), (900, 400), strict=True))
    plain, together, alone, alone_other = (
        edit(backbone, x_T(backbone), edits, steps=STEPS) for edits in ([], [one, other], [one], [other])
    )
    torch.testing.assert_close(together - plain, (alone - plain) + (alone_other - plain))
    assert not torch.allclose(together, alone)


def test_a_negative_strength_is_the_opposite_change_on_the_linear_toy() -> None:
    backbone, (shift, _) = toy(), shifts()
    plain = sample(backbone, x_T(backbone), steps=STEPS)
    there, back = (edit(backbone, x_T(backbone), [Edit(Constant(shift), s)], steps=STEPS) - plain for s in (2.0, -2.0))
    torch.testing.assert_close(back, -there)


def test_normalising_divides_every_strength_by_the_root_of_how_many_there_are() -> None:
    backbone, x_t, _ = real()
    heads = Watched(5), Watched(6)
    normalised = edit(
        backbone, x_t, [Edit(heads[0], 1.0), Edit(heads[1], -0.5)], steps=STEPS, t_boost=0, normalise=True
    )
    smaller = [Edit(heads[0], 1.0 / sqrt(2)), Edit(heads[1], -0.5 / sqrt(2))]
    assert torch.equal(normalised, edit(backbone, x_t, smaller, steps=STEPS))


def test_a_direction_at_strength_0_counts_when_normalising_so_that_a_grid_stays_even() -> None:
    backbone, x_t, head = real()
    normalised = edit(backbone, x_t, [Edit(head, 1.0), Edit(head, 0.0)], steps=STEPS, normalise=True)
    assert torch.equal(normalised, edit(backbone, x_t, [Edit(head, 1.0 / sqrt(2))], steps=STEPS))


def test_one_direction_is_left_alone_by_normalising() -> None:
    backbone, x_t, head = real()
    normalised = edit(backbone, x_t, [Edit(head)], steps=STEPS, normalise=True)
    assert torch.equal(normalised, edit(backbone, x_t, [Edit(head)], steps=STEPS))


def test_several_directions_are_boosted_below_the_highest_t_boost() -> None:
    backbone, x_t, head = real()
    drawn: list[int] = []

    def watched(t: int, x_t: Tensor) -> Tensor:
        drawn.append(t)
        return gaussian(0)(t, x_t)

    edit(backbone, x_t, [Edit(head, t_boost=300), Edit(head, t_boost=700)], steps=STEPS, noise=watched)
    assert drawn == [t for t in WALKED if t < 700]


def test_a_picture_is_boosted_by_the_directions_that_move_it_alone() -> None:
    backbone, x_t, head = real()
    first, second = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    both = [Edit(head, first, t_boost=300), Edit(head, second, t_boost=700)]
    together = edit(backbone, x_t, both, steps=STEPS, noise=gaussian(1, 2, 3))
    for row, t_boost in ((0, 300), (1, 700)):
        edits = [Edit(head, torch.eye(ROWS)[row], t_boost=t_boost)]
        assert torch.equal(together[row], edit(backbone, x_t, edits, steps=STEPS, noise=gaussian(1, 2, 3))[row])
    assert torch.equal(together[2], sample(backbone, x_t, steps=STEPS)[2])


def test_noise_depends_on_the_seed_and_the_timestep_alone() -> None:
    x_t = torch.zeros(2, 3, 4, 4)
    used = gaussian(7, 8)
    used(900, x_t)
    assert torch.equal(used(500, x_t), gaussian(7, 8)(500, x_t))
    assert torch.equal(used(500, x_t)[1:], gaussian(8)(500, x_t[1:]))
    assert not torch.equal(used(500, x_t), used(499, x_t))
    assert not torch.equal(gaussian(7)(500, x_t[:1]), gaussian(8)(499, x_t[:1]))


def test_cosines_are_those_of_the_shifts_with_the_signs_of_the_strengths() -> None:
    backbone, (one, other) = toy(), shifts()
    found = interference(backbone, x_T(backbone), [Edit(Constant(one), 2.0), Edit(Constant(other), -0.5)], steps=STEPS)
    assert list(found.cosines[0, 1]) == WALKED
    assert found.cosine(0, 1) == pytest.approx(-0.6)


def test_cosines_are_taken_where_both_directions_act() -> None:
    backbone, (one, other) = toy(), shifts()
    edits = [Edit(Constant(one), t_edit=500), Edit(Constant(other), t_edit=800), Edit(Constant(one))]
    found = interference(backbone, x_T(backbone), edits, steps=STEPS)
    assert [list(found.cosines[pair]) for pair in ((0, 1), (0, 2), (1, 2))] == [
        [t for t in WALKED if t >= lowest] for lowest in (800, 500, 800)
    ]


def test_nothing_departs_on_the_linear_toy_even_where_directions_cancel() -> None:
    backbone, (one, other) = toy(), shifts()
    found = interference(backbone, x_T(backbone), [Edit(Constant(one)), Edit(Constant(other))], steps=STEPS)
    assert found.departure < 1e-10
    found = interference(backbone, x_T(backbone), [Edit(Constant(one)), Edit(Constant(one), -1.0)], steps=STEPS)
    assert found.cosine(0, 1) == pytest.approx(-1.0)
    assert found.changes[0] == pytest.approx(found.changes[1]) != 0
    assert found.together < 1e-10 * found.changes[0]
    assert found.departure < 1e-10


def test_departure_is_its_definition_on_a_network() -> None:
    backbone, x_t, head = real()
    edits = [Edit(head, 3.0), Edit(Constant(noise(1, 16, 4, 4, seed=6)), -3.0)]
    found = interference(backbone, x_t, edits, steps=STEPS)
    plain, one, other, both = (edit(backbone, x_t, run, steps=STEPS) for run in ([], edits[:1], edits[1:], edits))
    own = sqrt((one - plain).square().sum() + (other - plain).square().sum())
    assert found.departure == pytest.approx(float((both - one - other + plain).norm()) / own, rel=1e-4)
    assert found.departure > 1e-3
    assert found.together == pytest.approx(float((both - plain).square().mean().sqrt()), rel=1e-4)
    assert torch.equal(found.images, torch.stack([plain, one, other, both]))


def test_pictures_measured_a_few_at_a_time_are_measured_alike() -> None:
    backbone, x_t, head = real()
    edits = [Edit(head, 3.0), Edit(Constant(noise(1, 16, 4, 4, seed=6)), -3.0)]
    whole, parts = (interference(backbone, x_t, edits, steps=STEPS, batch=batch) for batch in (ROWS, 2))
    assert parts.images.shape == whole.images.shape == (4, ROWS, 3, 8, 8)
    assert parts.departure == pytest.approx(whole.departure, rel=1e-2)
    assert parts.cosine(0, 1) == pytest.approx(whole.cosine(0, 1))


def test_boosting_is_left_out_of_interference() -> None:
    backbone, x_t, _ = real()
    boosted, other = basis(backbone, t_boost=500), basis(backbone, what="other")
    found = interference(backbone, x_t, [(boosted, 1.0), (other, 1.0)], steps=STEPS)
    assert torch.equal(found.images[1], edit(backbone, x_t, [(boosted, 1.0)], steps=STEPS, t_boost=0))


def test_interference_runs_each_direction_once_all_together_once_and_none_once() -> None:
    backbone, x_t, head = real()
    counting, told = Counting(backbone), []
    interference(
        counting,
        x_t,
        [Edit(head), Edit(head, 2.0), Edit(head, -1.0)],
        steps=STEPS,
        callback=lambda done, total: told.append((done, total)),
    )
    assert len(counting.encoded) == 5 * STEPS
    assert told == [(done, 5) for done in range(1, 6)]


def test_what_cannot_interfere_is_refused() -> None:
    backbone, x_t, head = real()
    inert = Constant(torch.zeros(1, 16, 4, 4))
    for edits, message in (
        ([Edit(head)], "two directions or more; 1 given"),
        ([Edit(head), Edit(head, 0.0)], "strength 0 does nothing"),
        ([Edit(head), Edit(head, t_edit=1000)], "never act at the same timestep"),
    ):
        with pytest.raises(UsageError, match=message):
            interference(backbone, x_t, edits, steps=STEPS)
    with pytest.raises(HspaceError, match="none of the directions changes these pictures"):
        interference(backbone, x_t, [Edit(inert), Edit(inert)], steps=STEPS)


def test_the_sheet_shows_plain_each_alone_together_and_added_up() -> None:
    backbone, x_t, head = real()
    found = interference(backbone, x_t, [Edit(head), Edit(head, -2.0)], steps=STEPS)
    narrow = interference_sheet(found, ["a", "b", "c"])
    three = interference(backbone, x_t, [Edit(head), Edit(head, -2.0), Edit(head, 2.0)], steps=STEPS)
    wide = interference_sheet(three, ["a", "b", "c"])
    assert wide.width - narrow.width == 66  # a tile and its gap
    assert wide.height == narrow.height
