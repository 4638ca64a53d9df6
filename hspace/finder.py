"""A finder: a way of discovering directions on a frozen backbone."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from hspace.errors import UsageError

if TYPE_CHECKING:
    from hspace.backbone import Backbone
    from hspace.cards import Card
    from hspace.direction import Direction

HOW = {
    "prompts": "say them with --from and --to",
    "labels": "give --images with a table of --labels, or a --source with the --attribute that it knows",
}
"""How a field of a task is given on the command line, where that is not its name."""


@dataclass(frozen=True)
class Task:
    """What a finder is given.

    x_T (N, C, H, W) is always there: the latents to work on, drawn from `seed` or inverted from pictures. The
    rest is there when the caller has it: x_0 (N, C, H, W) the pictures themselves, prompts (source, target),
    labels (N,), higher where a picture shows more of what `attribute` names, an encoder (hspace.Encoder). `folder` is
    where a finder may leave what there is to look at beside its directions. `image_sha256` names the pictures (N) that
    x_T was inverted from, and is empty where it was drawn from `seed`; `data` says in words where x_T came from.
    `steps` is the number of sampling steps between x_T and x_0. `progress`, where given, is called with (done, total)
    as work goes on.
    """

    x_T: Tensor
    steps: int = 40
    seed: int = 0
    x_0: Tensor | None = None
    prompts: tuple[str, str] | None = None
    labels: Tensor | None = None
    attribute: str = ""
    image_sha256: tuple[str, ...] = ()
    data: str = ""
    encoder: Any = None
    progress: Callable[[int, int], None] | None = None
    folder: Path | None = None

    def require(self, card: "Card") -> None:
        """Raises UsageError when the task lacks something that the finder's card needs."""
        missing = [name for name in card.needs if getattr(self, name, None) is None]
        if missing:
            way_out = "; ".join(HOW[name] for name in missing if name in HOW)
            told = f"finder {card.name!r} needs {' and '.join(missing)}, which was not given"
            raise UsageError(f"{told}: {way_out}" if way_out else told)


TASK_FIELDS = tuple(field.name for field in fields(Task))


class Finder(ABC):
    """A way of discovering directions; built by a plugin's `build(**config)`."""

    @abstractmethod
    def find(self, backbone: "Backbone", task: Task) -> Iterator["Direction"]:
        """The directions found, each as soon as it is ready; the same task gives the same bytes.

        Make each one with `Direction.bind(backbone, ...)`, which ties it to the backbone by a fingerprint of h.
        """
