"""What a training will cost: the passes are those that it then takes, and nothing is stored."""

from pathlib import Path

import pytest

from hspace import registry
from hspace.cost import Counted, Passes, total
from hspace.discovery import estimate, usual_samples
from hspace.errors import RefusedError
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build
from hspace_asyrp.natural import population_of
from hspace_asyrp.windowing import window_of

from .colours import STEPS, Colours, found, task

pytestmark = pytest.mark.usefixtures("hspace_home")
CONFIG = {"fidelity": "paper", "head": "table", "epochs": 12, "rate": 0.05, "batch": 3}


@pytest.mark.parametrize(
    "more",
    [
        {"t_edit": 400, "t_boost": 0},
        {"t_edit": 400},
        {},
        {"trajectory": "unedited"},
        {"fidelity": "natural", "population": 6},
        {"fidelity": "natural", "population": 6, "t_start": 800, "t_edit": 300, "trajectory": "unedited"},
        {"t_edit": 400, "t_boost": 0, "init": "planted/red.asyrp"},
        {"t_edit": 400, "t_boost": 0, "init": "planted/red.asyrp", "trajectory": "unedited"},
    ],
    ids=lambda more: "-".join(map(str, more)),
)
def test_the_passes_are_those_of_the_real_run(colours: Colours, more: dict[str, object]) -> None:
    backbone = PlantedBackbone()
    if "init" in more:
        registry.add(found(colours)[1])
    finder = build(**{**CONFIG, **more})
    said = total(finder.estimate(backbone, task(colours, backbone)).stages)
    counted = Counted(backbone)
    (_,) = finder.find(counted, task(colours, counted))
    # The real run also asks who the backbone is: one pass for its fingerprint, one for its identity.
    assert 0 <= counted.passes.encoder - said.encoder <= 2
    assert 0 <= counted.passes.decoder - said.decoder <= 1
    assert counted.passes.decoder_with_graph == said.decoder_with_graph


def test_a_training_step_is_said_to_cost_the_least_it_can(colours: Colours) -> None:
    backbone = PlantedBackbone()
    stages = {one.name: one for one in build(**CONFIG, t_edit=400).estimate(backbone, task(colours, backbone)).stages}
    steps = 12 * 8 * sum(t >= 400 for t in (0, 142, 285, 428, 570, 713, 856, 999))
    assert stages["training"].passes == Passes(steps, 2 * steps, steps)
    assert list(stages) == ["window", "unedited", "training", "measuring"]


def test_a_step_on_the_unedited_trajectory_needs_no_pass_without_a_graph(colours: Colours) -> None:
    backbone = PlantedBackbone()
    said = build(**CONFIG, t_edit=400, trajectory="unedited").estimate(backbone, task(colours, backbone))
    steps = 12 * 8 * sum(t >= 400 for t in (0, 142, 285, 428, 570, 713, 856, 999))
    assert {one.name: one.passes for one in said.stages}["training"] == Passes(steps, steps, steps)


def test_a_start_that_does_not_fit_is_refused_before_it_costs_anything(colours: Colours) -> None:
    registry.add(found(colours)[1])
    backbone = PlantedBackbone()
    with pytest.raises(RefusedError, match="--set t_edit=400 --steps 8"):
        build(**CONFIG, t_edit=700, init="planted/red.asyrp").estimate(backbone, task(colours, backbone))


def test_a_population_that_is_known_costs_nothing_and_a_few_are_not_kept(colours: Colours, tmp_path: Path) -> None:
    backbone, finder = PlantedBackbone(), build(population=6)
    asked = task(colours, backbone)
    stages = finder.estimate(backbone, asked).stages
    assert stages[0].name == "window"
    assert stages[0].passes == Passes(6 * STEPS, 6 * STEPS)
    assert not (tmp_path / "hspace-cache" / "population").exists()
    population_of(backbone, colours, 6, STEPS)
    assert [one.name for one in finder.estimate(backbone, asked).stages] == ["unedited", "training", "measuring"]


def test_curves_that_are_known_cost_nothing(colours: Colours) -> None:
    backbone = PlantedBackbone()
    asked = task(colours, backbone)
    window_of(build(**CONFIG), backbone, asked, None)
    stages = build(**CONFIG).estimate(backbone, asked).stages
    assert [one.name for one in stages] == ["unedited", "training", "measuring"]


@pytest.mark.parametrize(("finder", "samples"), [("asyrp", 48), ("jacobian-svd", 4)])
def test_a_finder_works_on_as_many_latents_as_its_card_asks_for(finder: str, samples: int) -> None:
    assert usual_samples(finder) == samples


def test_without_samples_as_many_are_walked_as_the_card_asks_for(colours: Colours) -> None:
    config = {**CONFIG, "t_edit": 400, "t_boost": 0}
    said = estimate(PlantedBackbone(), config=config, prompts=("grey", "red"), encoder=colours, steps=STEPS)
    walked = next(one for one in said.stages if one.name == "unedited")
    assert walked.passes.encoder == 48 * STEPS


def test_seconds_grow_with_the_pictures_and_nothing_is_stored(colours: Colours, tmp_path: Path) -> None:
    def cost(samples: int) -> float:
        config = {**CONFIG, "t_edit": 400, "t_boost": 0}
        said = estimate(
            PlantedBackbone(), config=config, samples=samples, prompts=("grey", "red"), encoder=colours, steps=STEPS
        )
        assert said.peak_bytes is None or said.peak_bytes > 50 * 2**20
        assert [one.name for one in said.stages] == ["unedited", "training", "measuring", "drawing"]
        return said.seconds

    assert cost(400) > 3 * cost(4)
    assert not (tmp_path / "hspace-home").exists()
    kept = [path for path in (tmp_path / "hspace-cache").rglob("*") if path.is_file()]
    assert {path.parent.name for path in kept} <= {"texts"}
