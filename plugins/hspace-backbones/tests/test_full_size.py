"""Published architectures at full size, with random weights: what converting and editing take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .full_size import make

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is read as Unix tells it")
SCRIPT = Path(__file__).with_name("full_size.py")
MOST_MEMORY = 16 * 2**30
MOST_OF_FILE = 2.5


def took(name: str, folder: Path, stage: str) -> dict[str, int]:
    call = [sys.executable, str(SCRIPT), name, str(folder), stage]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["ddpm-celebahq256", "iddpm-afhqdog256", "adm-imagenet256-uncond", "adm-imagenet256-cond", "ldm-celebahq256"],
)
def test_a_full_size_model_converts_and_is_edited_within_16_gb(tmp_path: Path, name: str) -> None:
    took(name, tmp_path, "make")
    converted = took(name, tmp_path, "convert")
    assert converted["peak"] - converted["before"] < MOST_OF_FILE * converted["bytes"]
    assert took(name, tmp_path, "edit")["peak"] < MOST_MEMORY


def test_converting_takes_less_than_two_and_a_half_times_the_file(tmp_path: Path) -> None:
    make("iddpm-cifar10", tmp_path / "model.pt")
    converted = took("iddpm-cifar10", tmp_path, "convert")
    assert converted["bytes"] > 150_000_000
    assert converted["peak"] - converted["before"] < MOST_OF_FILE * converted["bytes"]
