"""Editing picture files: inverted, edited and written one batch at a time, so that a rerun goes on where it stopped."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from hspace import storage
from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.discovery import image_size
from hspace.errors import RefusedError, UsageError
from hspace.images import contact_sheet, load_image, open_image, read_note, save_picture, to_picture
from hspace.sampling import edit, gaussian, invert


@dataclass(frozen=True)
class Settings:
    """How pictures are inverted and edited; None leaves a value to the directions."""

    steps: int = 40
    t_edit: int | None = None
    t_boost: int | None = None
    fixed_point: int = 1
    seed: int = 0
    symmetric: bool | None = None


@dataclass(frozen=True)
class Output:
    """One edited picture: where it came from, where it is, the strengths by direction, and whether it was there."""

    input: Path
    output: Path
    strengths: dict[str, float]
    skipped: bool = False


@dataclass(frozen=True)
class _Job:
    input: Path
    output: Path
    strengths: tuple[float, ...]
    note: str
    noise_seed: int


def edit_files(
    backbone: Backbone,
    images: Sequence[Path],
    directions: Sequence[tuple[Direction, float]],
    out: Path,
    *,
    settings: Settings | None = None,
    sweep: Sequence[float] = (),
    force: bool = False,
    batch: int = 8,
    callback: Callable[[int, int], None] | None = None,
) -> list[Output]:
    """The edited pictures, written as PNG under `out`, in the order of the inputs and of the sweep.

    A sweep multiplies the strengths by each of its numbers and makes a picture for each. What is there already,
    made by the same call from the same bytes, is skipped; a different file of that name is refused unless
    `force`. Every input is decoded before anything is written. Raises RefusedError for a damaged input or an
    output in the way, UsageError when two inputs would share an output, HspaceError when `out` cannot be written;
    and as Direction.check does.
    """
    settings = settings or Settings()
    names = [direction.id for direction, _ in directions]
    if len(set(names)) < len(names):
        raise UsageError(f"a direction was given twice: {', '.join(names)}; add its strengths up instead")
    for path in images:
        open_image(path)
    for direction, _ in directions:
        direction.check(backbone)
    jobs = _plan(images, directions, out, settings, sweep, backbone)
    _refuse_collisions(jobs, force)
    storage.require_writable(out)
    ready = [job for job in jobs if read_note(job.output) == job.note]
    waiting = [job for job in jobs if job not in ready]
    for start in range(0, len(waiting), batch):
        _run(backbone, waiting[start : start + batch], directions, settings)
        if callback is not None:
            callback(min(start + batch, len(waiting)), len(waiting))
    return [Output(job.input, job.output, dict(zip(names, job.strengths, strict=True)), job in ready) for job in jobs]


def _plan(
    images: Sequence[Path],
    directions: Sequence[tuple[Direction, float]],
    out: Path,
    settings: Settings,
    sweep: Sequence[float],
    backbone: Backbone,
) -> list[_Job]:
    jobs = []
    for path in images:
        digest = storage.sha256(path)
        for factor in sweep or (1.0,):
            strengths = tuple(strength * factor for _, strength in directions)
            note = json.dumps(_recipe(digest, directions, strengths, settings, backbone), sort_keys=True)
            name = f"{path.stem}.{factor:+.3g}.png" if sweep else f"{path.stem}.png"
            jobs.append(_Job(path, out / name, strengths, note, int(digest[:15], 16) ^ settings.seed))
    return jobs


def _recipe(
    digest: str,
    directions: Sequence[tuple[Direction, float]],
    strengths: tuple[float, ...],
    settings: Settings,
    backbone: Backbone,
) -> dict[str, Any]:
    """All that decides an output's pixels; it travels in the PNG."""
    edits = [
        {"id": one.id, "sha256": one.meta.weights.sha256 if one.meta.weights else None, "strength": strength}
        for (one, _), strength in zip(directions, strengths, strict=True)
    ]
    name = backbone.card.name if backbone.card else None
    condition = {"condition": backbone.condition} if backbone.condition else {}
    return {"format": 1, "input_sha256": digest, "backbone": name, "directions": edits, **condition, **vars(settings)}


def _refuse_collisions(jobs: Sequence[_Job], force: bool) -> None:
    inputs = {job.input.resolve() for job in jobs}
    outputs: dict[Path, Path] = {}
    for job in jobs:
        if job.output in outputs:
            both = " and ".join(map(str, dict.fromkeys([outputs[job.output], job.input])))
            raise UsageError(f"{both} would be written to {job.output} twice; edit fewer at a time, or sweep wider")
        outputs[job.output] = job.input
        if job.output.resolve() in inputs:
            raise RefusedError(f"{job.output} is one of the inputs; choose another folder with --out")
        if job.output.exists() and not force and read_note(job.output) != job.note:
            raise RefusedError(f"{job.output} exists and is another picture; choose another --out, or use --force")


def _run(
    backbone: Backbone, jobs: Sequence[_Job], directions: Sequence[tuple[Direction, float]], settings: Settings
) -> None:
    size = image_size(backbone)
    inputs = list(dict.fromkeys(job.input for job in jobs))
    pictures = torch.cat([load_image(path, size) for path in inputs])
    x_0 = backbone.image_to_x0(pictures.to(next(backbone.parameters(), pictures)))
    x_T = invert(backbone, x_0, steps=settings.steps, fixed_point=settings.fixed_point)
    edited = edit(
        backbone,
        x_T[[inputs.index(job.input) for job in jobs]],
        [(one, torch.tensor([job.strengths[i] for job in jobs])) for i, (one, _) in enumerate(directions)],
        steps=settings.steps,
        t_edit=settings.t_edit,
        t_boost=settings.t_boost,
        symmetric=settings.symmetric,
        noise=gaussian(*(job.noise_seed for job in jobs)),
    )
    for job, image in zip(jobs, backbone.x0_to_image(edited), strict=True):
        save_picture(job.output, to_picture(image), job.note)


def sweep_sheet(outputs: Sequence[Output], sweep: Sequence[float]) -> Image.Image:
    """A sheet of a sweep: a row per input, a column per factor."""
    rows = [outputs[start : start + len(sweep)] for start in range(0, len(outputs), len(sweep))]
    pictures = [[[open_image(one.output) for one in row]] for row in rows]
    title = ", ".join(outputs[0].strengths)
    return contact_sheet(pictures, [row[0].input.stem for row in rows], [f"{factor:+.3g}" for factor in sweep], title)
