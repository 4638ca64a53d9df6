"""An open_clip model as an encoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hspace.encoder import Encoder
from hspace.errors import HspaceWarning, UsageError
from hspace_clip.picture import Preprocess

TEXTS_AT_ONCE = 64


class Tokenizer(Protocol):
    """What open_clip's tokenizers and `Vocabulary` have in common."""

    @property
    def context_length(self) -> int | None:
        """How many tokens a text has room for, its start and end included."""

    def __call__(self, texts: list[str], context_length: int | None = None) -> Tensor:
        """The texts as (N, context) numbers, cut where they are longer than the context."""


class UnreadWordsWarning(HspaceWarning):
    """A text has more words than the model reads, or words that it does not know."""


class ClipEncoder(Encoder):
    """Images and texts in the space of an open_clip model, whose weights are frozen."""

    def __init__(self, name: str, model: nn.Module, tokenizer: Tokenizer, preprocess: Preprocess) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer, self.preprocess = tokenizer, preprocess

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @cached_property
    def digest(self) -> str:  # type: ignore[override]
        """The sha256 of the weights, of what images are turned into, and of a few texts as tokens."""
        seen = sha256(repr((self.preprocess, self.tokenizer(["a photo of a face"]).tolist())).encode())
        for name, tensor in self.model.state_dict().items():
            seen.update(name.encode())
            seen.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return seen.hexdigest()

    def images(self, x: Tensor) -> Tensor:
        """Unit vectors (B, D) of images (B, 3, H, W) in [-1, 1]; differentiable."""
        return normalize(self.model.encode_image(self.preprocess(x)).float(), dim=-1)  # type: ignore[operator]

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, D) of the texts.

        Raises UsageError for an empty text; warns, with UnreadWordsWarning, of one that is longer than the context.
        """
        self._check(texts)
        parts = [list(texts[first : first + TEXTS_AT_ONCE]) for first in range(0, len(texts), TEXTS_AT_ONCE)]
        return torch.cat([self._read(part) for part in parts])

    def _read(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(texts).to(self.device)
        return normalize(self.model.encode_text(tokens).float(), dim=-1)  # type: ignore[operator]

    def _check(self, texts: Sequence[str]) -> None:
        if not texts or not all(text.strip() for text in texts):
            raise UsageError("a text is empty; say in words what is seen, such as 'a smiling face'")
        context = self.tokenizer.context_length or len(self.tokenizer(["a"])[0])
        wide = self.tokenizer([*texts, "a"], 2 * context)[:, context:]
        long = [text for text, row in zip(texts, wide, strict=False) if not torch.equal(row, wide[-1])]
        if long:
            warnings.warn(
                f"{self.name} reads {context} tokens, start and end included; the rest of {long[0]!r} is cut off",
                UnreadWordsWarning,
                stacklevel=3,
            )
