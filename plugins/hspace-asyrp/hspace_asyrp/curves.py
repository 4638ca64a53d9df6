"""The editing window from the published LPIPS curves."""

import json
from functools import cache
from pathlib import Path

from hspace.errors import UsageError, not_found
from hspace_asyrp.window import t_edit_from_lpips

CURVES = Path(__file__).with_name("curves.json")


@cache
def curves() -> dict[str, list[float]]:
    """LPIPS(P_t, x_0) at each of `timesteps()`, by the name of the data: celeba, church, bedroom, afhq, metface.

    Means over training images, by AlexNet. Source: the released code's curves (kwonminki/Asyrp_official, MIT).
    """
    found: dict[str, list[float]] = json.loads(CURVES.read_text(encoding="utf-8"))["curves"]
    return found


def timesteps() -> list[int]:
    """The timesteps of the curves: all from 1 to 999 but 998, which the released code leaves out."""
    return [*range(1, 998), 999]


def t_edit(curve: str, cosine: float) -> int:
    """The smallest t whose LPIPS(P_t, x_0) reaches 0.33 times CLIP's cosine of the two raw prompts.

    Source: Kwon et al., Asyrp, as the released code computes it (ViT-B/16, no templates). Raises NotFoundError for an
    unknown curve, UsageError for a cosine that is not above 0 and at most 1.
    """
    if curve not in curves():
        raise not_found("published curve", curve, curves(), "Give t_edit itself.")
    if not 0 < cosine <= 1:
        raise UsageError(f"CLIP's cosine of two prompts must be above 0 and at most 1; {cosine:g} was given")
    return t_edit_from_lpips(timesteps(), curves()[curve], cosine)
