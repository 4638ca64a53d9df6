"""`hspace convert`: checkpoints of official code as folders, exactly, and unsafe files refused."""

import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hspace import SplitUNet, load_backbone
from hspace_backbones import openai, pesser
from hspace_backbones.arguments import OpenaiArguments, PesserArguments
from hspace_backbones.layers import official_shapes
from hspace_backbones.published import published

from .conftest import Cli
from .test_kill import HSPACE, killed_once

SHARED = Path(__file__).parents[3] / "shared" / "parity"
TINY = sorted(path for path in SHARED.glob("*-tiny.safetensors") if not path.name.startswith("asyrp"))
FAMILY = {"ddpm": "ddpmpp", "iddpm": "iddpm", "adm": "adm", "ldm": "ldm"}
ARGS = {
    "in_channels": 3,
    "model_channels": 8,
    "out_channels": 6,
    "num_res_blocks": 1,
    "attention_resolutions": [2],
    "image_size": 16,
    "channel_mult": [1, 2, 2],
    "num_heads": 2,
}
DDPM = {
    "ch": 8,
    "out_ch": 3,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [8],
    "in_channels": 3,
    "resolution": 16,
}


def random_weights(args: dict[str, Any]) -> dict[str, Tensor]:
    """An official state dict for those arguments."""
    layers = pesser.layers(PesserArguments.read(args)) if "ch" in args else openai.layers(OpenaiArguments.read(args))
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) / 10 for name, shape in official_shapes(layers).items()}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small ADM checkpoint."""
    torch.save(random_weights(ARGS), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of arguments."""

    def write(**content: Any) -> Path:
        path = tmp_path / "args.json"
        path.write_text(json.dumps(content or {"args": ARGS}))
        return path

    return write


def arguments(checkpoint: Path, args: Path, out: Path, family: str = "adm") -> list[str]:
    words = ["convert", checkpoint, "--family", family, "--args", args, "--norm-num-groups", 4, "--out", out]
    return [str(word) for word in words]


def assert_close(ours: Tensor, reference: Tensor) -> None:
    allowed = 1e-5 * max(1.0, reference.abs().max().item())
    assert (ours - reference).abs().max().item() <= allowed


@pytest.mark.skipif(not TINY, reason="the reference tensors are not beside this checkout")
@pytest.mark.parametrize("path", TINY, ids=lambda path: path.name)
@torch.no_grad()
def test_a_converted_folder_gives_the_official_outputs(cli: Cli, tmp_path: Path, path: Path) -> None:
    name = path.name.replace("-g32", "").removesuffix("-tiny.safetensors")
    facts = json.loads((SHARED / f"{name}.json").read_text())
    entry = next(one for one in facts["tiny"] if one["file"] == path.name)
    tensors = load_file(path)
    weights = {name.removeprefix("ckpt/"): t for name, t in tensors.items() if name.startswith("ckpt/")}
    io = {name.removeprefix("io/"): t for name, t in tensors.items() if name.startswith("io/")}
    torch.save({"state_dict": weights} if facts["family"] == "ldm" else weights, tmp_path / "model.ckpt")
    keys = ("args", "unet_args", "first_stage", "scale_factor")
    described = {name: entry[name] for name in keys if name in entry} | {"diffusion": facts["diffusion"]}
    (tmp_path / "args.json").write_text(json.dumps(described))
    words = arguments(tmp_path / "model.ckpt", tmp_path / "args.json", tmp_path / "out", FAMILY[facts["family"]])
    words[words.index("4")] = str(entry["norm_num_groups"])
    answer = cli(*words)
    assert answer.code == 0, answer.err
    backbone = load_backbone(tmp_path / "out")
    assert isinstance(backbone, SplitUNet)
    backbone = backbone.bind(label=io["y"]) if "y" in io else backbone
    channels = io["x"].shape[1]
    state = backbone.encode_h(io["x"], io["t"] / backbone.timestep_scale)
    assert_close(state.h, io["h"])
    assert_close(backbone.decode_h(state), io["out"][:, :channels])
    assert_close(backbone.decode_h(state, io["delta_h"]), io["out_edit"][:, :channels])
    if "fs_image" in io:
        assert_close(backbone.x0_to_image(io["scaled_latent"]), io["fs_decoded"])
    assert backbone.card is not None
    assert tuple(backbone.card.facts["h_shape"]) == tuple(state.h.shape[1:])


