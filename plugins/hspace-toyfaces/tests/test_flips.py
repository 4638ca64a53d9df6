"""Which attributes an edit flips."""

import pytest
import torch

from hspace.errors import NotFoundError
from hspace.metric import Batch, Result
from hspace_toyfaces.attributes import NAMES, counterfactual
from hspace_toyfaces.flips import MARGIN, build, flips
from hspace_toyfaces.renderer import render
from hspace_toyfaces.source import ToyFaces

N = 12
FACES = ToyFaces(size=32, seed=3).attributes(N)


def results(target: str, **changed: float) -> dict[tuple[str, str], Result]:
    metric = build(target)
    plain, edit = render(FACES, 32), render(counterfactual(FACES, **changed), 32)
    metric.update(Batch(torch.arange(N), plain, plain, edit, FACES))
    return {(one.name, one.pair): one for one in metric.compute()}


def test_no_edit_flips_nothing() -> None:
    found = results("smile")
    assert all(one.value == 0 for one in found.values())
    assert len(found) == 3 * (2 + len(NAMES) - 1)


def test_an_attribute_that_was_changed_too_flips_where_it_was_on_the_other_side() -> None:
    found = results("smile", skin=0.9)
    light = (FACES["skin"] <= 0).float()
    assert found["flips.skin", "recon-edit"].value == pytest.approx(float(light.mean()), abs=1 / N)
    assert found["flips", "orig-recon"].value == 0
    spill = found["spill", "recon-edit"].value
    assert spill is not None
    assert spill > 0.05


def test_the_target_itself_does_not_count() -> None:
    found = results("skin", skin=0.9)
    assert ("flips.skin", "recon-edit") not in found
    flipped = found["flips", "recon-edit"].value
    assert flipped is not None
    assert flipped < 0.5


def test_shares_are_details_and_every_face_has_its_own_count() -> None:
    found = results("smile", skin=0.9)
    assert [one.detail for (name, _), one in found.items() if name in ("flips", "spill")] == [False] * 6
    assert found["flips.skin", "recon-edit"].detail
    assert len(found["flips", "recon-edit"].values) == N


def test_a_reading_on_the_threshold_does_not_flip() -> None:
    before, after = torch.tensor([[-0.01, -0.01, 0.5]]), torch.tensor([[0.01, MARGIN + 0.01, -0.5]])
    assert flips(before, after).tolist() == [[0, 1, 1]]


def test_an_unknown_target_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'smile'"):
        build("smiles")
