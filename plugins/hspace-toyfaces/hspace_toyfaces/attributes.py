"""The attributes of a toy face: their names, ranges, words, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Attributes = dict[str, Tensor]
Kind = Literal["semantic", "scene", "identity"]
Fixed = float | tuple[float, float]

GLASSES_SHARE = 0.35
BEARD_SHARE = 0.30
GREY_SHARE = 0.30


@dataclass(frozen=True)
class Attribute:
    """One axis along which faces vary; `negative` and `positive` say in words what its two ends look like."""

    negative: str
    positive: str
    kind: Kind
    low: float = -1.0
    high: float = 1.0


ATTRIBUTES: dict[str, Attribute] = {
    "smile": Attribute("frowning", "smiling", "semantic"),
    "skin": Attribute("light skin", "dark skin", "semantic"),
    "hair": Attribute("black hair", "blond hair", "semantic"),
    "grey": Attribute("no grey hair", "grey hair", "semantic"),
    "length": Attribute("short hair", "long hair", "semantic"),
    "glasses": Attribute("no glasses", "glasses", "semantic"),
    "beard": Attribute("no beard", "a beard", "semantic"),
    "age": Attribute("young", "old", "semantic"),
    "yaw": Attribute("looking left", "looking right", "semantic"),
    "eye": Attribute("brown eyes", "blue eyes", "semantic"),
    "bg": Attribute("blue background", "pink background", "scene"),
    "bg_light": Attribute("dark background", "bright background", "scene"),
    "light": Attribute("lit from the left", "lit from the right", "scene"),
    "shirt": Attribute("red shirt", "purple shirt", "scene"),
    "id_width": Attribute("narrow face", "wide face", "identity"),
    "id_eyesp": Attribute("close eyes", "eyes far apart", "identity"),
    "id_eyesz": Attribute("small eyes", "big eyes", "identity"),
    "id_nose": Attribute("a short nose", "a long nose", "identity"),
    "id_brow": Attribute("thin brows", "thick brows", "identity"),
}
NAMES: tuple[str, ...] = tuple(ATTRIBUTES)


def sample_attributes(
    n: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    skew: Mapping[str, float] | None = None,
    **fixed: Fixed,
) -> Attributes:
    """Attributes of n random faces: name -> (n,) float32 in [-1, 1].

    All are uniform, except that glasses are on (1) or off (-1), and a beard and grey hair are absent (-1) or
    there to some degree (0 to 1). A keyword holds an attribute at a number, or draws it uniformly from a
    (low, high) pair. `skew` is what share of the faces have an attribute above 0, in place of half of them, or of the
    usual share of glasses, beards and grey hair: {"skin": 0.03} is 3 % with dark skin. Neither changes the draws of the
    other attributes. The generator must live on `device`.
    Raises ValueError for an unknown name, a number outside the attribute's range, or a share outside [0, 1].
    """
    for name, wanted in fixed.items():
        _check(name, wanted)
    check_skew(skew or {})
    draws = torch.rand(len(NAMES), 2, n, generator=generator, device=device)
    return dict(_settle(draws, fixed, skew or {}))


def check_skew(skew: Mapping[str, float]) -> None:
    """Raises ValueError for an unknown attribute, or a share outside [0, 1]."""
    for name, share in skew.items():
        _check(name)
        if not 0 <= share <= 1:
            raise ValueError(f"a share of {share:g} of the faces was asked for above 0 in {name!r}; it is from 0 to 1.")


def parse_skew(pairs: Sequence[str]) -> dict[str, float]:
    """The skew of pairs such as "skin=0.03". Raises ValueError where one has another form, or as `check_skew` does."""
    skew = {}
    for pair in pairs:
        name, _, share = pair.partition("=")
        try:
            skew[name.strip()] = float(share)
        except ValueError as error:
            raise ValueError(f"a skew is written ATTRIBUTE=SHARE, as in skin=0.03; {pair!r} was given.") from error
    check_skew(skew)
    return skew


def to_matrix(attributes: Mapping[str, Tensor]) -> Tensor:
    """The attributes as a (n, len(NAMES)) matrix, one row per face, columns in the order of NAMES."""
    return torch.stack([attributes[name] for name in NAMES], dim=1)


def from_matrix(matrix: Tensor) -> Attributes:
    """The attributes in a (n, len(NAMES)) matrix, as name -> (n,)."""
    return dict(zip(NAMES, matrix.unbind(1), strict=True))


def counterfactual(attributes: Mapping[str, Tensor], **changed: float | Tensor) -> Attributes:
    """The same faces with some attributes changed, to one number for all or to (n,) values.

    Raises ValueError for an unknown name.
    """
    faces = dict(attributes)
    for name, value in changed.items():
        _check(name)
        faces[name] = torch.zeros_like(faces[name]) + value
    return faces


def _settle(draws: Tensor, fixed: Mapping[str, Fixed], skew: Mapping[str, float]) -> Iterator[tuple[str, Tensor]]:
    for name, (amount, chance) in zip(NAMES, draws, strict=True):
        wanted = fixed.get(name)
        if isinstance(wanted, tuple):
            yield name, wanted[0] + (wanted[1] - wanted[0]) * amount
        elif wanted is not None:
            yield name, torch.full_like(amount, wanted)
        else:
            yield name, _natural(name, amount, chance, skew.get(name))


def _natural(name: str, amount: Tensor, chance: Tensor, share: float | None) -> Tensor:
    if name == "glasses":
        return torch.where(chance < (GLASSES_SHARE if share is None else share), 1.0, -1.0)
    if name in ("beard", "grey"):
        usual = BEARD_SHARE if name == "beard" else GREY_SHARE
        return torch.where(chance < (usual if share is None else share), amount, -1.0)
    if share is None:
        return 2 * amount - 1
    return torch.where(chance < share, amount, amount - 1)


def _check(name: str, wanted: Fixed = 0.0) -> None:
    if name not in ATTRIBUTES:
        raise ValueError(f"attribute {name!r} is not one of {', '.join(NAMES)}. Use one of these names.")
    low, high = ATTRIBUTES[name].low, ATTRIBUTES[name].high
    bounds = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    if not low <= bounds[0] <= bounds[1] <= high:
        raise ValueError(
            f"attribute {name!r} was asked to be {wanted}; it runs from {low:g} to {high:g}. "
            f"Give a number, or a (low, high) pair, within that range."
        )
