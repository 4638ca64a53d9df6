"""The metrics of an evaluation: which are asked for, what each is given, and why one is left out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hspace.building import run
from hspace.cards import Card
from hspace.errors import HspaceError, UsageError
from hspace.evaluation.streams import Subject
from hspace.metric import Metric
from hspace.plugins import plugins
from hspace.settings import require_known

WAYS: Mapping[str, str] = {
    "orig": "measure on pictures: --images, --source or --orig",
    "recon": "give a folder of reconstructions with --recon",
    "edit": "give a folder of edits with --edit",
    "attributes": "take pictures of a source that knows them, such as --source toyfaces",
    "prompts": "give --from and --to",
    "encoder": "name one with --encoder",
}
"""How each of the needs is met."""


@dataclass(frozen=True)
class Absent:
    """A metric that was not measured on a direction at a strength, and why."""

    direction: str
    strength: float | None
    metric: str
    reason: str


def chosen(names: Sequence[str] | None) -> list[Card]:
    """The cards of the metrics asked for, all that are installed where nobody says.

    Raises NotFoundError for an unknown one, UsageError for one that is named twice.
    """
    if names is None:
        return plugins().cards("metrics")
    if len(set(names)) < len(names):
        raise UsageError(f"a metric is named twice: {', '.join(names)}")
    return [plugins().find("metrics", name) for name in names]


def built(
    subject: Subject,
    cards: Sequence[Card],
    given: Mapping[str, Any],
    has: frozenset[str],
    config: Mapping[str, Mapping[str, Any]],
    insist: bool,
) -> tuple[dict[str, Metric], list[Absent]]:
    """The metrics for one subject by name, and those that cannot be, with why.

    `given` is what core gives to those that take it, `has` what the batches hold, `config` settings by metric. Where
    the user named them, `insist`, one that cannot be measured is an error instead. Raises UsageError for a need that is
    not met or a setting that a metric does not take.
    """
    known = {**given, "prompts": subject.prompts, "strength": subject.strength}
    there = has | {name for name, value in known.items() if value is not None}
    metrics: dict[str, Metric] = {}
    absent: list[Absent] = []
    for card in cards:
        settings = config.get(card.name, {})
        require_known(list(settings), "metrics", card.name, card.load())
        try:
            require_needs(card, there)
            metrics[card.name] = build(card, known, settings)
        except HspaceError as error:
            if insist:
                raise
            absent.append(Absent(subject.direction, subject.strength, card.name, str(error)))
    return metrics, absent


def settings_of(
    card: Card, suited: Mapping[str, Mapping[str, Any]], config: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The settings of a metric: those given, and those that suit the pictures, as far as the metric takes them."""
    takes = inspect.signature(card.load()).parameters
    offered = {key: value for key, value in suited.get(card.name, {}).items() if key in takes}
    return {**offered, **config.get(card.name, {})}


def require_needs(card: Card, there: frozenset[str] | set[str]) -> None:
    """Raises UsageError, with the way out, where something that a metric needs is not there."""
    missing = [need for need in card.needs if need not in there]
    if missing:
        ways = "; ".join(WAYS[need] for need in missing if need in WAYS)
        raise UsageError(f"metric {card.name!r} needs {' and '.join(missing)}, which was not given: {ways}")


def build(card: Card, known: Mapping[str, Any], settings: Mapping[str, Any]) -> Metric:
    """A metric, given of what is known all that its `build` takes, and its settings.

    Raises HspaceError where the plugin fails, or gives something else.
    """
    takes = inspect.signature(card.load()).parameters
    offered = {name: value for name, value in known.items() if name in takes and value is not None}
    metric = run(card, **offered, **settings)
    if not isinstance(metric, Metric):
        raise HspaceError(f"{card.name!r} of plugin {card.plugin!r} gave {type(metric).__name__!r}, which is no Metric")
    return metric
