"""The tables of the documents are those of the committed results, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hspace.audit import answer
from hspace.benchmark import board

DOCS = Path(__file__).parents[1] / "docs"
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "benchmark": ("benchmark.md", board.markdown),
    **{f"audit-{name}": ("audit.md", answer.markdown) for name in ("balanced", "head", "backbone")},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_the_documents_is_made_of_its_committed_result(name: str) -> None:
    page, table = TABLES[name]
    found = json.loads((DOCS / "results" / f"{name}.json").read_text())
    assert table(found) in (DOCS / page).read_text()
