"""How well an encoder reads toy faces that no training saw, in sentences that no training used."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from hspace.encoder import Encoder
from hspace_toyfaces.attributes import ATTRIBUTES, NAMES, Attributes, counterfactual, sample_attributes
from hspace_toyfaces.captions import SHADES, describe, words_of
from hspace_toyfaces.clip_tampering import strip_under_frown, teeth_under_frown
from hspace_toyfaces.clip_words import unseen_sentence
from hspace_toyfaces.renderer import render

FRESH_SEED = 2**33
FRAMES = 6
FACES, FEWER = 600, 200
AT_ONCE = 100
COLOURS = 0.9


def zero_shot(encoder: Encoder, size: int, n: int = FACES) -> dict[str, float]:
    """The share of n fresh faces whose attribute is named right, per attribute; faces without a clear word left out.

    Each attribute's words (two, or its colours) are put into the same unseen sentence; the share is the mean over
    six such sentences.
    """
    faces = _fresh(n)
    words = [describe(faces, row) for row in range(n)]
    vectors = _encoded(encoder, render(faces, size))
    return {name: _named_right(encoder, name, vectors, words) for name in NAMES}


def alignments(encoder: Encoder, size: int, n: int = FEWER) -> dict[str, dict[str, Any]]:
    """cos(dI, dT) of each attribute: the change of n faces from one end to the other, and that of its words.

    "alignment" is the mean over faces and unseen sentences. "crosstalk" is the mean cosine with the words of another
    attribute that is largest in size, and "crosstalk_with" names that one; "crosstalk_identity" looks at the words of
    the identity alone (widths and distances of a pixel or two), "crosstalk" at all others.
    """
    faces = _fresh(n)
    texts = torch.stack([_text_change(encoder, name) for name in NAMES])  # (A, F, D)
    table: dict[str, dict[str, Any]] = {}
    for row, name in enumerate(NAMES):
        first, second = _ends(faces, name)
        moved = _encoded(encoder, render(second, size)) - _encoded(encoder, render(first, size))
        cosines = cosine_similarity(moved[:, None, None], texts[None], dim=-1).mean((0, 2))  # (A,)
        table[name] = {"alignment": float(cosines[row])}
        for kind, columns in _others(name).items():
            worst = max(columns, key=lambda column: abs(float(cosines[column])))
            table[name] |= {kind: float(cosines[worst]), f"{kind}_with": NAMES[worst]}
    return table


def fooled(encoder: Encoder, size: int, n: int = FEWER) -> dict[str, float]:
    """The share of n fresh frowning faces that read as smiling: as they are, and with teeth pasted in two ways.

    "teeth" are pasted as in training, on other faces; "strip" is a rectangle of teeth, which no training saw.
    """
    generator = torch.Generator().manual_seed(FRESH_SEED + 1)
    faces = sample_attributes(n, generator, smile=(-1.0, -0.4))
    frown, teeth = teeth_under_frown(faces, size, generator)
    pictures = {"frown": frown, "teeth": teeth, "strip": strip_under_frown(faces, size)[1]}
    smiling, frowning = (_sentences(encoder, "smile", word) for word in ("smiling", "frowning"))
    shares = {}
    for kind, images in pictures.items():
        vectors = _encoded(encoder, images)
        shares[kind] = float((vectors @ smiling.T > vectors @ frowning.T).float().mean())
    return shares


def all_figures(encoder: Encoder, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Every measurement at every picture size, as a card's `metrics`."""
    told = "fresh renders, sentences kept out of training"
    figures = []
    for size in sizes:
        right, aligned, shares = zero_shot(encoder, size), alignments(encoder, size), fooled(encoder, size)
        for name, value in right.items():
            figures.append(_figure(f"zero_shot_{name}_{size}", value, FACES, f"{told}; clear cases only"))
        for name, one in aligned.items():
            protocol = f"mean cos(dI, dT), counterfactual pairs, {told}"
            figures.append(_figure(f"alignment_{name}_{size}", one["alignment"], FEWER, protocol))
            for kind in ("crosstalk", "crosstalk_identity"):
                worst = f"mean cos(dI, dT) with the words most confused with it: {one[f'{kind}_with']}"
                figures.append(_figure(f"{kind}_{name}_{size}", one[kind], FEWER, worst))
        for kind, value in shares.items():
            protocol = f"share of frowns read as smiling: {WAYS[kind]}"
            figures.append(_figure(f"fooled_{kind}_{size}", value, FEWER, protocol))
    return figures


WAYS = {
    "frown": "as rendered",
    "teeth": "teeth pasted at or under the mouth, as in training, fresh faces",
    "strip": "a rectangle of teeth pasted under the mouth, as never in training",
}


def _figure(name: str, value: float, n: int, protocol: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 4), "n": n, "protocol": protocol}


def _fresh(n: int) -> Attributes:
    return sample_attributes(n, torch.Generator().manual_seed(FRESH_SEED))


def _others(name: str) -> dict[str, list[int]]:
    """The columns of the other attributes: those of the identity, and the rest."""
    kinds = {column: ATTRIBUTES[other].kind == "identity" for column, other in enumerate(NAMES) if other != name}
    return {
        "crosstalk": [column for column, identity in kinds.items() if not identity],
        "crosstalk_identity": [column for column, identity in kinds.items() if identity],
    }


def _named_right(encoder: Encoder, name: str, vectors: Tensor, words: list[dict[str, str]]) -> float:
    choices = words_of(name)
    rows = [row for row, clear in enumerate(words) if name in clear]
    truth = torch.tensor([choices.index(words[row][name]) for row in rows])
    texts = torch.stack([_sentences(encoder, name, word) for word in choices])  # (C, F, D)
    guessed = torch.einsum("nd,cfd->nfc", vectors[rows], texts).argmax(-1)
    return float((guessed == truth[:, None]).float().mean())


def _sentences(encoder: Encoder, name: str, word: str) -> Tensor:
    """Unit vectors (FRAMES, D) of the word in six unseen sentences, the same six for every word."""
    return encoder.texts([unseen_sentence({name: word}, random.Random(frame)) for frame in range(FRAMES)]).cpu()


def _text_change(encoder: Encoder, name: str) -> Tensor:
    low, high = (_sentences(encoder, name, word) for word in (ATTRIBUTES[name].negative, ATTRIBUTES[name].positive))
    return normalize(high - low, dim=-1)


def _ends(faces: Mapping[str, Tensor], name: str) -> tuple[Attributes, Attributes]:
    """The faces with the attribute at either end, and no grey hair where its colour is asked for."""
    bare = {"grey": -1.0} if name == "hair" else {}
    low, high = (-COLOURS, COLOURS) if name in SHADES else (-1.0, 1.0)
    return counterfactual(faces, **bare, **{name: low}), counterfactual(faces, **bare, **{name: high})


@torch.no_grad()
def _encoded(encoder: Encoder, images: Tensor) -> Tensor:
    return torch.cat([encoder.images(some).cpu() for some in torch.split(images, AT_ONCE)])
