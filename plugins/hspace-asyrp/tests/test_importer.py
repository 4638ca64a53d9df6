"""The official code's files: recognised by their keys, read exactly, and refused where they are not whole."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hspace import Direction, State
from hspace.errors import RefusedError, UsageError
from hspace_asyrp.importer import read
from hspace_asyrp.official import HOMES, listing
from hspace_heads.delta_block import build

from .files import LAYOUTS, block, trained, write

SHARED = Path(__file__).parents[4] / "shared"
PARITY = SHARED / "parity" / "asyrp-ddim-tiny.safetensors"
OFFICIAL = sorted((SHARED / "official-directions").glob("*.pth"))
WINDOW = {"t_edit": 500}


def imported(path: Path, **given: Any) -> Direction:
    direction = read(path, **given)
    assert direction is not None
    return direction


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_layout_is_recognised_by_its_keys_whatever_the_files_name(tmp_path: Path, form: str) -> None:
    direction = imported(trained(tmp_path / "anything.bin", form=form), **WINDOW)
    assert direction.meta.head.config == {"form": form}
    keys = LAYOUTS[form].keys
    assert all(torch.equal(direction.weights[keys[name]], tensor) for name, tensor in block(form).items())


@pytest.mark.parametrize("form", LAYOUTS)
def test_the_weights_are_those_of_the_head(tmp_path: Path, form: str) -> None:
    direction = imported(trained(tmp_path / "a.pth", form=form), **WINDOW)
    head = build((8, 4, 4), 12, norm_num_groups=4, **direction.meta.head.config)
    head.load_state_dict(dict(direction.weights))


@pytest.mark.parametrize(
    "content",
    [block(), {0: block()}, {"0": {f"module.{name}": tensor for name, tensor in block().items()}}],
    ids=["a bare state dict", "a number as the key", "DataParallel"],
)
def test_other_ways_of_saving_give_the_same_direction(tmp_path: Path, content: Any) -> None:
    direction = imported(write(tmp_path / "a.pth", content), **WINDOW)
    assert torch.equal(direction.weights["proj_in.bias"], block()["conv1.bias"])


def test_a_file_from_before_torch_1_6_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", {"0": block()}, _use_new_zipfile_serialization=False)
    assert torch.equal(imported(path, **WINDOW).weights["proj_out.bias"], block()["conv2.bias"])


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in block().items()}
    direction = imported(write(tmp_path / "a.pth", {"0": halves}), **WINDOW)
    assert {tensor.dtype for tensor in direction.weights.values()} == {torch.float32}


def test_files_of_other_formats_are_left_to_other_importers(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("conv1.weight")
    assert read(text, **WINDOW) is None
    assert read(write(tmp_path / "a.pth", {"fc.weight": torch.zeros(2, 2)}), **WINDOW) is None
    assert read(write(tmp_path / "b.pth", [1, 2]), **WINDOW) is None


def changed(form: str = "pesser", **tensors: Tensor | None) -> dict[str, Tensor]:
    weights = block(form) | {name.replace("__", "."): tensor for name, tensor in tensors.items() if tensor is not None}
    return {
        name: tensor for name, tensor in weights.items() if tensors.get(name.replace(".", "__"), tensor) is not None
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"0": changed(conv2__bias=None)}, "no whole delta block of the pesser form: it lacks 'conv2.bias'"),
        ({"0": changed(conv3__bias=torch.zeros(8))}, "it also has 'conv3.bias'"),
        ({"0": changed("openai", conv1__bias=torch.zeros(8))}, "of the openai form: it also has 'conv1.bias'"),
        (
            {"0": changed(conv1__weight=torch.zeros(8, 8, 3, 3))},
            r"'proj_in.weight' is \(8, 8, 3, 3\); .* \(8, 8, 1, 1\)",
        ),
        ({"0": changed(norm2__weight=torch.zeros(9))}, r"'norm_out.weight' is \(9,\); .* \(8,\)"),
        ({"0": changed(temb_proj__weight=torch.zeros(12))}, r"'time_proj.weight' is \(12,\)"),
        ({"0": changed(conv1__bias=torch.zeros(8, dtype=torch.int64))}, "'proj_in.bias' is of torch.int64"),
        ({"0": block() | {"extra": "text"}}, "'extra' in it is not a tensor"),
        ({"0": block(), "1": block()}, "holds 2 delta blocks; a direction is one"),
    ],
)
def test_what_is_not_one_whole_block_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        read(write(tmp_path / "a.pth", content), **WINDOW)


class Unsafe:
    """What a malicious file holds: a call of the reader's shell."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("exit 1",)


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", {"0": block(), "optimizer": Unsafe()})
    with pytest.raises(RefusedError, match=r"asks for \w+\.system, which is code"):
        read(path, **WINDOW)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = trained(tmp_path / "a.pth")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RefusedError, match="not a whole checkpoint"):
        read(path, **WINDOW)


def test_a_file_of_ones_own_needs_its_t_edit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none of the published files, and does not tell its t_edit: .* --t-edit"):
        read(trained(tmp_path / "a.pth"))


