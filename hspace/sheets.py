"""Sheets that show what directions do: a row each, and for each of a few pictures a column per strength."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.finder import Task
from hspace.images import contact_sheet, to_picture
from hspace.sampling import edit, latents, sample

SHEET_STEPS = 12
SHEET_IMAGES = 3
PREVIEW = "preview.png"
"""What a direction's own sheet is called, in its folder."""


def parts(directions: Sequence[Direction]) -> list[Direction]:
    """The directions one by one, each basis taken apart into its components, unless one of them was picked."""
    return [
        direction.pick(k) if direction.meta.components > 1 and direction.component is None else direction
        for direction in directions
        for k in range(direction.meta.components if direction.component is None else 1)
    ]


def sheet_latents(task: Task, backbone: Backbone) -> Tensor:
    """A few x_T (n, C, H, W) for a sheet: the task's first, and drawn ones where it has too few."""
    more = latents(backbone, SHEET_IMAGES, task.seed)
    return torch.cat([task.x_T, more[len(task.x_T) :]])[:SHEET_IMAGES]


def draw_sheet(
    backbone: Backbone, directions: Sequence[Direction], x_T: Tensor, callback: Callable[[int, int], None]
) -> Image.Image:
    """A contact sheet: a row per direction, and for each x_T a column per strength from its min over 0 to its max."""
    rows, labels, columns = [], [], [""]
    singles = parts(directions)
    plain = _pictures(backbone, sample(backbone, x_T, steps=SHEET_STEPS))
    for done, direction in enumerate(singles, start=1):
        low, high = direction.meta.strength.min, direction.meta.strength.max
        strengths = [low, low / 2, high / 2, high]
        four, per_picture = x_T.repeat_interleave(4, dim=0), torch.tensor(strengths * len(x_T))
        edited = _pictures(backbone, edit(backbone, four, [(direction, per_picture)], steps=SHEET_STEPS))
        sides = [edited[i : i + 4] for i in range(0, len(edited), 4)]
        rows.append([[*side[:2], zero, *side[2:]] for side, zero in zip(sides, plain, strict=True)])
        labels.append(direction.id.rpartition("/")[2] if direction.component is None else f"#{direction.component}")
        columns = [f"{low:+.3g}", f"{low / 2:+.3g}", "0", f"{high / 2:+.3g}", f"{high:+.3g}"]
        callback(done, len(singles))
    title = ", ".join(direction.meta.id for direction in directions)
    return contact_sheet(rows, labels, columns, title)


def _pictures(backbone: Backbone, x_0: Tensor) -> list[Image.Image]:
    return [to_picture(image) for image in backbone.x0_to_image(x_0)]
