"""What one step of CLIP's training sees: faces, pairs that differ in one attribute, tampered pictures, captions."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hspace_toyfaces.attributes import (
    ATTRIBUTES,
    NAMES,
    Attributes,
    from_matrix,
    sample_attributes,
    to_matrix,
)  # fmt: skip
from hspace_toyfaces.captions import describe, words_of
from hspace_toyfaces.clip_recipe import ClipRecipe
from hspace_toyfaces.clip_tampering import LOCAL, part_elsewhere, smudged, teeth_under_frown
from hspace_toyfaces.clip_words import NEUTRAL, sentence
from hspace_toyfaces.renderer import render

Words = dict[str, str]
PAIRED = tuple(name for name in NAMES if ATTRIBUTES[name].kind == "semantic") * 3 + ("bg", "bg_light", "shirt", "light")
NAMED = tuple(name for name in NAMES if ATTRIBUTES[name].kind != "identity") * 2 + NAMES
MOST_SAID = 5
END = 0.55  # how far from the middle the two faces of a pair are


@dataclass(frozen=True)
class Batch:
    """Images (B, 3, S, S), first those of the pairs, then their partners, then frowns, teeth, bases, pastes, singles.

    `captions` has one true caption per image, `foils` more that are false of some. `words[i]` is what is clear of
    image i, `said[j]` what caption j says. `pairs` and `tampered` name rows: (first, second); `before` and `after`
    are texts that differ in the change of each pair, then in what each tampered picture pretends to.
    `choices` are texts that differ in one attribute's word alone, `choice_words` the words by attribute, and `right`
    (B,) which of them fits an image, -1 where none clearly does.
    """

    images: Tensor
    attributes: Tensor  # (B, A)
    captions: list[str]
    foils: list[str]
    words: list[Words]
    said: list[Words]
    pairs: Tensor  # (P, 2)
    changed: list[str]
    tampered: Tensor  # (T, 2)
    before: list[str]
    after: list[str]
    choices: list[str]
    choice_words: list[tuple[str, ...]]
    right: list[Tensor]


def draw_batch(recipe: ClipRecipe, generator: torch.Generator) -> Batch:
    """A batch that the generator fixes, images smudged and at the recipe's image size."""
    rng = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
    share = len(recipe.image_sizes)
    parts = [_part(recipe, size, share, generator, rng) for size in recipe.image_sizes]
    return _joined(parts, recipe, generator, rng)


@dataclass(frozen=True)
class _Part:
    """The share of a batch that is rendered at one size."""

    images: Tensor
    attributes: Tensor
    must: list[str]  # the attribute that each image's caption must name
    pairs: Tensor
    tampered: Tensor
    changes: list[tuple[str, str, str]]  # attribute, word before, word after: of each pair, then of each tampered row


def _part(recipe: ClipRecipe, size: int, share: int, generator: torch.Generator, rng: random.Random) -> _Part:
    pairs, tampered = recipe.pairs // share, recipe.tampered // share
    teeth, paste = tampered // 2, tampered - tampered // 2
    singles = recipe.batch // share - 2 * pairs - 2 * teeth - paste
    names = [rng.choice(PAIRED) for _ in range(pairs)]
    first, second, changes = _pair(sample_attributes(pairs, generator), names, generator, rng)
    frowns = sample_attributes(teeth, generator, smile=(-1.0, -0.4))
    rest = sample_attributes(singles, generator)
    one, two, alone = render(first, size), render(second, size), render(rest, size)
    frown, toothy = teeth_under_frown(frowns, size, generator)
    donor = torch.tensor([row for row, name in enumerate(names) if name in LOCAL] or [0])
    donor = donor[torch.randint(len(donor), (paste,), generator=generator)]
    pasted = part_elsewhere(one[donor], two[donor], generator)
    rows = torch.arange(teeth)
    fooled = [("smile", "frowning", "smiling")] * teeth + [changes[row] for row in donor.tolist()]
    faces = [to_matrix(one) for one in (first, second, frowns, frowns)]
    matrix = torch.cat([*faces, to_matrix(first)[donor], to_matrix(rest)])
    pasted_names = [names[row] for row in donor.tolist()]
    return _Part(
        torch.cat([_enlarged(each, recipe.image_size) for each in (one, two, frown, toothy, pasted, alone)]),
        matrix,
        [*names, *names, *["smile"] * (2 * teeth), *pasted_names, *[""] * singles],
        torch.stack([torch.arange(pairs), pairs + torch.arange(pairs)], dim=1),
        torch.cat([
            torch.stack([2 * pairs + rows, 2 * pairs + teeth + rows], dim=1),
            torch.stack([donor, 2 * pairs + 2 * teeth + torch.arange(paste)], dim=1),
        ]),
        [*changes, *fooled],
    )  # fmt: skip


