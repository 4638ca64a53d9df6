"""A labeller: says in words what an edit did to pictures."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hspace.errors import UsageError
from hspace.plugins import plugins
from hspace.settings import require_known

if TYPE_CHECKING:
    from torch import Tensor

    from hspace.backbone import Backbone


class Labeller(ABC):
    """A judge of edits that knows some names; built by a plugin's `build(**config)`.

    `names` are the names it knows, `unit` says what its scores are. `least` is the mean score from which on a name
    holds; None where scores mean nothing on their own, so that random directions must tell.
    """

    names: tuple[str, ...]
    unit: str
    least: float | None

    @abstractmethod
    def latents(self, backbone: Backbone, n: int, seed: int, steps: int) -> tuple[Tensor, str]:
        """x_T (n, C, H, W) of pictures to look at edits on, and where they are from, in words."""

    @abstractmethod
    def scores(self, plain: Tensor, edited: Tensor) -> Tensor:
        """How far each picture went towards each name, (n, len(names)) on the CPU; negative is away from it.

        The pictures, unedited and edited, are (n, 3, S, S) float32 in [-1, 1] on the CPU.
        """


def build_labeller(name: str, config: Mapping[str, Any], **offered: Any) -> Labeller:
    """The named labeller with its settings; what else is `offered` goes to one that takes it.

    Raises NotFoundError for an unknown name, UsageError for a setting that it does not take, or one that it needs.
    """
    from hspace.building import run

    card = plugins().find("labellers", name)
    build = card.load()
    require_known(list(config), "labellers", name, build)
    missing = [need for need in card.needs if not config.get(need)]
    if missing:
        raise UsageError(f"labeller {name!r} needs {' and '.join(missing)}, which was not given")
    settings = {key: value for key, value in offered.items() if takes(name, key)} | dict(config)
    labeller: Labeller = run(card, **settings)
    return labeller


def takes(name: str, key: str) -> bool:
    """Whether the named labeller has a setting of that name. Raises NotFoundError for an unknown one."""
    return key in inspect.signature(plugins().find("labellers", name).load()).parameters
