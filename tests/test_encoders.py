"""Encoders by name, by family and by folder, with plugins written on the spot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.loading import load_encoder
from hspace.plugins import Plugins

Write = Callable[[str, str], Plugins]
PLUGIN = """
    import torch
    import hspace

    @hspace.hookimpl
    def hspace_encoders():
        return [
            hspace.Card("blind", "lens:blind", "sees nothing"),
            hspace.Card("wrong", "lens:wrong", "is no encoder"),
            hspace.Card("lenses", "lens:family", "those that begin with lens", needs=("model",)),
        ]

    class Blind(hspace.Encoder):
        digest = "0" * 64

        def __init__(self, name):
            self.name = name

        def images(self, x):
            return torch.eye(2)[:1].expand(len(x), 2)

        def texts(self, texts):
            return torch.eye(2)[:1].expand(len(texts), 2)

    def blind(device):
        return Blind(f"blind on {device}")

    def wrong(device):
        return 7

    def family(device, model):
        return Blind(str(model)) if "lens-" in str(model) else None
"""


@pytest.fixture(autouse=True)
def _lens(write_plugin: Write) -> None:
    write_plugin("lens", PLUGIN)


def test_a_card_is_loaded_onto_the_device() -> None:
    assert load_encoder("blind", device="meta").name == "blind on meta"


def test_a_name_that_no_card_has_is_tried_by_the_families() -> None:
    assert load_encoder("lens-50mm").name == "lens-50mm"


def test_a_folder_goes_to_the_family_that_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "lens-folder"
    folder.mkdir()
    assert load_encoder(folder).name == str(folder)


def test_a_zoos_encoder_goes_to_the_family_that_its_card_names(tmp_path: Path, write_plugin: Write) -> None:
    folder = tmp_path / "encoders" / "lens-small"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text('{"format": 1, "name": "small", "family": "lenses", "summary": "a small one"}')
    source = f"import hspace\n@hspace.hookimpl\ndef hspace_zoos(): return [{str(tmp_path)!r}]\n"
    card = write_plugin("case", source).find("encoders", "small")
    assert (card.plugin, card.summary, card.facts["weights"]) == ("case", "a small one", "bundled")
    assert load_encoder("small").name == str(folder)


def test_what_is_no_encoder_is_refused() -> None:
    with pytest.raises(RefusedError, match="a plugin gave 'int' for an encoder"):
        load_encoder("wrong")


def test_a_folder_that_no_family_reads_names_those_that_were_tried(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"no encoder family reads .*lenses"):
        load_encoder(tmp_path)


def test_the_name_of_a_family_is_not_an_encoder() -> None:
    with pytest.raises(UsageError, match="encoder 'lenses' is a family: it needs a model"):
        load_encoder("lenses")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="no encoder is called 'blnd'; did you mean 'blind'"):
        load_encoder("blnd")


def test_a_path_that_is_not_there_is_said_to_be_so() -> None:
    with pytest.raises(NotFoundError, match=r"there is no \./nowhere; an encoder is a name"):
        load_encoder("./nowhere")
