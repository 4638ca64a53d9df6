"""How good a tiny backbone is: its Frechet distance, and how exactly inversion comes back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.loading import load_backbone
from hspace.sampling import invert, latents, sample
from hspace_toyfaces.attributes import sample_attributes
from hspace_toyfaces.backbone_export import write_card
from hspace_toyfaces.frechet import frechet_distance
from hspace_toyfaces.regressor import load_regressor
from hspace_toyfaces.renderer import render
from hspace_toyfaces.training_plots import draw_sheet

GENERATED, REAL, STEPS = 256, 1000, 20
INVERTED, INVERSION_STEPS = 16, 40
SEED = 2**33

Metric = dict[str, Any]


def measure(folder: Path, regressor: Path | None = None) -> list[Metric]:
    """The figures of an exported backbone, which are written into its card; draws `samples.png` as well.

    Frechet distance of the regressor's features, generated faces against renders; its floor, fresh renders in
    place of the generated; PSNR in dB of inversion and back, and of a first stage where there is one.
    """
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    size = card["image_size"]
    backbone, features = load_backbone(folder), load_regressor(regressor).features
    generated = generate(backbone, GENERATED)
    draw_sheet(generated[:64], folder / "samples.png", zoom=max(1, 96 // size))
    real, fresh = faces(REAL, size, SEED), faces(GENERATED, size, SEED + 1)
    protocol = f"features of the toyfaces regressor, {REAL} renders"
    metrics = [
        _metric("frechet_distance", distance(features, generated, real), GENERATED, f"{protocol}, {STEPS} DDIM steps"),
        _metric("frechet_distance_floor", distance(features, fresh, real), GENERATED, f"{protocol}, fresh renders"),
    ]
    for fixed_point, name in ((1, "inversion_psnr"), (0, "inversion_psnr_plain")):
        psnr = round_trip(backbone, fresh[:INVERTED], fixed_point)
        protocol = f"{INVERSION_STEPS} DDIM steps, {fixed_point} fixed-point iterations a step, renders"
        metrics.append(_metric(name, psnr, INVERTED, protocol))
    if card["family"] == "ldm":
        drawn = backbone.x0_to_image(backbone.image_to_x0(fresh[:INVERTED]))
        metrics.append(
            _metric("first_stage_psnr", mean_psnr(drawn, fresh[:INVERTED]), INVERTED, "renders, encoded and decoded")
        )
    write_card(folder, {**card, "metrics": metrics})
    return metrics


def generate(backbone: Backbone, n: int) -> Tensor:
    """n generated faces (n, 3, S, S)."""
    parts = torch.split(latents(backbone, n, SEED + 2), 64)
    return torch.cat([backbone.x0_to_image(sample(backbone, x_T, steps=STEPS)) for x_T in parts])


def faces(n: int, size: int, seed: int) -> Tensor:
    """n rendered faces (n, 3, size, size)."""
    return render(sample_attributes(n, generator=torch.Generator().manual_seed(seed)), size)


@torch.no_grad()
def distance(features: Callable[[Tensor], Tensor], images: Tensor, real: Tensor) -> float:
    """The Frechet distance between the features of two sets of images in [-1, 1]."""
    ours = torch.cat([features(some) for some in torch.split(images.clamp(-1, 1), 100)])
    return frechet_distance(ours, torch.cat([features(some) for some in torch.split(real, 100)]))


def round_trip(backbone: Backbone, images: Tensor, fixed_point: int) -> float:
    """The mean PSNR in dB of images (B, 3, H, W) inverted to x_T and sampled back.

    They are compared as the backbone can draw them: a first stage's own error is left out.
    """
    x_0 = backbone.image_to_x0(images)
    x_T = invert(backbone, x_0, steps=INVERSION_STEPS, fixed_point=fixed_point)
    return mean_psnr(backbone.x0_to_image(sample(backbone, x_T, steps=INVERSION_STEPS)), backbone.x0_to_image(x_0))


def mean_psnr(images: Tensor, references: Tensor) -> float:
    """The mean PSNR in dB, for a range of 2, of images (B, 3, H, W)."""
    errors = (images - references).square().mean(dim=(1, 2, 3))
    return float((10 * (4 / errors).log10()).mean())


def _metric(name: str, value: float, n: int, protocol: str) -> Metric:
    return {"name": name, "value": round(value, 3) if math.isfinite(value) else None, "n": n, "protocol": protocol}
