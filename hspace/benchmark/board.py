"""The leaderboard of a benchmark: JSON, and what is made of that alone: a table in Markdown, and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hspace.benchmark.recipe import BenchmarkRecipe
from hspace.plots import drawing

REACHED = 0.8
"""The share of the effect that is asked for, from which an entry is ranked among those that reached it."""


def board(recipe: BenchmarkRecipe, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The leaderboard as JSON has it: the recipe, and the rows of each target, the best first.

    Those that reach the effect come first, by the second column, the smallest the best; then those that do not, by
    their effect; then those that failed.
    """
    signs = {target.name: target.sign for target in recipe.targets}
    first, second = recipe.columns[0].title, recipe.columns[1].title

    def rank(row: Mapping[str, Any]) -> tuple[int, float]:
        if "reason" in row:
            return 3, 0.0
        effect, good = (row["columns"][title].get("mean") for title in (first, second))
        if effect is None:
            return 2, 0.0
        if signs[row["target"]] * effect < REACHED * recipe.reach or good is None:
            return 1, -signs[row["target"]] * effect
        return 0, good

    order = list(signs)
    ranked = sorted(rows, key=lambda row: (row["backbone"], order.index(row["target"]), *rank(row)))
    return {"benchmark": recipe.name, "recipe": recipe.model_dump(mode="json"), "rows": [dict(row) for row in ranked]}


def header(found: Mapping[str, Any]) -> list[str]:
    """The columns of the table."""
    titles = [column["title"] for column in found["recipe"]["columns"]]
    return ["backbone", "target", "found by", "head", "strength", *titles, "CPU s", "kB", "passes"]


def table(found: Mapping[str, Any]) -> Iterator[list[str]]:
    """The rows as texts; what nobody knows is a dash."""
    titles = [column["title"] for column in found["recipe"]["columns"]]
    for row in found["rows"]:
        by = f"{row['finder']}, {row['direction']}" if row["direction"] else row["finder"]
        known = "reason" not in row
        yield [
            row["backbone"], row["target"], by, row["head"] or "-",
            f"{row['strength']:+.3g}" if known else "-",
            *(_cell(row["columns"][title]) if known else "-" for title in titles),
            f"{row['cpu_seconds']:.0f}" if known and row["cpu_seconds"] is not None else "-",
            f"{row['bytes'] / 1000:.0f}" if known else "-",
            f"{row['passes']['encoder']} + {row['passes']['decoder']}" if known else "-",
        ]  # fmt: skip


def notes(found: Mapping[str, Any]) -> list[str]:
    """How the table is to be read, in sentences; and why an entry has no numbers."""
    recipe = found["recipe"]
    seeds = ", ".join(map(str, recipe["seeds"]))
    told = [
        f"Each number is the mean over {len(recipe['seeds'])} sets of {recipe['n']} pictures of {recipe['source']}, of "
        f"seeds {seeds}, and the spread the standard deviation between the sets. Directions were found on latents of "
        f"seed {recipe['find_seed']}; the strength is that at which {recipe['tune']} other pictures (seed "
        f"{recipe['tune_seed']}) reach {recipe['columns'][0]['title']} {recipe['reach']:g}, or the end of the "
        f"direction's range. Of each target, those that reach {REACHED:.0%} of it stand first, by "
        f"{recipe['columns'][1]['title']}. CPU seconds are those of finding, with nothing in the cache; kB are the "
        f"stored weights; passes are those of the encoder and the decoder for one edit in {recipe['steps']} steps, "
        f"without the inversion."
    ]
    for row in found["rows"]:
        if "reason" in row:
            head = f" with {row['head']}" if row["head"] else ""
            told.append(f"{row['finder']}{head} has no numbers on {row['target']}: {row['reason']}")
    return told


def markdown(found: Mapping[str, Any]) -> str:
    """The leaderboard in Markdown."""
    columns = header(found)
    lines = [columns, ["---"] * 4 + ["--:"] * (len(columns) - 4), *table(found)]
    return "\n\n".join(["\n".join(f"| {' | '.join(line)} |" for line in lines), *notes(found)]) + "\n"


def draw(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Plots of every other column against the effect, one point per entry: `<column>.png` in the folder."""
    first, *others = (column["title"] for column in found["recipe"]["columns"])
    return [_plot(found, first, title, folder / f"{title.replace(' ', '-')}.png") for title in others]


def _plot(found: Mapping[str, Any], x: str, y: str, path: Path) -> Path:
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in found["rows"]:
        columns = row.get("columns", {})
        if "mean" in columns.get(x, {}) and "mean" in columns.get(y, {}):
            name = " ".join(part for part in (row["finder"], row["head"], row["direction"] and "(stored)") if part)
            groups.setdefault(name, []).append((columns[x]["mean"], columns[y]["mean"]))
    with drawing(path, x, y) as axes:
        for name, points in groups.items():
            axes.plot(*zip(*points, strict=True), "o", label=name)
        if groups:
            axes.legend(fontsize="small")
    return path


def _cell(column: Mapping[str, Any]) -> str:
    if "mean" not in column:
        return "-"
    return f"{column['mean']:.3g}" + (f" ± {column['sd']:.2g}" if "sd" in column else "")
