"""Fenced blocks of Markdown documents, and how they are run."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = re.compile(r"<!-- not run: (?P<why>.+) -->")
FILE = re.compile(r"<!-- file: (?P<path>[\w./-]+) -->")
SHELLS = {"bash", "console", "sh", "shell"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, its line, and what the comment above it says."""

    language: str
    text: str
    line: int
    comment: str

    @property
    def skipped(self) -> str | None:
        """Why it is not run, where the comment above says so."""
        found = NOT_RUN.fullmatch(self.comment)
        return found["why"] if found else None

    @property
    def file(self) -> str | None:
        """The file that it is the content of, where the comment above says so."""
        found = FILE.fullmatch(self.comment)
        return found["path"] if found else None

    @property
    def script(self) -> str:
        """What a shell is given: of a console session the commands, without prompts and output."""
        if self.language != "console":
            return self.text
        return "\n".join(line[2:] for line in self.text.splitlines() if line.startswith("$ "))


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found: list[Block] = []
    lines = document.read_text(encoding="utf-8").splitlines()
    opened: int | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        before = [text for text in lines[:opened] if text.strip()]
        text = "\n".join(lines[opened + 1 : number]) + "\n"
        found.append(Block(lines[opened][3:].strip(), text, opened + 1, before[-1] if before else ""))
        opened = None
    assert opened is None, f"{document}: the block at line {(opened or 0) + 1} is never closed"
    return found


def run(document: Path, folder: Path) -> int:
    """Runs a document's blocks, top to bottom, in an empty folder with a registry of its own; returns how many.

    Blocks under a `file` comment are written, shell blocks run one by one, and the Python blocks run last, as one
    program.
    """
    done, pending = 0, ""
    for block in blocks(document):
        if block.skipped is not None:
            continue
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            pending += "\n" * (block.line - pending.count("\n")) + block.text  # tracebacks show the document's lines
        elif block.language in SHELLS:
            _shell(block, document, folder)
        else:
            continue
        done += 1
    if pending:
        script = folder / f"{document.stem}-blocks.py"
        script.write_text(pending, encoding="utf-8")
        _check([sys.executable, str(script)], f"the Python blocks of {document}", folder)
    return done


def _shell(block: Block, document: Path, folder: Path) -> None:
    _check(["bash", "-euo", "pipefail", "-c", block.script], f"{document}, line {block.line}", folder)


def _check(command: list[str], what: str, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HSPACE_")}
    own = {"PATH": path, "HSPACE_HOME": str(folder / "home"), "HSPACE_CACHE": str(folder / "cache")}
    own |= {"COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=folder, env={**kept, **own}, text=True, capture_output=True)
    assert ran.returncode == 0, f"{what}\n{ran.stdout}\n{ran.stderr}"
