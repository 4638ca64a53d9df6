"""How far edited pictures in half precision are from those in float32, on every backbone of the zoo."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from recording import record
from torch import Tensor

import hspace
from hspace import Backbone
from hspace.building import build_head
from hspace.calibration import units
from hspace.fingerprint import probe
from hspace.plugins import plugins
from hspace.sampling import Edit, latents, sample

PICTURES, STEPS, T_EDIT = 4, 20, 400
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def shift(backbone: Backbone) -> Tensor:
    """A random delta_h (1, 1, Ch, Hh, Wh), as long as makes strength 1 of a direction."""
    x_T = latents(backbone, 2, seed=1)
    longest = float(backbone.encode_h(x_T, torch.full((2,), 600.0)).h.flatten(1).norm(dim=1).mean()) / 2
    vector = torch.randn(1, 1, *probe(backbone).h_shape, generator=torch.Generator().manual_seed(0))
    vector /= vector.norm()
    head = build_head(backbone, "table", {}, {"vectors": vector})
    return vector * units(backbone, [head], x_T, t_edit=T_EDIT, steps_found=STEPS, longest=longest)[0]


def edited(backbone: Backbone, vector: Tensor, x_T: Tensor) -> Tensor:
    """The pictures (N, 3, S, S) of x_T edited along the vector, in float32."""
    head = build_head(backbone, "table", {}, {"vectors": vector})
    x_T = x_T.to(next(backbone.parameters()))
    x_0 = hspace.edit(backbone, x_T, [Edit(head, 1.0, T_EDIT, STEPS)], steps=STEPS)
    return backbone.x0_to_image(x_0).float()


@torch.no_grad()
def measured(name: str) -> dict[str, dict[str, float]]:
    """The root mean square and the largest difference in each half precision, and the RMS of the edit itself."""
    backbone = hspace.load_backbone(name)
    vector, x_T = shift(backbone), latents(backbone, PICTURES, seed=0)
    exact, plain = edited(backbone, vector, x_T), backbone.x0_to_image(sample(backbone, x_T, steps=STEPS))
    found = {"edit": _apart(exact, plain)}
    for half, dtype in HALVES.items():
        found[half] = _apart(edited(hspace.load_backbone(name, dtype=dtype), vector, x_T), exact)
    return found


def _apart(one: Tensor, other: Tensor) -> dict[str, float]:
    difference = (one - other).abs()
    return {"rms": round(float(difference.square().mean().sqrt()), 5), "largest": round(float(difference.max()), 4)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures every backbone of the zoos and records what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a random network, to see that it runs")
    quick = parser.parse_args(arguments).quick
    torch.set_num_threads(1)
    trained = [card.name for card in plugins().cards("backbones") if "folder" in card.facts]
    names = ["ddpmpp-random-tiny"] if quick else trained
    asked = {"pictures": PICTURES, "steps": STEPS, "t_edit": T_EDIT}
    record("half_precision", {**asked, "quick": quick, "backbones": {name: measured(name) for name in names}})


if __name__ == "__main__":
    main()
