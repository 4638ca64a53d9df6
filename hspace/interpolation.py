"""From one picture to another: the latents between theirs, and a film of the pictures these give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import atan2, pi, sin
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hspace import storage
from hspace.backbone import Backbone
from hspace.errors import UsageError
from hspace.images import contact_sheet, open_image, save_picture, to_picture
from hspace.jobs import Job, Settings, Weighed, recipe, require_sound, unfinished
from hspace.moving import saturation_of
from hspace.sampling import require_moves

PARALLEL = 1e-4
"""The angle, in radians, below which two latents are taken for parallel."""


def interpolate(x_T: Tensor, other: Tensor, frames: int) -> Tensor:
    """`frames` latents (frames, C, H, W) from x_T (1, C, H, W) to `other`, evenly spaced on the arc between them.

    slerp: x_f = sin((1 - f) theta) / sin(theta) x_T + sin(f theta) / sin(theta) other, where theta is the angle between
    them and f goes from 0 to 1; a straight line leaves the shell on which Gaussian latents lie. Both ends come out bit
    for bit. Nearly parallel latents, where the formula is 0 / 0, are joined by its limit, the straight line. Raises
    UsageError for fewer than 2 frames, and for opposite latents, which no one arc joins.
    Source: Shoemake, Animating Rotation with Quaternion Curves; used on x_T by Song et al., DDIM, section 5.3.
    """
    unit, unit_other = (one / one.norm() for one in (x_T.cpu().double(), other.cpu().double()))
    theta = 2 * atan2(float((unit - unit_other).norm()), float((unit + unit_other).norm()))
    if pi - theta < PARALLEL:
        raise UsageError("the two latents are opposite, so no one arc joins them; take two other pictures")

    def share(f: float) -> float:
        return f if theta < PARALLEL else sin(f * theta) / sin(theta)

    return torch.cat([share(1 - f) * x_T + share(f) * other for f in fractions(frames)])


def fractions(frames: int) -> list[float]:
    """How far along each frame is, from 0 to 1. Raises UsageError for fewer than 2 frames."""
    if frames < 2:
        raise UsageError(f"an interpolation has at least 2 frames, its two ends; {frames} was asked for")
    return [index / (frames - 1) for index in range(frames)]


@dataclass(frozen=True)
class Frame:
    """One picture between two: how far along it is, from 0 to 1, where it is, and whether it was there."""

    fraction: float
    output: Path
    skipped: bool = False


def interpolate_files(
    backbone: Backbone,
    ends: tuple[Path, Path],
    directions: Weighed,
    out: Path,
    *,
    frames: int = 7,
    settings: Settings | None = None,
    force: bool = False,
    callback: Callable[[int, int], None] | None = None,
) -> list[Frame]:
    """The pictures from one file to another, written as `<first>-<second>.<number>.png` under `out`.

    Both files are inverted, and each latent between is sampled, with the directions at their strengths where some are
    given; the noise of boosting is the same in each frame. Frames are made one by one, so that the ends without
    directions are the files' reconstructions bit for bit. Skips, refuses and raises as `edit_files` does.
    """
    settings = settings or Settings()
    require_moves(directions, saturation_of(settings.saturation))
    require_sound(backbone, ends, directions)
    jobs = _plan(backbone, ends, directions, out, frames, settings)
    waiting = unfinished(jobs, out, force)
    if waiting:
        first, second = (settings.inverted(backbone, [end]) for end in ends)
        x_T = interpolate(first, second, frames)
    for done, job in enumerate(waiting, start=1):
        index = jobs.index(job)
        (image,) = settings.edited(backbone, x_T[index : index + 1], [one for one, _ in directions], [job])
        save_picture(job.output, to_picture(image), job.note)
        if callback is not None:
            callback(done, len(waiting))
    return [Frame(f, job.output, job not in waiting) for f, job in zip(fractions(frames), jobs, strict=True)]


def _plan(
    backbone: Backbone, ends: tuple[Path, Path], directions: Weighed, out: Path, frames: int, settings: Settings
) -> list[Job]:
    digests = [storage.sha256(end) for end in ends]
    strengths = tuple(strength for _, strength in directions)
    name = "-".join(end.stem for end in ends)
    jobs = []
    for index, fraction in enumerate(fractions(frames)):
        note = recipe(backbone, directions, strengths, settings, inputs_sha256=digests, fraction=fraction)
        jobs.append(Job(ends, out / f"{name}.{index:03d}.png", strengths, note, settings.seed))
    return jobs


def strip(frames: Sequence[Frame], title: str = "") -> Image.Image:
    """The frames in a row, each under how far along it is."""
    pictures = [[[open_image(frame.output) for frame in frames]]]
    return contact_sheet(pictures, [""], [f"{frame.fraction:.2g}" for frame in frames], title)
