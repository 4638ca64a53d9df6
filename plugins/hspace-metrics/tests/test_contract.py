"""Every metric of the plugin, held to the contract."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hspace.testing import MetricContract
from hspace_asyrp.lpips import Lpips


class TestLpips(MetricContract):
    metric = "lpips"
    tolerance = 1e-4

    def settings(self, tmp_path: Path) -> Mapping[str, Any]:
        path = tmp_path / "lpips.safetensors"
        if not path.exists():
            from hspace.storage import write_tensors

            torch.manual_seed(0)
            named = {
                name.replace("heads.", "lin").replace(".weight", ".model.1.weight") if "heads" in name else name: one
                for name, one in Lpips().state_dict().items()
            }
            write_tensors(path, {name: one.abs() if "lin" in name else one for name, one in named.items()})
        return {"weights": [path]}


class TestConsistency(MetricContract):
    metric = "sc"
    config: Mapping[str, Any] = {"segmenter": "metric_models:halves"}


class TestFid(MetricContract):
    metric = "fid"
    config: Mapping[str, Any] = {"features": "metric_models:small"}


class TestKid(MetricContract):
    metric = "kid"
    config: Mapping[str, Any] = {"features": "metric_models:small"}
