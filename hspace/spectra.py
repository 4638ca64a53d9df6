"""The spectrum of a basis: how strongly each component reacts, as far as its finder measured it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hspace.direction import Direction

SIGMA = "sigma"
"""What a finder calls the measurement of how strong a component is."""
TAIL = "sigma_tail"
"""And that of what lies beyond the components that it stored: `component` goes on counting."""


@dataclass(frozen=True)
class Spectrum:
    """sigma by component, and by the numbers after the last component what is known of the rest, from below."""

    name: str
    sigma: Mapping[int, float]
    tail: Mapping[int, float]


def spectra(directions: Sequence[Direction]) -> list[Spectrum]:
    """The spectrum of each basis whose finder measured sigma per component; the others are left out."""
    found = []
    for direction in directions:
        sigma, tail = _by_component(direction, SIGMA), _by_component(direction, TAIL)
        if len(sigma) > 1:
            found.append(Spectrum(direction.meta.id.rpartition("/")[2], sigma, tail))
    return found


def _by_component(direction: Direction, name: str) -> dict[int, float]:
    measured = {
        one.component: one.value for one in direction.meta.metrics if one.name == name and one.component is not None
    }
    return dict(sorted(measured.items()))
