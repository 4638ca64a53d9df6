"""hspace.evaluation of pictures that are there already, in folders."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gauges import values
from PIL import Image

from hspace.errors import HspaceWarning, RefusedError, UsageError
from hspace.evaluation import evaluate_folders
from hspace.evaluation.streams import Folders

pytestmark = pytest.mark.usefixtures("gauge")


class TestFolders:
    """Pictures that are there already."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> Folders:
        """Six smooth pictures, and the same a little brighter."""
        for name, shift in (("orig", 0), ("edit", 8)):
            (tmp_path / name).mkdir()
            for index in range(6):
                self.picture(index, shift).save(tmp_path / name / f"{index}.png")
        return Folders(orig=tmp_path / "orig", edit=tmp_path / "edit")

    @staticmethod
    def picture(seed: int, shift: int = 0) -> Image.Image:
        coarse = torch.randint(0, 200, (3, 4, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        return Image.fromarray((coarse + shift).numpy()).resize((24, 20), Image.Resampling.BICUBIC)

    def test_pictures_belong_together_by_name(self, folders: Folders) -> None:
        found = evaluate_folders(folders, metrics=["far"])
        assert found.pictures == tuple("012345")
        assert values(found, "orig-edit") == pytest.approx([16 / 255] * 6, rel=0.05)

    def test_the_suffix_is_no_part_of_the_name(self, folders: Folders) -> None:
        assert folders.edit is not None
        for path in folders.edit.iterdir():
            Image.open(path).save(path.with_suffix(".webp"), lossless=True)
            path.unlink()
        assert len(values(evaluate_folders(folders, metrics=["far"]), "orig-edit")) == 6

    def test_a_picture_that_another_folder_lacks_is_told(self, folders: Folders) -> None:
        assert folders.edit is not None
        (folders.edit / "3.png").unlink()
        with pytest.raises(UsageError, match=r"edit has 5 pictures, and none called '3', which another folder has"):
            evaluate_folders(folders, metrics=["far"])

    def test_two_pictures_of_one_name_are_told(self, folders: Folders) -> None:
        assert folders.edit is not None
        self.picture(0).save(folders.edit / "3.jpg")
        with pytest.raises(UsageError, match="1 names are of more than one picture, such as '3'"):
            evaluate_folders(folders, metrics=["far"])

    def test_one_folder_is_not_enough(self, folders: Folders) -> None:
        with pytest.raises(UsageError, match="give two of --orig, --recon and --edit"):
            evaluate_folders(Folders(orig=folders.orig), metrics=["far"])

    @pytest.mark.parametrize("where", ["orig", "edit"])
    def test_other_sizes_need_a_size(self, folders: Folders, where: str) -> None:
        path = folders.given()[where] / "3.png"
        self.picture(3).resize((48, 40)).save(path)
        with pytest.raises(UsageError, match=r"is 24x20, .* is 48x40; resize all of them with --size N"):
            evaluate_folders(folders, metrics=["far"])
        assert len(values(evaluate_folders(folders, metrics=["far"], size=16), "orig-edit")) == 6

    def test_folders_of_two_sizes_need_a_size(self, folders: Folders) -> None:
        assert folders.edit is not None
        for path in folders.edit.iterdir():
            Image.open(path).resize((48, 40)).save(path)
        with pytest.raises(UsageError, match=r"different sizes \(orig 24x20, edit 48x40\)"):
            evaluate_folders(folders, metrics=["far"])

    @pytest.mark.filterwarnings("error")
    def test_pairs_in_order_are_not_taken_for_shuffled(self, folders: Folders) -> None:
        evaluate_folders(folders, metrics=["far"])

    def test_shuffled_pairs_are_noticed(self, folders: Folders) -> None:
        assert folders.edit is not None
        paths = sorted(folders.edit.iterdir())
        pictures = [path.read_bytes() for path in paths]
        for path, other in zip(paths, [*pictures[1:], pictures[0]], strict=True):
            path.write_bytes(other)
        known = 16 / 255
        with pytest.warns(HspaceWarning, match="6 of 6 edited pictures look more like another's original"):
            found = evaluate_folders(folders, metrics=["far"])
        assert min(values(found, "orig-edit")) > 2 * known

    def test_an_edit_that_says_it_is_of_another_picture_is_refused(self, folders: Folders) -> None:
        from hspace.images import save_picture
        from hspace.storage import sha256

        assert folders.orig is not None
        assert folders.edit is not None
        note = json.dumps({"input_sha256": sha256(folders.orig / "1.png")})
        save_picture(folders.edit / "1.png", self.picture(1), note)
        evaluate_folders(folders, metrics=["far"])
        save_picture(folders.edit / "2.png", self.picture(2), note)
        with pytest.raises(RefusedError, match=r"2\.png was made of another picture than .*2\.png"):
            evaluate_folders(folders, metrics=["far"])

    def test_grey_transparent_and_16_bit_pictures_are_read_as_what_they_show(self, folders: Folders) -> None:
        assert folders.orig is not None
        assert folders.edit is not None
        grey = Image.linear_gradient("L").resize((24, 20))
        deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        clear = grey.convert("RGBA")
        for index, one in enumerate((grey, deep, clear)):
            grey.convert("RGB").save(folders.orig / f"{index}.png")
            one.save(folders.edit / f"{index}.png")
        assert values(evaluate_folders(folders, metrics=["far"]), "orig-edit")[:3] == [0, 0, 0]

    def test_a_damaged_picture_is_refused(self, folders: Folders) -> None:
        assert folders.edit is not None
        path = folders.edit / "3.png"
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(RefusedError, match=r"3\.png is damaged or truncated"):
            evaluate_folders(folders, metrics=["far"])

    def test_one_picture_has_a_number_and_no_interval(self, folders: Folders, tmp_path: Path) -> None:
        for place in folders.given().values():
            for path in sorted(place.iterdir())[1:]:
                path.unlink()
        one = evaluate_folders(folders, metrics=["far"]).find("far", pair="orig-edit")
        assert (one.n, one.low, one.spread) == (1, None, None)
        assert one.value == pytest.approx(16 / 255, rel=0.05)
