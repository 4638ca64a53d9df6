"""Importing directions of other formats: read by the plugin that knows the format, tied to a backbone, stored."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hspace import registry, storage
from hspace.backbone import Backbone
from hspace.building import run
from hspace.cards import Card
from hspace.direction import Direction
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError
from hspace.fingerprint import probe
from hspace.loading import load_backbone
from hspace.meta import BackboneRef
from hspace.plugins import plugins
from hspace.settings import parse_settings

UNKNOWN = "unknown"
"""What an importer calls the backbone of a direction whose file does not tell it."""


@dataclass(frozen=True)
class Imported:
    """A direction as stored, its folder, and what there is to know about its backbone."""

    direction: Direction
    folder: Path
    note: str | None = None

    @property
    def tied(self) -> bool:
        """Whether its backbone was at hand, so that it can be used."""
        return self.direction.meta.backbone.fingerprint is not None


def import_direction(
    path: Path,
    *,
    backbone: str | Path | None = None,
    name: str | None = None,
    given: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    source: str | None = None,
    device: str = "cpu",
    weights: Path | None = None,
    offline: bool = False,
) -> Imported:
    """The direction in a file of somebody else's format, checked, tied to its backbone, and stored in the registry.

    `backbone` is the one it was trained on, by name or folder; where it is not said, the one that the file's importer
    knows. If that one's weights are not here the direction is stored without a fingerprint, and refused by every
    backbone until it is imported again with one. `name` is what to call it, `given` what the importer is told beyond
    the file (t_edit, prompts, ...), `settings` are key=value pairs for its head, `source` says where the file is from.
    `weights` and `offline` are as for `load_backbone`.

    Raises NotFoundError for a missing file or backbone, RefusedError for a file that no importer reads, that is unsafe
    or damaged, or that does not fit the backbone, UsageError for what the file does not tell and was not given.
    Nothing is stored then.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"a direction's name has small letters, digits, - and _; {name!r} was given")
    direction = _described(_read(path, given or {}), path, name, settings, source)
    home = direction.meta.backbone
    if backbone is None and home.id == UNKNOWN:
        raise UsageError(f"{path} does not tell which backbone it was trained on; name it with --backbone")
    direction, note = _tied(direction, backbone, device=device, weights=weights, offline=offline)
    _keep_ties(direction)
    return Imported(direction, registry.add(direction).folder, note)


def _read(path: Path, given: Mapping[str, Any]) -> Direction:
    """The direction in a file, by the first importer that knows its format."""
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    refusals = []
    importers = plugins().cards("importers")
    for card in importers:
        try:
            direction = _read_by(card, path, given)
        except RefusedError as error:
            refusals.append(error)
            continue
        if direction is not None:
            storage.check_finite(path, direction.weights)
            return direction
    if refusals:
        raise refusals[0]
    tried = ", ".join(card.name for card in importers) or "none is installed; install hspace-asyrp"
    raise RefusedError(f"{path} is of no format that an importer reads (tried: {tried})")


def _read_by(card: Card, path: Path, given: Mapping[str, Any]) -> Direction | None:
    parameters = inspect.signature(card.load()).parameters.values()
    takes = {one.name for one in parameters if one.name != "path"}
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    direction = run(card, path=path, **{key: value for key, value in given.items() if anything or key in takes})
    if direction is None:
        return None
    if not isinstance(direction, Direction):
        raise HspaceError(f"importer {card.name!r} of plugin {card.plugin!r} returned {direction!r}, not a Direction")
    if not anything and (left := [key for key in given if key not in takes]):
        raise UsageError(f"importer {card.name!r} takes no {', '.join(left)}; it takes {', '.join(takes) or 'nothing'}")
    return direction


def _described(
    direction: Direction, path: Path, name: str | None, settings: Sequence[str], source: str | None
) -> Direction:
    """The direction by its name, with where it comes from, and with its head's settings."""
    meta = direction.meta
    about = {
        "source": source or meta.provenance.source or path.name,
        "source_sha256": storage.sha256(path),
        "hspace": version("hspace"),
        "date": datetime.now(UTC).date().isoformat(),
    }
    changes: dict[str, Any] = {"provenance": meta.provenance.model_copy(update=about)}
    if settings or meta.move is None:
        head = meta.require_head()
        config = {**head.config, **parse_settings(settings, "heads", head.name)}
        changes["head"] = head.model_copy(update={"config": config})
    if name is not None:
        changes["id"] = f"{meta.backbone.id}/{name}.{meta.id.rpartition('.')[2]}"
    return replace(direction, meta=meta.model_copy(update=changes))


def _tied(direction: Direction, backbone: str | Path | None, **loading: Any) -> tuple[Direction, str | None]:
    """The direction tied to the backbone, or to its own where that is at hand; and what to say about it."""
    home = direction.meta.backbone
    if (
        backbone is None
        and loading["weights"] is None
        and home.id not in {card.name for card in plugins().cards("backbones")}
    ):
        return direction, None
    try:
        model = load_backbone(backbone if backbone is not None else home.id, **loading)
    except NotFoundError as error:
        if backbone is not None or loading["weights"] is not None:
            raise
        return direction, str(error)
    if home.id != UNKNOWN:
        _require_same_kind(home, model)
    tied = direction.tie(model)
    if home.id in (UNKNOWN, tied.meta.backbone.id):
        return tied, None
    return tied, f"it was trained on {home.id!r}; whether {tied.meta.backbone.id!r} is the same network, you must know"


def _require_same_kind(home: BackboneRef, model: Backbone) -> None:
    families = {card.name: card.facts.get("family") for card in plugins().cards("backbones")}
    family = None if model.card is None else model.card.facts.get("family")
    if home.h_shape != (seen := probe(model).h_shape):
        difference = f"its h is {seen}, not {home.h_shape}"
    elif None not in (wanted := families.get(home.id), family) and wanted != family:
        difference = f"it is of the family {family}, not {wanted}"
    else:
        return
    raise RefusedError(f"the direction was trained on {home.id!r}, and this backbone is another: {difference}.")


def _keep_ties(direction: Direction) -> None:
    """Raises RefusedError when a direction that can be used would give way to one that cannot."""
    if direction.meta.backbone.fingerprint is not None:
        return
    for entry in registry.entries():
        if entry.id == direction.meta.id and entry.meta().backbone.fingerprint is not None:
            raise RefusedError(
                f"{entry.id!r} is there already, tied to its backbone. Say --backbone to import it again, or call this "
                f"one something else with --name."
            )
