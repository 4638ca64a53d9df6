"""The benchmarks run, on a random network; what they measure there means nothing."""

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", ["asyrp_speed", "asyrp_heads", "half_precision", "unsupervised"])
def test_a_benchmark_writes_a_result_that_its_table_can_show(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    recording, tables, script = (__import__(module) for module in ("recording", "tables", name))
    for module in (recording, tables):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    script.main(["--quick"])
    assert json.loads((tmp_path / f"{name}.json").read_text())["quick"]
    rows = getattr(tables, name.removeprefix("asyrp_"))().splitlines()
    assert len({row.count("|") for row in rows if row.startswith("|")}) == 1
