"""Training a tiny CLIP on rendered faces."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, normalize, smooth_l1_loss

from hspace.storage import write_bytes
from hspace_clip.encoder import ClipEncoder
from hspace_clip.picture import read_preprocess
from hspace_clip.vocabulary import Vocabulary, vocabulary_of
from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.clip_batches import Batch, draw_batch, truth_table
from hspace_toyfaces.clip_recipe import CONTEXT, ClipRecipe
from hspace_toyfaces.clip_words import all_words
from hspace_toyfaces.learner import Learner

FEW = 100
MOST_SCALE = math.log(100)
CROSSTALK = 4.0
FOOLED = 2.0
FADED = 0.25


class ToyClip(nn.Module):
    """An open_clip model, with a layer that reads the attributes from an image's vector and is left out on export."""

    def __init__(self, recipe: ClipRecipe, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.clip = build_clip(recipe.model_config_of(len(vocabulary)))
        self.reader = nn.Linear(recipe.embed_dim, len(NAMES))

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors of images and texts, and the attributes (B, A) read from the images."""
        pictures = normalize(self.clip.encode_image(images), dim=-1)
        read = self.reader(pictures * pictures.shape[1] ** 0.5)
        return pictures, normalize(encode_short(self.clip, texts), dim=-1), read


def encode_short(clip: Any, tokens: Tensor) -> Tensor:
    """What `clip.encode_text` returns, without the work on the padding that all texts share."""
    length = int((tokens != 0).sum(1).max())
    x = clip.token_embedding(tokens[:, :length]) + clip.positional_embedding[:length]
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
    pooled: Tensor = x[torch.arange(len(x), device=x.device), tokens.argmax(-1)] @ clip.text_projection
    return pooled


def build_clip(config: dict[str, Any]) -> Any:
    """open_clip's CLIP of that `model_cfg`, with random weights."""
    from open_clip.model import CLIP

    clip = CLIP(**config)
    clip.visual.to(memory_format=torch.channels_last)
    return clip


def preprocess_config(recipe: ClipRecipe) -> dict[str, Any]:
    """open_clip's `preprocess_cfg` of the model: its pictures are simply in [-1, 1]."""
    return {
        "size": recipe.image_size, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3,
        "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0,
    }  # fmt: skip


class ClipLearner(Learner[ClipRecipe]):
    """A CLIP that learns from fresh renders and captions, from pairs, and from pictures made to fool it."""

    def __init__(self, recipe: ClipRecipe, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.vocabulary = vocabulary_of(all_words(), CONTEXT)
        super().__init__(ToyClip(recipe, self.vocabulary), recipe, seed, device)

    def loss(self, generator: torch.Generator) -> Tensor:
        """The contrast of images with captions, the naming and reading of attributes, the directions of changes."""
        batch = draw_batch(self.recipe, generator)
        said = [*batch.captions, *batch.foils]
        texts = [*said, *batch.before, *batch.after, *batch.choices]
        unique = list(dict.fromkeys(texts))
        rows = torch.tensor([unique.index(text) for text in texts], device=self.device)
        tokens = self.vocabulary(unique).to(self.device)
        with self.precision():
            images, vectors, read = (one.float() for one in self.model(batch.images.to(self.device), tokens))
        captions, changes, choices = vectors[rows].split([len(said), 2 * len(batch.before), len(batch.choices)])
        wanted = batch.attributes.to(self.device)
        return (
            self._contrast(images, captions, batch)
            + self.recipe.naming_weight * naming_loss(self._scale() * images @ choices.T, batch)
            + self.recipe.attribute_weight * smooth_l1_loss(read, wanted)
            + self.recipe.direction_weight * direction_loss(images, changes, batch)
        )

    def _scale(self) -> Tensor:
        assert isinstance(self.model, ToyClip)
        scale: Tensor = self.model.clip.logit_scale.clamp(max=MOST_SCALE).exp()
        return scale

    def _contrast(self, images: Tensor, captions: Tensor, batch: Batch) -> Tensor:
        """The cross-entropy of each image with its caption among those false of it, and the other way round."""
        n = len(images)
        false = truth_table(batch.words, batch.said)[1].to(images.device)
        own = torch.eye(n, len(captions), dtype=torch.bool, device=images.device)
        logits = (self._scale() * images @ captions.T).masked_fill(~(false | own), float("-inf"))
        places = torch.arange(n, device=images.device)
        return 0.5 * (cross_entropy(logits, places) + cross_entropy(logits[:, :n].T, places))

    def illustrate(self, folder: Path) -> None:
        """Writes `zero_shot.json`: how well the moving average names attributes of a few faces."""
        from hspace_toyfaces.clip_measures import fooled, zero_shot

        encoder = self.encoder()
        sizes = self.recipe.image_sizes
        scores = {str(size): zero_shot(encoder, size, FEW) for size in sizes}
        scores["fooled"] = fooled(encoder, sizes[0], FEW)
        write_bytes(folder / "zero_shot.json", (json.dumps(scores, indent=2) + "\n").encode())

    def encoder(self) -> ClipEncoder:
        """The moving average as an encoder."""
        assert isinstance(self.ema, ToyClip)
        return ClipEncoder(
            self.recipe.name, self.ema.clip, self.vocabulary, read_preprocess(preprocess_config(self.recipe))
        )


def naming_loss(logits: Tensor, batch: Batch) -> Tensor:
    """The cross-entropy of the right word among an attribute's words, mean over the attributes that were asked.

    `logits` (B, W) compare the images with the batch's choices; images without a clear word do not count.
    """
    losses, first = [], 0
    for words, right in zip(batch.choice_words, batch.right, strict=True):
        wanted = right.to(logits.device)
        some = logits[:, first : first + len(words)]
        losses.append(cross_entropy(some, wanted, ignore_index=-1, reduction="sum") / (wanted >= 0).sum().clamp(min=1))
        first += len(words)
    return torch.stack(losses).mean()


def direction_loss(images: Tensor, changes: Tensor, batch: Batch) -> Tensor:
    """How far changes of images are from changes of their texts.

    1 - cos for each pair; the squared cosine between pairs that change different attributes; and for tampered
    pictures how far they went along the text that they pretend to.
    """
    before, after = changes.chunk(2)
    texts = normalize(after - before, dim=-1)
    pairs, tampered = batch.pairs.to(images.device), batch.tampered.to(images.device)
    moved = images[pairs[:, 1]] - images[pairs[:, 0]]
    alike = cosine_similarity(moved[:, None], texts[None, : len(moved)], dim=-1, eps=1e-3)
    codes = torch.tensor([NAMES.index(name) for name in batch.changed], device=images.device)
    other = codes[:, None] != codes[None]
    went = images[tampered[:, 1]] - images[tampered[:, 0]]
    along = (went * texts[len(moved) :]).sum(-1)
    crosstalk = alike[other].square().mean() if bool(other.any()) else alike.sum() * 0
    return (
        (1 - alike.diagonal()).mean()
        + CROSSTALK * crosstalk
        + FOOLED * along.clamp(min=0).mean()
        + FADED * went.square().sum(-1).mean()
    )
