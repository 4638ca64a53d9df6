"""`hspace import`: other people's directions, tied to their backbone or refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hspace import Direction, edit, load_backbone, load_direction, registry
from hspace.meta import BackboneRef, HeadRef, Meta, Provenance, Scope, Strength
from hspace.plugins import Plugins
from hspace.testing import write_plugin as write_plugin

from .asyrp_files import CHANNELS, WINDOW, block, trained
from .conftest import BACKBONE, Cli

SHARED = Path(__file__).parents[3] / "shared"
PARITY = SHARED / "parity" / "asyrp-ddim-tiny.safetensors"
SMILING = SHARED / "official-directions" / "smiling_LC_CelebA_HQ_t999_ninv40_ngen40_0.pth"
ID = f"{BACKBONE}/wink.asyrp-official"


@pytest.fixture
def wink(tmp_path: Path) -> Path:
    """A direction that the official code could have trained on the tiny backbone."""
    return trained(tmp_path / "wink.pth")


def own() -> list[str]:
    return [entry.id for entry in registry.entries() if entry.owner == "user"]


def test_an_imported_direction_edits_pictures(cli: Cli, wink: Path, face: Path, tmp_path: Path) -> None:
    answer = cli("import", wink, "--backbone", BACKBONE, *WINDOW, "--prompts", "face", "winking face")
    assert answer.code == 0, answer.err
    assert "'face' -> 'winking face', t_edit 300" in answer.out
    assert f"hspace edit FACE.png --direction {ID}=1" in answer.out
    call = ("edit", face, "--direction", f"{ID}=1", "--steps", "4", "--out", tmp_path / "out", "--json")
    assert cli(*call).code == 0
    assert (tmp_path / "out" / "face.png").is_file()


def test_the_direction_says_where_it_comes_from(cli: Cli, wink: Path) -> None:
    told = cli("import", wink, "--backbone", BACKBONE, *WINDOW, "--steps", "50", "--name", "blink", "--json").json
    direction = told["direction"]
    assert (direction["id"], direction["steps"], direction["tied"]) == (f"{BACKBONE}/blink.asyrp-official", 50, True)
    assert direction["provenance"]["source"] == "wink.pth"
    assert len(direction["provenance"]["source_sha256"]) == 64
    assert direction["prompts"] is None


def test_importing_twice_gives_the_same_weights(cli: Cli, wink: Path) -> None:
    for _ in range(2):
        assert cli("import", wink, "--backbone", BACKBONE, *WINDOW).code == 0
    assert own() == [ID]
    weights = load_direction(ID).weights
    assert torch.equal(weights["proj_in.weight"], block()["conv1.weight"])


def unsafe(path: Path) -> None:
    class Unsafe:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, ("touch ran",)

    torch.save({"0": block(), "optimizer": Unsafe()}, path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def of_other_shape(path: Path) -> None:
    torch.save({"0": block() | {"conv2.weight": torch.zeros(CHANNELS, CHANNELS, 3, 3)}}, path)


def not_finite(path: Path) -> None:
    torch.save({"0": block() | {"conv2.bias": torch.full((CHANNELS,), float("nan"))}}, path)


def of_another_backbone(path: Path) -> None:
    trained(path, channels=64)


def text(path: Path) -> None:
    path.write_text("conv1.weight")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unsafe, "which is code; hspace runs none of a file's"),
        (truncated, "is not a whole checkpoint"),
        (of_other_shape, "'proj_out.weight' is (32, 32, 3, 3)"),
        (not_finite, "holds values that are not finite (NaN or infinity) in 'proj_out.bias'"),
        (of_another_backbone, "the weights do not fit head 'delta-block'"),
        (text, "is of no format that an importer reads (tried: asyrp-official)"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_stored(
    cli: Cli, wink: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(wink)
    answer = cli("import", wink, "--backbone", BACKBONE, *WINDOW)
    assert answer.code == 3
    assert message in answer.err
    assert own() == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--backbone", BACKBONE), 2, "does not tell its t_edit: give it with --t-edit"),
        (WINDOW, 2, "does not tell which backbone it was trained on; name it with --backbone"),
        ((*WINDOW, "--backbone", "nothing"), 4, "no backbone is called 'nothing'"),
        ((*WINDOW, "--backbone", BACKBONE, "--weights", "a.pt"), 2, "takes no file of weights"),
        ((*WINDOW, "--backbone", BACKBONE, "--name", "A/B"), 2, "a direction's name has small letters"),
        ((*WINDOW, "--backbone", BACKBONE, "--set", "groups=4"), 2, "head 'delta-block' has no setting 'groups'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    cli: Cli, wink: Path, options: tuple[Any, ...], code: int, message: str
) -> None:
    answer = cli("import", wink, *options)
    assert answer.code == code
    assert message in answer.err
    assert own() == []


def test_a_missing_file_is_not_found(cli: Cli) -> None:
    answer = cli("import", "nowhere.pth")
    assert (answer.code, answer.err) == (4, "error: there is no file nowhere.pth\n")


@pytest.mark.skipif(not SMILING.is_file(), reason="the published files are not beside this checkout")
def test_a_published_direction_is_stored_without_its_backbone_and_then_tied_to_nothing_else(cli: Cli) -> None:
    answer = cli("import", SMILING)
    assert answer.code == 0, answer.err
    assert "Not tied: 'sdedit-celebahq' is not here" in answer.out
    meta = load_direction("sdedit-celebahq/smiling.asyrp-official").meta
    assert (meta.prompts, meta.t_edit, meta.t_boost, meta.steps) == (("face", "smiling face"), 513, 167, 40)
    assert meta.provenance.source_sha256 == "6694632ef848d12e595ec1291df734ef3e9850d94a08632f06dc8fdd459b7703"
    assert cli("verify", meta.id).code == 0
    (row,) = (one for one in cli("list-directions", "--json").json["directions"] if one["owner"] == "user")
    assert row["status"] == "not tied to its backbone"
    answer = cli("import", SMILING, "--backbone", BACKBONE)
    assert answer.code == 3
    assert "was trained on 'sdedit-celebahq', and this backbone is another: its h is (32, 4, 4)" in answer.err


def untied(id: str = ID, home: str = BACKBONE) -> Meta:
    """A direction of the tiny backbone without its fingerprint."""
    meta = Meta(
        id=id,
        backbone=BackboneRef(id=home, h_shape=(32, 4, 4)),
        head=HeadRef(name="table", config={"timesteps": [500]}),
        steps=4,
        t_edit=300,
        strength=Strength(min=-1, max=1),
        scope=Scope(kind="global"),
        provenance=Provenance(finder="elsewhere"),
    )
    registry.add(Direction(meta, {"vectors": torch.ones(1, 1, 32, 4, 4)}))
    return meta


def test_a_direction_that_is_not_tied_edits_nothing(cli: Cli, face: Path, hspace_home: Path) -> None:
    untied()
    answer = cli("edit", face, "--direction", f"{ID}=1", "--backbone", BACKBONE, "--steps", "4")
    assert answer.code == 3
    assert f"{ID!r} was imported without its backbone, so nothing tells whether this one is" in answer.err
    assert "Import it again with --backbone" in answer.err


IMPORTER = """
import hspace
from hspace.errors import NotFoundError
from hspace.meta import BackboneRef, HeadRef, Meta, Provenance, Scope, Strength

