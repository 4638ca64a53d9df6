"""What an evaluation found: every result, by direction, strength and metric, and what could not be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hspace.errors import UsageError, not_found
from hspace.evaluation.measuring import Absent
from hspace.metric import Result


@dataclass(frozen=True)
class Row:
    """A result, and of which direction, strength and metric; what several strengths say together has none."""

    direction: str
    strength: float | None
    metric: str
    result: Result


@dataclass(frozen=True)
class Evaluation:
    """What was measured, on which pictures and how; `absent` says what was not, and why.

    Of several processes the main one has the results; those of the others are empty.
    """

    settings: Mapping[str, Any]
    pictures: tuple[str, ...]
    rows: tuple[Row, ...]
    absent: tuple[Absent, ...]

    def find(self, name: str, *, pair: str = "", direction: str | None = None, strength: float | None = None) -> Result:
        """The result of that name and pair; the direction and the strength may be left away where there is one.

        Raises NotFoundError when there is none, UsageError when there are several.
        """
        found = [
            row.result
            for row in self.rows
            if (row.result.name, row.result.pair) == (name, pair)
            and direction in (None, row.direction)
            and strength in (None, row.strength)
        ]
        if not found:
            known = {f"{row.result.name} {row.result.pair}".strip() for row in self.rows}
            raise not_found("result", f"{name} {pair}".strip(), known, "See the metrics that were measured.")
        if len(found) > 1:
            raise UsageError(f"{len(found)} results are called {name!r}; say which direction and strength")
        return found[0]

    def by_picture(
        self, name: str, *, pair: str = "", direction: str | None = None, strength: float | None = None
    ) -> dict[str, float]:
        """The number of each picture, by its name, of a result that has them; raises as `find` does."""
        values = self.find(name, pair=pair, direction=direction, strength=strength).values
        return {self.pictures[index]: value for index, value in values.items()}

    def answer(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        results = []
        for row in self.rows:
            told = asdict(row.result)
            told["values"] = {self.pictures[index]: value for index, value in row.result.values.items()}
            results.append({"direction": row.direction, "strength": row.strength, "metric": row.metric, **told})
        return {
            "settings": dict(self.settings),
            "pictures": list(self.pictures),
            "results": results,
            "absent": [asdict(one) for one in self.absent],
        }