def test_what_is_given_is_kept(tmp_path: Path) -> None:
    meta = imported(trained(tmp_path / "My Smile.pth"), prompts=("a", "b"), t_edit=400, t_boost=100, steps=50).meta
    assert (meta.prompts, meta.t_edit, meta.t_boost, meta.steps) == (("a", "b"), 400, 100, 50)
    assert meta.id == "unknown/my-smile.asyrp-official"
    assert meta.backbone.fingerprint is None


def test_a_file_called_as_the_official_code_calls_it_tells_its_backbone_and_steps(tmp_path: Path) -> None:
    path = trained(tmp_path / "wink_LC_CelebA_HQ_t999_ninv40_ngen50_3.pth", channels=512, time=512)
    meta = imported(path, **WINDOW).meta
    assert (meta.id, meta.steps, meta.prompts) == ("sdedit-celebahq/wink.asyrp-official", 50, None)
    assert meta.backbone.h_shape == (512, 8, 8)


def test_a_name_that_the_weights_contradict_tells_no_backbone(tmp_path: Path) -> None:
    path = trained(tmp_path / "wink_LC_CelebA_HQ_t999_ninv40_ngen50_3.pth", channels=8)
    assert imported(path, **WINDOW).meta.backbone.id == "unknown"


@cache
def tensors() -> dict[str, Tensor]:
    return load_file(PARITY)


def fixture(prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors().items() if name.startswith(prefix)}


@pytest.mark.skipif(not PARITY.is_file(), reason="the reference tensors are not beside this checkout")
@pytest.mark.parametrize(
    ("form", "place", "io", "temb"),
    [("pesser", "delta_block/0", "delta", "temb"), ("openai", "delta_block_openai/0", "delta_openai", "emb")],
)
@torch.no_grad()
def test_an_imported_block_gives_the_official_output(tmp_path: Path, form: str, place: str, io: str, temb: str) -> None:
    path = write(tmp_path / "a.pth", {"0": fixture(f"ckpt/{place}/")})
    direction = imported(path, **WINDOW)
    head = build((16, 4, 4), 32, norm_num_groups=4, **direction.meta.head.config).eval()
    head.load_state_dict(dict(direction.weights))
    h, expected = tensors()[f"io/{io}/h"], tensors()[f"io/{io}/out"]
    delta_h = head(State(x_t=h, t=torch.zeros(len(h)), h=h, temb=tensors()[f"io/{io}/{temb}"]))
    assert direction.meta.head.config["form"] == form
    assert (delta_h - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.skipif(not OFFICIAL, reason="the published files are not beside this checkout")
@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.name.partition("_LC_")[0])
def test_a_published_file_is_known_by_its_content(tmp_path: Path, path: Path) -> None:
    renamed = tmp_path / "renamed.pth"
    renamed.write_bytes(path.read_bytes())
    name = path.name.partition("_LC_")[0]
    facts = listing().directions[name]
    meta = imported(renamed, **({} if "t_edit" in facts.facts else WINDOW)).meta
    assert meta.id == f"{facts.backbone}/{name}.asyrp-official"
    assert (meta.prompts, meta.steps, meta.t_boost) == (facts.prompts, 40, facts.facts["t_boost"])
    assert meta.head.config["form"] == facts.facts["form"]
    assert meta.backbone.id == HOMES[path.name.partition("_LC_")[2].rpartition("_t999_")[0]]


@pytest.mark.skipif(not OFFICIAL, reason="the published files are not beside this checkout")
@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.name.partition("_LC_")[0])
@torch.no_grad()
def test_a_published_head_is_of_full_size_and_finite(path: Path) -> None:
    direction = imported(path, **WINDOW)
    head = build((512, 8, 8), 512, **direction.meta.head.config)
    head.load_state_dict(dict(direction.weights))
    h = torch.randn(2, 512, 8, 8, generator=torch.Generator().manual_seed(0))
    delta_h = head(State(x_t=h, t=torch.zeros(2), h=h, temb=h.mean(dim=(2, 3))))
    assert delta_h.shape == h.shape
    assert bool(delta_h.isfinite().all())
    assert sum(tensor.numel() for tensor in direction.weights.values()) in (788_992, 790_016)


def test_where_t_edit_was_not_published_the_error_says_how_to_have_it() -> None:
    from hspace_asyrp.importer import Given, _published_t_edit

    wolf, nothing = listing().directions["dog_wolf"], Given(None, None, None, None, None)
    with pytest.raises(
        UsageError, match=r"t_edit of 'dog_wolf' was not published.*from 482 .*to 124 .*'Dog' and 'Wolf'"
    ):
        _published_t_edit("dog_wolf", wolf, nothing)
    assert _published_t_edit("dog_wolf", wolf, Given(None, None, None, None, 0.9)) == 439
    assert _published_t_edit("dog_wolf", wolf, Given(None, 300, None, None, 0.9)) == 300


def test_the_facts_are_json_that_anything_can_read() -> None:
    text = (Path(__file__).parents[1] / "hspace_asyrp" / "zoo" / "remote" / "asyrp-official.json").read_text()
    assert json.loads(text)["directions"]["smiling"]["prompts"] == ["face", "smiling face"]
