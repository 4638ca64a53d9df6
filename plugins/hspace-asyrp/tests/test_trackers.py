"""Trackers: told of every loss by their names in accelerate, and missed by the name of their package."""

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hspace.errors import NotFoundError, UsageError
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build

from .colours import Colours, task

pytestmark = pytest.mark.usefixtures("hspace_home")


@pytest.fixture
def lines() -> Iterator[str]:
    """A tracker of one's own: it writes lines to a file."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, register_tracker_class

    class Lines(GeneralTracker):  # type: ignore[misc]
        name, requires_logging_directory = "lines", True

        def __init__(self, run_name: str, logging_dir: Path, **_: Any) -> None:
            super().__init__()
            self.path = Path(logging_dir) / f"{run_name}.jsonl"

        @property
        def tracker(self) -> Path:
            return self.path

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            self.path.write_text(json.dumps(values) + "\n")

        def log(self, values: dict[str, Any], step: int | None, **_: Any) -> None:
            with self.path.open("a") as file:
                file.write(json.dumps({**values, "step": step}) + "\n")

        def finish(self) -> None:
            with self.path.open("a") as file:
                file.write('"finished"\n')

    register_tracker_class(Lines)
    yield "lines"
    del LOGGER_TYPE_TO_CLASS["lines"]


def trained(colours: Colours, tracker: str, folder: Path) -> None:
    backbone = PlantedBackbone()
    finder = build(fidelity="paper", t_edit=400, epochs=2, rate=0.05, tracker=tracker)
    next(finder.find(backbone, replace(task(colours, backbone), folder=folder)))


def test_a_tracker_is_told_of_the_config_and_of_every_loss(colours: Colours, lines: str, tmp_path: Path) -> None:
    trained(colours, lines, tmp_path)
    config, *told, last = [json.loads(line) for line in (tmp_path / "hspace.jsonl").read_text().splitlines()]
    logged = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert (config["epochs"], config["fidelity"], last) == (2, "paper", "finished")
    assert told == [{"loss": loss, "step": index} for index, loss in enumerate(logged, start=1)]


def test_tensorboard_gets_its_events(colours: Colours, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    trained(colours, "tensorboard", tmp_path)
    assert list(tmp_path.rglob("events.out.tfevents*"))


@pytest.mark.parametrize("name", [name for name in ("wandb", "tensorboard", "comet_ml") if find_spec(name) is None])
def test_a_tracker_that_is_not_installed_names_its_package(name: str) -> None:
    package = name.replace("_", "-")
    with pytest.raises(UsageError, match=f"needs the package {package}, which is not installed: pip install {package}"):
        build(tracker=name)


def test_an_unknown_tracker_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="no tracker is called 'tensorbord'; did you mean 'tensorboard'"):
        build(tracker="tensorbord")
