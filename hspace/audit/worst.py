"""The worst cases of an audit, to look at: of each group the pictures that a metric says most of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from hspace.audit.auditing import EDIT, Audit
from hspace.errors import not_found
from hspace.images import contact_sheet, to_picture

USUAL = "flips"
"""The metric that says what is worst where nobody does and it was measured."""


def worst_metric(audit: Audit, asked: str | None = None) -> tuple[str, bool]:
    """The metric by which cases are the worst, and whether its lowest are: the one asked for, `-NAME` for its lowest.

    Else the flips of attributes, where they were measured, or the metric whose gap is the clearest. Raises
    NotFoundError for one that has no number per picture.
    """
    known = {line.compared.metric: line for line in audit.lines if line.stage == EDIT}
    name = asked.removeprefix("-") if asked else USUAL
    if asked and name not in known:
        raise not_found("metric", name, known, "It is one of those with a number per picture.")
    if name not in known:
        name = min(known, key=lambda one: min((gap.p for gap in known[one].compared.gaps), default=1.0))
    return name, bool(asked) and str(asked).startswith("-")


def worst_cases(audit: Audit, metric: str, lowest: bool = False, k: int = 4) -> dict[str, list[tuple[int, float]]]:
    """Of each group the k pictures, by number, with the highest (or lowest) value of a metric of the edit, and it."""
    values = next(
        row.result.values
        for row in audit.evaluation.rows
        if row.result.name == metric and row.result.pair in ("recon-edit", "") and row.result.values
    )
    sign = 1 if lowest else -1
    return {
        group: sorted(((one, values[one]) for one in some if one in values), key=lambda pair: sign * pair[1])[:k]
        for group, some in audit.numbers.items()
    }


def worst_sheet(audit: Audit, cases: Mapping[str, Sequence[tuple[int, float]]], title: str) -> Image.Image:
    """A row per group, and in it each case as it is, reconstructed, and edited; the values are in the row's label."""
    rows = [[_case(audit, number) for number, _ in some] for some in cases.values()]
    labels = [f"{group}: {_values(some)}" for group, some in cases.items()]
    return contact_sheet(rows, labels, ["original", "recon", "edit"], title)


def _case(audit: Audit, number: int) -> list[Image.Image]:
    (batch,) = audit.stream.at(number, number + 1)
    return [to_picture(one[0]) for one in (batch.orig, batch.recon, batch.edit) if one is not None]


def _values(some: Sequence[tuple[int, float]]) -> str:
    return ", ".join(f"{value:.3g}" for _, value in some)
