"""Pictures to be made: each carries what decides its pixels, so that a rerun tells what is done from what is not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace import storage
from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.discovery import image_size
from hspace.errors import RefusedError, UsageError
from hspace.images import load_image, open_image, read_note
from hspace.moving import saturation_of
from hspace.sampling import Callback, edit, gaussian, invert

Weighed = Sequence[tuple[Direction, float]]
"""Directions with their strengths."""

SHEET = "sheet"
"""What a sheet carries in place of a recipe, so that only a sheet is written over."""


@dataclass(frozen=True)
class Settings:
    """How pictures are inverted and edited; None leaves a value to the directions."""

    steps: int = 40
    t_edit: int | None = None
    t_boost: int | None = None
    fixed_point: int = 1
    seed: int = 0
    symmetric: bool | None = None
    normalise: bool = False
    saturation: str | None = None

    def inverted(self, backbone: Backbone, paths: Sequence[Path], callback: Callback | None = None) -> Tensor:
        """x_T (B, C, H, W) of picture files."""
        pictures = torch.cat([load_image(path, image_size(backbone)) for path in paths])
        x_0 = backbone.image_to_x0(pictures.to(next(backbone.parameters(), pictures)))
        return invert(backbone, x_0, steps=self.steps, fixed_point=self.fixed_point, callback=callback)

    def edited(self, backbone: Backbone, x_T: Tensor, directions: Sequence[Direction], jobs: Sequence["Job"]) -> Tensor:
        """The images (B, 3, H, W) of the jobs from their latents, each at its own strengths and with its own noise."""
        x_0 = edit(
            backbone,
            x_T,
            [(one, torch.tensor([job.strengths[index] for job in jobs])) for index, one in enumerate(directions)],
            steps=self.steps,
            t_edit=self.t_edit,
            t_boost=self.t_boost,
            symmetric=self.symmetric,
            normalise=self.normalise,
            saturation=saturation_of(self.saturation),
            noise=gaussian(*(job.noise_seed for job in jobs)),
        )
        return backbone.x0_to_image(x_0)


@dataclass(frozen=True)
class Job:
    """A picture to be made: from which files, where to, at which strengths, and the note that it will carry."""

    inputs: tuple[Path, ...]
    output: Path
    strengths: tuple[float, ...]
    note: str
    noise_seed: int


def require_sound(backbone: Backbone, images: Sequence[Path], directions: Weighed) -> None:
    """Decodes every picture and checks every direction before anything is made.

    Raises RefusedError for a damaged picture, UsageError for a direction that is given twice, and as
    Direction.check does.
    """
    names = [direction.id for direction, _ in directions]
    if len(set(names)) < len(names):
        raise UsageError(f"a direction was given twice: {', '.join(names)}; add its strengths up instead")
    for path in images:
        open_image(path)
    for direction, _ in directions:
        direction.check(backbone)


def recipe(
    backbone: Backbone, directions: Weighed, strengths: Sequence[float], settings: Settings, **source: Any
) -> str:
    """All that decides an output's pixels, as JSON; it travels in the PNG."""
    edits = [
        {"id": one.id, "sha256": one.meta.weights.sha256 if one.meta.weights else None, "strength": strength}
        for (one, _), strength in zip(directions, strengths, strict=True)
    ]
    name = backbone.card.name if backbone.card else None
    condition = {"condition": backbone.condition} if backbone.condition else {}
    content = {"format": 1, **source, "backbone": name, "directions": edits, **condition, **vars(settings)}
    return json.dumps(content, sort_keys=True)


def unfinished(jobs: Sequence[Job], out: Path, force: bool) -> list[Job]:
    """The jobs whose picture is not there yet; it is when a file of its name carries its note.

    Raises RefusedError when another file is in the way and `force` is not set, or when an input would be written
    over; UsageError when two jobs would share an output, HspaceError when `out` cannot be written.
    """
    inputs = {path.resolve() for job in jobs for path in job.inputs}
    outputs: dict[Path, Job] = {}
    for job in jobs:
        if job.output in outputs:
            both = " and ".join(map(str, dict.fromkeys([*outputs[job.output].inputs, *job.inputs])))
            raise UsageError(f"{both} would be written to {job.output} twice; edit fewer at a time, or sweep wider")
        outputs[job.output] = job
        if job.output.resolve() in inputs:
            raise RefusedError(f"{job.output} is one of the inputs; choose another folder with --out")
        _require_free(job.output, job.note, force)
    storage.require_writable(out)
    return [job for job in jobs if read_note(job.output) != job.note]


def require_sheet(path: Path, images: Sequence[Path], force: bool) -> None:
    """Raises RefusedError when a sheet at `path` would take the place of an input, or, unless `force`, of a picture."""
    if path.resolve() in {image.resolve() for image in images}:
        raise RefusedError(f"{path} is one of the inputs; choose another folder with --out")
    _require_free(path, SHEET, force)


def _require_free(path: Path, note: str, force: bool) -> None:
    if path.exists() and not force and read_note(path) != note:
        raise RefusedError(f"{path} exists and is another picture; choose another --out, or use --force")
