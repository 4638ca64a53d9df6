"""Editing picture files: inverted, edited and written one batch at a time, so that a rerun goes on where it stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hspace import storage
from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.images import save_picture, to_picture
from hspace.jobs import Job, Settings, Weighed, recipe, require_sound, unfinished
from hspace.moving import saturation_of
from hspace.sampling import require_moves
from hspace.sweep import Sweep, grid, require_grid


@dataclass(frozen=True)
class Output:
    """One edited picture: where it came from, where it is, the strengths by direction, and whether it was there."""

    input: Path
    output: Path
    strengths: dict[str, float]
    skipped: bool = False


def edit_files(
    backbone: Backbone,
    images: Sequence[Path],
    directions: Weighed,
    out: Path,
    *,
    settings: Settings | None = None,
    sweeps: Sequence[Sweep] = (),
    force: bool = False,
    batch: int = 8,
    callback: Callable[[int, int], None] | None = None,
) -> list[Output]:
    """The edited pictures, written as PNG under `out`, in the order of the inputs and of the sweeps.

    A sweep multiplies the strength of the direction it names, or of all, by each of its factors and makes a picture
    for each; two make the whole grid, the first slower. `<input>.<factor>[.<factor>].png` is what they are called.
    What is there already, made by the same call from the same bytes, is skipped; a different file of that name is
    refused unless `force`. Every input is decoded before anything is written. Raises RefusedError for a damaged input
    or an output in the way, UsageError when two inputs would share an output or the sweeps make no grid, HspaceError
    when `out` cannot be written; and as Direction.check does.
    """
    settings = settings or Settings()
    ids = [direction.id for direction, _ in directions]
    require_grid(sweeps, ids)
    require_moves(directions, saturation_of(settings.saturation))
    require_sound(backbone, images, directions)
    jobs = _plan(images, directions, out, settings, sweeps, backbone)
    waiting = unfinished(jobs, out, force)
    for start in range(0, len(waiting), batch):
        _run(backbone, waiting[start : start + batch], [direction for direction, _ in directions], settings)
        if callback is not None:
            callback(min(start + batch, len(waiting)), len(waiting))
    there = {job.output for job in jobs} - {job.output for job in waiting}
    return [
        Output(job.inputs[0], job.output, dict(zip(ids, job.strengths, strict=True)), job.output in there)
        for job in jobs
    ]


def _plan(
    images: Sequence[Path],
    directions: Weighed,
    out: Path,
    settings: Settings,
    sweeps: Sequence[Sweep],
    backbone: Backbone,
) -> list[Job]:
    jobs = []
    for path in images:
        digest = storage.sha256(path)
        for factors, strengths in grid([(one.id, strength) for one, strength in directions], sweeps):
            note = recipe(backbone, directions, strengths, settings, input_sha256=digest)
            name = ".".join([path.stem, *(f"{factor:+.3g}" for factor in factors), "png"])
            jobs.append(Job((path,), out / name, strengths, note, int(digest[:15], 16) ^ settings.seed))
    return jobs


def _run(backbone: Backbone, jobs: Sequence[Job], directions: Sequence[Direction], settings: Settings) -> None:
    inputs = list(dict.fromkeys(job.inputs[0] for job in jobs))
    x_T = settings.inverted(backbone, inputs)[[inputs.index(job.inputs[0]) for job in jobs]]
    for job, image in zip(jobs, settings.edited(backbone, x_T, directions, jobs), strict=True):
        save_picture(job.output, to_picture(image), job.note)