def test_the_card_keeps_what_a_diffusers_config_cannot(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path]
) -> None:
    args = described(
        args=ARGS, diffusion={"schedule": "cosine", "num_train_timesteps": 4000, "rescale_timesteps": True}
    )
    answer = cli(*arguments(checkpoint, args, tmp_path / "out"), "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["family"], answer.json["num_heads"], answer.json["timestep_scale"]) == ("adm", 2, 0.25)
    backbone = load_backbone(tmp_path / "out")
    assert len(backbone.alphas_cumprod) == 4000
    assert backbone.card is not None
    assert backbone.card.facts["official"] == ARGS


@pytest.mark.parametrize("suffix", ["pt", "bin", "safetensors", "old.pth"])
def test_every_kind_of_file_gives_the_same_folder(
    cli: Cli, tmp_path: Path, described: Callable[..., Path], suffix: str
) -> None:
    weights, path = random_weights(ARGS), tmp_path / f"model.{suffix}"
    if suffix == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=suffix != "old.pth")
    assert cli(*arguments(path, described(), tmp_path / "out")).code == 0
    written = load_file(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(written["conv_in.weight"], weights["input_blocks.0.0.weight"])


@pytest.mark.parametrize("averaged", [False, True])
def test_what_ddims_training_script_writes_is_read(
    cli: Cli, tmp_path: Path, described: Callable[..., Path], averaged: bool
) -> None:
    weights = random_weights(DDPM)
    model = {f"module.{name}": tensor for name, tensor in weights.items()}
    states = [model, {"state": {}, "param_groups": [{"lr": 2e-4}]}, 3, 100]
    torch.save([*states, {name: 2 * t for name, t in weights.items()}] if averaged else states, tmp_path / "ckpt.pth")
    answer = cli(*arguments(tmp_path / "ckpt.pth", described(args=DDPM), tmp_path / "out", "ddpmpp"))
    assert answer.code == 0, answer.err
    written = load_file(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(written["conv_in.weight"], (2 if averaged else 1) * weights["conv_in.weight"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_res_blocks": 2}, "num_res_blocks = 1 (2 was given)"),
        ({"channel_mult": [1, 2]}, "channel_mult = [1, 2, 2] ([1, 2] was given)"),
        ({"attention_resolutions": [4]}, "attention_resolutions = [2] ([4] was given)"),
        ({"out_channels": 3}, "out_channels = 6 (3 was given)"),
        ({"model_channels": 16}, "model_channels = 8 (16 was given)"),
        ({"num_classes": 10}, "num_classes = None (10 was given)"),
        ({"use_scale_shift_norm": True}, "use_scale_shift_norm = False (True was given)"),
        ({"resblock_updown": True}, "resblock_updown = False (True was given)"),
    ],
)
def test_the_argument_that_explains_a_mismatch_is_named(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path], changed: dict[str, Any], message: str
) -> None:
    answer = cli(*arguments(checkpoint, described(args={**ARGS, **changed}), tmp_path / "out"))
    assert answer.code == 3
    assert f"The file shows {message}." in answer.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_res_blocks": 2}, "num_res_blocks = 1 (2 was given)"),
        ({"ch_mult": [1, 3]}, "ch_mult = [1, 2] ([1, 3] was given)"),
        ({"attn_resolutions": [16]}, "attn_resolutions = [8] ([16] was given)"),
        ({"ch": 16}, "ch = 8 (16 was given)"),
    ],
)
def test_the_argument_that_explains_a_ddpm_mismatch_is_named(
    cli: Cli, tmp_path: Path, described: Callable[..., Path], changed: dict[str, Any], message: str
) -> None:
    torch.save(random_weights(DDPM), tmp_path / "model.ckpt")
    args = described(args={**DDPM, **changed})
    answer = cli(*arguments(tmp_path / "model.ckpt", args, tmp_path / "out", "ddpmpp"))
    assert answer.code == 3
    assert f"The file shows {message}." in answer.err


def test_a_checkpoint_of_another_family_is_refused(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path]
) -> None:
    answer = cli(*arguments(checkpoint, described(args=DDPM), tmp_path / "out", "ddpmpp"))
    assert answer.code == 3
    assert "is it of another family?" in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["args.json", "model.pt"]


def test_a_published_name_gives_the_arguments(cli: Cli, tmp_path: Path, checkpoint: Path) -> None:
    words = ["convert", str(checkpoint), "--family", "adm", "--out", str(tmp_path / "out")]
    answer = cli(*words, "--like", "256x256_diffusion_uncond")
    assert answer.code == 3
    assert "model_channels = 8 (256 was given)" in answer.err
    assert cli(*words, "--like", "lsun_bedrom.pt").code == 4
    assert "is of the family iddpm" in cli(*words, "--like", "iddpm-cifar10").err


@pytest.mark.parametrize("name", published())
def test_every_published_description_is_read(cli: Cli, tmp_path: Path, checkpoint: Path, name: str) -> None:
    words = ["convert", str(checkpoint), "--out", str(tmp_path / "out"), "--like", name]
    answer = cli(*words, "--family", published()[name]["family"])
    assert answer.code == 3
    assert "missing" in answer.err or "no part of" in answer.err or "The file shows" in answer.err


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch evil",)


def repacked(path: Path, compression: int, rename: Callable[[str], str] = lambda name: name) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(rename(name), data)


