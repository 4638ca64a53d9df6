"""Is a backbone what it is taken for? Its eps against the noise that was put in, on pictures of its domain."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hspace.assumptions import alternatives
from hspace.backbone import Backbone, Guided
from hspace.discovery import image_size
from hspace.errors import UsageError
from hspace.images import contact_sheet, load_images, psnr, to_picture
from hspace.sampling import invert, latents, sample
from hspace.schedule import alphas_cumprod

LEVELS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Where eps is compared, as parts of the schedule."""
JUDGED = 4
"""How many of them tell: above, most of x_t is noise, and a guess is nearly as good as any network."""
WORST_RATIO = 1.0
"""The largest error of a sound backbone, in parts of the guess's; 0.5 on the toy faces, up to 7 after a mistake."""
BETTER = 0.005
"""How much lower another assumption must make the error to be believed; on the toy faces none of them lowers it."""
LOWEST_PSNR = 15.0
BATCH = COMPARED = 4
"""Pictures on which other assumptions are tried."""
SCHEDULES: dict[str, tuple[str, int, float, float]] = {
    "linear, 1000 steps": ("linear", 1000, 1e-4, 0.02),
    "linear, 4000 steps": ("linear", 4000, 2.5e-5, 0.005),
    "cosine, 1000 steps": ("squaredcos_cap_v2", 1000, 0, 0),
    "cosine, 4000 steps": ("squaredcos_cap_v2", 4000, 0, 0),
    "scaled linear, 1000 steps": ("scaled_linear", 1000, 1e-4, 0.02),
    "latent diffusion's, beta to 0.0195": ("scaled_linear", 1000, 0.0015, 0.0195),
    "latent diffusion's, beta to 0.0155": ("scaled_linear", 1000, 0.0015, 0.0155),
}

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Level:
    """The root mean square error of eps at t, and of a guess that knows the pictures' mean and variance alone."""

    t: int
    alpha_cumprod: float
    error: float
    guess: float


@dataclass(frozen=True)
class Verified:
    """What was found: PSNR by picture, pictures that could not be read, errors of eps, other assumptions, a sheet.

    `first_stage` is the PSNR of a latent backbone's first stage alone, empty where x_0 is the picture. `others` says
    how the error changes, as a part of it, under each other assumption: below 0 where that fits better. `problems`
    is empty for a backbone that looks right.
    """

    psnr: dict[Path, float]
    first_stage: dict[Path, float]
    skipped: dict[Path, str]
    levels: list[Level]
    others: dict[str, float]
    problems: list[str]
    sheet: Image.Image


@torch.no_grad()
def verify(
    backbone: Backbone,
    images: Sequence[Path],
    *,
    n: int = 8,
    steps: int = 40,
    seed: int = 0,
    callback: Advance | None = None,
) -> Verified:
    """What the first n readable pictures tell of a backbone.

    At several t, x_t = sqrt(a) x_0 + sqrt(1 - a) eps is made of each picture, and the backbone's eps is compared with
    the true one; the same under every other assumption of the family and every other known schedule, for the same
    x_t. The pictures are inverted and reconstructed, and n samples are drawn.
    Raises RefusedError when no picture can be read, UsageError for a guided backbone: guidance changes eps.
    Source: Ho et al., DDPM (the forward process and the error of eps).
    """
    if isinstance(backbone, Guided):
        raise UsageError("guidance changes eps on purpose, so there is nothing to compare; verify without scale")
    pictures, skipped = load_images(images, image_size(backbone), n)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    advance = callback or (lambda done, total: None)
    for done, image in enumerate(pictures.values(), start=1):
        x_0 = backbone.image_to_x0(image.to(next(backbone.parameters(), image)))
        again = backbone.x0_to_image(sample(backbone, invert(backbone, x_0, steps=steps), steps=steps))
        parts.append((x_0, backbone.x0_to_image(x_0).to(image), again.to(image)))
        advance(done, len(pictures) + 1)
    x_0 = torch.cat([one for one, _, _ in parts])
    levels = errors(backbone, x_0, seed)
    others = compare(backbone, x_0[:COMPARED], seed)
    drawn = [
        backbone.x0_to_image(sample(backbone, latents(backbone, n, seed)[i : i + 1], steps=steps)) for i in range(n)
    ]
    advance(len(pictures) + 1, len(pictures) + 1)
    both = list(zip(pictures.items(), parts, strict=True))
    recon = {path: psnr(image, again) for (path, image), (_, _, again) in both}
    stage = {path: psnr(image, through) for (path, image), (_, through, _) in both}
    stage = {} if min(stage.values()) == inf else stage
    rows = [list(pictures.values()), [again for _, _, again in parts], drawn]
    sheet = contact_sheet([[[to_picture(one[0]) for one in row]] for row in rows], ["picture", "again", "sample"])
    return Verified(recon, stage, skipped, levels, others, list(_problems(recon, stage, levels, others)), sheet)


