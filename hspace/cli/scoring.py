"""`hspace discover --score`: what a labeller says of all that was found, written beside the sheet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hspace.cli.label import answer, load_labeller
from hspace.errors import UsageError

if TYPE_CHECKING:
    from hspace.backbone import Backbone
    from hspace.discovery import Discovery
    from hspace.labeller import Labeller
    from hspace.labelling import Labelling


@dataclass(frozen=True)
class Scored:
    """What a labeller said of a find, and the file that holds it."""

    name: str
    labelling: Labelling
    path: Path

    def answer(self) -> dict[str, Any]:
        """What it said, for JSON."""
        return {"labeller": self.name, **answer(self.labelling)}


@dataclass(frozen=True)
class Scorer:
    """A labeller that was named before there was anything to score, so that a mistake is told before the work."""

    name: str
    labeller: Labeller

    @classmethod
    def of(
        cls, name: str | None, settings: list[str], backbone: str | Path, encoder: str | None, device: str
    ) -> Scorer | None:
        """The scorer of --score; None where it is not given. Raises UsageError for settings without one."""
        if name is not None:
            return cls(name, load_labeller(name, settings, backbone, encoder, device))
        if settings:
            raise UsageError(f"--set score.{settings[0]} is for a labeller; name it with --score")
        return None

    def score(self, backbone: Backbone, found: Discovery) -> Scored:
        """The labels of all directions that were found, written as JSON beside their sheet."""
        from hspace.labelling import label
        from hspace.progress import progress
        from hspace.storage import write_bytes

        with progress("scoring") as callback:
            labelling = label(backbone, found.directions, self.labeller, callback=callback)
        scored = Scored(self.name, labelling, found.sheet.with_suffix(f".{self.name}.json"))
        write_bytes(scored.path, (json.dumps(scored.answer(), indent=2) + "\n").encode())
        return scored
