"""A small vocabulary: some of the tokens of open_clip's byte-pair encoding, under numbers of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hspace.errors import RefusedError

if TYPE_CHECKING:
    from open_clip import SimpleTokenizer

VOCABULARY = "vocabulary.json"
PADDING, UNKNOWN, FIRST = 0, 1, 2


@cache
def byte_pairs() -> SimpleTokenizer:
    """open_clip's own byte-pair encoder, whose merges come with the package."""
    from open_clip import SimpleTokenizer

    return SimpleTokenizer()


@cache
def _byte_pairs_of(word: str) -> tuple[int, ...]:
    return tuple(byte_pairs().encode(word))


class Vocabulary:
    """A tokenizer that knows few tokens: called with texts, it gives their numbers (N, context), as open_clip's does.

    0 pads and 1 is any unknown token; the end of a text has the highest number, because open_clip reads a text
    at its highest number.
    """

    def __init__(self, tokens: Sequence[int], context_length: int) -> None:
        self.tokens = tuple(tokens)
        self.context_length = context_length
        self._numbers = {token: FIRST + place for place, token in enumerate(self.tokens)}
        self.start, self.end = FIRST + len(self.tokens), FIRST + len(self.tokens) + 1

    def __len__(self) -> int:
        return self.end + 1

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens, without its start and end."""
        return [self._numbers.get(token, UNKNOWN) for word in text.split() for token in _byte_pairs_of(word)]

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> Tensor:
        """The texts as (N, context) int64; what is too long is cut before its end."""
        length = context_length or self.context_length
        rows = torch.full((len(texts), length), PADDING)
        for row, text in zip(rows, texts, strict=True):
            numbers = [self.start, *self.encode(text)[: length - 2], self.end]
            row[: len(numbers)] = torch.tensor(numbers)
        return rows

    def words(self) -> list[str]:
        """The tokens as they are read, in alphabetical order; "</w>" ends a word and is left out."""
        decoder = byte_pairs().decoder
        return sorted(decoder[token].removesuffix("</w>") for token in self.tokens)

    def to_json(self) -> str:
        """What `read_vocabulary` reads."""
        return json.dumps({"byte_pair_tokens": list(self.tokens)}) + "\n"


def vocabulary_of(texts: Iterable[str], context_length: int) -> Vocabulary:
    """The vocabulary of all tokens that occur in the texts."""
    tokens = {token for text in texts for word in text.split() for token in _byte_pairs_of(word)}
    return Vocabulary(sorted(tokens), context_length)


def read_vocabulary(path: Path, context_length: int) -> Vocabulary:
    """The vocabulary in a file. Raises RefusedError when it is not one."""
    try:
        tokens = json.loads(path.read_text(encoding="utf-8"))["byte_pair_tokens"]
        if not all(isinstance(token, int) for token in tokens) or len(set(tokens)) < len(tokens):
            raise ValueError("its tokens are not numbers, each once")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{path} is not a vocabulary ({type(error).__name__}: {error})") from error
    return Vocabulary(tokens, context_length)
