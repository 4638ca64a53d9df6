"""How much of a head's effect on pictures another head keeps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hspace import Backbone, Head
from hspace.errors import HspaceError
from hspace.meta import Measurement, Meta
from hspace.sampling import Edit, edit, sample


@dataclass(frozen=True)
class Run:
    """How pictures are edited: the direction whose window and mode hold, the strength, the steps, the batch."""

    meta: Meta
    strength: float
    steps: int = 40
    batch: int = 8

    def batches(self, x_T: Tensor) -> Iterator[Tensor]:
        """The latents (n, C, H, W), a batch at a time."""
        yield from torch.split(x_T, self.batch)

    def edited(self, backbone: Backbone, head: Head, x_T: Tensor) -> Tensor:
        """The pictures (n, 3, H, W) of x_T, edited by the head; without boosting, whose noise is not the head's."""
        one = Edit(head, self.strength, self.meta.t_edit, self.meta.steps, t_start=self.meta.t_start)
        symmetric = self.meta.mode == "symmetric"
        return backbone.x0_to_image(edit(backbone, x_T, [one], steps=self.steps, t_boost=0, symmetric=symmetric))


@dataclass(frozen=True)
class Loss:
    """What became of an effect, over `n` pictures in [-1, 1].

    `change` is the root mean square change that the original head makes, `difference` that between the two heads'
    pictures; `ratio` is the other head's change over the original's, `cosine` the mean over pictures of the cosine
    of the two changes.
    """

    change: float
    difference: float
    ratio: float
    cosine: float
    n: int

    def measurements(self, protocol: str) -> tuple[Measurement, ...]:
        """The figures as a direction stores them."""
        figures = {
            "original_change": self.change,
            "effect_difference": self.difference,
            "effect_ratio": self.ratio,
            "effect_cosine": self.cosine,
        }
        return tuple(
            Measurement(name=name, value=value, n=self.n, protocol=protocol) for name, value in figures.items()
        )


@torch.no_grad()
def effect_loss(
    backbone: Backbone,
    original: Head,
    other: Head,
    x_T: Tensor,
    run: Run,
    callback: Callable[[int, int], None] | None = None,
) -> Loss:
    """How the pictures of x_T (n, C, H, W) that two heads edit differ; costs three sampling runs a picture.

    Raises HspaceError when the original head changes a picture by nothing, or the other one does.
    """
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    done = 0
    for part in run.batches(x_T):
        plain = backbone.x0_to_image(sample(backbone, part, steps=run.steps))
        for changes, head in ((theirs, original), (ours, other)):
            changes.append((run.edited(backbone, head, part) - plain).flatten(1).double().cpu())
        done += len(part)
        if callback is not None:
            callback(done, len(x_T))
    a, b = torch.cat(theirs), torch.cat(ours)
    for changes_of, which in ((a, "the direction"), (b, "what was distilled from it")):
        if not bool((changes_of.norm(dim=1) > 0).all()):
            raise HspaceError(f"{which} leaves pictures as they are at strength {run.strength:g}: nothing to compare")
    return Loss(
        change=_rms(a),
        difference=_rms(b - a),
        ratio=_rms(b) / _rms(a),
        cosine=float(torch.nn.functional.cosine_similarity(a, b).mean()),
        n=len(x_T),
    )


def _rms(changes: Tensor) -> float:
    return float(changes.square().mean().sqrt())
