"""Models by name, in folders and in files."""

import json
import os
import socket
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import constants

from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.loading import load_encoder
from hspace.storage import read_tensors, write_tensors
from hspace_clip.encoder import ClipEncoder

WEIGHTS = "open_clip_model.safetensors"


class Bomb:
    """What a pickle runs when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo the pickle ran > ran.txt",)


def test_a_folder_gives_what_open_clip_gives(checkpoint: Path) -> None:
    ours = load_encoder(checkpoint)
    theirs = open_clip.create_model(f"local-dir:{checkpoint}").eval().requires_grad_(False)
    tokens = open_clip.get_tokenizer(f"local-dir:{checkpoint}")(["a smiling face"])
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert isinstance(ours, ClipEncoder)
    assert torch.equal(ours.texts(["a smiling face"]), theirs.encode_text(tokens, normalize=True))
    seen = theirs.encode_image(ours.preprocess(picture), normalize=True)
    assert torch.equal(ours.images(picture), seen)


def test_the_config_says_how_pictures_are_scaled(checkpoint: Path) -> None:
    encoder = load_encoder(checkpoint)
    assert isinstance(encoder, ClipEncoder)
    assert (encoder.preprocess.mean, encoder.preprocess.std) == ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert encoder.preprocess.size == (32, 32)


def test_a_torch_archive_gives_the_same_as_safetensors(checkpoint: Path) -> None:
    file = checkpoint / "mine.pt"
    torch.save({"state_dict": read_tensors(checkpoint / WEIGHTS)}, file)
    assert load_encoder(file).digest == load_encoder(checkpoint).digest


def test_other_weights_have_another_digest(checkpoint: Path) -> None:
    before = load_encoder(checkpoint).digest
    weights = read_tensors(checkpoint / WEIGHTS)
    write_tensors(checkpoint / WEIGHTS, {**weights, "logit_scale": weights["logit_scale"] + 1})
    assert load_encoder(checkpoint).digest != before


def test_a_file_that_would_run_code_is_refused_and_does_not(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"visual.class_embedding": Bomb()}}, checkpoint / "evil.pt")
    with pytest.raises(RefusedError, match="is code"):
        load_encoder(checkpoint / "evil.pt")
    assert not (tmp_path / "ran.txt").exists()


def test_weights_that_do_not_fit_are_refused(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "open_clip_config.json").read_text())
    config["model_cfg"]["embed_dim"] = 24
    (checkpoint / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(RefusedError, match="does not fit its config"):
        load_encoder(checkpoint)


@pytest.mark.parametrize("content", ["not json", "{}", '{"model_cfg": {"embed_dim": 3}}'])
def test_a_damaged_config_is_refused(checkpoint: Path, content: str) -> None:
    (checkpoint / "open_clip_config.json").write_text(content)
    with pytest.raises(RefusedError, match="describes no CLIP"):
        load_encoder(checkpoint)


def test_a_folder_without_weights_says_which_files_it_looked_for(checkpoint: Path) -> None:
    (checkpoint / WEIGHTS).unlink()
    with pytest.raises(NotFoundError, match=WEIGHTS):
        load_encoder(checkpoint)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"no encoder family reads .* \(tried: open-clip\)"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ViT-B-16-quickgelu/opnai", "did you mean 'openai'"),
        ("ViT-B-61/openai", "no open_clip model is called 'ViT-B-61'; did you mean 'ViT-B-16'"),
        ("toyclipp", "did you mean 'toyclip'"),
    ],
)
def test_a_name_that_is_not_known_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(NotFoundError, match=hint):
        load_encoder(name)


def test_the_name_of_the_family_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match="it needs a model"):
        load_encoder("open-clip")


def test_a_missing_download_offline_is_one_clear_error_without_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotFoundError, match="HF_HUB_OFFLINE is set") as raised:
        load_encoder("ViT-B-16-quickgelu/openai")
    assert raised.value.exit_code == 4
    assert "weights of ViT-B-16-quickgelu/openai are not in the hub's cache" in str(raised.value)
    assert "'toyclip' needs no download" in str(raised.value)
