"""Names for found directions: what each sign of each does to pictures, beside what random directions do."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hspace import registry
from hspace.backbone import Backbone
from hspace.chance import Edited, by_chance
from hspace.direction import Direction
from hspace.errors import HspaceError, UsageError
from hspace.labeller import Labeller
from hspace.sampling import Edits, edit, sample
from hspace.sheets import parts

PICTURES = 32
STEPS = 20
CONTROLS = 10
"""How many random directions stand beside those that are labelled."""
FIRST = 10
SELECTIVE = 0.3
"""HIT@10 counts names among the first 10 directions, and once more those with this share of all that changed."""
AT_ONCE = 32
UNNAMED = "unnamed"

_Side = tuple[str, float, Tensor]
"""What was edited along, at which strength, and the mean scores (A,)."""


@dataclass(frozen=True)
class Label:
    """What a direction does at one strength: the name whose mean score over the pictures is largest, either way.

    `score` is that mean, `selectivity` its share of all names' |mean score| (None where nothing changed), `z` how many
    standard deviations of the names' scores it is from their mean (None where they are all the same). `named` says
    whether the score is large enough for the name to hold.
    """

    direction: str
    strength: float
    name: str
    score: float
    selectivity: float | None
    z: float | None
    named: bool

    @property
    def text(self) -> str:
        """The name with the sign of its score, or "unnamed"."""
        return f"{'+' if self.score > 0 else '-'}{self.name}" if self.named else UNNAMED


@dataclass(frozen=True)
class Labelling:
    """The labels of directions, two each (at -strength and at +strength), and those of random ones.

    A random direction has the length, the window and the strengths of one that is labelled. A name holds from
    `threshold` on: the labeller's own, or, where `measured`, above the largest score of the random ones; a side of a
    random direction would pass that with a chance of 1 in (sides of random ones + 1).
    """

    labels: tuple[Label, ...]
    random: tuple[Label, ...]
    threshold: float
    measured: bool
    protocol: str

    def hits(self, k: int = FIRST, selectivity: float = 0.0) -> tuple[str, ...]:
        """HIT@k: the distinct names that hold for a side of the first k directions, in order; of enough selectivity.

        Source: the ground-truth benchmark of the toy faces.
        """
        return _distinct(self.labels[: 2 * k], selectivity)

    def random_hits(self, k: int = FIRST, selectivity: float = 0.0) -> tuple[str, ...]:
        """The same of the random directions: none by construction where the threshold was measured on them."""
        return _distinct(self.random[: 2 * k], selectivity)


@torch.no_grad()
def label(
    backbone: Backbone,
    directions: Sequence[Direction],
    labeller: Labeller,
    *,
    strength: float | None = None,
    n: int = PICTURES,
    seed: int = 1,
    steps: int = STEPS,
    controls: int | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Labelling:
    """What the labeller says of either sign of each direction, bases taken apart, on n pictures of a seed.

    `strength` is the largest that each was looked at with where it is not given. Beside them it judges `controls`
    random directions (CONTROLS where not given, and as many as directions where the labeller has a threshold of its own
    and they are fewer), each with the window and the strength of one of them and as long.
    Raises UsageError for a strength of 0, fewer than one picture, or no control where the threshold comes from them;
    RefusedError for a direction of another backbone.
    """
    singles = parts(directions)
    if controls is None:
        controls = CONTROLS if labeller.least is None else min(CONTROLS, len(singles))
    _check(strength, n, controls, labeller)
    x_T, told = labeller.latents(backbone, n, seed, steps)
    look = _Look(backbone, labeller, x_T, steps)
    at = [_largest(one) if strength is None else abs(strength) for one in singles]
    found: list[_Side] = []
    for index, (one, reach) in enumerate(zip(singles, at, strict=True), start=1):
        found += look.sides(one.id, reach, one.meta.mode, _along(one))
        _tell(callback, index, len(singles) + controls)
    random: list[_Side] = []
    for index in range(controls):
        one, reach = singles[index % len(singles)], at[index % len(singles)]
        random += look.sides(f"random {index}", reach, one.meta.mode, by_chance(one, backbone, seed, index))
        _tell(callback, len(singles) + index + 1, len(singles) + controls)
    threshold = labeller.least
    if threshold is None:  # the next number above the largest score by chance, so that from there on means above
        threshold = math.nextafter(max(float(means.abs().max()) for _, _, means in random), math.inf)
    return Labelling(
        tuple(_label(labeller, *side, threshold) for side in found),
        tuple(_label(labeller, *side, threshold) for side in random),
        threshold,
        labeller.least is None,
        f"{told}; sampled in {steps} steps; scores are {labeller.unit}, the mean over the pictures",
    )


def record(name: str, direction: Direction, labelling: Labelling) -> Direction:
    """The direction with the names that hold among its labels, stored where `name` found it (`registry.put_back`).

    A label reads "#3+ -skin 1.21": the component, the sign of the strength, the name with the sign of its score, and
    the score. Those of the same components are replaced.
    """
    sides = {_side(one): one for one in labelling.labels}
    kept = [text for text in direction.meta.labels if text.partition(" ")[0] not in sides]
    new = [f"{side} {one.text} {one.score:.3g}" for side, one in sides.items() if one.named]
    whole = replace(direction, meta=direction.meta.model_copy(update={"labels": (*kept, *new)}), component=None)
    return registry.put_back(name, whole)


class _Look:
    """Pictures, and what a labeller says of them once they are edited."""

    def __init__(self, backbone: Backbone, labeller: Labeller, x_T: Tensor, steps: int) -> None:
        self.backbone, self.labeller, self.steps = backbone, labeller, steps
        self.batches = torch.split(x_T, AT_ONCE)
        self.plain = torch.cat([self._pictures(sample(backbone, some, steps=steps)) for some in self.batches])

    def sides(self, name: str, reach: float, mode: str, edits: Edited) -> list[_Side]:
        """What `edits` makes of -reach and of reach."""
        return [(name, signed, self._means(edits(signed), mode == "symmetric")) for signed in (-reach, reach)]

    def _means(self, edits: Edits, symmetric: bool) -> Tensor:
        edited = [
            self._pictures(edit(self.backbone, some, edits, steps=self.steps, symmetric=symmetric))
            for some in self.batches
        ]
        return self.labeller.scores(self.plain, torch.cat(edited)).mean(dim=0)

    def _pictures(self, x_0: Tensor) -> Tensor:
        return self.backbone.x0_to_image(x_0).float().cpu().clamp(-1, 1)


def _along(one: Direction) -> Edited:
    return lambda signed: [(one, signed)]


def _label(labeller: Labeller, direction: str, strength: float, means: Tensor, threshold: float) -> Label:
    top = int(means.abs().argmax())
    score, whole = float(means[top]), float(means.abs().sum())
    spread = float(means.std(correction=0))
    z = (score - float(means.mean())) / spread if spread else None
    selectivity = abs(score) / whole if whole else None
    return Label(direction, strength, labeller.names[top], score, selectivity, z, abs(score) >= threshold)


def _check(strength: float | None, n: int, controls: int, labeller: Labeller) -> None:
    if strength is not None and not 0 < abs(strength) < math.inf:
        raise UsageError(f"a strength to label at is a finite number other than 0; {strength:g} was given")
    if n < 1 or controls < 0:
        raise UsageError(f"label looks at 1 picture or more, and 0 controls or more; {n} and {controls} were given")
    if labeller.least is None and controls == 0:
        raise UsageError("this labeller's scores mean nothing without random directions beside them; allow controls")


def _largest(direction: Direction) -> float:
    largest = max(abs(direction.meta.strength.min), abs(direction.meta.strength.max))
    if not largest:
        raise HspaceError(f"{direction.id} was looked at with no strength but 0; say one to label it at")
    return largest


def _distinct(labels: Iterable[Label], selectivity: float) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in labels if one.named and (one.selectivity or 0.0) >= selectivity))


def _side(one: Label) -> str:
    _, mark, component = one.direction.partition("#")
    return f"{mark}{component}{'+' if one.strength > 0 else '-'}"


def _tell(callback: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if callback is not None:
        callback(done, total)
