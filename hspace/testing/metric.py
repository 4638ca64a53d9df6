"""What every metric must hold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from hspace.cards import Card
from hspace.encoder import Encoder
from hspace.evaluation.measuring import WAYS, build, require_needs
from hspace.metric import PAIRS, Batch, Metric, Result
from hspace.pictures import source_of
from hspace.plugins import plugins
from hspace.storage import read_tensors, write_tensors
from hspace.testing.backbone import entry_module
from hspace.testing.imports import heavy_imports

N, SIDE = 7, 32


class Tints(Encoder):
    """An encoder that sees the mean colour, and reads the length of a text."""

    name, digest = "tints", sha256(b"tints").hexdigest()

    def images(self, x: Tensor) -> Tensor:
        """The direction of the mean colour, from a corner of the cube."""
        return normalize(x.mean(dim=(2, 3)) + 1.1, dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Directions that turn with the length of the text."""
        turned = torch.tensor([float(len(text)) for text in texts])
        return normalize(torch.stack([turned.sin(), turned.cos(), torch.ones(len(texts))], dim=1), dim=1)


@pytest.mark.filterwarnings("ignore::hspace.errors.HspaceWarning")
class MetricContract:
    """Subclass it and set `metric`, and `config` (or override `settings`) where its defaults are not enough.

    It is given seven pictures: those of `source`, with what is known of them, where its card needs attributes.
    """

    metric: str
    config: Mapping[str, Any] = {}
    source: str = "toyfaces"
    prompts: tuple[str, str] = ("a face", "a smiling face")
    tolerance: float = 1e-6
    """The largest difference, relative to the value, between batches of one size and of another."""

    def settings(self, tmp_path: Path) -> Mapping[str, Any]:
        """The settings that it is built with."""
        return self.config

    @pytest.fixture
    def card(self) -> Card:
        """The metric's card."""
        return plugins().find("metrics", self.metric)

    @pytest.fixture
    def pictures(self, card: Card) -> Batch:
        """All seven in one batch: smooth noise, something near it, and something brighter."""
        attributes = None
        if "attributes" in card.needs:
            source, _ = source_of(self.source, SIDE, 3, None)
            orig, attributes = source.images(N), source.attributes(N)
        else:
            coarse = torch.rand(N, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
            orig = interpolate(coarse, (SIDE, SIDE), mode="bilinear")
        noise = torch.randn(orig.shape, generator=torch.Generator().manual_seed(1))
        recon = (orig + 0.02 * noise).clamp(-1, 1)
        edit = (recon + 0.2 * torch.linspace(0, 1, SIDE)).clamp(-1, 1)
        return Batch(torch.arange(N), orig, recon, edit, attributes)

    @pytest.fixture
    def built(self, card: Card, tmp_path: Path) -> Any:
        """A function that builds the metric under test, anew at each call."""
        known = {"prompts": self.prompts, "encoder": Tints(), "strength": 1.0, "seed": 0, "device": "cpu"}
        return lambda: build(card, known, self.settings(tmp_path))

    def test_it_measures_something(self, built: Any, pictures: Batch) -> None:
        assert any(one.value is not None for one in run(built(), [pictures]).compute())

    def test_every_number_says_how_and_of_how_many(self, built: Any, pictures: Batch) -> None:
        for one in run(built(), [pictures]).compute():
            assert one.protocol
            assert 0 <= one.n <= N
            assert one.pair in ("", *(f"{first}-{second}" for first, second in PAIRS))
            assert one.reason or one.value is not None
            assert one.low is None or one.high is None or one.low <= one.high
            numbers = [one.value, one.low, one.high, one.spread, one.floor, *one.values.values()]
            assert all(number is None or abs(number) < float("inf") for number in numbers)
            assert set(one.values) <= set(range(N))

    def test_no_two_results_have_one_name_and_pair(self, built: Any, pictures: Batch) -> None:
        names = [(one.name, one.pair) for one in run(built(), [pictures]).compute()]
        assert len(set(names)) == len(names)

    @pytest.mark.parametrize("sizes", [[3, 4], [1, 5, 1]], ids=str)
    def test_it_does_not_matter_how_pictures_are_batched(self, built: Any, pictures: Batch, sizes: list[int]) -> None:
        whole = run(built(), [pictures]).compute()
        self.require_same(run(built(), split(pictures, sizes)).compute(), whole)

    def test_asking_changes_nothing(self, built: Any, pictures: Batch) -> None:
        metric = run(built(), split(pictures, [3]))
        metric.compute()
        assert metric.compute() == metric.compute()
        self.require_same(run(metric, split(pictures, [3, 4])[1:]).compute(), run(built(), [pictures]).compute())

    def test_a_stopped_run_goes_on_from_its_state(self, built: Any, pictures: Batch, tmp_path: Path) -> None:
        first, second = split(pictures, [3, 4])
        write_tensors(tmp_path / "state.safetensors", run(built(), [first]).state())
        resumed = built()
        resumed.merge(read_tensors(tmp_path / "state.safetensors", finite=False))
        self.require_same(run(resumed, [second]).compute(), run(built(), [first, second]).compute())

    def test_two_processes_are_as_good_as_one(self, built: Any, pictures: Batch) -> None:
        first, second = split(pictures, [3, 4])
        merged = run(built(), [second])
        merged.merge(run(built(), [first]).state())
        self.require_same(merged.compute(), run(built(), [first, second]).compute())

    def test_nothing_merged_is_nothing(self, built: Any, pictures: Batch) -> None:
        metric = run(built(), [pictures])
        before = metric.compute()
        metric.merge(built().state())
        self.require_same(metric.compute(), before)

    def test_its_state_holds_no_pictures(self, built: Any, pictures: Batch) -> None:
        rows = pictures.index.repeat(10)
        few, many = (
            sum(tensor.nbytes for tensor in run(built(), [batch]).state().values())
            for batch in (pictures, replicated(pictures, rows))
        )
        assert (many - few) / (len(rows) - N) < 3 * SIDE * SIDE  # bytes that each picture more would take

    def test_it_leaves_the_pictures_alone(self, built: Any, pictures: Batch) -> None:
        before = {name: images.clone() for name, images in pictures.pictures().items()}
        run(built(), [pictures])
        assert all(torch.equal(images, before[name]) for name, images in pictures.pictures().items())

    def test_its_needs_are_known_ones_and_are_enough(self, card: Card, built: Any, pictures: Batch) -> None:
        assert set(card.needs) <= set(WAYS)
        require_needs(card, set(WAYS))
        sets = {name: images for name, images in pictures.pictures().items() if name in (*card.needs, "recon", "edit")}
        attributes = pictures.attributes if "attributes" in card.needs else None
        assert run(built(), [Batch(pictures.index, attributes=attributes, **sets)]).compute()

    def test_listing_it_imports_nothing_heavy(self, card: Card) -> None:
        assert heavy_imports(entry_module(card.plugin)) == []

    def require_same(self, found: Sequence[Result], known: Sequence[Result]) -> None:
        """Asserts that the results are the same, up to rounding."""
        assert [(one.name, one.pair, one.n, one.reason) for one in found] == [
            (one.name, one.pair, one.n, one.reason) for one in known
        ]
        for one, other in zip(found, known, strict=True):
            for key in ("value", "low", "high", "spread", "floor"):
                mine, theirs = asdict(one)[key], asdict(other)[key]
                near = theirs if theirs is None else pytest.approx(theirs, rel=self.tolerance, abs=self.tolerance)
                assert mine == near, (one.name, key)
            assert one.values == pytest.approx(other.values, rel=self.tolerance, abs=self.tolerance)


def run(metric: Metric, batches: Sequence[Batch]) -> Metric:
    """The metric, after these batches."""
    for batch in batches:
        metric.update(batch)
    return metric


def split(batch: Batch, sizes: Sequence[int]) -> list[Batch]:
    """The first pictures of a batch in batches of those sizes."""
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [replicated(batch, torch.arange(start, start + size)) for start, size in zip(starts, sizes, strict=True)]


def replicated(batch: Batch, rows: Tensor) -> Batch:
    """The rows of a batch, numbered anew where some come more than once."""
    sets = {name: images[rows] for name, images in batch.pictures().items()}
    attributes = batch.attributes and {name: values[rows] for name, values in batch.attributes.items()}
    once = len(set(rows.tolist())) == len(rows)
    return Batch(batch.index[rows] if once else torch.arange(len(rows)), attributes=attributes, **sets)
