"""Who takes part: every finder that can, with every head that it can train, and directions that there are."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hspace import registry
from hspace.benchmark.recipe import BenchmarkRecipe, Target
from hspace.cards import Card
from hspace.errors import RefusedError, UsageError, not_found
from hspace.plugins import plugins

GIVEN = frozenset({"prompts", "encoder"})
"""What a benchmark gives to finders beside latents."""


@dataclass(frozen=True)
class Entry:
    """What is compared for a target on a backbone: a finder, its head where it takes one; or a direction that there is.

    The `plugin` is who made it.
    """

    backbone: str
    target: str
    finder: str
    head: str | None = None
    direction: str | None = None
    plugin: str = ""

    @property
    def key(self) -> str:
        """A name for it that is also one of a file."""
        parts = (self.backbone, self.target, self.finder, self.head, self.direction and self.direction.split("/")[-1])
        return "--".join(part for part in parts if part)


def entries(
    recipe: BenchmarkRecipe, finders: Sequence[str] = (), heads: Sequence[str] = (), targets: Sequence[str] = ()
) -> list[Entry]:
    """All entries of a benchmark, or those of some finders, heads and targets.

    A finder takes part that needs nothing, or no more than prompts and an encoder; one whose settings have a `head`,
    with every head that is installed. A direction takes part that is in the registry, was found by such a finder on one
    of the backbones, and for the prompts of a target. Raises NotFoundError for an unknown finder, head or target,
    UsageError for a finder that needs more, and where nobody is left.
    """
    chosen, wanted = _finders(recipe, finders), _targets(recipe, targets)
    made = list(_heads(heads))
    found = [
        entry
        for backbone in recipe.backbones
        for target in wanted
        for entry in (*_finding(backbone, target, chosen, made), *_there(backbone, target, chosen))
    ]
    if not found:
        raise UsageError("nothing takes part: no finder is installed that needs no more than prompts and an encoder")
    return found


def _finders(recipe: BenchmarkRecipe, names: Sequence[str]) -> list[Card]:
    given = GIVEN if recipe.encoder is not None else frozenset[str]()
    if not names:
        return [card for card in plugins().cards("finders") if set(card.needs) <= given]
    cards = [plugins().find("finders", name) for name in names]
    for card in cards:
        if more := set(card.needs) - given:
            raise UsageError(
                f"finder {card.name!r} needs {' and '.join(sorted(more))}, which a benchmark does not give"
            )
    return cards


def _targets(recipe: BenchmarkRecipe, names: Sequence[str]) -> list[Target]:
    known = {target.name: target for target in recipe.targets}
    for name in names:
        if name not in known:
            raise not_found("target", name, known, f"They are those of {recipe.name}.")
    return [target for name, target in known.items() if not names or name in names]


def _heads(names: Sequence[str]) -> Iterator[Card]:
    cards = plugins().cards("heads")
    for name in names:
        if name not in {card.name for card in cards}:
            raise not_found("head", name, {card.name for card in cards}, "See 'hspace list-heads'.")
    yield from (card for card in cards if not names or card.name in names)


def _finding(backbone: str, target: Target, finders: Sequence[Card], heads: Sequence[Card]) -> Iterator[Entry]:
    for card in finders:
        if "head" in inspect.signature(card.load()).parameters:
            for head in heads:
                yield Entry(backbone, target.name, card.name, head.name, plugin=head.plugin)
        else:
            yield Entry(backbone, target.name, card.name, plugin=card.plugin)


def _there(backbone: str, target: Target, finders: Sequence[Card]) -> Iterator[Entry]:
    names = {card.name for card in finders}
    for entry in registry.entries():
        try:
            meta = entry.meta()
        except RefusedError:
            continue  # 'hspace verify' tells of damaged ones
        if meta.backbone.id == backbone and meta.prompts == target.prompts and meta.provenance.finder in names:
            head = meta.head.name if meta.head else None
            yield Entry(backbone, target.name, meta.provenance.finder, head, entry.id, entry.owner)
