"""How a benchmark times two things in turn and writes down what it found."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def interleaved(one: Callable[[], Any], other: Callable[[], Any], rounds: int) -> tuple[list[float], list[float]]:
    """CPU seconds of this process for each of the two, called in turn after one warm-up each."""
    one()
    other()
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds):
        order = [(one, times[0]), (other, times[1])]
        for function, record in order if index % 2 == 0 else reversed(order):  # neither is always first
            start = time.process_time()
            function()
            record.append(time.process_time() - start)
    return times


def record(name: str, result: dict[str, Any]) -> None:
    """Writes a result beside the machine and the versions it was measured with, and prints it."""
    machine = {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()}
    machine |= {"torch_threads": torch.get_num_threads(), "python": platform.python_version()}
    versions = {package: version(package) for package in ("torch", "diffusers", "hspace")}
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"benchmark": name, **result, "machine": machine, "versions": versions}, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def spread(seconds: list[float]) -> dict[str, float]:
    """The minimum, median and maximum of some times."""
    values = {"min": min(seconds), "median": statistics.median(seconds), "max": max(seconds)}
    return {key: round(value, 4) for key, value in values.items()}
