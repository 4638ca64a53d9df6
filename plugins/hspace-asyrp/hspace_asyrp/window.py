"""The editing window: from which timestep up a change of h should act."""

from __future__ import annotations

from collections.abc import Sequence

THRESHOLD = 0.33
"""The published threshold on LPIPS (AlexNet) of P_t and x_0: a cosine of 1 edits down to where it is reached."""
CELEBA_TOTAL = 1.167
"""The largest such distance on the curve published for CelebA-HQ."""
SHARE = THRESHOLD / CELEBA_TOTAL
"""The same threshold as a share of the whole distance, for distances that are not LPIPS."""


def t_edit_from_lpips(timesteps: Sequence[int], distances: Sequence[float], cosine: float) -> int:
    """The lowest timestep at which LPIPS(P_t, x_0) reaches 0.33 cos, with the cosine of the two prompts.

    The further apart the prompts, the lower the cosine, and the longer the window. Where the curve never gets so far
    it is the last timestep. Source: Kwon et al., Asyrp, as the released code computes it.
    """
    return _first(timesteps, distances, THRESHOLD * cosine)


def t_edit_from_share(timesteps: Sequence[int], distances: Sequence[float], cosine: float) -> int:
    """The same rule for any distance: where it reaches that share of the largest."""
    return _first(timesteps, distances, SHARE * cosine * max(distances))


def t_boost_from_lpips(timesteps: Sequence[int], distances: Sequence[float], threshold: float = 1.2) -> int:
    """The lowest timestep at which LPIPS(x_t, x_0) reaches the threshold, below which quality boosting acts.

    Source: Kwon et al., Asyrp.
    """
    return _first(timesteps, distances, threshold)


def _first(timesteps: Sequence[int], distances: Sequence[float], threshold: float) -> int:
    rising = sorted(zip(timesteps, distances, strict=True))
    return next((t for t, distance in rising if distance >= threshold), rising[-1][0])