def errors(backbone: Backbone, x_0: Tensor, seed: int, levels: Sequence[float] = LEVELS) -> list[Level]:
    """The errors of eps for x_0 (B, C, H, W) at those parts of the backbone's own schedule."""
    T = len(backbone.alphas_cumprod)
    return [
        _level(backbone, x_0, seed, int(part * T), float(backbone.alphas_cumprod[int(part * T)])) for part in levels
    ]


def _level(backbone: Backbone, x_0: Tensor, seed: int, t: float, a: float) -> Level:
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed)).to(x_0)
    x_t = a**0.5 * x_0 + (1 - a) ** 0.5 * eps
    at = torch.tensor([t], device=x_0.device)
    found = torch.cat([backbone(one, at) for one in x_t.split(BATCH)])
    mean, variance = x_0.mean(dim=(0, 2, 3), keepdim=True), float(x_0.var(dim=(0, 2, 3), unbiased=False).mean())
    guess = (1 - a) ** 0.5 / (a * variance + 1 - a) * (x_t - a**0.5 * mean)
    return Level(int(t), a, _rms(found - eps), _rms(guess - eps))


def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())


def compare(backbone: Backbone, x_0: Tensor, seed: int) -> dict[str, float]:
    """How the error of eps changes, as a part of it and on average, under each other assumption; of the same x_t."""
    known = errors(backbone, x_0, seed, LEVELS[:JUDGED])
    found: dict[str, float] = {}
    for what, other in _others(backbone):
        logs = [
            log(_level(other, x_0, seed, _time_of(other, one), one.alpha_cumprod).error / one.error) for one in known
        ]
        found[what] = exp(sum(logs) / len(logs)) - 1
    return found


def _others(backbone: Backbone) -> Iterator[tuple[str, Backbone]]:
    for name, arguments in SCHEDULES.items():
        alphas = alphas_cumprod(*arguments)
        same = len(alphas) == len(backbone.alphas_cumprod)
        if not (same and torch.allclose(alphas, backbone.alphas_cumprod, rtol=1e-2, atol=1e-5)):
            other = copy.copy(backbone)
            other.alphas_cumprod = alphas
            yield f"schedule: {name}", other
    yield from alternatives(backbone)


def _time_of(backbone: Backbone, level: Level) -> float:
    """The t, which may be fractional, at which the backbone's schedule has the level's alpha_cumprod."""
    alphas = backbone.alphas_cumprod
    above = int((alphas > level.alpha_cumprod).sum())
    if above in (0, len(alphas)):
        return float(min(above, len(alphas) - 1))
    high, low = float(alphas[above - 1]), float(alphas[above])
    return above - 1 + (high - level.alpha_cumprod) / (high - low)


def _problems(
    recon: dict[Path, float], stage: dict[Path, float], levels: list[Level], others: dict[str, float]
) -> Iterator[str]:
    best = min(others, key=lambda what: others[what], default=None)
    if best is not None and others[best] < -BETTER:
        yield f"the error of eps is {-others[best]:.1%} lower under another assumption, {best}"
    bad = next((one for one in levels[:JUDGED] if not one.error < WORST_RATIO * one.guess), None)
    if bad is not None:
        yield (
            f"at t = {bad.t} the error of eps is {bad.error:.3g}, no better than the {bad.guess:.3g} of a guess that "
            "knows the pictures' mean and variance alone"
        )
    if stage and not (mean := sum(stage.values()) / len(stage)) > LOWEST_PSNR:
        yield f"the first stage alone returns the pictures with {mean:.1f} dB: look at the first stage"
    if not (mean := sum(recon.values()) / len(recon)) > LOWEST_PSNR:
        yield f"inverted pictures come back with {mean:.1f} dB"
