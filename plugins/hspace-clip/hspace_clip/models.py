"""Finding, checking and loading open_clip models."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hspace.archive import read_checkpoint
from hspace.errors import HspaceError, NotFoundError, RefusedError, not_found
from hspace.storage import write_tensors
from hspace.zoo import CARD_FILE, read_card
from hspace_clip import DEFAULT
from hspace_clip.encoder import ClipEncoder, Tokenizer
from hspace_clip.picture import read_preprocess
from hspace_clip.vocabulary import VOCABULARY, read_vocabulary

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What open_clip calls its files; the first of the weights that is there is taken."""
Device = str | torch.device


def load_default(device: Device = "cpu") -> ClipEncoder:
    """OpenAI's ViT-B/16; raises as `load` does."""
    encoder = load(device, DEFAULT)
    assert encoder is not None
    return encoder


def load(device: Device = "cpu", model: str | Path = DEFAULT) -> ClipEncoder | None:
    """The encoder of a name MODEL/WEIGHTS, or in a folder, or in a file beside its config; None for anything else.

    Raises NotFoundError when open_clip does not know the model or the weights, or they are to be had only over a
    network that is not there; RefusedError for files that are unsafe or damaged, or do not fit their config.
    """
    path = Path(model)
    if path.is_file() and (path.parent / CONFIG).is_file():
        return _local(path.parent, path, device)
    if (path / CONFIG).is_file():
        return _local(path, _weights_in(path), device)
    architecture, slash, weights = str(model).partition("/")
    if path.exists() or not (slash and architecture and weights) or path.is_absolute() or architecture.startswith("."):
        return None
    return _published(architecture, weights, device)


def _local(folder: Path, weights: Path, device: Device) -> ClipEncoder:
    from open_clip.transform import PreprocessCfg

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model_config, preprocess = config["model_cfg"], config.get("preprocess_cfg", {})
        model = _random(model_config)
        tokenizer = _local_tokenizer(folder, model_config)
    except HspaceError:
        raise
    except Exception as error:  # a config is read by open_clip, which raises whatever comes
        raise RefusedError(f"{folder / CONFIG} describes no CLIP ({type(error).__name__}: {error})") from error
    _fill(model, weights)
    size = {"size": model.visual.image_size}
    seen = read_preprocess({**vars(PreprocessCfg()), **preprocess, **size})
    name = read_card(folder, kind="encoders").name if (folder / CARD_FILE).is_file() else folder.resolve().name
    return ClipEncoder(name, model.to(device), tokenizer, seen)


def _weights_in(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise NotFoundError(
        f"{folder} has no weights: {' or '.join(WEIGHTS)}. Give the file itself if it has another name."
    )


def _random(config: Mapping[str, Any]) -> Any:
    """open_clip's network of that `model_cfg`, with random weights; nothing is downloaded."""
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    if "hf_model_name" in config["text_cfg"] or "timm_model_name" in config["vision_cfg"]:
        text = {**config["text_cfg"], "hf_model_pretrained": False}
        vision = {**config["vision_cfg"], "timm_model_pretrained": False}
        config = {**config, "text_cfg": text, "vision_cfg": vision}
    arguments = {name: value for name, value in config.items() if name != "custom_text"}
    if "multimodal_cfg" in config:
        return CoCa(**arguments)
    custom = config.get("custom_text") or "hf_model_name" in config["text_cfg"]
    return CustomTextCLIP(**arguments) if custom else CLIP(**arguments)


def _local_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    import open_clip

    if (folder / VOCABULARY).is_file():
        vocabulary = read_vocabulary(folder / VOCABULARY, config["text_cfg"]["context_length"])
        if len(vocabulary) != config["text_cfg"]["vocab_size"]:
            raise RefusedError(
                f"{folder / VOCABULARY} has {len(vocabulary)} tokens; the model of {CONFIG} beside it wants "
                f"{config['text_cfg']['vocab_size']}"
            )
        return vocabulary
    tokenizer: Tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    return tokenizer


def _fill(model: nn.Module, weights: Path) -> None:
    """Puts the weights of a file into the model by open_clip's own reader, which sees nothing but checked tensors."""
    from open_clip.factory import load_checkpoint

    tensors = read_checkpoint(weights)
    try:
        if weights.suffix == ".safetensors":
            load_checkpoint(model, str(weights))
            return
        with tempfile.TemporaryDirectory() as folder:
            write_tensors(Path(folder) / "checked.safetensors", tensors)
            load_checkpoint(model, str(Path(folder) / "checked.safetensors"))
    except (RuntimeError, KeyError, ValueError) as error:
        raise RefusedError(f"{weights} does not fit its config: {' '.join(str(error).split())[:300]}") from error


def _published(architecture: str, weights: str, device: Device) -> ClipEncoder:
    import open_clip
    from open_clip.transform import PreprocessCfg

    tags = _tags(architecture)
    if weights not in tags:
        raise not_found(f"weights of {architecture}", weights, tags, "Give MODEL/WEIGHTS, as open_clip calls them.")
    facts = open_clip.get_pretrained_cfg(architecture, weights)
    path = _downloaded(f"{architecture}/{weights}", facts)
    model = open_clip.create_model(architecture, pretrained_image=False, pretrained_text=False)
    _fill(model, path)
    told = {name: value for name, value in facts.items() if name in vars(PreprocessCfg())}
    seen = read_preprocess({**vars(PreprocessCfg()), **told, "size": model.visual.image_size})
    tokenizer: Tokenizer = open_clip.get_tokenizer(architecture)
    return ClipEncoder(f"{architecture}/{weights}", model.to(device), tokenizer, seen)


def _tags(architecture: str) -> list[str]:
    import open_clip

    known = {name for name, _ in open_clip.list_pretrained()}
    if architecture not in known:
        raise not_found("open_clip model", architecture, known, "Give MODEL/WEIGHTS, as open_clip calls them.")
    return list(open_clip.list_pretrained_tags_by_model(architecture))


def _downloaded(name: str, facts: Mapping[str, Any]) -> Path:
    """The file of published weights, from the cache or the network."""
    from huggingface_hub import is_offline_mode
    from open_clip.pretrained import download_pretrained

    missing = f"the weights of {name} are not in the hub's cache"
    if is_offline_mode() and not facts.get("hf_hub"):
        raise NotFoundError(f"{missing}, and HF_HUB_OFFLINE is set. {WAY_OUT}")
    try:
        return Path(download_pretrained(facts))
    except Exception as error:  # OSError, URLError, the hub's and open_clip's own
        told = " ".join(str(error).split())[:200]
        why = "HF_HUB_OFFLINE is set" if is_offline_mode() else f"could not be fetched ({told})"
        raise NotFoundError(f"{missing}, and {why}. {WAY_OUT}") from error


WAY_OUT = (
    "Run it once where there is a network (without HF_HUB_OFFLINE) and bring the hub's cache along (HF_HOME), or give "
    f"a folder with {CONFIG} and {WEIGHTS[0]} instead of the name. 'toyclip' needs no download."
)
