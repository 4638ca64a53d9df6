"""The small vocabulary against open_clip's own tokenizer."""

from pathlib import Path

import pytest
import torch
from open_clip import SimpleTokenizer

from hspace.errors import RefusedError
from hspace_clip.vocabulary import UNKNOWN, Vocabulary, read_vocabulary, vocabulary_of

KNOWN = ["a photo of a smiling face", "glasses, and a beard"]


def test_its_numbers_are_open_clips_tokens_renumbered() -> None:
    vocabulary = vocabulary_of(KNOWN, 12)
    theirs = SimpleTokenizer().encode("a smiling face, glasses")
    assert [vocabulary.tokens[number - 2] for number in vocabulary.encode("a smiling face, glasses")] == theirs


def test_a_text_begins_with_the_start_and_ends_with_the_highest_number() -> None:
    vocabulary = vocabulary_of(KNOWN, 8)
    (row,) = vocabulary(["a face"])
    assert int(row[0]) == vocabulary.start
    assert int(row.argmax()) == 3
    assert int(row.max()) == len(vocabulary) - 1
    assert row[4:].tolist() == [0, 0, 0, 0]


def test_a_long_text_is_cut_but_keeps_its_end() -> None:
    vocabulary = vocabulary_of(KNOWN, 5)
    assert vocabulary(["a smiling face of a beard"])[0].tolist() == [
        vocabulary.start, *vocabulary.encode("a smiling face"), vocabulary.end,
    ]  # fmt: skip


def test_an_unknown_word_is_one_number() -> None:
    assert set(vocabulary_of(KNOWN, 8).encode("zebra")) == {UNKNOWN}


def test_its_words_can_be_listed() -> None:
    assert vocabulary_of(["a smiling face"], 8).words() == ["a", "face", "smiling"]


def test_it_returns_from_its_file(tmp_path: Path) -> None:
    vocabulary = vocabulary_of(KNOWN, 8)
    (tmp_path / "vocabulary.json").write_text(vocabulary.to_json())
    again = read_vocabulary(tmp_path / "vocabulary.json", 8)
    assert torch.equal(again(KNOWN), vocabulary(KNOWN))


@pytest.mark.parametrize("content", ["[]", "{", '{"byte_pair_tokens": ["a"]}', '{"byte_pair_tokens": [3, 3]}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(RefusedError, match="is not a vocabulary"):
        read_vocabulary(tmp_path / "vocabulary.json", 8)


def test_two_vocabularies_of_the_same_texts_are_the_same() -> None:
    assert vocabulary_of(KNOWN, 8).tokens == vocabulary_of(reversed(KNOWN), 8).tokens
    assert isinstance(vocabulary_of(KNOWN, 8), Vocabulary)