@hspace.hookimpl
def hspace_importers():
    return [hspace.Card("numbers", "numbers_plugin:read", "one number per line")]

@hspace.hookimpl
def hspace_backbones():
    facts = {"family": "ddpmpp", "weights": "bring-your-own"}
    return [hspace.Card("home", "numbers_plugin:nowhere", "a backbone that is not here", facts=facts)]

def nowhere(**_):
    raise NotFoundError("its weights are on the moon")

def read(path):
    import torch
    if path.suffix != ".numbers":
        return None
    meta = Meta(id="home/shift.numbers", backbone=BackboneRef(id="home", h_shape=(32, 4, 4)), steps=4, t_edit=300,
                head=HeadRef(name="table", config={"timesteps": [500]}), strength=Strength(min=-1, max=1),
                scope=Scope(kind="global"), provenance=Provenance(finder="numbers"))
    numbers = torch.tensor([float(line) for line in path.read_text().split()])
    return hspace.Direction(meta, {"vectors": numbers.repeat(32 * 16 // len(numbers)).reshape(1, 1, 32, 4, 4)})
"""
Write = Callable[[str, str], Plugins]


@pytest.fixture
def numbers(cli: Cli, write_plugin: Write, tmp_path: Path) -> Path:
    """A file that an importer of somebody else's reads."""
    write_plugin("numbers_plugin", IMPORTER)
    path = tmp_path / "a.numbers"
    path.write_text("1\n2\n")
    return path


def test_somebody_elses_importer_is_asked_too(cli: Cli, numbers: Path) -> None:
    answer = cli("import", numbers)
    assert answer.code == 0, answer.err
    assert "note: its weights are on the moon" in answer.out
    assert own() == ["home/shift.numbers"]
    answer = cli("import", numbers, "--backbone", BACKBONE, "--json")
    assert answer.json["direction"]["note"].startswith(
        "it was trained on 'home'; whether 'ddpmpp-random-tiny' is the same"
    )
    assert f"{BACKBONE}/shift.numbers" in own()


def test_a_backbone_of_another_family_is_refused(cli: Cli, numbers: Path) -> None:
    answer = cli("import", numbers, "--backbone", "iddpm-random-tiny")
    assert answer.code == 3
    assert "trained on 'home', and this backbone is another: it is of the family iddpm, not ddpmpp" in answer.err


def test_an_option_that_the_importer_does_not_take_is_named(cli: Cli, numbers: Path) -> None:
    answer = cli("import", numbers, "--t-edit", "3")
    assert (answer.code, answer.err) == (2, "error: importer 'numbers' takes no t_edit; it takes nothing\n")


def test_a_tied_direction_does_not_give_way_to_one_that_is_not(cli: Cli, numbers: Path) -> None:
    tied = load_backbone(BACKBONE)
    meta = untied("home/shift.numbers", "home")
    direction = load_direction(meta.id)
    fingerprint = direction.tie(tied).meta.backbone.fingerprint
    home = meta.backbone.model_copy(update={"fingerprint": fingerprint})
    registry.add(Direction(meta.model_copy(update={"backbone": home}), direction.weights))
    answer = cli("import", numbers)
    assert answer.code == 3
    assert "'home/shift.numbers' is there already, tied to its backbone. Say --backbone" in answer.err


@pytest.mark.skipif(not PARITY.is_file(), reason="the reference tensors are not beside this checkout")
def test_an_imported_direction_reproduces_the_official_edit(cli: Cli, tmp_path: Path) -> None:
    facts = json.loads(PARITY.with_name("asyrp-ddim.json").read_text())
    tensors = load_file(PARITY)
    network = {name[5:]: t for name, t in tensors.items() if name.startswith("ckpt/") and "delta_block" not in name}
    prefix = "ckpt/delta_block/0/"
    torch.save(network, tmp_path / "net.pt")
    torch.save({"0": {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}}, "a.pth")
    (tmp_path / "args.json").write_text(json.dumps({"args": facts["tiny"][0]["args"]}))
    groups = ("--norm-num-groups", 4)
    assert cli("convert", "net.pt", "--family", "ddpmpp", "--args", "args.json", "--out", "net", *groups).code == 0
    window = ("--t-edit", facts["loop"]["t_edit"], "--steps", facts["loop"]["n"])
    answer = cli("import", "a.pth", "--backbone", "./net", *window, "--set", "norm_num_groups=4")
    assert answer.code == 0, answer.err
    direction = load_direction("net/a.asyrp-official")
    edited = edit(load_backbone("./net"), tensors["io/loop/xT"], [(direction, 0.9)], steps=8)
    reference = tensors["io/loop/edited"]
    assert (edited - reference).abs().max() <= 1e-4 * max(1.0, float(reference.abs().max()))
