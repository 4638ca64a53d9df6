"""What a backbone's own pictures say of a prompt: known answers, and a population that is looked at once."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.cost import Counted
from hspace.errors import HspaceError, UsageError
from hspace.testing import PlantedBackbone
from hspace_asyrp import natural as module
from hspace_asyrp.finder import build
from hspace_asyrp.loss import Goal, Terms, natural_loss
from hspace_asyrp.natural import GOAL, Natural, Population, natural, population_before, population_of

from .colours import STEPS, Colours

pytestmark = pytest.mark.usefixtures("hspace_home")
N, T = 50, tuple(range(950, -1, -50))
RISE = torch.linspace(0, 1, len(T))
DELTA_T = torch.tensor([1.0, 0.0, 0.0])


def settled(share: Tensor, aside: float = 0.0, n: int = N) -> Population:
    """Pictures whose score is drawn; at step s a share of it is in P_t, `aside` of it goes off along another axis."""
    draw = torch.Generator().manual_seed(0)
    score, rest = torch.randn(n, generator=draw), torch.randn(n, generator=draw)
    centred = score - score.mean()
    rest = rest - (rest @ centred) / (centred @ centred) * centred  # it has nothing to do with the score
    final = torch.stack([score, aside * score, rest], dim=1)
    return Population(T[: len(share)], share[:, None, None] * final, final)


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbouring timesteps are left apart."""
    monkeypatch.setattr(module, "SMOOTH", 0.01)


@pytest.mark.usefixtures("sharp")
def test_the_change_is_the_slope_on_the_score() -> None:
    found = natural(settled(RISE, aside=0.5), DELTA_T)
    torch.testing.assert_close(found.share, RISE, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.change[:, 1], 0.5 * RISE, atol=1e-5, rtol=1e-4)
    assert float(found.change[:, 2].abs().max()) < 1e-5  # what does not go with the score


@pytest.mark.usefixtures("sharp")
def test_the_window_is_where_the_share_goes_from_a_quarter_to_nine_tenths() -> None:
    found = natural(settled(RISE), DELTA_T)
    begun, done = (next(t for t, share in zip(T, RISE, strict=True) if share >= least) for least in (0.25, 0.9))
    assert found.window() == (done, begun)


def test_smoothing_keeps_a_share_that_is_the_same_everywhere() -> None:
    torch.testing.assert_close(natural(settled(torch.ones(20)), DELTA_T).share, torch.ones(20), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shares", [[0.0] * 5, [0.1, 0.3, 0.5, 0.3, 0.2], [1.0] * 5, [1.0, 0.0, 0.0, 0.0, 0.0]])
def test_a_window_never_ends_above_its_start(shares: list[float]) -> None:
    steps = torch.tensor(shares)
    t_edit, t_start = Natural(T[:5], steps[:, None] * DELTA_T, steps, 1.0, 1.0, DELTA_T).window()
    assert t_edit <= t_start
    assert {t_edit, t_start} <= set(T[:5])


def test_the_goal_is_the_score_that_nine_tenths_of_the_pictures_stay_below() -> None:
    own = settled(RISE, n=51)
    found = natural(own, DELTA_T)
    score = own.final[:, 0]
    assert found.goal == pytest.approx(float(score.sort().values[round(GOAL * 50)]), abs=1e-6)
    assert found.full == pytest.approx(float((found.goal - score).clamp(min=0).mean()), abs=1e-6)


def test_a_picture_is_asked_for_what_it_lacks_and_one_past_the_goal_for_nothing() -> None:
    found = natural(settled(RISE), DELTA_T)
    final = torch.tensor([[found.goal - 0.5, 9.0, 9.0], [found.goal, 0.0, 0.0], [found.goal + 2, 0.0, 0.0]])
    assert found.asked(final).tolist() == pytest.approx([0.5, 0.0, 0.0], abs=1e-6)


def test_pictures_that_are_all_alike_say_nothing() -> None:
    same = Population(T, torch.zeros(len(T), N, 3), torch.full((N, 3), 0.3))
    with pytest.raises(HspaceError, match="own 50 pictures are all alike along these prompts"):
        natural(same, DELTA_T)


def test_a_population_is_looked_at_once_for_an_encoder_a_number_and_steps(colours: Colours) -> None:
    counted, told = Counted(PlantedBackbone()), list[tuple[int, int]]()
    first = population_of(counted, colours, 5, STEPS, batch=2, callback=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    asked = counted.passes
    again = population_of(counted, colours, 5, STEPS)
    assert counted.passes == asked
    assert (first.timesteps, first.embeddings.shape, first.final.shape) == (again.timesteps, (STEPS, 5, 4), (5, 4))
    assert torch.equal(first.embeddings, again.embeddings)
    assert torch.equal(first.final, again.final)
    assert population_before(counted, colours, 6, STEPS) is None
    assert population_before(counted, colours, 5, STEPS + 1) is None
    assert population_before(PlantedBackbone(seed=1), colours, 5, STEPS) is None


@pytest.mark.parametrize("at", [20, -1], ids=["header", "end"])
def test_a_damaged_population_is_looked_at_again_with_the_same_bytes(colours: Colours, tmp_path: Path, at: int) -> None:
    backbone = PlantedBackbone()
    population_of(backbone, colours, 4, STEPS)
    (kept,) = (tmp_path / "hspace-cache" / "population").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:at])
    assert population_before(backbone, colours, 4, STEPS) is None
    population_of(backbone, colours, 4, STEPS)
    assert kept.read_bytes() == whole


GOAL_HERE = Goal(DELTA_T, full=0.5, cosine=0.9)
ASKED = torch.tensor([[0.4, 0.2, 0.0]])
MATCH = Terms(clip=0, recon=30, effect=0, match=1)


def test_the_change_that_is_asked_for_costs_nothing() -> None:
    assert float(natural_loss(ASKED, ASKED, torch.zeros(1), GOAL_HERE, MATCH)) == 0


@pytest.mark.parametrize("far", [1.0, 0.5])
def test_too_much_costs_as_much_as_too_little_and_as_a_change_across(far: float) -> None:
    away = far * torch.eye(3)
    changes = ASKED + torch.cat([away, -away])
    losses = natural_loss(changes, ASKED, torch.zeros(6), GOAL_HERE, MATCH)
    assert losses.tolist() == pytest.approx([(far / 0.5) ** 2] * 6)


def test_natural_pixels_cost_their_weight_times_the_cosine_of_the_prompts() -> None:
    assert float(natural_loss(ASKED, ASKED, torch.tensor([0.1]), GOAL_HERE, MATCH)) == pytest.approx(30 * 0.9 * 0.1)


@pytest.mark.parametrize(
    ("fidelity", "term", "has"),
    [
        ("natural", "clip", "match, recon"),
        ("natural", "effect", "match, recon"),
        ("paper", "match", "clip, recon, effect"),
        ("official", "match", "clip, recon"),
        ("official", "effect", "clip, recon"),
    ],
)
def test_a_term_that_the_loss_lacks_is_refused_with_its_terms(fidelity: str, term: str, has: str) -> None:
    with pytest.raises(UsageError, match=f"^{term} is no term of fidelity={fidelity}; its terms are {has}$"):
        build(fidelity=fidelity, **{term: 0.5})
    assert build(fidelity=fidelity, **{term: 0.0}).plan.terms == build(fidelity=fidelity).plan.terms
