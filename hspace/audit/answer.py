"""An audit as JSON, and the table that people read of it; what the table says is all in the JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from hspace.audit.auditing import BEFORE, EDIT, Audit

WHEN = {BEFORE: "before any edit", EDIT: "by the edit"}


def answer(audit: Audit, group: str) -> dict[str, Any]:
    """All of an audit as JSON has it: its settings, the groups, and for each metric the means and the gaps."""
    return {
        "direction": audit.direction.id,
        "strength": audit.strength,
        "group": group,
        "backbone": audit.direction.meta.backbone.id,
        "settings": {key: value for key, value in audit.evaluation.settings.items() if key != "subjects"},
        "n": min(map(len, audit.groups.values())),
        "compared": [
            {
                "metric": line.compared.metric,
                "stage": line.stage,
                "detail": line.detail,
                "means": {name: asdict(mean) for name, mean in line.compared.means.items()},
                "gaps": [asdict(gap) for gap in line.compared.gaps],
            }
            for line in audit.lines
        ],
        "absent": [asdict(one) for one in audit.evaluation.absent],
        "groups": {name: list(names) for name, names in audit.groups.items()},
    }


def header(found: Mapping[str, Any]) -> list[str]:
    """The columns of the table."""
    return ["metric", "", *found["groups"], "gap", "p"]


def rows(found: Mapping[str, Any], details: bool = False) -> Iterator[list[str]]:
    """A row for each metric and stage, and each two groups: means, the gap between them, and its p, `*` below 5 %.

    Of the details, only those with such a gap, unless `details`.
    """
    for one in found["compared"]:
        for gap in one["gaps"]:
            clear = gap["p"] < 0.05
            if one["detail"] and not (clear or details):
                continue
            means = [_mean(one["means"][name]) if name in one["means"] else "-" for name in found["groups"]]
            difference = f"{gap['value']:+.3g} [{gap['low']:+.3g}, {gap['high']:+.3g}]"
            if len(found["groups"]) > 2:
                difference = f"{gap['one']} - {gap['other']}: {difference}"
            yield [one["metric"], WHEN[one["stage"]], *means, difference, f"{gap['p']:.3f}{' *' if clear else ''}"]


def note(found: Mapping[str, Any]) -> str:
    """What the table is of, in a sentence."""
    return (
        f"{found['direction']} at strength {found['strength']:g}; {found['n']} pictures of each group, of "
        f"{found['settings']['pictures']}. Means and gaps with their 95 % bootstrap intervals; * marks a gap with "
        f"p < 0.05, all metrics of a stage tested together."
    )


def markdown(found: Mapping[str, Any], details: bool = False) -> str:
    """The table in Markdown, and the note below."""
    columns = header(found)
    lines = [columns, ["---"] * len(columns), *rows(found, details)]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", note(found)]) + "\n"


def _mean(mean: Mapping[str, Any]) -> str:
    return f"{mean['value']:.3g} [{mean['low']:.3g}, {mean['high']:.3g}]"
