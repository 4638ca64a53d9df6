"""What several tests need."""

import json
from pathlib import Path

import pytest
import torch

from hspace.storage import write_tensors
from hspace.testing import hspace_home as hspace_home

torch.set_num_threads(1)

MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder in open_clip's layout with a random-weight ViT and OpenAI's own vocabulary."""
    from open_clip.model import CLIP

    torch.manual_seed(0)
    folder = tmp_path / "tiny-vit"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": MODEL, "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}})
    )
    write_tensors(folder / "open_clip_model.safetensors", CLIP(**MODEL).state_dict())
    return folder
