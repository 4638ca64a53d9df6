"""The documents say what works: every block of theirs is run, or says why not."""

from pathlib import Path

import pytest
from documents import Block, blocks, run

ROOT = Path(__file__).parents[1]
NOT_RUN = {
    "README.md": 2,
    "docs/guide.md": 0,
    "docs/audit.md": 2,
    "docs/benchmark.md": 2,
    "docs/plugins.md": 1,
    "docs/convert.md": 1,
    "docs/backbones.md": 1,
    "docs/import.md": 1,
    "docs/fidelity.md": 1,
    "plugins/hspace-metrics/README.md": 1,
}
"""How many blocks of each document are not run; each says why in a comment above it."""


@pytest.mark.parametrize("name", NOT_RUN)
def test_every_block_of_a_document_runs(name: str, tmp_path: Path) -> None:
    assert run(ROOT / name, tmp_path) > 0


@pytest.mark.parametrize(("name", "count"), NOT_RUN.items())
def test_no_more_blocks_are_left_out_than_we_know_of(name: str, count: int) -> None:
    assert len([block for block in blocks(ROOT / name) if block.skipped]) == count


def document(folder: Path, text: str) -> Path:
    path = folder / "document.md"
    path.write_text(text)
    return path


def test_blocks_are_found_with_language_line_and_comment(tmp_path: Path) -> None:
    page = document(
        tmp_path, "# Title\n\n<!-- not run: slow -->\n\n```console\n$ sleep 9\nzzz\n```\n```toml\na = 1\n```\n"
    )
    first, second = blocks(page)
    assert first == Block("console", "$ sleep 9\nzzz\n", 5, "<!-- not run: slow -->")
    assert (first.skipped, first.script) == ("slow", "sleep 9")
    assert (second.language, second.skipped, second.line) == ("toml", None, 9)


def test_a_block_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the block at line 1 is never closed"):
        blocks(document(tmp_path, "```python\n"))


def test_files_are_written_and_python_blocks_share_their_names(tmp_path: Path) -> None:
    page = "<!-- file: a/b.txt -->\n```text\nhello\n```\n```python\nx = 1\n```\n```python\nassert x == 1\n```\n"
    page += "```bash\ngrep -q hello a/b.txt\n```\n```text\nnot a program\n```\n"
    assert run(document(tmp_path, page), tmp_path) == 4


@pytest.mark.parametrize("block", ["```python\nassert False\n```\n", "```console\n$ false\n$ true\n```\n"])
def test_a_block_that_fails_is_a_failure(tmp_path: Path, block: str) -> None:
    with pytest.raises(AssertionError, match=r"document\.md"):
        run(document(tmp_path, block), tmp_path)
