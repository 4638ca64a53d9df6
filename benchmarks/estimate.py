"""What `discover --estimate` says against what `discover` then takes: toy faces, 8 pictures of a source, one epoch."""

import os
import tempfile
import time
from pathlib import Path

import torch
from recording import record

from hspace.cost import total
from hspace.discovery import discover, estimate

BACKBONE, ROUNDS = "ddpmpp-toyfaces-32", 2
ASKED = {
    "finder": "asyrp", "prompts": ("a face", "a face with glasses"), "encoder": "toyclip", "source": "toyfaces",
    "samples": 8, "config": {"epochs": 1, "rate": 0.02},
}  # fmt: skip


def main() -> None:
    """Says and runs it in turn, each time with an empty cache, and records the ratios."""
    torch.set_num_threads(1)
    said, took, passes = [], [], 0
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HSPACE_CACHE"], os.environ["HSPACE_HOME"] = f"{folder}/cache", f"{folder}/home"
            cost = estimate(BACKBONE, **ASKED)
            started = time.perf_counter()
            discover(BACKBONE, **ASKED, out=Path(folder))
            took.append(time.perf_counter() - started)
            said.append(cost.seconds)
            passes = total(cost.stages).encoder
    record(
        "estimate",
        {
            "backbone": BACKBONE,
            "encoder_passes": passes,
            "estimated_s": [round(one, 1) for one in said],
            "took_s": [round(one, 1) for one in took],
            "ratio": [round(one / other, 3) for one, other in zip(said, took, strict=True)],
            "load": [round(one, 1) for one in os.getloadavg()],
        },
    )


if __name__ == "__main__":
    main()
