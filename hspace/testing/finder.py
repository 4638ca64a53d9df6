"""What every finder must hold."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.backbone import Backbone, State
from hspace.cards import Card
from hspace.direction import Direction
from hspace.errors import UsageError
from hspace.finder import TASK_FIELDS, Finder, Task
from hspace.meta import META_FILE, read_meta
from hspace.plugins import plugins
from hspace.sampling import Move
from hspace.sheets import parts
from hspace.testing.backbone import entry_module
from hspace.testing.imports import heavy_imports
from hspace.testing.planted import PlantedBackbone

ALWAYS = {"x_T", "steps", "seed", "progress", "folder"}


class FinderContract:
    """Subclass it and set `finder`, and `config` where its defaults do not suit the toy.

    A finder that needs more than latents overrides `task`, one that looks for something else than the leading
    left singular vectors of the encoder overrides `planted`.
    """

    finder: str
    config: Mapping[str, Any] = {}
    tolerance: float = 1e-3
    """The largest angle, in radians, between a planted direction and the one found."""

    def task(self, backbone: PlantedBackbone) -> Task:
        """What the finder is given: one latent."""
        return Task(x_T=torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)), steps=10)

    def planted(self, backbone: PlantedBackbone, count: int) -> Tensor:
        """The `count` directions that must be found, up to sign and length, in order: of h or x_t (count, C, H, W)."""
        return backbone.U[:count]

    @pytest.fixture
    def toy(self) -> PlantedBackbone:
        """The backbone whose answers are known."""
        return PlantedBackbone()

    @pytest.fixture
    def card(self) -> Card:
        """The finder's card."""
        return plugins().find("finders", self.finder)

    @pytest.fixture
    def built(self, card: Card) -> Finder:
        """The finder under test."""
        finder: Finder = card.load()(**self.config)
        return finder

    def test_it_finds_the_planted_directions(self, built: Finder, toy: PlantedBackbone) -> None:
        task = self.task(toy)
        found = torch.cat([_shifts(direction, toy, task) for direction in built.find(toy, task)])
        planted = self.planted(toy, len(found))
        assert planted.shape == found.shape
        assert _angles(found, planted) <= self.tolerance

    def test_the_same_seed_gives_the_same_bytes(self, built: Finder, toy: PlantedBackbone, tmp_path: Path) -> None:
        for run in ("one", "other"):
            for index, direction in enumerate(built.find(toy, self.task(toy))):
                direction.save(tmp_path / run / str(index))
        one, other = (_bytes(tmp_path / run) for run in ("one", "other"))
        assert one
        assert one == other

    def test_its_needs_are_fields_of_a_task_and_refused_when_missing(self, card: Card, toy: PlantedBackbone) -> None:
        assert set(card.needs) <= set(TASK_FIELDS)
        task = self.task(toy)
        task.require(card)
        for need in card.needs:
            missing: dict[str, Any] = {need: None}
            with pytest.raises(UsageError, match=need):
                replace(task, **missing).require(card)

    def test_it_needs_nothing_that_its_card_does_not_say(self, built: Finder, card: Card, toy: PlantedBackbone) -> None:
        unsaid: dict[str, Any] = dict.fromkeys(set(TASK_FIELDS) - ALWAYS - set(card.needs))
        assert next(iter(built.find(toy, replace(self.task(toy), **unsaid)))).weights

    def test_a_direction_saved_and_loaded_rebuilds_its_head(
        self, built: Finder, toy: PlantedBackbone, tmp_path: Path
    ) -> None:
        task = self.task(toy)
        for index, direction in enumerate(built.find(toy, task)):
            direction.save(tmp_path / str(index))
            assert torch.equal(_shifts(Direction.load(tmp_path / str(index)), toy, task), _shifts(direction, toy, task))

    def test_a_direction_says_where_it_came_from(self, built: Finder, toy: PlantedBackbone) -> None:
        for direction in built.find(toy, self.task(toy)):
            assert direction.meta.provenance.finder == self.finder
            assert direction.id.startswith("planted/")

    def test_it_leaves_the_backbone_alone(self, built: Finder, toy: PlantedBackbone) -> None:
        before = {name: tensor.clone() for name, tensor in toy.state_dict().items()}
        list(built.find(toy, self.task(toy)))
        assert all(torch.equal(toy.state_dict()[name], tensor) for name, tensor in before.items())
        assert not any(parameter.requires_grad or parameter.grad is not None for parameter in toy.parameters())

    def test_listing_it_imports_nothing_heavy(self, card: Card) -> None:
        assert heavy_imports(entry_module(card.plugin)) == []


@torch.no_grad()
def _shifts(direction: Direction, backbone: Backbone, task: Task) -> Tensor:
    """What each component does to h, delta_h (k, Ch, Hh, Wh), or to x_t, at the first latent and t_edit."""
    x_t, t = task.x_T[:1], direction.meta.t_edit
    each = parts([direction])
    if direction.meta.space == "x":
        return torch.cat([Move(part.move(backbone), 1.0, t).displacement(backbone, x_t) for part in each])
    state: State = backbone.encode_h(x_t, torch.tensor([float(t)]))
    return torch.cat([part.head(backbone)(state) for part in each])


def _angles(found: Tensor, planted: Tensor) -> float:
    """The largest angle between lines, from the sine: the cosine of a small angle is 1 in single precision."""
    u = torch.nn.functional.normalize(found.flatten(1).double(), dim=1)
    v = torch.nn.functional.normalize(planted.flatten(1).double(), dim=1)
    rest = u - (u * v).sum(dim=1, keepdim=True) * v
    return float(rest.norm(dim=1).clamp(max=1).arcsin().max())


def _bytes(folder: Path) -> dict[str, object]:
    """Every file by its place: weights as they are, descriptions without the date they were made on."""
    content: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        described = path.name == META_FILE
        content[str(path.relative_to(folder))] = (
            read_meta(path.parent).model_dump(exclude={"provenance": {"date"}}) if described else path.read_bytes()
        )
    return content
