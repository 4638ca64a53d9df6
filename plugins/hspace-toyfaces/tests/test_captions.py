"""Captions of toy faces."""

import random
from itertools import pairwise

import pytest
import torch

from hspace_toyfaces.attributes import NAMES, Attributes, sample_attributes
from hspace_toyfaces.captions import SYNONYMS, caption, captions, describe, with_article


def faces(n: int = 300) -> Attributes:
    return sample_attributes(n, torch.Generator().manual_seed(4))


def face(**values: float) -> Attributes:
    return {name: torch.tensor([values.get(name, 0.0)]) for name in NAMES}


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("smile", 0.8, "smiling"),
        ("smile", -0.8, "frowning"),
        ("length", 1.0, "long hair"),
        ("glasses", -1.0, "no glasses"),
        ("beard", 1.0, "a beard"),
        ("eye", 0.0, "green eyes"),
        ("eye", 1.0, "blue eyes"),
        ("bg", -0.5, "teal background"),
        ("shirt", -1.0, "red shirt"),
        ("id_nose", 1.0, "a long nose"),
    ],
)
def test_a_clear_attribute_has_its_word(name: str, value: float, word: str) -> None:
    assert describe(face(**{name: value}), 0)[name] == word


@pytest.mark.parametrize("value", [-0.3, 0.0, 0.3])
def test_an_ambiguous_attribute_has_none(value: float) -> None:
    assert "smile" not in describe(face(smile=value), 0)


def test_between_two_colours_there_is_no_word() -> None:
    assert "bg" not in describe(face(bg=0.25), 0)


@pytest.mark.parametrize(("value", "word"), [(-1.0, "black"), (-0.4, "brown"), (0.5, "ginger"), (1.0, "blond")])
def test_hair_that_is_not_grey_has_its_colour(value: float, word: str) -> None:
    assert describe(face(hair=value, grey=-1.0), 0)["hair"] == f"{word} hair"


def test_grey_hair_has_no_other_colour() -> None:
    words = describe(face(hair=1.0, grey=1.0), 0)
    assert words["grey"] == "grey hair"
    assert "hair" not in words


def test_every_attribute_is_said_of_some_face() -> None:
    batch = faces()
    assert {name for index in range(300) for name in describe(batch, index)} == set(NAMES)


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("old face", "an old face"),
        ("young face", "a young face"),
        ("orange background", "an orange background"),
    ],
)
def test_the_article_fits_the_noun(noun: str, phrase: str) -> None:
    assert with_article(noun) == phrase


def test_captions_use_a_before_consonants_and_an_before_vowels() -> None:
    for text in captions(faces(), seed=0):
        words = text.replace(",", "").split()
        for article, noun in pairwise(words):
            if article in ("a", "an"):
                assert (article == "an") == (noun[0] in "aeiou"), text


def test_a_caption_says_only_what_is_true() -> None:
    batch = faces()
    glue = {"a", "an", "photo", "picture", "portrait", "of", "face", "person", "with", "and", "in", "on"}
    for index, text in enumerate(captions(batch, seed=0)):
        known = describe(batch, index).values()
        true = {word for phrase in known for word in phrase.split()}
        true |= {synonym for word in known for synonym in SYNONYMS.get(word, ())}
        assert set(text.replace(",", "").split()) <= true | glue, text


@pytest.mark.parametrize("name", ["glasses", "beard"])
def test_no_caption_leaves_out_the_no(name: str) -> None:
    for seed in range(100):
        text = caption(face(**{name: -1.0}), 0, random.Random(seed))
        assert text.count(name) == text.count(f"no {name}")


def test_captions_vary_with_the_seed_and_repeat_with_it() -> None:
    batch = faces(20)
    assert captions(batch, seed=0) == captions(batch, seed=0)
    assert captions(batch, seed=0) != captions(batch, seed=1)


def test_the_caption_of_a_face_does_not_depend_on_its_batch() -> None:
    batch = faces(20)
    assert captions({name: values[:5] for name, values in batch.items()}, 0) == captions(batch, 0)[:5]


def test_captions_fit_a_short_context() -> None:
    assert max(len(text.replace(",", " ,").split()) for text in captions(faces(3000), seed=0)) <= 36
