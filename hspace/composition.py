"""What directions do to one another when they are applied together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import copysign
from statistics import fmean

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from hspace.backbone import Backbone, State
from hspace.direction import Direction
from hspace.errors import HspaceError, UsageError
from hspace.head import Head
from hspace.images import contact_sheet, to_picture
from hspace.sampling import Edit, edit, found_symmetric

Shifts = Sequence[Edit | tuple[Direction, float | Tensor]]
"""Directions of space "h" with their strengths, or heads at work."""


@dataclass(frozen=True)
class Interference:
    """How directions get along, by what they add to h and by what comes of it.

    `cosines[i, j]` is, for each timestep at which directions i and j both act, the cosine of their scaled delta_h, the
    mean over pictures: 1 where they pull h the same way, 0 where neither touches the other, -1 where they cancel.
    `changes` is what each does alone, `together` what all do: the root mean square change of pictures in [-1, 1].
    `departure` is how far all together are from the sum of each alone, in units of the changes: with
    c_i = edit(i) - plain over all pictures, |edit(all) - plain - sum_i c_i| / sqrt(sum_i |c_i|^2). 0 where each does
    beside the others what it does alone, 1 where the difference is as large as the changes themselves.
    `images` (N + 2, B, 3, H, W) are the unedited pictures, each direction's alone, and all directions' together.
    """

    cosines: dict[tuple[int, int], dict[int, float]]
    changes: tuple[float, ...]
    together: float
    departure: float
    images: Tensor

    def cosine(self, i: int, j: int) -> float:
        """The mean over timesteps of the cosine of directions i and j, i < j."""
        return fmean(self.cosines[i, j].values())


class _Heard(Head):
    """A head that keeps what it answered, by timestep."""

    def __init__(self, inner: Head) -> None:
        super().__init__()
        self.inner = inner
        self.answers: dict[int, list[Tensor]] = {}

    def forward(self, state: State) -> Tensor:
        delta_h: Tensor = self.inner(state)
        self.answers.setdefault(int(state.t[0]), []).append(delta_h.flatten(1).cpu())
        return delta_h


def require_several(edits: Shifts) -> None:
    """Raises UsageError for fewer than two directions."""
    if len(edits) < 2:
        raise UsageError(f"interference is between two directions or more; {len(edits)} given. Repeat --direction.")


@torch.no_grad()
def interference(
    backbone: Backbone,
    x_T: Tensor,
    edits: Shifts,
    *,
    steps: int = 40,
    sequence: str = "asyrp",
    t_edit: int | None = None,
    symmetric: bool | None = None,
    batch: int = 8,
    callback: Callable[[int, int], None] | None = None,
) -> Interference:
    """How the directions, each at one strength, interfere on the pictures of x_T (B, C, H, W), `batch` at a time.

    The cosines are taken along the trajectory of all directions together, where each sees the same h. Costs N + 2 runs
    for N directions; boosting is left out, since its noise is no direction's doing. `callback` is told of each run.
    Raises UsageError for fewer than two directions, a strength of 0 or a direction of space "x", HspaceError when no
    direction changes a picture; and as `edit` does.
    """
    require_several(edits)
    active = [one if isinstance(one, Edit) else Edit.along(one[0], one[1], backbone) for one in edits]
    if not all(float(one.strength) for one in active):
        raise UsageError("a direction at strength 0 does nothing, so nothing interferes with it; give it a strength")
    if symmetric is None:
        symmetric = found_symmetric(edits)

    def pictures(run: Sequence[Edit]) -> Tensor:
        made = []
        for part in torch.split(x_T, batch):
            x_0 = edit(
                backbone, part, run, steps=steps, sequence=sequence, t_edit=t_edit, t_boost=0, symmetric=symmetric
            )
            made.append(backbone.x0_to_image(x_0))
        return torch.cat(made)

    heard = [_Heard(one.head) for one in active]
    together = [replace(one, head=head) for one, head in zip(active, heard, strict=True)]
    runs = [[], *([one] for one in active), together]
    images = []
    for done, run in enumerate(runs, start=1):
        images.append(pictures(run))
        if callback is not None:
            callback(done, len(runs))
    cosines = {
        (i, j): _cosines(heard[i], heard[j], float(active[i].strength) * float(active[j].strength))
        for i, j in combinations(range(len(active)), 2)
    }
    return _measured(torch.stack(images), cosines)


def _cosines(one: _Heard, other: _Heard, sign: float) -> dict[int, float]:
    both = [t for t in one.answers if t in other.answers]
    if not both:
        raise UsageError("two of the directions never act at the same timestep; give them windows that overlap")
    pairs = {t: (torch.cat(one.answers[t]), torch.cat(other.answers[t])) for t in both}
    return {t: copysign(1, sign) * float(cosine_similarity(*pair).mean()) for t, pair in pairs.items()}


def _measured(images: Tensor, cosines: dict[tuple[int, int], dict[int, float]]) -> Interference:
    changes = images[1:] - images[0]
    alone, together = changes[:-1], changes[-1]
    if not bool(alone.any()):
        raise HspaceError("none of the directions changes these pictures, so nothing interferes; give larger strengths")
    return Interference(
        cosines,
        changes=tuple(float(one.square().mean().sqrt()) for one in alone),
        together=float(together.square().mean().sqrt()),
        departure=float((together - alone.sum(dim=0)).norm() / alone.norm()),
        images=images,
    )


def interference_sheet(found: Interference, labels: Sequence[str], title: str = "") -> Image.Image:
    """A row per picture: as it is, under each direction alone, under all together, and as their changes' mere sum."""
    plain, alone = found.images[0], found.images[1:-1]
    added = plain + (alone - plain).sum(dim=0)
    columns = ["plain", *(f"{index}" for index in range(1, len(alone) + 1)), "together", "added up"]
    shown = torch.stack([*found.images, added])
    rows = [[[to_picture(shown[column, row]) for column in range(len(columns))]] for row in range(len(labels))]
    return contact_sheet(rows, labels, columns, title)
