from collections.abc import Callable
from math import prod, sqrt

import pytest
import torch
from torch import Tensor
from toys import Constant, Counting, basis, toy
from unets import noise, unet

from hspace import Backbone, Card, SplitUNet, edit, invert, sample
from hspace.errors import UsageError
from hspace.meta import Scope
from hspace.sampling import Edit, ddim_step, gaussian, predict_x0
from hspace.schedule import alpha_at, alphas_cumprod, generation, inversion

STEPS = 6
ROWS = 3


def angle_cosine(a: float, b: float) -> float:
    """How a DDIM step scales x_t when eps = sqrt(1 - a) x_t, the exact denoiser of the toy."""
    return sqrt(a * b) + sqrt((1 - a) * (1 - b))


def alpha(t: int) -> float:
    return alpha_at(alphas_cumprod(), t)


def x_T(backbone: Backbone) -> Tensor:
    assert backbone.card is not None
    return noise(ROWS, *backbone.card.facts["x_shape"], dtype=torch.float64)


def real() -> tuple[SplitUNet, Tensor, Constant]:
    """A backbone with rounding of its own, three latents, and a head that moves them."""
    card = Card("attention", "", "a U-Net with random weights", facts={"x_shape": (3, 8, 8)})
    return (
        SplitUNet(unet("attention"), alphas_cumprod(), card=card),
        noise(ROWS, 3, 8, 8),
        Constant(noise(1, 16, 4, 4, seed=5)),
    )


def test_a_clean_prediction_undoes_the_noising() -> None:
    x_0, eps, a_t = noise(1, 3, 4, 4, dtype=torch.float64), noise(1, 3, 4, 4, seed=1, dtype=torch.float64), 0.3
    x_t = sqrt(a_t) * x_0 + sqrt(1 - a_t) * eps
    torch.testing.assert_close(predict_x0(x_t, eps, a_t), x_0)
    torch.testing.assert_close(ddim_step(x_t, eps, a_t, 0.7), sqrt(0.7) * x_0 + sqrt(0.3) * eps)


def test_a_stochastic_step_has_the_published_variance() -> None:
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    a_t, a_next = 0.3, 0.7
    sigma = sqrt((1 - a_next) / (1 - a_t) * (1 - a_t / a_next))
    assert float(ddim_step(zero, zero, a_t, a_next, eta=1.0, z=one)) == pytest.approx(sigma)
    assert float(ddim_step(zero, zero, a_t, a_next, eta=0.5, z=one)) == pytest.approx(sigma / 2)


@pytest.mark.parametrize("sequence", ["asyrp", "leading", "ldm"])
def test_sampling_the_toy_has_its_closed_form(sequence: str) -> None:
    backbone = toy()
    scale = prod(angle_cosine(alpha(t), alpha(t_next)) for t, t_next in generation(sequence, STEPS, 1000))
    x_0 = sample(backbone, x_T(backbone), steps=STEPS, sequence=sequence)
    torch.testing.assert_close(x_0, scale * x_T(backbone))


def test_published_inversion_of_the_toy_has_its_closed_form() -> None:
    backbone, scale = (
        toy(),
        prod(angle_cosine(alpha(t), alpha(t_next)) for t, t_next in inversion("asyrp", STEPS, 1000)),
    )
    torch.testing.assert_close(invert(backbone, x_T(backbone), steps=STEPS, fixed_point=0), scale * x_T(backbone))


def test_refined_inversion_is_the_inverse_of_sampling() -> None:
    backbone = toy()
    x_0 = x_T(backbone)
    latent = invert(backbone, x_0, steps=STEPS, fixed_point=200)
    torch.testing.assert_close(sample(backbone, latent, steps=STEPS), x_0)


