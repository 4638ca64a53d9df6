"""The sentences that a tiny CLIP learns from, and those it is measured with."""

import random

import pytest

from hspace_clip.vocabulary import UNKNOWN, vocabulary_of
from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.captions import words_of
from hspace_toyfaces.clip_recipe import CONTEXT
from hspace_toyfaces.clip_words import (
    OPENINGS,
    UNSEEN_GROUNDS,
    UNSEEN_OPENINGS,
    all_words,
    plain,
    sentence,
    unseen_sentence,
)  # fmt: skip

WORDS = [(name, word) for name in NAMES for word in words_of(name)]


def sentences(name: str, word: str) -> set[str]:
    return {sentence({name: word}, random.Random(seed)) for seed in range(300)}


@pytest.mark.parametrize(("name", "word"), WORDS)
def test_a_word_is_said_with_words_of_the_vocabulary_alone(name: str, word: str) -> None:
    vocabulary = vocabulary_of(all_words(), CONTEXT)
    for text in sentences(name, word):
        assert UNKNOWN not in vocabulary.encode(text.replace("~", "a"))


@pytest.mark.parametrize(("name", "word"), WORDS)
def test_no_sentence_that_measures_is_one_that_trains(name: str, word: str) -> None:
    measured = {unseen_sentence({name: word}, random.Random(seed)) for seed in range(300)}
    assert not measured & sentences(name, word)


def test_the_frames_and_openings_that_measure_are_kept_out_of_training() -> None:
    assert not set(OPENINGS) & set(UNSEEN_OPENINGS)
    said = {name: words_of(name)[0] for name in ("smile", "glasses", "bg")}
    trained = {sentence(said, random.Random(seed)) for seed in range(500)}
    for mark in (" that ", "this face", *(opening.strip() for opening in UNSEEN_OPENINGS), "in front of", "before"):
        assert not any(mark in text for text in trained)
    assert UNSEEN_GROUNDS == ("before {}", "in front of {}")


def test_a_sentence_fits_the_context() -> None:
    said = {
        "age": "old",
        "smile": "smiling",
        "hair": "blond hair",
        "yaw": "looking left",
        "bg_light": "dark background",
    }
    vocabulary = vocabulary_of(all_words(), 2 * CONTEXT)
    longest = max(int((vocabulary([sentence(said, random.Random(seed))]) > 0).sum()) for seed in range(300))
    assert longest <= CONTEXT


@pytest.mark.parametrize(
    ("word", "prompt"),
    [("smiling", "smiling face"), ("glasses", "face with glasses"), ("looking left", "face looking left")],
)
def test_a_word_as_a_user_would_type_it(word: str, prompt: str) -> None:
    assert plain(word) == prompt


def test_now_and_then_a_word_is_misheard_but_never_the_one_that_matters() -> None:
    found = sentences("glasses", "glasses")
    assert any("~" in text for text in found)
    assert all("glasses" in text for text in found)
