"""`--init`: training goes on from another direction's head, and a head that does not fit is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hspace import Direction, registry
from hspace.errors import NotFoundError, RefusedError
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build

from .colours import Colours, found, task

pytestmark = pytest.mark.usefixtures("hspace_home")
SETTINGS = {"fidelity": "paper", "head": "table", "t_edit": 400, "epochs": 1, "rate": 0.001}


@pytest.fixture
def red(colours: Colours) -> Direction:
    """The way to red, in the registry."""
    direction = found(colours, rate=0.001)[1]
    registry.add(direction)
    return direction


def begun(colours: Colours, init: str, folder: Path | None = None, **settings: object) -> Direction:
    backbone = PlantedBackbone()
    asked = replace(task(colours, backbone), folder=folder)
    return next(build(**{**SETTINGS, **settings}, init=init).find(backbone, asked))


def test_a_start_from_a_trained_head_begins_at_a_lower_loss_and_the_log_says_so(
    colours: Colours, red: Direction, tmp_path: Path
) -> None:
    direction = begun(colours, red.id, tmp_path)
    first, *passes = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert first["init"] == red.id == direction.meta.provenance.config["init"]
    assert first["loss"] < 0.8 * first["loss_without_init"]
    assert len(passes) == 2


def test_a_start_is_the_other_heads_weights(colours: Colours, red: Direction) -> None:
    direction = begun(colours, red.id, rate=1e-9)
    for name, weight in red.weights.items():
        torch.testing.assert_close(direction.weights[name], weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "delta-block"}, "has the head 'table', and 'delta-block' is to be trained. Add --head table"),
        ({"t_edit": 700}, "--set t_edit=400 --steps 8"),
        ({"head_config": {"between": "linear"}}, "has between=nearest; between=linear was asked for"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    colours: Colours, red: Direction, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        begun(colours, red.id, **settings)


def test_a_direction_of_another_backbone_is_refused(colours: Colours, red: Direction) -> None:
    other = PlantedBackbone(seed=1)
    with pytest.raises(RefusedError, match="this backbone's h differs"):
        next(build(**SETTINGS, init=red.id).find(other, task(colours, other)))


def test_a_basis_is_no_start(colours: Colours, red: Direction) -> None:
    head = red.meta.head.model_copy(update={"config": {**red.meta.head.config, "components": 2}})
    registry.add(replace(red, meta=red.meta.model_copy(update={"head": head, "id": "planted/basis.pca"})))
    with pytest.raises(RefusedError, match="is a basis of 2 directions, not a head to start from"):
        begun(colours, "planted/basis.pca")


def test_an_unknown_direction_is_answered_with_the_nearest(red: Direction) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean 'planted/red.asyrp'"):
        build(init="planted/rad.asyrp")