def bomb(path: Path) -> None:
    """A file of 195 KB that expands to 200 MB."""
    torch.save({"a": torch.zeros(50_000_000)}, path)
    repacked(path, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-500]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "bomb": bomb,
    "deflated": lambda path: repacked(path, zipfile.ZIP_DEFLATED),
    "outside": lambda path: repacked(path, zipfile.ZIP_STORED, lambda name: "../" + name),
    "absolute": lambda path: repacked(path, zipfile.ZIP_STORED, lambda name: "/" + name),
    "code": lambda path: torch.save({"a": Evil()}, path),
    "old code": lambda path: torch.save({"a": Evil()}, path, _use_new_zipfile_serialization=False),
    "bare pickle": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "no tensors": lambda path: torch.save({"a": 1}, path),
    "a list": lambda path: torch.save([torch.zeros(1)], path),
    "expanded": lambda path: torch.save({"a": torch.zeros(1).expand(10**8)}, path),
    "not finite": lambda path: torch.save({**random_weights(ARGS), "out.2.bias": torch.full((6,), torch.nan)}, path),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_unsafe_or_damaged_file_is_refused_and_nothing_written(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path], damage: str
) -> None:
    DAMAGE[damage](checkpoint)
    before = sorted(tmp_path.rglob("*"))
    args = described()
    answer = cli(*arguments(checkpoint, args, tmp_path / "out"))
    assert answer.code == 3
    assert "Traceback" not in answer.err
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "out").exists()
    assert not [path for path in set(tmp_path.rglob("*")) - set(before) if path.name.startswith(".hspace-")]


def test_code_in_a_checkpoint_is_named_and_not_run(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path]
) -> None:
    DAMAGE["code"](checkpoint)
    answer = cli(*arguments(checkpoint, described(), tmp_path / "out"))
    assert "asks for posix.system, which is code; hspace runs none" in answer.err.replace("nt.system", "posix.system")


def test_the_state_of_a_lightning_callback_is_no_obstacle(
    cli: Cli, tmp_path: Path, described: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = ModuleType(name)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        for depth in range(1, 4):
            patch.setitem(sys.modules, ".".join(name.split(".")[:depth]), module)
        content = {"state_dict": random_weights(ARGS), "callbacks": {module.ModelCheckpoint: {"best": 1}}}
        torch.save(content, tmp_path / "model.ckpt")
    answer = cli(*arguments(tmp_path / "model.ckpt", described(), tmp_path / "out"))
    assert answer.code == 0, answer.err


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_a_member_twice_is_refused(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path]
) -> None:
    with zipfile.ZipFile(checkpoint, "a") as archive:
        archive.writestr(archive.namelist()[0], b"other")
    answer = cli(*arguments(checkpoint, described(), tmp_path / "out"))
    assert answer.code == 3
    assert "two members of one name" in answer.err


def test_a_folder_that_holds_something_is_left_alone(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    answer = cli(*arguments(checkpoint, described(), tmp_path / "out"))
    assert answer.code == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_write_that_fails_leaves_nothing(
    cli: Cli, tmp_path: Path, checkpoint: Path, described: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hspace_backbones.converted_folder.save_file", full)
    answer = cli(*arguments(checkpoint, described(), tmp_path / "place" / "out"))
    assert answer.code == 1
    assert "No space left on device; nothing was written" in answer.err
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a Unix signal")
def test_a_killed_conversion_leaves_no_folder_and_runs_again(
    cli: Cli, tmp_path: Path, described: Callable[..., Path]
) -> None:
    args = {**ARGS, "model_channels": 96}
    torch.save(random_weights(args), tmp_path / "model.pt")
    place = tmp_path / "place"
    call = arguments(tmp_path / "model.pt", described(args=args), place / "out")
    killed_once([*HSPACE, *call], place, ".hspace-*")
    assert not (place / "out").exists()
    assert cli(*call).code == 0
    assert load_backbone(place / "out").card is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--family", "gan", "--like", "iddpm-cifar10"], "family must be one of ddpmpp, iddpm, adm, ldm"),
        (["--family", "adm"], "either --like PUBLISHED_NAME or --args ARGS.json"),
    ],
)
def test_a_call_that_does_not_say_what_it_is_is_refused(
    cli: Cli, tmp_path: Path, checkpoint: Path, words: list[str], message: str
) -> None:
    answer = cli("convert", str(checkpoint), "--out", str(tmp_path / "out"), *words)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"arg": ARGS}, "did you mean 'args'?"),
        ({"diffusion": {}}, "the arguments lack 'args'"),
        ({"args": ARGS, "diffusion": {"schedule": "sigmoid"}}, "schedule must be one of linear, cosine, scaled_linear"),
        ({"args": {**ARGS, "model_channels": 6, "num_heads": 1}}, "--norm-num-groups 4"),
    ],
)
def test_wrong_arguments_are_named(
    cli: Cli,
    tmp_path: Path,
    described: Callable[..., Path],
    content: dict[str, Any],
    message: str,
) -> None:
    torch.save(random_weights(content.get("args", ARGS)), tmp_path / "model.pt")
    answer = cli(*arguments(tmp_path / "model.pt", described(**content), tmp_path / "out"))
    assert answer.code == 2
    assert message in answer.err
