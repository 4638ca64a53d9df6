"""Training, exporting and measuring a tiny CLIP."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hspace.cli import app
from hspace.errors import NotFoundError, RefusedError
from hspace.loading import load_encoder
from hspace_clip.encoder import ClipEncoder
from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.clip_export import export, measure
from hspace_toyfaces.clip_measures import alignments, fooled, zero_shot
from hspace_toyfaces.clip_recipe import ClipRecipe
from hspace_toyfaces.clip_training import ClipLearner, encode_short
from hspace_toyfaces.training import Run, train

RECIPE = ClipRecipe(
    kind="clip", name="small", summary="a small one", images=24, batch=8, learning_rate=1e-3, warmup=1,
    image_sizes=(32,), width=8, text_width=16, text_layers=1, embed_dim=16, pairs=2, tampered=2, named=2,
)  # fmt: skip
CPU = torch.device("cpu")


def learner(seed: int = 0) -> ClipLearner:
    return ClipLearner(RECIPE, seed, CPU)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert train(learner(), Run(folder))
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "small"
    export(run, folder)
    return folder


def test_short_texts_are_read_as_open_clip_reads_them() -> None:
    clip = learner().ema.clip
    tokens = learner().vocabulary(["a smiling face", "glasses", "a person with blond hair, on a dark background"])
    assert torch.allclose(encode_short(clip, tokens), clip.encode_text(tokens), atol=1e-5)


def test_a_run_that_is_stopped_and_goes_on_gives_the_same_bits() -> None:
    whole, halves = learner(), learner()
    for step in range(3):
        whole.step(step)
    halves.step(0)
    resumed = learner()
    resumed.restore({name: tensor.clone() for name, tensor in halves.tensors().items()})
    for step in (1, 2):
        resumed.step(step)
    ours, theirs = resumed.tensors(), whole.tensors()
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


def test_the_average_keeps_the_statistics_of_the_batch_norms_and_the_mask() -> None:
    one = learner()
    one.step(0)
    averaged = dict(one.ema.named_buffers())
    assert float(averaged["clip.visual.bn1.running_mean"].abs().max()) > 0
    assert torch.equal(averaged["clip.attn_mask"], dict(one.model.named_buffers())["clip.attn_mask"])


def test_every_part_of_the_model_learns() -> None:
    one = learner()
    before = {name: weight.clone() for name, weight in one.model.named_parameters()}
    for step in range(2):
        one.step(step)
    still = [name for name, weight in one.model.named_parameters() if torch.equal(weight, before[name])]
    assert still == []


def test_an_exported_run_is_an_encoder_with_the_vectors_of_its_average(run: Path, exported: Path) -> None:
    trained = learner()
    Run(run).begin(trained)
    ours, theirs = load_encoder(exported), trained.encoder()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert isinstance(ours, ClipEncoder)
    assert ours.name == "small"
    assert torch.allclose(ours.images(images), theirs.images(images), atol=0.01)
    assert torch.allclose(ours.texts(["a smiling face"]), theirs.texts(["a smiling face"]), atol=0.01)


def test_an_exported_encoder_is_in_half_precision_with_a_card(exported: Path) -> None:
    card = json.loads((exported / "card.json").read_text())
    assert (card["name"], card["family"], card["licence"]) == ("small", "open-clip", "Apache-2.0")
    assert card["training"]["images"] == 24
    assert {path.name for path in exported.iterdir()} == {
        "card.json", "loss.png", "open_clip_config.json", "open_clip_model.safetensors", "vocabulary.json",
    }  # fmt: skip


def test_a_run_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no training run"):
        export(tmp_path, tmp_path / "out")


def test_measuring_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no exported encoder"):
        measure(tmp_path)


def test_a_folder_whose_vocabulary_does_not_fit_is_refused(exported: Path, tmp_path: Path) -> None:
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "vocabulary.json").write_text('{"byte_pair_tokens": [1, 2, 3]}')
    with pytest.raises(RefusedError, match=r"has 7 tokens; the model of open_clip_config\.json beside it wants"):
        load_encoder(tmp_path)


def test_every_attribute_is_measured(exported: Path) -> None:
    encoder = load_encoder(exported)
    assert set(zero_shot(encoder, 32, 40)) == set(NAMES)
    aligned = alignments(encoder, 32, 4)
    assert set(aligned) == set(NAMES)
    assert all(abs(one["alignment"]) <= 1 and abs(one["crosstalk"]) <= 1 for one in aligned.values())
    assert all(one["crosstalk_with"] != name for name, one in aligned.items())
    assert all(one["crosstalk_identity_with"].startswith("id_") for one in aligned.values())
    assert set(fooled(encoder, 32, 4)) == {"frown", "teeth", "strip"}


def test_the_commands_train_and_export(tmp_path: Path) -> None:
    values = {**RECIPE.model_dump(), "image_sizes": [32]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]
    (tmp_path / "small.toml").write_text("\n".join(lines))
    assert tomllib.loads((tmp_path / "small.toml").read_text())["kind"] == "clip"
    invoke = CliRunner().invoke
    trained = invoke(app(), ["toyfaces", "train-clip", f"{tmp_path}/small.toml", "--out", f"{tmp_path}/run"])
    assert trained.exit_code == 0, trained.output
    done = invoke(app(), ["toyfaces", "export-clip", f"{tmp_path}/run", "--out", f"{tmp_path}/out"])
    assert done.exit_code == 0, done.output
    assert load_encoder(tmp_path / "out").texts(["a face"]).shape == (1, 16)