def test_one_refinement_halves_the_inversion_error_at_least() -> None:
    backbone, x_t, _ = real()
    x_0 = sample(backbone, x_t, steps=20)
    errors = [
        float((sample(backbone, invert(backbone, x_0, steps=20, fixed_point=n), steps=20) - x_0).norm()) for n in (0, 1)
    ]
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("symmetric", [False, True])
def test_editing_the_toy_has_its_closed_form(symmetric: bool) -> None:
    backbone, t_edit, strength = toy(), 400, 0.7
    shift = noise(1, 8, 4, 4, seed=5, dtype=torch.float64)
    kept, moved = 1.0, 0.0
    for t, t_next in generation("asyrp", STEPS, 1000):
        a, b = alpha(t), alpha(t_next)
        c = angle_cosine(a, b)
        kept, moved = kept * c, moved * c
        if t >= t_edit:  # eps_edit = eps + sqrt(1 - a) strength W shift
            moved -= strength * sqrt(b) * (1 - a) / sqrt(a)
            moved += strength * sqrt((1 - b) * (1 - a)) if symmetric else 0.0
    edits = [Edit(Constant(shift), strength, t_edit)]
    pixels = (backbone.W @ shift.flatten()).reshape(1, *x_T(backbone).shape[1:])
    x_0 = edit(backbone, x_T(backbone), edits, steps=STEPS, symmetric=symmetric)
    torch.testing.assert_close(x_0, kept * x_T(backbone) + moved * pixels)


def test_several_directions_add_their_shifts() -> None:
    backbone = toy()
    one, other = (noise(1, 8, 4, 4, seed=seed, dtype=torch.float64) for seed in (5, 6))
    both = edit(backbone, x_T(backbone), [Edit(Constant(one), 0.5), Edit(Constant(other), -2.0)], steps=STEPS)
    summed = edit(backbone, x_T(backbone), [Edit(Constant(0.5 * one - 2.0 * other))], steps=STEPS)
    torch.testing.assert_close(both, summed)


def test_no_edit_is_sampling_bit_for_bit() -> None:
    backbone, x_t, _ = real()
    assert torch.equal(edit(backbone, x_t, [], steps=STEPS), sample(backbone, x_t, steps=STEPS))


@pytest.mark.parametrize("t_boost", [0, 500])
@pytest.mark.parametrize("symmetric", [False, True])
def test_strength_0_is_sampling_bit_for_bit(t_boost: int, symmetric: bool) -> None:
    backbone, x_t, head = real()
    edited = edit(backbone, x_t, [Edit(head, 0.0)], steps=STEPS, t_boost=t_boost, symmetric=symmetric)
    assert torch.equal(edited, sample(backbone, x_t, steps=STEPS))


@pytest.mark.parametrize("t_boost", [0, 500])
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_picture_at_strength_0_among_others_is_sampled_bit_for_bit(t_boost: int, symmetric: bool) -> None:
    backbone, x_t, head = real()
    plain = sample(backbone, x_t, steps=STEPS)
    edits = [Edit(head, torch.tensor([1.0, 0.0, -2.0]))]
    edited = edit(backbone, x_t, edits, steps=STEPS, t_boost=t_boost, symmetric=symmetric)
    assert [torch.equal(edited[row], plain[row]) for row in range(ROWS)] == [False, True, False]


def test_a_strength_per_picture_is_what_each_gets_alone() -> None:
    backbone, x_t, head = real()
    strengths = torch.tensor([1.0, -0.5, 2.0])
    together = edit(backbone, x_t, [Edit(head, strengths)], steps=STEPS)
    for row, strength in enumerate(strengths):
        alone = edit(backbone, x_t[row : row + 1], [Edit(head, float(strength))], steps=STEPS)
        assert float((alone[0] - together[row]).abs().max() / together[row].abs().max()) < 1e-4


def test_a_shift_found_with_more_steps_is_scaled_up() -> None:
    backbone, x_t, head = real()
    found = edit(backbone, x_t, [Edit(head, 1.0, steps_found=4 * STEPS)], steps=STEPS)
    assert torch.equal(found, edit(backbone, x_t, [Edit(head, 4.0)], steps=STEPS))


