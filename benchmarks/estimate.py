"""What `discover --estimate` says against what `discover` then takes: toy faces, 8 pictures of a source, one epoch."""

import os
import tempfile
import time
from pathlib import Path

import torch
from recording import record

from hspace.cost import total
from hspace.discovery import discover, estimate

BACKBONE = "ddpmpp-toyfaces-32"
ASKED = {
    "finder": "asyrp", "prompts": ("a face", "a face with glasses"), "encoder": "toyclip", "source": "toyfaces",
    "samples": 8, "config": {"epochs": 1, "rate": 0.02},
}  # fmt: skip


def main() -> None:
    """Says it and runs it, with an empty cache, and records the ratio, both by the CPU's clock: machines are shared."""
    torch.set_num_threads(1)
    time.perf_counter = time.process_time
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HSPACE_CACHE"], os.environ["HSPACE_HOME"] = f"{folder}/cache", f"{folder}/home"
        cost = estimate(BACKBONE, **ASKED)
        took = discover(BACKBONE, **ASKED, out=Path(folder)).seconds
    record(
        "estimate",
        {
            "backbone": BACKBONE,
            "estimated_cpu_s": {stage.name: round(stage.seconds, 1) for stage in cost.stages},
            "estimated_cpu_s_in_all": round(cost.seconds, 1),
            "took_cpu_s": round(took, 1),
            "ratio": round(cost.seconds / took, 3),
            "encoder_passes": total(cost.stages).encoder,
        },
    )


if __name__ == "__main__":
    main()
