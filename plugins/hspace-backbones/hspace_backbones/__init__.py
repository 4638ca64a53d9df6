"""Backbone families for hspace; each is facts about diffusers' network classes, never a forward of its own."""

from typing import Any

import typer

import hspace
from hspace_backbones.published import cards

SOURCES = {
    "ddpmpp": "Ho et al., DDPM (arXiv:2006.11239), in Song et al.'s DDPM++ layout",
    "iddpm": "Nichol and Dhariwal, Improved DDPM (arXiv:2102.09672)",
    "adm": "Dhariwal and Nichol, Diffusion Models Beat GANs (arXiv:2105.05233)",
    "ldm": "Rombach et al., Latent Diffusion Models (arXiv:2112.10752)",
}
FAMILIES = {
    "ddpmpp": "any DDPM++ folder: a zoo's, or one in the hub's layout",
    "iddpm": "any iDDPM folder that 'hspace convert' or a zoo wrote",
    "adm": "any ADM folder that 'hspace convert' or a zoo wrote",
    "ldm": "any unconditional LDM folder: a zoo's, or one in the hub's layout",
}


@hspace.hookimpl
def hspace_backbones() -> list[hspace.Card]:
    """The four families, random-weight siblings to try things on, and the published checkpoints."""
    return [
        *cards(),
        *(_family(name, summary) for name, summary in FAMILIES.items()),
        _tiny("ddpmpp", "DDPM++ in small with random weights, for tests"),
        _tiny("iddpm", "iDDPM in small with random weights: cosine schedule, learned variance"),
        _tiny("adm", "ADM in small with random weights: residual resampling, learned variance"),
        _tiny(
            "adm",
            "ADM in small with random weights, for ten classes",
            name="adm-cond-random-tiny",
            target="tiny_conditional",
            condition={"label": 3},
        ),
        _tiny(
            "ldm",
            "LDM in small with random weights: a VQ first stage of 32 px pictures",
            x_shape=(3, 8, 8),
            image_tolerance=8.0,  # random weights do not reconstruct
        ),
    ]


@hspace.hookimpl
def hspace_commands(app: typer.Typer) -> None:
    """`hspace convert`."""
    from hspace_backbones.convert_command import convert

    app.command("convert")(convert)


def _family(name: str, summary: str) -> hspace.Card:
    facts = {
        "family": name,
        "h_site": "mid.out",
        "source": SOURCES[name],
        "weights": "bring-your-own",
        "assumptions": f"hspace_backbones.assumptions:{name}",
        "alternatives": "hspace_backbones.alternatives:alternatives",
    }
    return hspace.Card(name, f"hspace_backbones.{name}:load", summary, needs=("folder",), facts=facts)


def _tiny(family: str, summary: str, name: str = "", target: str = "tiny", **facts: Any) -> hspace.Card:
    common = {
        "family": family,
        "h_site": "mid.out",
        "source": SOURCES[family],
        "x_shape": (3, 16, 16),
        "h_shape": (32, 4, 4),
        "licence": "Apache-2.0",
        "weights": "bundled",
    }
    place = f"hspace_backbones.{family}:{target}"
    return hspace.Card(name or f"{family}-random-tiny", place, summary, facts={**common, **facts})