def test_a_step_costs_one_encoder_pass_and_a_second_decoder_pass_inside_the_window_only() -> None:
    backbone, x_t, head = real()
    counting, walked = Counting(backbone), [t for t, _ in generation("asyrp", STEPS, 1000)]
    edit(counting, x_t, [Edit(head, 1.0, t_edit=walked[2])], steps=STEPS)
    assert counting.encoded == walked
    assert counting.decoded == walked
    assert counting.edited == walked[:3]  # t_edit itself is inside


def test_a_symmetric_step_needs_the_edited_decoder_pass_alone() -> None:
    backbone, x_t, head = real()
    counting, walked = Counting(backbone), [t for t, _ in generation("asyrp", STEPS, 1000)]
    edit(counting, x_t, [Edit(head, 1.0, t_edit=walked[2])], steps=STEPS, symmetric=True)
    assert counting.encoded == walked
    assert counting.edited == walked[:3]
    assert counting.decoded == walked[3:]


def test_strength_0_costs_what_sampling_costs() -> None:
    backbone, x_t, head = real()
    counting = Counting(backbone)
    edit(counting, x_t, [Edit(head, 0.0)], steps=STEPS)
    assert (len(counting.encoded), len(counting.decoded), len(counting.edited)) == (STEPS, STEPS, 0)


def test_the_published_inversion_costs_a_pass_a_step_and_refinements_one_more_each_on_the_last_jump_too() -> None:
    backbone, x_t, _ = real()
    for refinements, passes in ((0, STEPS - 1), (1, 2 * STEPS), (2, 3 * STEPS)):
        counting = Counting(backbone)
        invert(counting, x_t, steps=STEPS, fixed_point=refinements)
        assert len(counting.encoded) == passes


def test_a_directions_own_window_holds_unless_another_is_said() -> None:
    backbone, x_t, _ = real()
    counting = Counting(backbone)
    direction, walked = basis(counting.inner, t_edit=500), [t for t, _ in generation("asyrp", STEPS, 1000)]
    edit(counting, x_t, [(direction, 1.0)], steps=STEPS)
    assert counting.edited == [t for t in walked if t >= 500]
    counting.edited.clear()
    edit(counting, x_t, [(direction, 1.0)], steps=STEPS, t_edit=900)
    assert counting.edited == [t for t in walked if t >= 900]


def test_above_t_start_nothing_is_shifted() -> None:
    backbone, x_t, _ = real()
    counting = Counting(backbone)
    direction, walked = basis(counting.inner, t_edit=300, t_start=800), [t for t, _ in generation("asyrp", STEPS, 1000)]
    edit(counting, x_t, [(direction, 1.0)], steps=STEPS)
    assert counting.edited == [t for t in walked if 300 <= t <= 800] != [t for t in walked if t >= 300]


@pytest.mark.parametrize(("t", "inside"), [(299, False), (300, True), (800, True), (801, False)])
def test_both_ends_belong_to_the_window(t: int, inside: bool) -> None:
    assert Edit(Constant(torch.zeros(())), t_edit=300, t_start=800).acts(t) is inside


def test_a_late_start_changes_a_linear_picture_by_its_steps_alone() -> None:
    """On the toy an edit of two windows side by side is the sum of the edits of each."""
    backbone = toy()
    x_t, walked = x_T(backbone), [t for t, _ in generation("asyrp", STEPS, 1000)]
    middle, plain = walked[2], sample(backbone, x_t, steps=STEPS)

    def changed(**window: int) -> Tensor:
        return edit(backbone, x_t, [(basis(backbone, **window), 1.0)], steps=STEPS) - plain

    late, early = changed(t_edit=0, t_start=middle), changed(t_edit=middle + 1)
    torch.testing.assert_close(late + early, changed(t_edit=0))
    assert float(late.abs().max()) > 0


