"""The finders mean-difference and mean-difference-text on latents whose h is known."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace import Encoder, Task
from hspace.errors import HspaceError, UsageError
from hspace.testing import FinderContract, PlantedBackbone
from hspace_jacobian.mean_difference import build, build_text

from .planted import along, cosines, task, values

FACES = torch.tensor([[2.0, 0.3], [-2.0, 0.3], [1.0, -0.3], [-1.0, -0.3]])
"""Four latents; the first coefficient is what they differ by, the second is not."""
LABELS = torch.tensor([1.0, 0.0, 1.0, 0.0])


class Along(Encoder):
    """Sees how far a picture is along V_0 of the toy, and knows the words 'plain' and 'rich'."""

    name, digest = "along", sha256(b"along").hexdigest()

    def __init__(self, toy: PlantedBackbone) -> None:
        self.V = toy.V[:1].float().flatten(1)

    def images(self, x: Tensor) -> Tensor:
        amount = (x.flatten(1) @ self.V.T).squeeze(1).atan() / 2
        return torch.stack([amount.sin(), amount.cos()], dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[1.0, 0.0] if "rich" in text else [0.0, 1.0] for text in texts])


class TestMeanDifference(FinderContract):
    finder = "mean-difference"

    def task(self, backbone: PlantedBackbone) -> Task:
        return task(backbone, FACES, labels=LABELS)


class TestMeanDifferenceOfPairs(FinderContract):
    finder = "mean-difference"
    config: Mapping[str, Any] = {"paired": True}

    def task(self, backbone: PlantedBackbone) -> Task:
        return task(backbone, FACES, labels=LABELS)


class TestMeanDifferenceText(FinderContract):
    finder = "mean-difference-text"

    def task(self, backbone: PlantedBackbone) -> Task:
        both = ("a plain picture", "a rich picture")
        return task(backbone, FACES, prompts=both, encoder=Along(backbone))


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


def test_the_difference_is_that_of_the_means_at_every_timestep(toy: PlantedBackbone) -> None:
    (direction,) = build().find(toy, task(toy, FACES, labels=LABELS))
    assert direction.meta.head.config == {"timesteps": [999, 888, 777, 666, 555, 444], "components": 1}
    angles = toy.alphas_cumprod[[999, 888, 777, 666, 555, 444]].sqrt().arccos()
    factors = torch.cat([torch.ones(1), angles.diff().cos()]).cumprod(0)  # of x_t, where eps = sqrt(1 - a_t) x_t
    expected = (factors.double()[:, None] * 3 * toy.S[0] * toy.U[0].flatten()).float()  # 1.5 - (-1.5) along V_0
    (unit,) = values(direction.meta.metrics, "unit")
    torch.testing.assert_close(direction.weights["vectors"][0].flatten(1) / unit, expected, rtol=1e-3, atol=1e-3)
    rms = float(expected.norm(dim=1).square().mean().sqrt())
    assert values(direction.meta.metrics, "difference") == pytest.approx([rms], rel=1e-4)


def test_n_takes_the_ends_alone(toy: PlantedBackbone) -> None:
    labels = torch.tensor([2.0, -2.0, 1.0, -1.0])
    (direction,) = build(n=1).find(toy, task(toy, FACES, labels=labels))
    config = direction.meta.provenance.config
    assert (config["plus"], config["minus"]) == (1, 1)
    assert values(direction.meta.metrics, "label_gap") == [4]
    assert values(direction.meta.metrics, "agreement") == []  # there are no two halves of one picture


def test_halves_agree_where_the_pictures_differ_and_not_by_chance(toy: PlantedBackbone) -> None:
    (direction,) = build().find(toy, task(toy, FACES, labels=LABELS))
    assert values(direction.meta.metrics, "agreement")[0] > 0.9
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(2)) / toy.S[:64].float()
    (direction,) = build().find(toy, task(toy, noise, labels=torch.arange(64) % 2.0))
    assert abs(values(direction.meta.metrics, "agreement")[0]) < 0.4


def test_pairs_are_compared_within_each(toy: PlantedBackbone) -> None:
    faces = torch.tensor([[0.5, 4.0], [-0.5, 4.0], [-0.5, -4.0], [0.5, -4.0]])  # who it is matters more than the label
    work = task(toy, faces, labels=torch.tensor([9.0, 7.0, 1.0, 2.0]))
    (paired,) = build(paired=True).find(toy, work)
    (ranked,) = build(n=2).find(toy, work)
    assert float(cosines(paired.weights["vectors"][0, :1], toy.U[:1])) > 1 - 1e-6
    assert float(cosines(ranked.weights["vectors"][0, :1], toy.U[:1])) < 0.2


def test_it_is_called_and_labelled_by_the_attribute(toy: PlantedBackbone) -> None:
    work = task(toy, FACES, labels=LABELS, attribute="Wearing Glasses", data="4 pictures")
    (direction,) = build().find(toy, work)
    assert direction.id == "planted/wearing-glasses.mean-difference"
    assert direction.meta.labels == ("Wearing Glasses",)
    assert direction.meta.provenance.data == "4 pictures"


def test_by_prompts_it_is_called_by_the_target_and_keeps_them(toy: PlantedBackbone) -> None:
    both = ("a plain picture", "a rich picture")
    (direction,) = build_text().find(toy, task(toy, FACES, prompts=both, encoder=Along(toy)))
    assert direction.id == "planted/a-rich-picture.mean-difference-text"
    assert direction.meta.prompts == both
    assert direction.weights["vectors"][0, 0].flatten() @ toy.U[0].flatten().float() > 0  # towards the target


def test_pictures_that_are_there_are_not_drawn_again(toy: PlantedBackbone) -> None:
    x_0 = along(toy, -FACES)  # the other way round than their latents
    both = ("a plain picture", "a rich picture")
    (direction,) = build_text().find(toy, task(toy, FACES, x_0=x_0, prompts=both, encoder=Along(toy)))
    assert direction.weights["vectors"][0, 0].flatten() @ toy.U[0].flatten().float() < 0


def test_progress_ends_at_the_total(toy: PlantedBackbone) -> None:
    seen: list[tuple[int, int]] = []
    both: dict[str, Any] = {"prompts": ("plain", "rich"), "encoder": Along(toy)}
    list(build_text().find(toy, task(toy, FACES, progress=lambda done, total: seen.append((done, total)), **both)))
    assert seen[0] == (4, 8)
    assert seen[-1] == (8, 8)


def test_labels_that_are_missing_or_not_a_number_are_told(toy: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match="3 labels for 4 pictures"):
        list(build().find(toy, task(toy, FACES, labels=LABELS[:3])))
    with pytest.raises(UsageError, match="a label is not a number"):
        list(build().find(toy, task(toy, FACES, labels=LABELS * float("nan"))))
    with pytest.raises(UsageError, match="n must be at least 1"):
        build(n=0)


def test_pictures_with_the_same_h_have_no_difference(toy: PlantedBackbone) -> None:
    with pytest.raises(HspaceError, match="h is the same"):
        list(build().find(toy, task(toy, torch.ones(4, 2), labels=LABELS)))


def test_an_encoder_that_does_not_tell_is_told(toy: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match="along reads 'a face' and 'a nose' as the same"):
        list(build_text().find(toy, task(toy, FACES, prompts=("a face", "a nose"), encoder=Along(toy))))
    alike = task(toy, torch.ones(4, 2), prompts=("plain", "rich"), encoder=Along(toy))
    with pytest.raises(HspaceError, match="sees 4 pictures alike"):
        list(build_text().find(toy, alike))