def _pair(
    faces: Attributes, names: Sequence[str], generator: torch.Generator, rng: random.Random
) -> tuple[Attributes, Attributes, list[tuple[str, str, str]]]:
    """The faces with one attribute each at one end, with it at the other, and the words that fit the two."""
    ends = END + (1 - END) * torch.rand(2, len(names), generator=generator)
    first, second = to_matrix(faces), to_matrix(faces)
    changes = []
    for row, name in enumerate(names):
        sign, column = rng.choice((-1, 1)), NAMES.index(name)
        first[row, column] = -sign * _end(name, -sign, float(ends[0, row]))
        second[row, column] = sign * _end(name, sign, float(ends[1, row]))
        if name == "hair":
            first[row, NAMES.index("grey")] = second[row, NAMES.index("grey")] = -1.0
        words = (ATTRIBUTES[name].negative, ATTRIBUTES[name].positive)
        changes.append((name, *(words if sign > 0 else words[::-1])))
    return from_matrix(first), from_matrix(second), changes


def _end(name: str, sign: int, far: float) -> float:
    """How far out an end is: all the way where an attribute is absent or a colour."""
    return 1.0 if name == "glasses" or (name in ("beard", "grey") and sign < 0) else max(far, _colour(name))


def _colour(name: str) -> float:
    return 0.9 if name in ("hair", "eye", "bg", "shirt") else 0.0


def _joined(parts: Sequence[_Part], recipe: ClipRecipe, generator: torch.Generator, rng: random.Random) -> Batch:
    images = smudged(torch.cat([part.images for part in parts]), recipe.noise, generator)
    matrix = torch.cat([part.attributes for part in parts])
    must = [name for part in parts for name in part.must]
    starts = torch.tensor([0, *(len(part.images) for part in parts)]).cumsum(0)[:-1]
    faces = from_matrix(matrix)
    words = [describe(faces, row) for row in range(len(matrix))]
    said = [_choose(clear, name, rng) for clear, name in zip(words, must, strict=True)]
    pairs = [change for part in parts for change in part.changes[: len(part.pairs)]]
    fooled = [change for part in parts for change in part.changes[len(part.pairs) :]]
    foils = [{name: after} for name, _, after in fooled]
    foil_texts = [sentence(one, rng) for one in foils]
    before, after = _change_texts(pairs, rng)
    named = [rng.choice(NAMED) for _ in range(recipe.named)]
    choice_words = [words_of(name) for name in named]
    return Batch(
        images=images,
        attributes=matrix,
        captions=[sentence(one, rng) for one in said],
        foils=foil_texts,
        words=words,
        said=[*said, *foils],
        pairs=torch.cat([part.pairs + start for part, start in zip(parts, starts, strict=True)]),
        changed=[name for name, _, _ in pairs],
        tampered=torch.cat([part.tampered + start for part, start in zip(parts, starts, strict=True)]),
        before=[*before, *(rng.choice(NEUTRAL) for _ in fooled)],
        after=[*after, *foil_texts],
        choices=[text for name in named for text in _choice_texts(name, rng.random())],
        choice_words=choice_words,
        right=[
            torch.tensor([options.index(clear[name]) if name in clear else -1 for clear in words])
            for name, options in zip(named, choice_words, strict=True)
        ],
    )


def _change_texts(changes: Sequence[tuple[str, str, str]], rng: random.Random) -> tuple[list[str], list[str]]:
    """Two texts that differ in the change alone; half of the first say nothing of it."""
    before, after = [], []
    for name, word, other in changes:
        seed = rng.random()
        neutral = rng.random() < 0.5
        before.append(rng.choice(NEUTRAL) if neutral else sentence({name: word}, random.Random(seed)))
        after.append(sentence({name: other}, random.Random(seed)))
    return before, after


def _choice_texts(name: str, seed: float) -> list[str]:
    return [sentence({name: word}, random.Random(seed)) for word in words_of(name)]


def _choose(clear: Mapping[str, str], must: str, rng: random.Random) -> Words:
    """Some of what is clear, in random order, `must` among it where that is clear."""
    weights = {name: rng.random() * _interest(name) for name in clear if name != must}
    number = rng.randint(0 if must in clear else 1, MOST_SAID - 1)
    names = sorted(weights, key=lambda name: -weights[name])[:number]
    if must in clear:
        names.append(must)
    rng.shuffle(names)
    return {name: clear[name] for name in names}


def _interest(name: str) -> float:
    return {"semantic": 1.0, "scene": 0.8, "identity": 0.5}[ATTRIBUTES[name].kind]


def _enlarged(images: Tensor, size: int) -> Tensor:
    """The images at the encoder's size, resized as the encoder does."""
    if images.shape[-1] == size:
        return images
    return interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False)


def truth_table(words: Sequence[Words], said: Sequence[Words]) -> tuple[Tensor, Tensor]:
    """Whether caption j is true of image i, and whether it is false: two (B, C) tables; neither is "unclear"."""
    codes: dict[str, int] = {}
    seen, told = _coded(words, codes), _coded(said, codes)
    speaks, clear = told[None] > 0, seen[:, None] > 0
    agree = seen[:, None] == told[None]
    return (~speaks | agree).all(-1), (speaks & clear & ~agree).any(-1)


def _coded(rows: Sequence[Words], codes: dict[str, int]) -> Tensor:
    table = torch.zeros(len(rows), len(NAMES), dtype=torch.long)
    for row, words in enumerate(rows):
        for name, word in words.items():
            table[row, NAMES.index(name)] = codes.setdefault(word, len(codes) + 1)
    return table
