"""Labels of pictures, read from a table."""

from pathlib import Path

import pytest
import torch

from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.labels import labels_for, read_labels


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table as the hub's image folders have it."""
    path = tmp_path / "metadata.csv"
    path.write_text("smiling,file_name,age\n1,train/a.png,0.5\n-1,train/b.png,\nyes,c.png,2e1\n", encoding="utf-8-sig")
    return path


def test_a_column_is_read_by_the_names_of_the_files(table: Path) -> None:
    labels = read_labels(table, "smiling")
    assert labels.by_name == {"a.png": 1, "b.png": -1, "c.png": 1}
    told = labels.of([Path("x/c.png"), Path("b.png")])
    assert torch.equal(told, torch.tensor([1.0, -1.0], dtype=torch.float64))


def test_without_a_column_called_file_name_the_first_has_the_names(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image_id,Smiling\na.png,true\nb.png,False\n")
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.attribute == "Smiling"
    assert labels.by_name == {"a.png": 1, "b.png": 0}


def test_of_several_columns_one_must_be_named(table: Path) -> None:
    with pytest.raises(UsageError, match="has the labels smiling, age; say which one with --attribute"):
        read_labels(table)
    with pytest.raises(UsageError, match="has no label 'smile'; it has smiling, age"):
        read_labels(table, "smile")


def test_an_empty_label_is_none(table: Path) -> None:
    with pytest.raises(UsageError, match=r"metadata\.csv has no label for 1 of 2 pictures: b\.png"):
        read_labels(table, "age").of([Path("a.png"), Path("b.png")])


def test_two_pictures_with_one_name_are_refused(table: Path) -> None:
    with pytest.raises(UsageError, match=r"two pictures are called a\.png"):
        read_labels(table, "smiling").of([Path("one/a.png"), Path("two/a.png")])


@pytest.mark.parametrize("value", ["happy", "nan", "inf"])
def test_a_label_that_is_no_number_is_told_with_its_row(tmp_path: Path, value: str) -> None:
    (tmp_path / "labels.csv").write_text(f"file_name,smiling\na.png,1\nb.png,{value}\n")
    with pytest.raises(UsageError, match=f"row 3: a label is a number, yes or no; '{value}' is none"):
        read_labels(tmp_path / "labels.csv")


def test_a_name_that_is_there_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file_name,smiling\na.png,1\nx/a.png,0\n")
    with pytest.raises(UsageError, match=r"row 3: there is a label for a\.png already"):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize("content", [b"", b"file_name,smiling\n", b"\xff\xfe\x00", b'a,b\n"c'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(RefusedError, match=r"labels\.csv is no "):
        read_labels(tmp_path / "labels.csv")


def test_a_table_of_names_alone_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file_name\na.png\n")
    with pytest.raises(UsageError, match="has the labels none"):
        read_labels(tmp_path / "labels.csv")


def test_a_table_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_labels(tmp_path / "labels.csv")


def test_labels_go_with_pictures(table: Path) -> None:
    with pytest.raises(UsageError, match="give them with --images"):
        labels_for(table, "smiling", [], None)
    with pytest.raises(UsageError, match="'smiling' is a column"):
        labels_for(None, "smiling", [], None)
    assert labels_for(None, "glasses", [], "toyfaces") is None
    assert labels_for(None, None, [Path("a.png")], None) is None
