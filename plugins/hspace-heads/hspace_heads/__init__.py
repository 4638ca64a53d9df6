"""Editor heads for hspace."""

from typing import Any

import typer

import hspace
from hspace_heads import options

REPRODUCTION = "asyrp-extension, the reproduction of Asyrp"


@hspace.hookimpl
def hspace_heads() -> list[hspace.Card]:
    """The table of explicit shifts, Asyrp's implicit function in both its published forms, and transformers."""
    return [
        hspace.Card(
            "table",
            "hspace_heads.table:build",
            "explicit delta_h: a vector, one per timestep, or the components of a basis",
            facts={"options": {"between": _values(options.Between), "timesteps": "or steps and t_edit"}},
        ),
        hspace.Card(
            "delta-block",
            "hspace_heads.delta_block:build",
            "Asyrp's implicit function f_t: two 1x1 convolutions around the time embedding",
            facts={
                "source": "Kwon et al., Asyrp (arXiv:2210.10960)",
                "options": {"form": _values(options.BlockForm), **_shared()},
            },
        ),
        hspace.Card(
            "transformer",
            "hspace_heads.transformer:build",
            "f_t with transformers in place of the convolutions, over pixels, channels, or both",
            facts={
                "source": REPRODUCTION,
                "options": {
                    "form": _values(options.TransformerForm),
                    "tokens": _values(options.Tokens),
                    "heads": "they divide the width of a token",
                    "layers": "of each of the two encoders",
                    "feed_forward": "4 times a token's width; 2048 in the reproduction's form",
                    **_shared(),
                },
            },
        ),
    ]


@hspace.hookimpl
def hspace_commands(app: typer.Typer) -> None:
    """`hspace distill`."""
    from hspace_heads.distill_command import distill

    app.command("distill")(distill)


def _values(allowed: Any) -> str:
    """The values of an option, its default first."""
    return ", ".join(options.values(allowed))


def _shared() -> dict[str, str]:
    return {
        "time": _values(options.Time),
        "norm": _values(options.Norm),
        "act": _values(options.Act),
        "norm_num_groups": "of a group norm; they divide the channels of h",
        "init": _values(options.Init),
        "seed": "of the weights it starts with",
    }