def test_a_directions_own_boosting_holds_unless_another_is_said() -> None:
    backbone, x_t, _ = real()
    boosted = basis(backbone, t_boost=400, scope=Scope(kind="local", x_T_seed=0))
    own = edit(backbone, x_t, [(boosted, 1.0)], steps=STEPS)
    assert torch.equal(own, edit(backbone, x_t, [(boosted, 1.0)], steps=STEPS, t_boost=400))
    assert not torch.equal(own, edit(backbone, x_t, [(boosted, 1.0)], steps=STEPS, t_boost=0))


def test_boosting_draws_noise_below_t_boost_only() -> None:
    backbone, x_t, head = real()
    drawn: list[int] = []

    def watched(t: int, x_t: Tensor) -> Tensor:
        drawn.append(t)
        return gaussian(0)(t, x_t)

    edit(backbone, x_t, [Edit(head, 1.0)], steps=STEPS, t_boost=500, noise=watched)
    assert drawn == [t for t, _ in generation("asyrp", STEPS, 1000) if t < 500]


def test_sampling_without_eta_draws_no_noise() -> None:
    backbone, x_t, _ = real()
    sample(backbone, x_t, steps=STEPS, noise=lambda *_: pytest.fail("noise was drawn"))


RUNS: dict[str, Callable[[Backbone, Tensor, Constant], Tensor]] = {
    "sample": lambda backbone, x_t, _: sample(backbone, x_t, steps=STEPS),
    "sample with noise": lambda backbone, x_t, _: sample(backbone, x_t, steps=STEPS, eta=1.0),
    "invert": lambda backbone, x_t, _: invert(backbone, x_t, steps=STEPS),
    "edit": lambda backbone, x_t, head: edit(backbone, x_t, [Edit(head)], steps=STEPS, t_boost=300),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_is_the_same_twice_leaves_its_latents_alone_and_carries_no_gradient(
    run: Callable[[Backbone, Tensor, Constant], Tensor],
) -> None:
    backbone, x_t, head = real()
    before = x_t.clone()
    first = run(backbone, x_t, head)
    assert torch.equal(run(backbone, x_t, head), first)
    assert torch.equal(x_t, before)
    assert not first.requires_grad


def test_another_seed_gives_other_noise() -> None:
    backbone, x_t, _ = real()
    one, other = (sample(backbone, x_t, steps=STEPS, eta=1.0, noise=gaussian(seed)) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_every_step_is_called_back() -> None:
    backbone, x_t, head = real()
    seen: list[tuple[int, int]] = []

    def see(done: int, total: int) -> None:
        seen.append((done, total))

    edit(backbone, x_t, [Edit(head)], steps=STEPS, callback=see)
    sample(backbone, x_t, steps=STEPS, callback=see)
    assert seen == 2 * [(done, STEPS) for done in range(1, STEPS + 1)]
    seen.clear()
    invert(backbone, x_t, steps=STEPS, callback=see)
    assert seen == [(done, STEPS) for done in range(1, STEPS + 1)]
    seen.clear()
    invert(backbone, x_t, steps=STEPS, fixed_point=0, callback=see)
    assert seen == [(done, STEPS - 1) for done in range(1, STEPS)]


def test_a_direction_is_used_in_the_mode_it_was_found_in_unless_another_is_said() -> None:
    backbone, x_t, _ = real()
    found = basis(backbone, mode="symmetric")

    def x_0(symmetric: bool | None) -> Tensor:
        return edit(backbone, x_t, [(found, 1.0)], steps=STEPS, symmetric=symmetric)

    assert torch.equal(x_0(None), x_0(True))
    assert not torch.equal(x_0(None), x_0(False))


def test_directions_of_different_modes_are_refused() -> None:
    backbone, x_t, _ = real()
    found = [(basis(backbone, what=mode, mode=mode), 1.0) for mode in ("symmetric", "asymmetric")]
    with pytest.raises(UsageError, match="found in different modes"):
        edit(backbone, x_t, found, steps=STEPS)
