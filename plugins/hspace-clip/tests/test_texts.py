"""Prompts as vectors and directions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.encoder import Encoder
from hspace.errors import RefusedError, UsageError
from hspace.loading import load_encoder
from hspace_clip import texts
from hspace_clip.encoder import UnreadWordsWarning
from hspace_clip.texts import BARE, TEMPLATES, prompt_cosine, prompt_vector, text_direction

pytestmark = pytest.mark.usefixtures("hspace_home")


class Planted(Encoder):
    """Texts lie on known axes, by the word that is in them."""

    name, digest = "planted", "0" * 64

    def __init__(self) -> None:
        self.read: list[str] = []

    def images(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def texts(self, texts: Sequence[str]) -> Tensor:
        self.read += texts
        return torch.tensor([[float(word in text) for word in ("plain", "smiling", "old")] for text in texts])


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing is remembered from another test."""
    texts._kept.clear()
    yield
    texts._kept.clear()


def test_a_direction_is_the_normalised_difference_of_the_prompts() -> None:
    direction = text_direction(Planted(), "plain", "smiling")
    assert torch.allclose(direction, torch.tensor([-1.0, 1.0, 0.0]) / 2**0.5)


def test_a_prompt_is_the_mean_of_its_templates(checkpoint: Path) -> None:
    encoder = load_encoder(checkpoint)
    two = torch.stack([encoder.texts(["a red face"])[0], encoder.texts(["face"])[0]]).mean(0)
    found = prompt_vector(encoder, "face", ["a red {}", "{}"])
    assert torch.allclose(found, two, atol=1e-6)


def test_the_templates_are_many_and_each_has_one_place() -> None:
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 79
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    assert BARE == ("{}",)


def test_a_prompt_is_read_once_per_process() -> None:
    encoder = Planted()
    text_direction(encoder, "plain", "old")
    first = list(encoder.read)
    text_direction(encoder, "plain", "smiling")
    assert len(first) == 2 * len(TEMPLATES)
    assert len(encoder.read) == 3 * len(TEMPLATES)


def test_a_prompt_is_kept_on_disk_under_the_encoders_digest(hspace_home: Path) -> None:
    before, again, other = Planted(), Planted(), Planted()
    other.digest = "1" * 64
    first = prompt_vector(before, "old")
    texts._kept.clear()
    assert torch.equal(prompt_vector(again, "old"), first)
    assert again.read == []
    prompt_vector(other, "old")
    assert len(other.read) == len(TEMPLATES)


def test_a_damaged_entry_of_the_cache_is_computed_again(tmp_path: Path) -> None:
    first = prompt_vector(Planted(), "old")
    (entry,) = (tmp_path / "hspace-cache" / "texts").iterdir()
    entry.write_bytes(b"damaged")
    texts._kept.clear()
    again = Planted()
    assert torch.equal(prompt_vector(again, "old"), first)
    assert again.read
    texts._kept.clear()
    assert torch.equal(prompt_vector(Planted(), "old"), first)


@pytest.mark.parametrize(("source", "target"), [("old", "old"), (" old", "old ")])
def test_two_prompts_that_are_the_same_are_refused(source: str, target: str) -> None:
    with pytest.raises(RefusedError, match="there is no direction from"):
        text_direction(Planted(), source, target)


def test_prompts_of_unknown_words_only_are_refused_as_the_same() -> None:
    with pytest.raises(RefusedError, match="toyclip reads both as the same"):
        text_direction(load_encoder("toyclip"), "zebra", "lemon")


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="a prompt is empty"):
        text_direction(Planted(), "", "old")


@pytest.mark.parametrize("templates", [[], ["a face"]])
def test_templates_without_a_place_are_refused(templates: list[str]) -> None:
    with pytest.raises(UsageError, match="needs a place"):
        prompt_vector(Planted(), "old", templates)


def test_a_prompt_is_told_to_be_too_long_exactly_where_it_is(checkpoint: Path) -> None:
    encoder = load_encoder(checkpoint)
    encoder.texts([" ".join(["face"] * 18)])  # 20 with its start and end; a warning would be an error
    with pytest.warns(UnreadWordsWarning, match=r"reads 20 tokens, start and end included; the rest of 'face face"):
        encoder.texts([" ".join(["face"] * 19)])


def test_a_prompt_that_is_too_long_is_told_every_time(checkpoint: Path) -> None:
    encoder = load_encoder(checkpoint)
    long = " ".join(["face"] * 19)
    for _ in range(2):
        with pytest.warns(UnreadWordsWarning, match="is cut off"):
            prompt_vector(encoder, long)
        texts._kept.clear()


def test_the_cosine_of_two_prompts_is_that_of_the_words_themselves() -> None:
    encoder = Planted()
    assert prompt_cosine(encoder, "plain", "plain smiling") == pytest.approx(0.5**0.5)
    assert encoder.read == ["plain", "plain smiling"]
